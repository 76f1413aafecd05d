//! What the engine does for the disk beside writing: it proves what is there, and makes the
//! partition table right.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;

use std::time::Duration;

use ironcast_proto::time::Instant;
use ironcast_receiver_nostd::engine::{
    DiskOptions, Error, Gpt, Guids, Leftover, TableState, WRITE_SIZE,
};
use ironcast_receiver_nostd::gpt::Odd;
use lab::cast::{cast, defaults, fail, send, used_disk};
use lab::gpt::{Layout, judge, sign};
use lab::{DiskError, Fault, Machine, Network, Setup, TestDisk, image};

const LIMIT: Duration = Duration::from_secs(120);
const MIB: usize = 1 << 20;
const WRITE: u64 = WRITE_SIZE as u64;

#[test]
fn p1_what_a_disk_keeps_wrong_is_found_where_it_is() {
    let image = image(5 * WRITE_SIZE + 77);
    let end = image.len() as u64;
    for (wrong, range) in [
        (8192, 0..WRITE),
        (WRITE - 1, 0..WRITE),
        (3 * WRITE, 3 * WRITE..4 * WRITE),
        (end - 1, 5 * WRITE..end),
        // Written last, and compared at once.
        (0, 0..1),
        (8191, 8191..8192),
    ] {
        let disk = TestDisk::with_capacity(8 << 20).failing(Fault::Flip(wrong));
        let (error, _) = fail(&image, defaults(), &disk);
        let (start, end) = (range.start, range.end);
        assert_eq!(error, Error::Differs { start, end }, "byte {wrong}");
    }
}

/// What is still in the ring of 8 writes is compared with it, what has left it by its hash.
#[test]
fn p1_an_image_larger_than_memory_is_proved_as_well() {
    let image = image(12 * WRITE_SIZE + 77);
    let disk = TestDisk::with_capacity(8 << 20);
    let report = send(&image, defaults(), &disk);
    assert!(report.verified && disk.bytes()[..image.len()] == image);
    assert_eq!(report.hash, blake3::hash(&image));
    for write in 1..12 {
        let (start, end) = (write * WRITE, (write + 1) * WRITE);
        for wrong in [start, end - 1] {
            let disk = TestDisk::with_capacity(8 << 20).failing(Fault::Flip(wrong));
            let (error, _) = fail(&image, defaults(), &disk);
            assert_eq!(error, Error::Differs { start, end }, "byte {wrong}");
        }
    }
}

#[test]
fn p1_what_no_crc_sees_is_found_where_it_is() {
    let image = image(5 * WRITE_SIZE + 77);
    let (start, end) = (2 * WRITE, 3 * WRITE);
    let disk = TestDisk::with_capacity(8 << 20).failing(Fault::Forge(2 * WRITE + 9));
    let (error, _) = fail(&image, defaults(), &disk);
    assert_eq!(error, Error::Differs { start, end });
}

#[test]
fn p1_a_disk_that_can_not_be_read_back_is_no_success() {
    let image = image(3 * WRITE_SIZE);
    let (start, end) = (2 * WRITE, 3 * WRITE);
    let source = DiskError;
    let failed = |fault| {
        let disk = TestDisk::with_capacity(8 << 20).failing(fault);
        let (error, left) = fail(&image, defaults(), &disk);
        // What it is cleared by can't be read back there either.
        assert_eq!(left, Leftover::NotCleared(error));
        error
    };
    let refused = failed(Fault::ReadAt(start + 5));
    assert_eq!(refused, Error::Read { start, end, source });
    assert_eq!(
        failed(Fault::EndsAt(start + 5)),
        Error::Short { start, end }
    );
}

#[test]
fn short_reads_are_gone_on_with() {
    let image = image(2 * WRITE_SIZE + 9);
    let disk = TestDisk::with_capacity(8 << 20).in_pieces_of(10_007);
    let report = send(&image, defaults(), &disk);
    assert!(report.verified);
    let disk = TestDisk::with_capacity(8 << 20).in_pieces_of(10_007);
    let disk = disk.failing(Fault::EndsAt(10_016));
    let (error, _) = fail(&image, defaults(), &disk);
    let rest = Error::Short {
        start: 10_007,
        end: WRITE,
    };
    assert_eq!(error, rest, "what is left of the piece");
}

