//! Cast streams from their first byte to their last: what comes out is the image, or an error that
//! names the chunk.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;

use ironcast_proto::cast::{CastError, KeyNumber, Kind, PublicKey, Signed};
use ironcast_receiver_nostd::cast::{Error, Reader, Step};
use ironcast_receiver_nostd::decode::Fault;
use lab::Random;
use lab::stream::{CHUNK, OLD, Stream, data, entry, lz4, public, stored};

/// What a disk full of [`OLD`] becomes.
struct Read {
    result: Result<Signed, Error>,
    disk: Vec<u8>,
    /// Chunks that were given out.
    chunks: u64,
}

/// Reads a stream of which `piece` bytes come at a time.
fn read(bytes: &[u8], piece: usize, trusted: &[PublicKey]) -> Read {
    let (mut disk, mut chunks) = (Vec::new(), 0);
    let result = read_to(bytes, piece, trusted, &mut disk, &mut chunks);
    Read {
        result,
        disk,
        chunks,
    }
}

fn read_to(
    bytes: &[u8],
    piece: usize,
    trusted: &[PublicKey],
    disk: &mut Vec<u8>,
    chunks: &mut u64,
) -> Result<Signed, Error> {
    let mut reader = Reader::new(trusted)?;
    let mut pieces = bytes.chunks(piece);
    let mut rest: &[u8] = &[];
    loop {
        let taken = reader.take(rest)?;
        rest = &rest[taken.consumed..];
        assert!(taken.has_moved || rest.is_empty() || taken.step != Step::More);
        match taken.step {
            Step::Manifest => {
                reader.accept()?;
                let (manifest, _) = reader.manifest().expect("it was told of");
                disk.resize(manifest.size as usize, OLD);
            }
            Step::Chunk => {
                let chunk = reader.chunk().expect("it was told of");
                assert_eq!(chunk.number, *chunks);
                *chunks += 1;
                let place = &mut disk[chunk.start as usize..][..chunk.len as usize];
                match chunk.kind {
                    Kind::Hole => {}
                    Kind::Zero => place.fill(0),
                    _ => place.copy_from_slice(chunk.bytes),
                }
            }
            Step::More | Step::Ended if !taken.has_moved => match pieces.next() {
                Some(next) => rest = next,
                None => break,
            },
            Step::More | Step::Ended => {}
        }
    }
    reader.finish()?;
    Ok(reader.manifest().expect("all is there").1)
}

const ALL: &[Kind] = &[
    Kind::Plain,
    Kind::Hole,
    Kind::Zstd,
    Kind::Zero,
    Kind::Lz4,
    Kind::Lz4,
    Kind::Zstd,
    Kind::Zstd,
];

#[test]
fn p1_the_image_comes_out_however_the_stream_comes_in() {
    for kinds in [
        ALL,
        &ALL[..1],
        &[Kind::Zero],
        &[Kind::Hole],
        &[Kind::Plain, Kind::Hole],
    ] {
        let (stream, image) = Stream::new(kinds);
        let bytes = stream.bytes(&[]);
        for piece in [1, 1456, 100_000, bytes.len()] {
            let read = read(&bytes, piece, &[]);
            assert_eq!(read.result, Ok(Signed::Unchecked { signatures: 0 }));
            assert!(read.disk == image, "{kinds:?}, {piece} bytes at a time");
        }
    }
}

#[test]
fn p1_no_bit_can_be_changed_unnoticed_and_what_came_before_is_right() {
    let (stream, image) = Stream::new(ALL);
    let good = stream.bytes(&[1]);
    let trusted = [public(1)];
    let signed = Ok(Signed::By(KeyNumber([1; 8])));
    assert_eq!(read(&good, 4096, &trusted).result, signed);
    let mut random = Random::new(1);
    let first_chunk = good.len() - stream.stored.concat().len();
    for place in 0..400 {
        let mut bytes = good.clone();
        let bit = match place {
            // All parts are met, also those that are short.
            0..200 => random.below(8 * first_chunk as u64),
            _ => random.below(8 * bytes.len() as u64),
        } as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let read = read(&bytes, 4096, &trusted);
        assert!(read.result.is_err(), "bit {bit} of {}", bytes.len());
        let untouched = bit / 8 < first_chunk;
        assert!(!untouched || read.chunks == 0, "bit {bit}: written to");
        let written = read.chunks as usize * CHUNK;
        assert!(read.disk[..written.min(read.disk.len())] == image[..written.min(read.disk.len())]);
    }
}

