//! Partition tables: what they become on disks of other sizes, and those that are left alone.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;

use ironcast_receiver_nostd::gpt::{Header, MAX_ARRAY_LEN, Odd};
use lab::gpt::{Layout, sign};
use lab::{Random, image};

const MIB: usize = 1 << 20;

fn primary(image: &[u8], sector: usize) -> Header {
    Header::primary(image, sector as u32)
        .expect("it is well")
        .expect("it is there")
}

/// What a header is refused for whose image was changed by `change`.
fn refusal(change: impl FnOnce(&mut [u8])) -> Odd {
    let mut image = Layout::new(512, 4 * MIB).image();
    let header = &mut image[512..1024];
    change(header);
    sign(header);
    let fitted = primary(&image, 512).fitted_to(8 << 20);
    fitted.expect_err("it is odd")
}

#[test]
fn a_header_is_read_and_written_as_it_is() {
    for sector in [512, 4096] {
        let image = Layout::new(sector, 4 * MIB).image();
        let header = primary(&image, sector);
        assert_eq!(header.disk_len(), Some(4 << 20));
        assert_eq!(
            header.array(),
            2 * sector as u64..2 * sector as u64 + 16_384
        );
        let mut copy = image[sector..2 * sector].to_vec();
        header.emit(&mut copy);
        assert!(copy == image[sector..2 * sector]);
        let last = image.len() - sector;
        header.backup().emit(&mut copy);
        assert!(copy == image[last..], "the copy is made of the primary");
        let backup = Header::parse(&image[last..]).unwrap().unwrap();
        assert!(header.is_backed_up_by(&backup));
        assert!(!header.is_backed_up_by(&header));
    }
}

#[test]
fn what_lies_behind_the_known_fields_counts_and_stays() {
    let mut image = Layout::new(512, 4 * MIB).image();
    image[512 + 12] = 100;
    image[512 + 92..512 + 100].copy_from_slice(b"newer so");
    assert_eq!(Header::primary(&image, 512), Err(Odd::Header));
    image[512 + 16..512 + 20].fill(0);
    let crc = crc32fast::hash(&image[512..512 + 100]);
    image[512 + 16..512 + 20].copy_from_slice(&crc.to_le_bytes());
    let fitted = primary(&image, 512).fitted_to(5 << 20).unwrap();
    fitted.emit(&mut image[512..1024]);
    assert_eq!(&image[512 + 92..512 + 100], b"newer so");
    assert_eq!(primary(&image, 512), fitted);
}

#[test]
fn a_disk_of_the_same_size_changes_nothing() {
    let header = primary(&Layout::new(512, 4 * MIB).image(), 512);
    assert_eq!(header.fitted_to(4 << 20), Ok(header));
    assert_ne!(header.fitted_to((4 << 20) + 512), Ok(header));
    let too_small = header.fitted_to(33 * 1024);
    assert_eq!(too_small, Err(Odd::NoRoom));
    assert_eq!(header.fitted_to(0), Err(Odd::NoRoom));
}