#[test]
fn without_verify_nothing_is_read_and_the_report_says_so() {
    let image = image(3 * WRITE_SIZE + 5);
    let options = DiskOptions {
        verify: false,
        ..defaults()
    };
    let disk = TestDisk::with_capacity(8 << 20).failing(Fault::Flip(WRITE));
    let report = send(&image, options, &disk);
    assert!(!report.verified);
    assert_eq!(disk.reads(), []);
    let blind = TestDisk::with_capacity(8 << 20).blind();
    let report = send(&image, defaults(), &blind);
    assert!(!report.verified);
    assert!(blind.bytes() == image);
}

#[test]
fn all_is_read_back_in_pieces_between_which_the_network_is_served() {
    let image = image(5 * WRITE_SIZE + 77);
    let disk = TestDisk::with_capacity(8 << 20);
    let report = send(&image, defaults(), &disk);
    assert!(report.verified);
    let reads = disk.reads();
    assert!(reads.iter().all(|read| read.len <= WRITE_SIZE));
    let (start, image_reads) = reads.split_last().expect("there are some");
    assert_eq!(
        (start.offset, start.len),
        (0, 8192),
        "the start, when it is written"
    );
    let mut end = 0;
    for read in image_reads {
        assert_eq!(read.offset, end);
        end += read.len as u64;
    }
    assert_eq!(end, image.len() as u64);
}

/// The sender waits for the end as long as it hears that the machine is alive, be it longer than
/// the 30 s that it gives a silent one (docs/protocol.md, "Waits" and "End").
#[test]
fn p3_a_long_read_back_does_not_get_the_machine_dropped() {
    let image = image(16 * MIB);
    // 0.7 s for a piece, 45 s for all.
    let disk = TestDisk::with_capacity(32 << 20).taking_to_read(2800);
    let mut network = Network::new(&image, vec![Machine::new(&Setup::default(), disk.clone())]);
    network.run_until(LIMIT, |network| {
        network.outcome.is_some() && network.machines[0].outcome.is_some()
    });
    let report = network.machines[0].outcome.expect("there is one");
    assert!(report.expect("it ends well").verified);
    assert!(
        network.now > Instant::from_micros(35_000_000),
        "{:?}",
        network.now
    );
    let sent = network.outcome.expect("the sender knows");
    assert_eq!((sent.completed, sent.lost), (1, 0));
}

#[test]
fn p1_a_table_is_made_right_for_larger_disks() {
    for sector in [512, 4096] {
        let layout = Layout::new(sector, 3 * MIB);
        let image = layout.image();
        // From one sector more, where old and new copy overlap, to much more.
        for more in [sector, 7 * sector, 33 * sector, MIB, 5 * MIB] {
            let (disk, old) = used_disk(image.len() + more, sector);
            let report = send(&image, defaults(), &disk);
            assert_eq!((report.table, report.verified), (TableState::Moved, true));
            let bytes = disk.bytes();
            let table = judge(&bytes, sector).expect("a table as specified");
            assert_eq!(table.partitions.len(), 2);
            assert_eq!(table.disk_guid, [0xd1; 16]);
            let copy = 16_384 / sector + 1;
            let usable_end = bytes.len() - copy * sector;
            assert_eq!((table.last_usable + 1) as usize * sector, usable_end);
            for number in 0..2 {
                let place = layout.place(number);
                assert!(bytes[place.clone()] == image[place], "a partition changed");
            }
            let tail = image.len().min(usable_end)..usable_end;
            assert!(bytes[tail.clone()] == old[tail], "the disk's tail is kept");
            let old_copy = image.len() - sector;
            if old_copy < usable_end {
                assert_eq!(
                    bytes[old_copy..image.len()],
                    vec![0; sector],
                    "a second copy"
                );
            }
        }
    }
}

#[test]
fn a_table_that_fits_stays_as_it_was_sent() {
    for sector in [512, 4096] {
        let image = Layout::new(sector, 3 * MIB).image();
        let (disk, _) = used_disk(image.len(), sector);
        let report = send(&image, defaults(), &disk);
        assert_eq!(report.table, TableState::Fits);
        assert!(disk.bytes() == image);
        judge(&disk.bytes(), sector).expect("a table as specified");
    }
}

