//! What the engine leaves on a disk when something goes wrong: nothing that starts.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;

use std::time::Duration;

use ironcast_proto::time::Instant;
use ironcast_receiver_nostd::engine::{DiskOptions, Error, Guids, Leftover, OnFailure, WRITE_SIZE};
use lab::cast::{defaults, fail, send, used_disk};
use lab::gpt::Layout;
use lab::{DiskError, Fault, Machine, Network, Setup, TestDisk, image};

const MIB: usize = 1 << 20;
const WRITE: u64 = WRITE_SIZE as u64;

/// The power fails before each of the writes that a transfer makes, those for the table too.
#[test]
fn p1_a_power_cut_at_any_write_leaves_nothing_that_starts() {
    let image = Layout::new(512, 3 * MIB).image();
    let guids = Guids::New { seed: [1; 32] };
    let options = DiskOptions {
        guids,
        ..defaults()
    };
    let (disk, _) = used_disk(5 * MIB, 512);
    send(&image, options, &disk);
    let count = disk.writes().len();
    assert_eq!(
        count,
        12 + 5,
        "the image; old copy, array, header, array again; start"
    );
    for writes in 0..count {
        let (disk, old) = used_disk(5 * MIB, 512);
        let disk = disk.failing(Fault::PowerCut(writes));
        let (_, left) = fail(&image, options, &disk);
        let bytes = disk.bytes();
        if writes == 0 {
            assert!(bytes == old);
        } else {
            assert!(bytes[..8192] == [0; 8192], "after {writes} writes");
        }
        assert!(matches!(left, Leftover::NotCleared(_)), "{left:?}");
    }
}

/// Disks of 5 MiB with an image of 3 that fail at each stage, but can be written otherwise.
#[test]
fn p1_a_failure_leaves_both_ends_cleared_and_says_so() {
    let image = Layout::new(512, 3 * MIB).image();
    let end = 5 << 20;
    for fault in [
        // In the image, in its last sector, in the table's copy at the disk's end.
        Fault::Flip(2 * WRITE + 1 + (1 << 20)),
        Fault::ReadAt((2 << 20) + 8),
        Fault::Flip((3 << 20) - 1),
    ] {
        let (disk, old) = used_disk(5 * MIB, 512);
        let disk = disk.failing(fault);
        let (error, left) = fail(&image, defaults(), &disk);
        assert!(error.is_of_disk(), "{error}");
        let bytes = disk.bytes();
        assert!(bytes[..MIB].iter().all(|&byte| byte == 0), "{fault:?}");
        assert!(bytes[4 * MIB..].iter().all(|&byte| byte == 0), "{fault:?}");
        assert!(
            bytes[MIB..3 * MIB / 2] == image[MIB..3 * MIB / 2],
            "the middle is left"
        );
        assert!(bytes[3 * MIB..4 * MIB] == old[3 * MIB..4 * MIB]);
        match fault {
            Fault::Flip(_) => assert_eq!(left, Leftover::Cleared),
            // It can't be read there either.
            _ => assert!(matches!(left, Leftover::NotCleared(Error::Read { .. }))),
        }
        let clears = &disk.writes()[disk.writes().len() - 8..];
        let offsets: Vec<u64> = clears.iter().map(|write| write.offset).collect();
        let first = [0, WRITE, 2 * WRITE, 3 * WRITE];
        assert_eq!(offsets[..4], first, "what would start goes first");
        assert_eq!(offsets[4..], first.map(|offset| end - (1 << 20) + offset));

        let (disk, _) = used_disk(5 * MIB, 512);
        let disk = disk.failing(fault);
        let on_failure = OnFailure::Keep;
        let options = DiskOptions {
            on_failure,
            ..defaults()
        };
        let (_, left) = fail(&image, options, &disk);
        assert_eq!(left, Leftover::Part);
        let bytes = disk.bytes();
        assert!(bytes[..8192] == [0; 8192], "it does not start all the same");
        assert!(
            bytes[8192..3 * MIB / 2] == image[8192..3 * MIB / 2],
            "all else is kept"
        );
    }
}

/// The table's copy and the start are written when the image is proved; what goes wrong then is
/// found too.
#[test]
fn p1_the_table_and_the_start_are_proved_as_well() {
    let image = Layout::new(512, 3 * MIB).image();
    let end = 5 << 20;
    for wrong in [512 + 40, end - 33 * 512, end - 512 + 16, 0] {
        let (disk, _) = used_disk(5 * MIB, 512);
        let disk = disk.failing(Fault::Flip(wrong));
        let (error, left) = fail(&image, defaults(), &disk);
        let expected = Error::Differs {
            start: wrong,
            end: wrong + 1,
        };
        assert_eq!(error, expected);
        // The bit can't be cleared either.
        assert_eq!(left, Leftover::NotCleared(expected));
        let bytes = disk.bytes();
        let set = |place: std::ops::Range<usize>| bytes[place].iter().filter(|&&byte| byte != 0);
        assert_eq!(set(0..MIB).chain(set(4 * MIB..5 * MIB)).count(), 1);
    }
}

