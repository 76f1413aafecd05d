//! Compressed images of every kind on their way over a simulated network to a disk.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;
mod streams;

use std::time::Duration;

use ironcast_receiver_nostd::decode::{Compression, Error as DecodeError, Fault};
use ironcast_receiver_nostd::engine::{Decompress, Error, Format, Report};
use lab::{DiskError, Machine, Network, Setup, TestDisk, Trouble};
use lz4_flex::frame::FrameEncoder;
use streams::{STREAMS, Stream, sample, stream, text};

fn send(stream: &[u8], decompress: Decompress, disk: &TestDisk) -> Network {
    let setup = Setup {
        decompress,
        ..Setup::default()
    };
    let machines = vec![Machine::new(&setup, disk.clone())];
    let trouble = Trouble {
        loss: 3,
        duplicates: 1,
        late: 3,
    };
    let mut network = Network::new(stream, machines).troubled(trouble, 3);
    network.run(Duration::from_secs(60));
    network
}

fn outcome(
    stream: &[u8],
    decompress: Decompress,
    disk: &TestDisk,
) -> Result<Report, Error<DiskError>> {
    let network = send(stream, decompress, disk);
    network.machines[0].outcome.expect("the run has ended")
}

/// What is wrong with a stream, if that is why the transfer failed.
fn fault(stream: &[u8], decompress: Decompress, disk: &TestDisk) -> Option<(Compression, Fault)> {
    match outcome(stream, decompress, disk) {
        Err(Error::Decode { source, .. }) => Some((source.compression, source.fault)),
        _ => None,
    }
}

#[test]
fn p1_a_compressed_image_arrives_decoded() {
    for &Stream {
        name,
        compression,
        bytes,
    } in STREAMS
    {
        let content = stream(name).content();
        for decompress in [Decompress::Auto, Decompress::Only(compression)] {
            let disk = TestDisk::with_capacity(content.len() as u64);
            let report = outcome(bytes, decompress, &disk).expect("it ends well");
            assert!(disk.bytes() == content, "{name}");
            let expected = Report {
                received: bytes.len() as u64,
                hash: blake3::hash(bytes),
                written: content.len() as u64,
                disk_hash: blake3::hash(&content),
                verified: true,
                table: report.table,
                format: Format::Compressed(compression),
                first_slice: 0,
                lost: 0,
                lost_slices: 0,
            };
            assert_eq!(report, expected, "{name}");
        }
    }
}

#[test]
fn a_compressed_image_can_be_had_as_it_was_sent() {
    for stream in STREAMS {
        let disk = TestDisk::new();
        let report = outcome(stream.bytes, Decompress::None, &disk).expect("it ends well");
        assert!(disk.bytes() == stream.bytes, "{}", stream.name);
        assert_eq!(report.format, Format::Raw);
        assert_eq!(report.hash, report.disk_hash);
    }
}

/// A raw image that only begins like a compressed one fails unless it is said that it is raw.
#[test]
fn a_raw_image_that_begins_like_a_compressed_one() {
    for start in STREAMS {
        let image = [&start.bytes[..9], &text(400_000)].concat();
        let disk = TestDisk::with_capacity(1 << 30);
        let compression = start.compression;
        let found = fault(&image, Decompress::Auto, &disk);
        assert_eq!(found.map(|(compression, _)| compression), Some(compression));
        let disk = TestDisk::with_capacity(1 << 30);
        let report = outcome(&image, Decompress::None, &disk).expect("it ends well");
        assert!(disk.bytes() == image, "{compression}");
        assert_eq!(report.format, Format::Raw);
    }
}

#[test]
fn p2_an_image_of_another_kind_than_was_said_is_not_written() {
    for compression in Compression::ALL {
        let only = Decompress::Only(compression);
        let raw = text(100_000);
        let others = STREAMS.iter().filter(|s| s.compression != compression);
        let others = others.filter(|other| !other.name.contains("pzstd"));
        for sent in others.map(|other| other.bytes).chain([&raw[..], b""]) {
            let disk = TestDisk::with_capacity(1 << 30);
            assert_eq!(
                fault(sent, only, &disk),
                Some((compression, Fault::NotThis))
            );
            assert_eq!(disk.writes(), []);
        }
    }
}

