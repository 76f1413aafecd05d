//! gzip streams of every kind, whole and spoilt: decoded by themselves, and on their way to a disk.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;
mod streams;

use std::io::Write as _;
use std::time::Duration;

use flate2::GzBuilder;
use ironcast_receiver_nostd::decode::{self, Compression, Decoder, Fault, gzip as decoder};
use ironcast_receiver_nostd::engine::{
    Decompress, Error as EngineError, Format, MIN_RING_LEN, WRITE_SIZE,
};
use lab::{Machine, Network, Random, Setup, TestDisk, Trouble, image};
use streams::{decode_in_pieces, text};

fn unknown(field: &'static str, value: u32) -> Fault {
    Fault::Unknown { field, value }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    gzip_with(GzBuilder::new(), bytes)
}

fn gzip_with(builder: GzBuilder, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = builder.write(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn decode(stream: &[u8], piece: usize, buffer: usize) -> Result<Vec<u8>, Fault> {
    decode_in_pieces(Compression::Gzip, stream, piece, buffer)
}

fn decode_at_once(stream: &[u8]) -> Result<Vec<u8>, Fault> {
    decode(stream, stream.len().max(1), WRITE_SIZE)
}

#[test]
fn streams_come_out_as_they_went_in_however_they_are_cut() {
    for len in [
        0,
        1,
        1000,
        decoder::WINDOW_LEN - 1,
        decoder::WINDOW_LEN,
        300_000,
    ] {
        for bytes in [text(len), image(len), vec![0; len]] {
            let stream = gzip(&bytes);
            for (piece, buffer) in [
                (1, decoder::WINDOW_LEN),
                (7, WRITE_SIZE),
                (1456, decoder::WINDOW_LEN),
            ] {
                assert!(
                    decode(&stream, piece, buffer).as_ref() == Ok(&bytes),
                    "{len} bytes"
                );
            }
        }
    }
}

#[test]
fn members_follow_each_other() {
    let parts = [text(100_000), Vec::new(), image(5), text(70_000)];
    let stream: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
    for piece in [1, 13, stream.len()] {
        assert!(decode(&stream, piece, decoder::WINDOW_LEN).as_ref() == Ok(&parts.concat()));
    }
}

#[test]
fn headers_with_everything_in_them_are_passed_over() {
    let full = GzBuilder::new()
        .filename("disk.img")
        .comment("of the lab upstairs")
        .extra(vec![1, 2, 0, 3])
        .mtime(1);
    let none = GzBuilder::new().extra(Vec::new());
    for builder in [full, none] {
        let stream = gzip_with(builder, b"image");
        for piece in [1, 100] {
            assert_eq!(
                decode(&stream, piece, decoder::WINDOW_LEN).as_deref(),
                Ok(&b"image"[..])
            );
        }
        let mut with_checksum = with_header_checksum(&stream);
        assert_eq!(decode_at_once(&with_checksum).as_deref(), Ok(&b"image"[..]));
        with_checksum[4] ^= 1;
        assert_eq!(decode_at_once(&with_checksum), Err(Fault::HeaderChecksum));
    }
}

/// Adds a header's own checksum, which `flate2` doesn't write.
fn with_header_checksum(stream: &[u8]) -> Vec<u8> {
    let tail = gzip(b"image").len() - 10;
    let (header, rest) = stream.split_at(stream.len() - tail);
    let mut header = header.to_vec();
    header[3] |= 0x02;
    let crc = crc32fast::hash(&header) as u16;
    [&header[..], &crc.to_le_bytes(), rest].concat()
}

#[test]
fn a_stream_that_is_cut_off_anywhere_is_an_error() {
    let stream = gzip(&text(3000));
    for len in 0..stream.len() {
        assert_eq!(
            decode_at_once(&stream[..len]),
            Err(Fault::Truncated),
            "cut off at {len}"
        );
    }
    let two = [&stream[..], &stream].concat();
    for len in stream.len() + 1..two.len() {
        assert_eq!(
            decode_at_once(&two[..len]),
            Err(Fault::Truncated),
            "cut off at {len}"
        );
    }
}

#[test]
fn zeros_may_follow_and_nothing_else() {
    let stream = gzip(b"image");
    let followed = |tail: &[u8]| decode_at_once(&[&stream[..], tail].concat());
    assert_eq!(followed(&[0; 512]).as_deref(), Ok(&b"image"[..]));
    for tail in [&b"x"[..], &[0x1f, 0x8c], &[0, 0, 7], &[0, 0x1f, 0x8b, 8]] {
        assert_eq!(followed(tail), Err(Fault::Garbage), "{tail:?}");
    }
    assert_eq!(followed(&[0x1f, 0x8b, 7]), Err(unknown("a method", 7)));
    assert_eq!(
        followed(&[0x1f, 0x8b, 8, 0x40]),
        Err(unknown("flags", 0x40))
    );
}

#[test]
fn p1_no_single_flipped_bit_goes_unnoticed() {
    let bytes = text(2000);
    let stream = gzip(&bytes);
    let mut errors = 0;
    for bit in 0..stream.len() * 8 {
        let mut spoilt = stream.clone();
        spoilt[bit / 8] ^= 1 << (bit % 8);
        let result = decode_at_once(&spoilt);
        // A few bits mean nothing, such as the time: then the image is right all the same.
        assert!(result.is_err() || result == Ok(bytes.clone()), "bit {bit}");
        errors += usize::from(result.is_err());
    }
    assert!(
        errors > stream.len() * 7,
        "{errors} of {} bytes' bits",
        stream.len()
    );
}

#[test]
fn the_trailer_is_checked() {
    let stream = gzip(b"image");
    let len = stream.len();
    let spoilt = |at: usize| {
        let mut stream = stream.clone();
        stream[at] ^= 1;
        decode_at_once(&stream).unwrap_err()
    };
    assert!(matches!(spoilt(len - 8), Fault::Checksum { .. }));
    assert_eq!(
        spoilt(len - 4),
        Fault::Length {
            expected: 4,
            got: 5
        }
    );
}

#[test]
fn p6_noise_is_never_more_than_an_error() {
    let mut random = Random::new(5);
    for round in 0..3000 {
        let mut stream = gzip(&text(500));
        for _ in 0..1 + random.below(8) {
            let at = random.below(stream.len() as u64) as usize;
            stream[at] = random.next() as u8;
        }
        if round % 3 == 0 {
            stream = image(200);
            stream.splice(..4, [0x1f, 0x8b, 8, (round % 32) as u8]);
        }
        let _ = decode(&stream, 1 + random.below(100) as usize, decoder::WINDOW_LEN);
    }
}

#[test]
fn a_buffer_of_a_wrong_length_is_an_error() {
    let stream = gzip(&text(100_000));
    assert_eq!(decode(&stream, 100, 3000), Err(Fault::Data));
}

#[test]
fn the_memory_can_be_used_again() {
    let mut memory = decoder::Decoder::default();
    let mut buffer = vec![0; decoder::WINDOW_LEN];
    let stream = gzip(b"image");
    for _ in 0..2 {
        let mut decoder = Decoder::new(Compression::Gzip, &mut memory).unwrap();
        let half = decoder.decode(&stream[..9], &mut buffer, 0).unwrap();
        assert_eq!((half.consumed, half.produced), (9, 0));
        let truncated = decode::Error {
            compression: Compression::Gzip,
            fault: Fault::Truncated,
        };
        assert_eq!(decoder.finish(), Err(truncated));
        let mut decoder = Decoder::new(Compression::Gzip, &mut memory).unwrap();
        let whole = decoder.decode(&stream, &mut buffer, 0).unwrap();
        assert_eq!(&buffer[..whole.produced], b"image");
        assert_eq!(decoder.finish(), Ok(()));
    }
}

fn send(stream: &[u8], setup: &Setup, disk: &TestDisk, trouble: Trouble) -> Network {
    let machines = vec![Machine::new(setup, disk.clone())];
    let mut network = Network::new(stream, machines).troubled(trouble, 3);
    network.run(Duration::from_secs(60));
    network
}

fn send_calmly(stream: &[u8], disk: &TestDisk) -> Network {
    send(stream, &Setup::default(), disk, Trouble::default())
}

#[test]
fn p1_a_compressed_image_arrives_decoded() {
    let trouble = Trouble {
        loss: 3,
        duplicates: 1,
        late: 3,
    };
    for len in [0, 1, 8192, WRITE_SIZE, WRITE_SIZE + 1, 3_000_000] {
        let image = text(len);
        let stream = gzip(&image);
        let disk = TestDisk::with_capacity(len as u64);
        let network = send(&stream, &Setup::default(), &disk, trouble);
        let report = network.machines[0].outcome.unwrap().unwrap();
        assert!(disk.bytes() == image, "{len} bytes");
        assert_eq!(report.format, Format::Compressed(Compression::Gzip));
        assert_eq!(report.received, stream.len() as u64);
        assert_eq!(report.written, len as u64);
        assert_eq!(report.hash, blake3::hash(&stream));
        assert_eq!(report.disk_hash, blake3::hash(&image));
    }
}

#[test]
fn p1_a_compressed_image_that_is_cut_off_or_spoilt_fails() {
    let stream = gzip(&text(2_000_000));
    let mut spoilt = stream.clone();
    spoilt[stream.len() / 2] ^= 0x10;
    let cut = stream[..stream.len() - 1].to_vec();
    let followed = [&stream[..], b"more"].concat();
    for (stream, expected) in [
        (cut, Some(Fault::Truncated)),
        (followed, Some(Fault::Garbage)),
        (stream[..3].to_vec(), Some(Fault::Truncated)),
        (spoilt, None),
    ] {
        let disk = TestDisk::with_capacity(1 << 30);
        let network = send_calmly(&stream, &disk);
        let Err(EngineError::Decode { source, .. }) = network.machines[0].outcome.unwrap() else {
            panic!("it must fail: {:?}", network.machines[0].outcome);
        };
        assert!(
            expected.is_none_or(|expected| expected == source.fault),
            "{source}"
        );
        let sent = network.outcome.expect("the sender knows");
        assert_eq!((sent.completed, sent.lost), (0, 1));
        assert!(disk.bytes().iter().take(8192).all(|&byte| byte == 0));
    }
}

#[test]
fn p6_a_bomb_stops_at_the_end_of_the_disk() {
    let bomb = gzip(&vec![0; 300 << 20]);
    let capacity = 10 << 20;
    let disk = TestDisk::with_capacity(capacity);
    let network = send_calmly(&bomb, &disk);
    let outcome = network.machines[0].outcome.unwrap();
    assert_eq!(outcome, Err(EngineError::Full { capacity }));
    assert_eq!(disk.bytes().len() as u64, capacity);
}

#[test]
fn a_compressed_image_can_be_had_as_it_was_sent() {
    let stream = gzip(&text(1_000_000));
    let setup = Setup {
        decompress: Decompress::None,
        ..Setup::default()
    };
    let disk = TestDisk::new();
    let network = send(&stream, &setup, &disk, Trouble::default());
    let report = network.machines[0].outcome.unwrap().unwrap();
    assert!(disk.bytes() == stream);
    assert_eq!(report.format, Format::Raw);
}

#[test]
fn a_compressed_image_gets_to_a_slow_disk_through_little_memory() {
    let image = text(4 << 20);
    let disk = TestDisk::with_capacity(1 << 30).taking(200);
    let setup = Setup {
        ring: MIN_RING_LEN,
        card: 100_000,
        ..Setup::default()
    };
    let network = send(&gzip(&image), &setup, &disk, Trouble::default());
    assert!(network.machines[0].outcome.unwrap().is_ok());
    assert!(disk.bytes() == image);
}
