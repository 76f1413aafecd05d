//! Cast streams to an engine: what the disk becomes, what is refused before it is touched, and what
//! is found when it is read back.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;

use ironcast_proto::cast::{Kind, PublicKey, Signed};
use ironcast_receiver_nostd::cast;
use ironcast_receiver_nostd::engine::{
    CastOptions, Decompress, DiskOptions, Error, Format, Gpt, Holes, Leftover, Refusal, TableState,
    WRITE_SIZE, Wanted, Zeroes,
};
use lab::cast::{cast_to, fail_to, send_to};
use lab::gpt::{Layout, judge};
use lab::stream::{ALL, CHUNK, OLD, Stream, data, entry, lz4, old_disk, public, stored};
use lab::{Fault, Random, Setup, TestDisk, image};

fn options(cast: CastOptions<'static>) -> Setup {
    Setup {
        cast,
        options: DiskOptions::default(),
        ..Setup::default()
    }
}

fn trusting(seeds: &[u8]) -> Wanted<'static> {
    let keys: Vec<PublicKey> = seeds.iter().map(|&seed| public(seed)).collect();
    Wanted {
        trusted: keys.leak(),
        ..Wanted::default()
    }
}

#[test]
fn p1_the_disk_gets_the_image_and_what_was_in_its_holes_stays() {
    for kinds in [ALL, &ALL[..1], &[Kind::Zstd], &[Kind::Zero, Kind::Hole]] {
        let (stream, bytes) = Stream::new(kinds);
        let len = bytes.len() + 3 * 512;
        let disk = old_disk(len);
        let sent = stream.bytes(&[1]);
        let report = send_to(&sent, &options(CastOptions::default()), &disk);
        assert!(disk.bytes()[..bytes.len()] == bytes, "{kinds:?}");
        assert!(disk.bytes()[bytes.len()..].iter().all(|&byte| byte == OLD));
        assert!(report.verified && report.is_whole());
        assert_eq!(report.format, Format::Cast);
        assert_eq!(report.hash, blake3::hash(&sent), "of the stream");
        assert_eq!(report.written, bytes.len() as u64);
    }
}

#[test]
fn the_image_says_who_it_is_and_who_has_signed_it() {
    let (stream, _) = Stream::new(&[Kind::Plain]);
    let sent = stream.bytes(&[1, 2]);
    for (wanted, signed) in [
        (Wanted::default(), None),
        (trusting(&[2]), Some(public(2).number)),
    ] {
        let cast = CastOptions {
            wanted,
            ..CastOptions::default()
        };
        let network = cast_to(&sent, &options(cast), &old_disk(1 << 20));
        let (manifest, found) = network.machines[0].engine.image().expect("it was accepted");
        assert_eq!(manifest.name, "image");
        let expected = signed.map_or(Signed::Unchecked { signatures: 2 }, Signed::By);
        assert_eq!(found, expected);
    }
}