/// An image that was cut off behind its last partition has no copy of its table.
#[test]
fn a_copy_that_is_missing_is_made() {
    let sector = 512;
    let layout = Layout::new(sector, 3 * MIB);
    let image = layout.image();
    for more in [0, MIB] {
        let sent = &image[..layout.place(1).end];
        let (disk, _) = used_disk(image.len() + more, sector);
        let report = send(sent, defaults(), &disk);
        assert_eq!(report.table, TableState::Moved);
        let table = judge(&disk.bytes(), sector).expect("a table as specified");
        assert_eq!(table.partitions.len(), 2);
    }
}

/// 1024 entries, whose array is long and mostly not in the start that is held back; 256 of 512
/// bytes.
#[test]
fn unusual_arrays_are_moved_too() {
    for (entries, entry_size) in [(1024, 128), (256, 512), (5, 128)] {
        let mut layout = Layout::new(512, 3 * MIB);
        layout.entries = entries;
        layout.entry_size = entry_size;
        layout.partitions = vec![(500, 2000), (2001, 5600)];
        for guids in [Guids::Keep, Guids::New { seed: [3; 32] }] {
            let (disk, _) = used_disk(4 * MIB, 512);
            let options = DiskOptions {
                guids,
                ..defaults()
            };
            let report = send(&layout.image(), options, &disk);
            assert_eq!(report.table, TableState::Moved);
            let table = judge(&disk.bytes(), 512).expect("a table as specified");
            assert_eq!(table.partitions.len(), 2);
            assert_eq!(table.disk_guid == [0xd1; 16], guids == Guids::Keep);
        }
    }
}

#[test]
fn a_table_is_kept_as_sent_if_that_is_wanted() {
    let image = Layout::new(512, 3 * MIB).image();
    let (disk, old) = used_disk(5 * MIB, 512);
    let options = DiskOptions {
        gpt: Gpt::Keep,
        ..defaults()
    };
    let report = send(&image, options, &disk);
    assert_eq!(report.table, TableState::Kept(None));
    let bytes = disk.bytes();
    assert!(bytes[..image.len()] == image && bytes[image.len()..] == old[image.len()..]);
}

#[test]
fn an_odd_table_is_kept_as_sent_and_called_so() {
    let good = Layout::new(512, 3 * MIB).image();
    let mut array = good.clone();
    array[1024 + 127] ^= 1;
    let mut header = good.clone();
    header[512 + 60] ^= 1;
    let mut place = good.clone();
    place[512 + 24] = 2;
    sign(&mut place[512..1024]);
    let mut far = good.clone();
    far[512 + 72..512 + 80].copy_from_slice(&7000_u64.to_le_bytes());
    far[512 + 40..512 + 48].copy_from_slice(&7100_u64.to_le_bytes());
    far[512 + 48..512 + 56].copy_from_slice(&7200_u64.to_le_bytes());
    far[512 + 32..512 + 40].copy_from_slice(&8000_u64.to_le_bytes());
    sign(&mut far[512..1024]);
    for (image, odd) in [
        (array, Odd::Array),
        (header, Odd::Header),
        (place, Odd::Place),
        (far, Odd::ArrayPlace),
    ] {
        let (disk, old) = used_disk(5 * MIB, 512);
        let report = send(&image, defaults(), &disk);
        assert_eq!(report.table, TableState::Kept(Some(odd)));
        let bytes = disk.bytes();
        assert!(bytes[..image.len()] == image && bytes[image.len()..] == old[image.len()..]);
        // Who wants new GUIDs and can't have them is told so.
        let guids = Guids::New { seed: [1; 32] };
        let options = DiskOptions {
            guids,
            ..defaults()
        };
        let (disk, old) = used_disk(5 * MIB, 512);
        let (error, left) = fail(&image, options, &disk);
        assert_eq!(error, Error::Guids(Some(odd)));
        match odd {
            Odd::Header | Odd::Place => {
                assert_eq!(left, Leftover::Untouched, "the first bytes tell");
                assert!(disk.bytes() == old && disk.writes().is_empty());
            }
            _ => assert_eq!(left, Leftover::Cleared),
        }
    }
}