#[test]
fn a_disk_smaller_than_both_ends_is_cleared_whole() {
    let image = image(MIB);
    let disk = TestDisk::with_capacity(MIB as u64 + 512).failing(Fault::ReadAt(MIB as u64 - 1));
    let (error, left) = fail(&image, defaults(), &disk);
    assert!(matches!(error, Error::Read { .. }), "{error}");
    assert!(matches!(left, Leftover::NotCleared(Error::Read { .. })));
    assert!(disk.bytes().iter().all(|&byte| byte == 0));
    assert_eq!(disk.bytes().len(), MIB + 512);
}

#[test]
fn p1_a_sender_that_dies_leaves_a_disk_that_is_cleared() {
    let image = image(40 * MIB);
    let (disk, _) = used_disk(64 * MIB, 512);
    let machine = Machine::new(&Setup::default(), disk.clone());
    let dies = Instant::from_micros(100_000);
    let mut network = Network::new(&image, vec![machine]).without_sender_from(dies);
    network.run(Duration::from_secs(62));
    let machine = &network.machines[0];
    assert!(matches!(machine.outcome, Some(Err(Error::Transfer(_)))));
    assert_eq!(machine.engine.leftover(), Some(&Leftover::Cleared));
    let bytes = disk.bytes();
    for place in [0..MIB, 63 * MIB..64 * MIB] {
        assert!(bytes[place].iter().all(|&byte| byte == 0));
    }
    assert!(bytes[MIB..2 * MIB] == image[MIB..2 * MIB]);
}

/// A dry run has no disk that could be read, cleared, or have a table.
#[test]
fn what_is_left_to_do_is_done_last_and_the_sender_hears_of_it() {
    let image = image(3 * WRITE_SIZE);
    let disk = TestDisk::with_capacity(8 * WRITE);
    let report = send(&image, defaults(), &disk);
    let (writes, hash) = disk.completed().expect("it was completed");
    assert_eq!((writes, hash), (disk.writes().len(), report.hash));
    let dry = TestDisk::with_capacity(8 * WRITE).keeping_nothing();
    fail(&image, defaults(), &dry);
    assert_eq!(dry.completed(), None);
}

#[test]
fn p2_a_disk_that_is_not_to_be_written_is_left_as_it_was() {
    let image = image(3 * WRITE_SIZE);
    let disk = TestDisk::with_capacity(8 * WRITE).failing(Fault::Prepare);
    let (error, leftover) = fail(&image, defaults(), &disk);
    assert_eq!(error, Error::Prepare(DiskError));
    assert_eq!(leftover, Leftover::Untouched);
    assert_eq!(disk.writes(), []);
}

#[test]
fn p1_no_bytes_are_no_image() {
    let disk = TestDisk::with_capacity(8 * WRITE);
    let (error, leftover) = fail(&[], defaults(), &disk);
    assert_eq!((error, leftover), (Error::Empty, Leftover::Untouched));
    assert_eq!(disk.completed(), None);
    let options = DiskOptions {
        may_be_empty: true,
        ..defaults()
    };
    send(&[], options, &disk);
}

#[test]
fn p1_a_disk_that_can_not_be_completed_does_not_start() {
    let image = image(3 * WRITE_SIZE);
    let disk = TestDisk::with_capacity(8 * WRITE).failing(Fault::Complete);
    let (error, leftover) = fail(&image, defaults(), &disk);
    assert_eq!(error, Error::Complete(DiskError));
    assert_eq!(leftover, Leftover::Cleared);
    assert!(disk.bytes()[..MIB].iter().all(|&byte| byte == 0));
}

#[test]
fn a_dry_run_is_refused_what_its_disk_would_be_and_clears_nothing() {
    let image = Layout::new(512, 3 * MIB).image();
    let dry = |sector| {
        let disk = TestDisk::with_capacity(5 << 20).with_sectors_of(sector);
        disk.blind().keeping_nothing()
    };
    let guids = Guids::New { seed: [1; 32] };
    let options = DiskOptions {
        guids,
        ..defaults()
    };
    let disk = dry(512);
    let (error, left) = fail(&image, options, &disk);
    assert!(matches!(error, Error::DryRun(_)), "{error}");
    assert_eq!(left, Leftover::Untouched);
    assert_eq!(disk.writes().len(), 13, "the image and its start, no more");
    let (error, _) = fail(&image, options, &dry(4096));
    assert!(matches!(error, Error::SectorSize { .. }), "{error}");
}