#[test]
fn tables_that_are_not_as_specified_are_not_changed() {
    let set = |at: usize, value: u64, len: usize| {
        move |header: &mut [u8]| {
            header[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        }
    };
    assert_eq!(refusal(set(24, 2, 8)), Odd::Place);
    for size in [0, 64, 127, 192, u32::MAX] {
        assert_eq!(refusal(set(84, size.into(), 4)), Odd::EntrySize(size));
    }
    for count in [0, (MAX_ARRAY_LEN / 128 + 1) as u32, u32::MAX] {
        assert_eq!(refusal(set(80, count.into(), 4)), Odd::EntryCount(count));
    }
    for lba in [0, 1, 3, u64::MAX] {
        assert_eq!(refusal(set(72, lba, 8)), Odd::ArrayPlace, "{lba}");
    }
    assert_eq!(refusal(set(40, u64::MAX, 8)), Odd::Usable);
    assert_eq!(refusal(set(48, u64::MAX, 8)), Odd::Usable);
    assert_eq!(refusal(set(32, 0, 8)), Odd::Usable);
}

#[test]
fn entries_are_checked() {
    let layout = Layout::new(512, 4 * MIB);
    let image = layout.image();
    let array = &image[1024..1024 + 16_384];
    assert_eq!(primary(&image, 512).check_array(array), Ok(()));
    assert_eq!(
        primary(&image, 512).check_array(&array[1..]),
        Err(Odd::Array)
    );
    let mut wrong = array.to_vec();
    wrong[16_383] = 1;
    assert_eq!(primary(&image, 512).check_array(&wrong), Err(Odd::Array));
    let last = layout.sectors - 34;
    for (number, partition, is_right) in [
        (1, (34, last), true),
        (2, (33, last), false),
        (3, (34, last + 1), false),
        (4, (200, 199), false),
        (5, (0, u64::MAX), false),
    ] {
        let mut partitions = vec![(34, 35); number - 1];
        partitions.push(partition);
        let image = Layout {
            partitions,
            ..layout.clone()
        }
        .image();
        let checked = primary(&image, 512).check_array(&image[1024..1024 + 16_384]);
        let expected = match is_right {
            true => Ok(()),
            false => Err(Odd::Partition(number as u32)),
        };
        assert_eq!(checked, expected);
    }
}

#[test]
fn new_guids_are_random_ones_of_version_4() {
    let image = Layout::new(4096, 4 * MIB).image();
    let mut header = primary(&image, 4096);
    let mut array = image[8192..8192 + 16_384].to_vec();
    let mut calls = 0;
    header.renew_guids(&mut array, || {
        calls += 1;
        [0xf0 + calls; 16]
    });
    assert_eq!(calls, 3, "a disk and two partitions");
    assert_eq!(header.check_array(&array), Ok(()));
    for (number, entry) in array.chunks(128).enumerate() {
        let before = &image[8192 + number * 128..][..128];
        assert_eq!((&entry[..16], &entry[32..]), (&before[..16], &before[32..]));
        let is_used = number < 2;
        assert_eq!(entry[16..32] != before[16..32], is_used);
        if is_used {
            assert_eq!((entry[16 + 7] >> 4, entry[16 + 8] >> 6), (4, 2));
            assert_eq!(entry[16], 0xf2 + number as u8);
        }
    }
}

/// Whatever comes over the network: no panic, and no place outside of what is said to be the disk.
#[test]
fn p6_no_table_leads_out_of_the_disk() {
    let mut random = Random::new(7);
    let good = Layout::new(512, 4 * MIB).image();
    let disk_len = 6 << 20;
    let mut fitted_count = 0;
    for round in 0..20_000 {
        let mut sector = match round % 2 {
            0 => good[512..1024].to_vec(),
            _ => image(512),
        };
        for _ in 0..random.below(4) {
            let at = random.below(92) as usize;
            sector[at] = random.next() as u8;
        }
        sector[..8].copy_from_slice(b"EFI PART");
        sector[12..16].copy_from_slice(&92_u32.to_le_bytes());
        sign(&mut sector);
        let header = Header::parse(&sector).expect("signed").expect("a header");
        let _ = (
            header.disk_len(),
            header.alternate(),
            header.array(),
            header.backup(),
        );
        let _ = header.check_array(&good[1024..1024 + 16_384]);
        let Ok(mut fitted) = header.fitted_to(disk_len) else {
            continue;
        };
        fitted_count += 1;
        assert_eq!(fitted.alternate(), disk_len - 512);
        assert!(fitted.array().start >= 1024 && fitted.array().end < disk_len);
        let backup = fitted.backup();
        assert_eq!(backup.array().end, fitted.alternate());
        assert!(backup.array().start > fitted.array().end);
        fitted.renew_guids(&mut good[1024..1024 + 16_384].to_vec(), || [1; 16]);
        fitted.emit(&mut sector);
        fitted.emit(&mut sector[..17]);
        fitted.emit(&mut []);
    }
    assert!(fitted_count > 1000, "only {fitted_count} were of use");
}