#[test]
fn p1_a_compressed_image_that_is_cut_off_or_spoilt_fails() {
    for name in [
        "long.gz",
        "long.lzo",
        "long.lz4",
        "long-linked.lz4",
        "long.zst",
    ] {
        let Stream {
            compression, bytes, ..
        } = *stream(name);
        let mut spoilt = bytes.to_vec();
        spoilt[bytes.len() / 2] ^= 0x10;
        let cut = bytes[..bytes.len() - 1].to_vec();
        let followed = [bytes, b"more than that"].concat();
        for (stream, expected) in [
            (cut, Some(Fault::Truncated)),
            (followed, Some(Fault::Garbage)),
            (spoilt, None),
        ] {
            let disk = TestDisk::with_capacity(1 << 30);
            let network = send(&stream, Decompress::Auto, &disk);
            let Some(Err(Error::Decode { source, .. })) = network.machines[0].outcome else {
                panic!("{name} must fail: {:?}", network.machines[0].outcome);
            };
            assert_eq!(source.compression, compression);
            assert!(
                expected.is_none_or(|fault| fault == source.fault),
                "{name}: {source}"
            );
            let sent = network.outcome.expect("the sender knows");
            assert_eq!((sent.completed, sent.lost), (0, 1));
            assert!(disk.bytes().iter().take(8192).all(|&byte| byte == 0));
        }
    }
}

/// Streams that decode to far more than their own length.
fn bombs() -> Vec<(Compression, Vec<u8>)> {
    let zeros = vec![0; 300 << 20];
    let lz4 = {
        let mut encoder = FrameEncoder::new(Vec::new());
        std::io::Write::write_all(&mut encoder, &zeros).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    };
    // A frame without an end: a window of 1 MiB, and blocks of 128 KiB of one byte.
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3];
    zstd.extend([2, 0, 0x10, 0].repeat(100_000));
    let mut lzop = stream("sample-bare.lzo").bytes[..0x26].to_vec();
    let block = lzokay::compress::compress(&zeros[..256 << 10]).expect("it can be compressed");
    for _ in 0..1200 {
        lzop.extend((256_u32 << 10).to_be_bytes());
        lzop.extend((block.len() as u32).to_be_bytes());
        lzop.extend(&block);
    }
    vec![
        (Compression::Lz4, lz4),
        (Compression::Lzop, lzop),
        (Compression::Zstd, zstd),
    ]
}

#[test]
fn p6_a_bomb_stops_at_the_end_of_the_disk() {
    for (compression, bomb) in bombs() {
        assert!(bomb.len() < 3 << 20, "{compression}: {}", bomb.len());
        let capacity = 10 << 20;
        let disk = TestDisk::with_capacity(capacity);
        let result = outcome(&bomb, Decompress::Auto, &disk);
        assert_eq!(result, Err(Error::Full { capacity }), "{compression}");
        assert_eq!(disk.bytes().len() as u64, capacity);
    }
}

#[test]
fn every_fault_has_words_and_what_to_do() {
    let faults = [
        Fault::NotThis,
        Fault::NotBuiltIn,
        Fault::Unknown {
            field: "flags",
            value: 64,
        },
        Fault::Unsupported("a dictionary"),
        Fault::Memory { needed: 29 << 20 },
        Fault::TooMuchMemory {
            needed: 2 << 30,
            limit: 128 << 20,
        },
        Fault::HeaderChecksum,
        Fault::Data,
        Fault::Checksum {
            expected: 1,
            got: 2,
        },
        Fault::Length {
            expected: 1,
            got: 2,
        },
        Fault::Garbage,
        Fault::Truncated,
    ];
    let mut texts = Vec::new();
    for compression in Compression::ALL {
        for fault in faults {
            let error = DecodeError { compression, fault };
            let text = error.to_string();
            assert!(text.contains(compression.name()), "{text}");
            assert!(error.next().len() > 10, "{text}");
            texts.push(text);
        }
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), faults.len() * 4, "no two are the same");
    let error = DecodeError {
        compression: Compression::Zstd,
        fault: faults[4],
    };
    assert_eq!(
        error.to_string(),
        "zstd data need 29 MiB of memory to be decoded, and there is less"
    );
    assert_eq!(sample().len(), 1711);
}