#[test]
fn new_guids_are_new_for_every_disk_and_nothing_else_is() {
    let layout = Layout::new(512, 3 * MIB);
    let image = layout.image();
    let mut seen = Vec::new();
    for (seed, gpt, len) in [
        (1, Gpt::Move, 5 * MIB),
        (2, Gpt::Move, 5 * MIB),
        (3, Gpt::Move, 3 * MIB),
        (4, Gpt::Keep, 3 * MIB),
    ] {
        let guids = Guids::New { seed: [seed; 32] };
        let options = DiskOptions {
            guids,
            gpt,
            ..defaults()
        };
        let (disk, _) = used_disk(len, 512);
        let report = send(&image, options, &disk);
        let expected = match len {
            _ if len == image.len() => TableState::Fits,
            _ => TableState::Moved,
        };
        assert_eq!(report.table, expected);
        let bytes = disk.bytes();
        let table = judge(&bytes, 512).expect("a table as specified");
        seen.push(table.disk_guid);
        for (number, partition) in table.partitions.iter().enumerate() {
            seen.push(partition.guid);
            assert_eq!(partition.kind, [0xa0 + number as u8; 16]);
            let place = layout.place(number);
            assert!(bytes[place.clone()] == image[place]);
        }
    }
    let count = seen.len();
    seen.extend([[0xd1; 16], [0xb0; 16], [0xb1; 16]]);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        (count, seen.len()),
        (12, 15),
        "all different, and none the image's"
    );
}

#[test]
fn p2_new_guids_for_an_image_without_a_table_are_refused_untouched() {
    let (disk, old) = used_disk(5 * MIB, 512);
    let guids = Guids::New { seed: [1; 32] };
    let options = DiskOptions {
        guids,
        ..defaults()
    };
    let failed = fail(&image(3 * MIB), options, &disk);
    assert_eq!(failed, (Error::Guids(None), Leftover::Untouched));
    assert!(disk.bytes() == old);
}

#[test]
fn an_image_with_a_gpt_tells_how_long_its_disk_is() {
    let with_table = Layout::new(512, 3 * MIB).image();
    for (image, expected) in [
        (&with_table[..], Some(3 << 20)),
        (&with_table[..MIB], Some(3 << 20)),
        (&image(MIB), None),
    ] {
        let (disk, _) = used_disk(5 * MIB, 512);
        let options = DiskOptions {
            gpt: Gpt::Keep,
            ..defaults()
        };
        let network = cast(image, options, &disk);
        let progress = network.machines[0].engine.progress();
        assert_eq!(progress.disk_len, expected);
    }
}

#[test]
fn p2_an_image_for_other_sectors_is_refused_untouched() {
    for (ours, theirs) in [(512, 4096), (4096, 512)] {
        let image = Layout::new(ours, 3 * MIB).image();
        let (disk, old) = used_disk(5 * MIB, theirs);
        let (error, left) = fail(&image, defaults(), &disk);
        let (image, sectors) = (ours as u32, theirs as u32);
        assert_eq!(
            error,
            Error::SectorSize {
                image,
                disk: sectors
            }
        );
        assert_eq!(left, Leftover::Untouched);
        assert!(disk.bytes() == old && disk.writes().is_empty());
    }
    // One with a table for each fits either.
    let mut hybrid = Layout::new(512, 3 * MIB).image();
    let other = Layout::new(4096, 3 * MIB).image();
    hybrid[4096..8192].copy_from_slice(&other[4096..8192]);
    for sector in [512, 4096] {
        let (disk, _) = used_disk(3 * MIB, sector);
        let report = send(&hybrid, defaults(), &disk);
        assert!(matches!(report.table, TableState::Kept(Some(Odd::Array))));
        assert!(disk.bytes() == hybrid);
    }
}

#[test]
fn mbr_images_work_as_they_are_on_any_sectors() {
    let mut image = image(3 * MIB);
    image[446..510].fill(0);
    image[446 + 4] = 0x83;
    image[446 + 8..446 + 16].copy_from_slice(&[0, 8, 0, 0, 0, 4, 0, 0]);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    for sector in [512, 4096] {
        let (disk, old) = used_disk(5 * MIB, sector);
        let report = send(&image, defaults(), &disk);
        assert_eq!(report.table, TableState::None);
        let bytes = disk.bytes();
        assert!(bytes[..image.len()] == image && bytes[image.len()..] == old[image.len()..]);
    }
}