#[test]
fn p2_what_is_not_wanted_leaves_the_disk_as_it_was() {
    let (stream, bytes) = Stream::new(ALL);
    let raw = image(100_000);
    let len = bytes.len();
    let name = Wanted {
        name: Some("other"),
        ..Wanted::default()
    };
    let expiring = |created: u64, expires: u64| {
        let mut stream = stream.clone();
        (stream.manifest.created, stream.manifest.expires) = (created, Some(expires));
        stream.bytes(&[])
    };
    let now = Wanted {
        now: Some(1_000_000),
        ..Wanted::default()
    };
    let sent = stream.bytes(&[1]);
    let small = old_disk(len - 512);
    let coarse = TestDisk::with_capacity(8 << 20).with_sectors_of(4096);
    let cases: [(&[u8], Wanted<'static>, TestDisk); 9] = [
        (&sent, name, old_disk(len)),
        (&sent, trusting(&[2]), old_disk(len)),
        (&stream.bytes(&[]), trusting(&[1]), old_disk(len)),
        (&raw, trusting(&[1]), old_disk(len)),
        (&raw, name, old_disk(len)),
        (&expiring(0, 999_999), now, old_disk(len)),
        (&expiring(0, 1_000_001), Wanted::default(), old_disk(len)),
        (&sent, Wanted::default(), small),
        (&sent, Wanted::default(), coarse),
    ];
    for (number, (sent, wanted, disk)) in cases.into_iter().enumerate() {
        let cast = CastOptions {
            wanted,
            ..CastOptions::default()
        };
        let before = disk.bytes();
        let (error, leftover) = fail_to(sent, &options(cast), &disk);
        let is_told = matches!(error, Error::Refused(_) | Error::Cast(_));
        assert!(is_told, "case {number}: {error}");
        assert_eq!(leftover, Leftover::Untouched, "case {number}");
        assert!(disk.bytes() == before && disk.writes().is_empty());
    }
    // A reader of raw streams only is not led past the question.
    let cast = CastOptions {
        wanted: trusting(&[1]),
        ..CastOptions::default()
    };
    let setup = Setup {
        decompress: Decompress::None,
        ..options(cast)
    };
    let (error, _) = fail_to(&sent, &setup, &old_disk(len));
    let refusal = Refusal::Anonymous { signed: true };
    assert_eq!(error, Error::Refused(refusal));
}

#[test]
fn holes_can_be_zeroed_and_zeroes_left_out_of_a_blank_disk() {
    let (stream, mut bytes) = Stream::new(ALL);
    let sent = stream.bytes(&[]);
    let zeroed = CastOptions {
        holes: Holes::Zero,
        ..CastOptions::default()
    };
    let used = old_disk(bytes.len());
    // The hash of a hole that becomes zeroes is not in the table.
    assert!(send_to(&sent, &options(zeroed), &used).verified);
    bytes[CHUNK..2 * CHUNK].fill(0);
    assert!(used.bytes() == bytes);
    let skipped = CastOptions {
        zero: Zeroes::Skip,
        ..zeroed
    };
    let blank = old_disk(bytes.len()).holding(vec![0; bytes.len()]);
    send_to(&sent, &options(skipped), &blank);
    assert!(blank.bytes() == bytes);
    let mut wrote = blank.writes().into_iter();
    assert!(wrote.all(|write| write.offset != 3 * CHUNK as u64));
    // One that was not blank is found out.
    let (error, leftover) = fail_to(&sent, &options(skipped), &old_disk(bytes.len()));
    let Error::Chunks(found) = error else {
        panic!("{error}");
    };
    assert_eq!(found.named(), [3, 6]);
    assert_eq!(leftover, Leftover::Cleared);
}

#[test]
fn what_a_disk_has_already_is_not_written_again() {
    let (stream, bytes) = Stream::new(ALL);
    let sent = stream.bytes(&[]);
    let delta = CastOptions {
        delta: true,
        ..CastOptions::default()
    };
    let mut old = bytes.clone();
    old[2 * CHUNK + 7] ^= 1;
    old[6 * CHUNK + CHUNK / 2] ^= 1;
    let used = old_disk(bytes.len()).holding(old);
    assert!(send_to(&sent, &options(delta), &used).verified);
    assert!(used.bytes() == bytes);
    let mut chunks: Vec<u64> = used
        .writes()
        .iter()
        .map(|write| write.offset / CHUNK as u64)
        .collect();
    chunks.dedup();
    // The first is always written, and its start once more at the end.
    assert_eq!(chunks, [0, 2, 6, 0]);
}

#[test]
fn p1_bad_chunks_of_the_disk_are_named() {
    let (stream, bytes) = Stream::new(ALL);
    let sent = stream.bytes(&[]);
    for (wrong, chunk) in [(9000, 0), (2 * CHUNK, 2), (3 * CHUNK + 5, 3)] {
        let disk = old_disk(bytes.len()).failing(Fault::Flip(wrong as u64));
        let (error, _) = fail_to(&sent, &options(CastOptions::default()), &disk);
        let Error::Chunks(found) = error else {
            panic!("{error}");
        };
        assert_eq!(found.named(), [chunk], "byte {wrong}");
    }
    // Nobody has to know what is in a hole.
    let disk = old_disk(bytes.len()).failing(Fault::Flip(CHUNK as u64 + 5));
    send_to(&sent, &options(CastOptions::default()), &disk);
}

#[test]
fn p1_a_chunk_that_is_not_what_the_table_says_is_never_written() {
    let (stream, bytes) = Stream::new(ALL);
    for (number, kind) in ALL.iter().enumerate() {
        if matches!(kind, Kind::Hole | Kind::Zero) {
            continue;
        }
        let mut stream = stream.clone();
        let place = stream.stored[number].len() / 2;
        stream.stored[number][place] ^= 1;
        let disk = old_disk(bytes.len());
        let setup = Setup {
            options: DiskOptions {
                on_failure: ironcast_receiver_nostd::engine::OnFailure::Keep,
                ..DiskOptions::default()
            },
            ..options(CastOptions::default())
        };
        let (error, _) = fail_to(&stream.bytes(&[]), &setup, &disk);
        let is_told = match error {
            Error::Cast(
                cast::Error::Hash { chunk }
                | cast::Error::Decode { chunk, .. }
                | cast::Error::Length { chunk, .. },
            ) => chunk == number as u64,
            _ => false,
        };
        assert!(is_told, "chunk {number}: {error}");
        let end = number * CHUNK;
        assert!(disk.bytes()[end..].iter().all(|&byte| byte == OLD));
    }
}

#[test]
fn a_stream_has_to_end_where_its_image_does() {
    let (stream, bytes) = Stream::new(ALL);
    let sent = stream.bytes(&[]);
    let failed = |sent: &[u8]| {
        fail_to(
            sent,
            &options(CastOptions::default()),
            &old_disk(bytes.len()),
        )
        .0
    };
    let cut = Error::Cast(cast::Error::Cut { chunk: Some(7) });
    assert_eq!(failed(&sent[..sent.len() - 1]), cut);
    let early = Error::Cast(cast::Error::Cut { chunk: None });
    assert_eq!(failed(&sent[..100]), early);
    let more = [&sent[..], &sent[..]].concat();
    assert_eq!(failed(&more), Error::Cast(cast::Error::Trailing));
}

#[test]
fn p1_no_flipped_bit_is_a_success() {
    let (stream, bytes) = Stream::new(ALL);
    let sent = stream.bytes(&[1]);
    let mut random = Random::new(7);
    let cast = CastOptions {
        wanted: trusting(&[1]),
        ..CastOptions::default()
    };
    for _ in 0..200 {
        let mut spoilt = sent.clone();
        // Half of them before the chunks, which are most of it.
        let front = u64::from(random.next().is_multiple_of(2)) * 1000;
        let len = if front > 0 { front } else { sent.len() as u64 };
        let place = (random.next() % len) as usize;
        spoilt[place] ^= 1 << (random.next() % 8);
        let (error, _) = fail_to(&spoilt, &options(cast), &old_disk(bytes.len()));
        let is_told = matches!(error, Error::Refused(_) | Error::Cast(_));
        assert!(is_told, "byte {place}: {error}");
    }
}

/// The stream of an image, plain, for disks of `least` bytes and more.
fn plain(bytes: &[u8], least: usize) -> Stream {
    let (mut stream, _) = Stream::new(&[Kind::Plain]);
    stream.manifest.size = bytes.len() as u64;
    stream.manifest.least_disk = least as u64;
    (stream.entries, stream.stored) = bytes
        .chunks(CHUNK)
        .map(|chunk| {
            let stored = stored(Kind::Plain, chunk);
            (entry(Kind::Plain, chunk, &stored), stored)
        })
        .unzip();
    stream
}

#[test]
fn p1_an_image_whose_end_is_free_fits_on_a_smaller_disk_too() {
    let mut layout = Layout::new(512, 3 << 20);
    // The last 600 sectors are free, but for the table's copy.
    layout.partitions[1].1 = layout.sectors - 600;
    let mut image = layout.image();
    let (end, copy) = (image.len() - 599 * 512, image.len() - 33 * 512);
    image[end..copy].fill(0);
    for len in [
        image.len() - 512,
        image.len() - 100 * 512,
        image.len() + 512 * 7,
    ] {
        let disk = old_disk(len);
        let sent = plain(&image, image.len() - 100 * 512).bytes(&[]);
        let report = send_to(&sent, &options(CastOptions::default()), &disk);
        assert!(report.verified);
        assert_eq!(report.table, TableState::Moved);
        judge(&disk.bytes(), 512).expect("both tables are right");
    }
    let kept = Setup {
        options: DiskOptions {
            gpt: Gpt::Keep,
            ..DiskOptions::default()
        },
        ..options(CastOptions::default())
    };
    let sent = plain(&image, image.len() - 512).bytes(&[]);
    let (error, leftover) = fail_to(&sent, &kept, &old_disk(image.len() - 512));
    assert_eq!((error, leftover), (Error::Table(None), Leftover::Untouched));
    // A manifest that promises too much is found out: when the table is looked at, at the latest.
    let least = WRITE_SIZE;
    let mut blank = image.clone();
    blank[least..].fill(0);
    let sent = plain(&blank, least).bytes(&[]);
    let (error, leftover) = fail_to(&sent, &options(CastOptions::default()), &old_disk(least));
    assert!(matches!(error, Error::Table(Some(_))), "{error}");
    assert_eq!(leftover, Leftover::Cleared);
}

#[test]
fn p1_what_a_smaller_disk_would_lack_is_a_failure() {
    let mut layout = Layout::new(512, 3 << 20);
    layout.partitions[1].1 = layout.sectors - 600;
    let mut with_table = layout.image();
    let len = with_table.len();
    with_table[len - 599 * 512..len - 33 * 512].fill(0);
    let least = len - 100 * 512;
    // Behind the last partition, where one could be.
    let mut used = with_table;
    used[len - 90 * 512] = 1;
    // In the middle of a chunk, in a chunk that is left out, and in the only one.
    for (image, least) in [
        (data(1, len), least),
        (data(1, len), WRITE_SIZE),
        (data(1, 20_480), 10_240),
        (data(1, 20_480), 4096),
        (used, least),
    ] {
        let sent = plain(&image, least).bytes(&[]);
        let capacity = least as u64;
        let (error, _) = fail_to(&sent, &options(CastOptions::default()), &old_disk(least));
        assert_eq!(error, Error::Full { capacity });
        // Zeroes are not missed.
        let mut blank = image;
        blank[least..].fill(0);
        let disk = old_disk(least);
        send_to(
            &plain(&blank, least).bytes(&[]),
            &options(CastOptions::default()),
            &disk,
        );
        assert!(disk.bytes().len() == least);
    }
}

#[test]
fn what_can_not_be_read_before_is_written() {
    let (stream, bytes) = Stream::new(ALL);
    let delta = CastOptions {
        delta: true,
        ..CastOptions::default()
    };
    let place = (4 * CHUNK + 70_000) as u64;
    for fault in [
        Fault::Pending(place),
        Fault::Pending(bytes.len() as u64 - 1),
    ] {
        let used = old_disk(bytes.len()).holding(bytes.clone()).failing(fault);
        assert!(send_to(&stream.bytes(&[]), &options(delta), &used).verified);
        assert!(used.bytes() == bytes);
    }
}

#[test]
fn p2_a_cast_stream_that_was_compressed_is_no_image() {
    for kinds in [&[Kind::Plain][..], ALL] {
        let (stream, bytes) = Stream::new(kinds);
        let sent = lz4(&stream.bytes(&[1]));
        let disk = old_disk(2 * bytes.len() + 4096);
        let (error, leftover) = fail_to(&sent, &options(CastOptions::default()), &disk);
        assert_eq!(error, Error::Refused(Refusal::Wrapped));
        assert_eq!(leftover, Leftover::Untouched);
        assert!(disk.writes().is_empty());
    }
}

#[test]
fn p1_wherever_a_stream_is_cut_it_is_a_failure() {
    let (stream, bytes) = Stream::new(ALL);
    let sent = stream.bytes(&[1]);
    let front = sent.len() - stream.stored.iter().map(Vec::len).sum::<usize>();
    let ends = stream.stored.iter().scan(front, |end, stored| {
        *end += stored.len();
        Some(*end)
    });
    // What is shorter than what tells a cast stream is an image of so many bytes.
    let mut cuts: Vec<usize> = (9..front).step_by(7).collect();
    cuts.extend(ends.flat_map(|end| [end - 1, end, end + 1]));
    for cut in cuts {
        let disk = old_disk(bytes.len());
        if cut >= sent.len() {
            continue;
        }
        let (error, leftover) = fail_to(&sent[..cut], &options(CastOptions::default()), &disk);
        assert!(matches!(error, Error::Cast(_)), "{cut}: {error}");
        let whole_first = front + stream.stored[0].len();
        let is_written = leftover != Leftover::Untouched;
        assert_eq!(is_written, cut >= whole_first, "{cut}");
    }
}