#[test]
fn a_stream_that_is_cut_short_or_goes_on_is_an_error() {
    let (stream, _) = Stream::new(ALL);
    let good = stream.bytes(&[]);
    let first_chunk = good.len() - stream.stored.concat().len();
    let mut random = Random::new(2);
    for _ in 0..100 {
        let len = random.below(good.len() as u64) as usize;
        let result = read(&good[..len], 4096, &[]).result;
        let Err(Error::Cut { chunk }) = result else {
            panic!("{len} bytes: {result:?}");
        };
        assert_eq!(chunk.is_some(), len >= first_chunk, "{len} bytes");
    }
    let more = [&good[..], &good[..]].concat();
    let read = read(&more, 4096, &[]);
    assert_eq!((read.result, read.chunks), (Err(Error::Trailing), 8));
}

#[test]
fn chunks_of_another_image_are_refused_before_they_are_given_out() {
    let (good, _) = Stream::new(ALL);
    let with = |chunk: usize, stored: Vec<u8>| {
        let mut stream = good.clone();
        stream.stored[chunk] = stored;
        // The table stays as it is, but for the lengths, as if somebody had signed it so.
        stream.entries[chunk].stored = stream.stored[chunk].len() as u32;
        let read = read(&stream.bytes(&[]), 4096, &[]);
        (read.result.unwrap_err(), read.chunks)
    };
    let other = data(99, CHUNK);
    assert_eq!(with(0, other.clone()), (Error::Hash { chunk: 0 }, 0));
    assert_eq!(with(4, lz4(&other)), (Error::Hash { chunk: 4 }, 4));
    let longer = [&other[..], b"x"].concat();
    let expected = CHUNK as u32;
    let length = |chunk| Error::Length { chunk, expected };
    assert_eq!(with(4, lz4(&longer)), (length(4), 4));
    assert_eq!(with(4, lz4(&other[1..])), (length(4), 4));
    assert_eq!(with(2, stored(Kind::Zstd, &other[1..])), (length(2), 2));
    let cut = lz4(&other);
    let (error, chunks) = with(4, cut[..cut.len() - 1].to_vec());
    assert!(
        matches!(error, Error::Decode { chunk: 4, source } if source.fault == Fault::Truncated)
    );
    assert_eq!(chunks, 4);
    // A second stream in the place of a chunk.
    let (second, _) = Stream::new(&[Kind::Zero]);
    let (error, chunks) = with(5, second.bytes(&[]));
    assert!(matches!(error, Error::Decode { chunk: 5, .. }) && chunks == 5);
}

#[test]
fn a_frame_that_would_become_far_too_long_is_stopped() {
    let (mut stream, _) = Stream::new(&[Kind::Zstd, Kind::Zero]);
    for kind in [Kind::Zstd, Kind::Lz4] {
        // 64 MiB of zeroes, in few bytes; as one frame with a small window, so that it begins well.
        let bomb = stored(kind, &vec![0; 64 << 20]);
        stream.entries[0] = entry(kind, &[0; CHUNK], &bomb);
        stream.entries[0].stored = (CHUNK as u32 - 1).min(bomb.len() as u32);
        stream.stored[0] = bomb;
        let read = read(&stream.bytes(&[]), 4096, &[]);
        let error = read.result.unwrap_err();
        let is_right = matches!(
            error,
            Error::Length { chunk: 0, .. } | Error::Decode { chunk: 0, .. }
        );
        assert!(is_right && read.chunks == 0, "{kind}: {error}");
    }
}

#[test]
fn an_image_without_a_good_signature_is_not_even_judged() {
    let (stream, _) = Stream::new(ALL);
    let read = read(&stream.bytes(&[2]), 4096, &[public(1)]);
    let error = Error::Stream(CastError::NotTrusted { others: 1 });
    assert_eq!((read.result, read.disk.len()), (Err(error), 0));
}

#[test]
fn memory_that_is_not_there_is_an_error() {
    let (mut stream, _) = Stream::new(&[Kind::Zero]);
    stream.manifest.size = 1 << 56;
    let read = read(&stream.bytes(&[]), 4096, &[]);
    let needed = (1 << 56) / CHUNK as u64 * 52;
    assert_eq!(read.result, Err(Error::Memory { needed }));
}

/// What a table needs that comes to a GiB is not taken before it comes.
#[cfg(target_os = "linux")]
#[test]
fn p6_memory_that_a_stream_says_it_needs_is_not_taken_before_it_comes() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
        let pages = text.split(' ').nth(1).expect("the second number");
        pages.parse::<u64>().expect("a number") * 4096
    };
    let (mut stream, _) = Stream::new(&[Kind::Zero]);
    stream.manifest.chunk_size = 64 << 10;
    stream.manifest.size = (64 << 10) * ((1 << 30) / 52);
    let sent = stream.bytes(&[]);
    let mut reader = Reader::new(&[]).expect("there is memory");
    let mut rest = &sent[..];
    while reader.manifest().is_none() {
        rest = &rest[reader.take(rest).expect("a manifest").consumed..];
    }
    let before = resident();
    match reader.accept() {
        Ok(()) | Err(Error::Memory { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    let taken = resident().saturating_sub(before);
    assert!(taken < 256 << 20, "{taken} bytes");
}
