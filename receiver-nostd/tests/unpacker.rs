//! Cast streams from a file to a disk: the same becomes of them as in a transfer.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;

use ironcast_proto::cast::Kind;
use ironcast_receiver_nostd::cast;
use ironcast_receiver_nostd::engine::{
    CastOptions, Error, Holes, Leftover, Refusal, TableState, Unpacker, Wanted,
};
use lab::cast::Failed;
use lab::gpt::{Layout, judge};
use lab::stream::{ALL, OLD, Stream, entry, old_disk};
use lab::{DiskError, Fault, TestDisk};

/// Unpacks a stream that comes in pieces of so many bytes; what became of the disk with the error.
fn unpack(
    sent: &[u8],
    piece: usize,
    options: CastOptions<'_>,
    disk: &TestDisk,
) -> Result<TableState, Box<Failed>> {
    let mut unpacker = Unpacker::new(options, disk.clone()).expect("there is memory");
    match unpack_to(sent, piece, &mut unpacker) {
        Ok(()) => {
            assert!(unpacker.is_verified());
            let size = unpacker.image().expect("it has one").manifest.size;
            assert_eq!(unpacker.written(), size);
            Ok(unpacker.table())
        }
        Err(error) => {
            while unpacker.clear() {}
            Err(Box::new((
                error,
                *unpacker.leftover().expect("it is cleared"),
            )))
        }
    }
}

fn unpack_to(
    sent: &[u8],
    piece: usize,
    unpacker: &mut Unpacker<'_, TestDisk>,
) -> Result<(), Error<DiskError>> {
    for mut rest in sent.chunks(piece).chain([&[][..]]) {
        while {
            let taken = unpacker.take(rest)?;
            rest = &rest[taken.consumed..];
            taken.has_moved
        } {}
        assert!(rest.is_empty());
    }
    while unpacker.close()? {}
    Ok(())
}

#[test]
fn p1_the_disk_gets_the_image_in_whatever_pieces_it_comes() {
    let (stream, mut bytes) = Stream::new(ALL);
    let sent = stream.bytes(&[]);
    for piece in [1000, 65_536, sent.len()] {
        let disk = old_disk(bytes.len() + 512);
        let table = unpack(&sent, piece, CastOptions::default(), &disk);
        assert_eq!(table.expect("it goes well"), TableState::None);
        assert!(disk.bytes()[..bytes.len()] == bytes, "{piece}");
        assert!(disk.bytes()[bytes.len()..] == [OLD; 512]);
    }
    let zeroed = CastOptions {
        holes: Holes::Zero,
        ..CastOptions::default()
    };
    let disk = old_disk(bytes.len());
    assert!(unpack(&sent, 1000, zeroed, &disk).is_ok());
    bytes[256 << 10..512 << 10].fill(0);
    assert!(disk.bytes() == bytes);
}

#[test]
fn p2_what_is_not_wanted_leaves_the_disk_as_it_was() {
    let (stream, bytes) = Stream::new(ALL);
    let sent = stream.bytes(&[]);
    let wanted = Wanted {
        name: Some("other"),
        ..Wanted::default()
    };
    let options = CastOptions {
        wanted,
        ..CastOptions::default()
    };
    let small = old_disk(bytes.len() - 512);
    for (options, disk) in [
        (options, old_disk(bytes.len())),
        (CastOptions::default(), small),
    ] {
        let before = disk.bytes();
        let (error, leftover) = *unpack(&sent, 1000, options, &disk).expect_err("it is refused");
        let refusal = matches!(
            error,
            Error::Refused(Refusal::Name { .. } | Refusal::TooSmall { .. })
        );
        assert!(refusal, "{error}");
        assert_eq!(leftover, Leftover::Untouched);
        assert!(disk.bytes() == before && disk.writes().is_empty());
    }
}

#[test]
fn p1_a_stream_or_disk_that_is_not_right_leaves_no_disk_that_starts() {
    let (stream, bytes) = Stream::new(ALL);
    let len = 8 << 20;
    assert!(bytes.len() < len);
    let sent = stream.bytes(&[]);
    let cut = &sent[..sent.len() - 1];
    let more = [&sent[..], b"more"].concat();
    let mut spoilt = sent.clone();
    let last = spoilt.len() - 1;
    spoilt[last] ^= 1;
    for (name, sent, disk) in [
        ("cut", cut, old_disk(len)),
        ("more", &more[..], old_disk(len)),
        ("spoilt", &spoilt[..], old_disk(len)),
        (
            "bad disk",
            &sent[..],
            old_disk(len).failing(Fault::Flip(1_100_000)),
        ),
    ] {
        let failed = unpack(sent, 10_000, CastOptions::default(), &disk);
        let (error, leftover) = *failed.expect_err("it fails");
        match name {
            "bad disk" => assert!(matches!(error, Error::Chunks(_)), "{error}"),
            _ => assert!(matches!(error, Error::Cast(_)), "{name}: {error}"),
        }
        assert_eq!(leftover, Leftover::Cleared, "{name}");
        assert!(
            disk.bytes()[..1 << 20].iter().all(|&byte| byte == 0),
            "{name}"
        );
    }
    let failed = unpack(&[], 1, CastOptions::default(), &old_disk(len));
    let (error, leftover) = *failed.expect_err("empty");
    assert_eq!(error, Error::Cast(cast::Error::Cut { chunk: None }));
    assert_eq!(leftover, Leftover::Untouched);
}

#[test]
fn p8_a_gpt_is_made_right_for_a_disk_of_another_size() {
    let image = Layout::new(512, 3 << 20).image();
    let (mut stream, _) = Stream::new(&[]);
    for chunk in image.chunks(256 << 10) {
        stream.entries.push(entry(Kind::Plain, chunk, chunk));
        stream.stored.push(chunk.to_vec());
    }
    stream.manifest.size = image.len() as u64;
    stream.manifest.least_disk = image.len() as u64;
    let sent = stream.bytes(&[]);
    for (more, expected) in [(0, TableState::Fits), (4096, TableState::Moved)] {
        let disk = old_disk(image.len() + more);
        let table = unpack(&sent, 65_536, CastOptions::default(), &disk);
        assert_eq!(table.expect("it goes well"), expected);
        judge(&disk.bytes(), 512).expect("both tables are right");
    }
}
