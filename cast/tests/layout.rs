//! Partition tables that sgdisk and sfdisk make: what is said of them, and how small a disk may be.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ironcast_cast::{Error, Layout, Source, Unused};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// Bytes of the image.
const SIZE: u64 = 64 * MIB;

/// What a second copy of a usual table needs.
const COPY: u64 = 33 * 512;

struct Image(TempDir);

impl Image {
    fn new() -> Self {
        let image = Self(tempfile::tempdir().unwrap());
        File::create(image.path()).unwrap().set_len(SIZE).unwrap();
        image
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("image")
    }

    fn write(&self, place: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(self.path());
        file.unwrap().write_all_at(bytes, place).unwrap();
    }

    /// Runs a program of the system's on it.
    fn run(&self, program: &str, words: &str, input: &str) {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = Command::new(program);
        command
            .env("PATH", path)
            .args(words.split(' '))
            .arg(self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success(), "{program} {words}");
    }

    fn gpt() -> Self {
        let image = Self::new();
        image.run(
            "sgdisk",
            "-n1:0:+8M -t1:ef00 -c1:boot -n3:20M:+10M -t3:8300 -n2:9M:+2M -t2:8200",
            "",
        );
        image
    }

    fn source(&self) -> Source {
        Source::open(&self.path(), self.0.path()).unwrap()
    }

    fn read(&self, sector_size: Option<u32>) -> Result<(Option<String>, u64, u32), Error> {
        let source = self.source();
        let layout = Layout::read(&source, sector_size)?;
        let least = layout.least_disk(&source)?;
        Ok((layout.words(), least, layout.sector_size()))
    }

    fn least(&self) -> u64 {
        self.read(None).unwrap().1
    }
}

#[test]
fn a_gpt_is_told_and_needs_a_disk_up_to_its_last_partition() {
    let image = Image::gpt();
    let mut header = [0; 3];
    header.copy_from_slice(b"\xeb\x58\x90");
    image.write(MIB, &header);
    image.write(MIB + 0x52, b"FAT32   ");
    let (words, least, sector) = image.read(None).unwrap();
    let expected = "1 at 1 MiB, 8 MiB: EFI system, \"boot\", FAT32\n\
                    2 at 9 MiB, 2 MiB: Linux swap\n\
                    3 at 20 MiB, 10 MiB: Linux";
    assert_eq!((words.as_deref(), sector), (Some(expected), 512));
    assert_eq!(least, 30 * MIB + COPY);
}

#[test]
fn what_lies_behind_the_last_partition_needs_its_disk() {
    for place in [30 * MIB, 45 * MIB + 77, SIZE - COPY - 1] {
        let image = Image::gpt();
        image.write(place, b"x");
        assert_eq!(image.least(), SIZE, "{place}");
    }
    // What lies before it is as it is.
    let image = Image::gpt();
    image.write(15 * MIB, b"x");
    image.write(30 * MIB - 1, b"x");
    assert_eq!(image.least(), 30 * MIB + COPY);
}

#[test]
fn a_table_that_is_not_right_needs_its_disk() {
    // Headers, arrays, first and second.
    for place in [512 + 60, 1024 + 60, SIZE - 512 + 60, SIZE - COPY + 60] {
        let image = Image::gpt();
        image.write(place, b"\xff\xfe");
        assert_eq!(image.least(), SIZE, "{place}");
    }
    let image = Image::gpt();
    let file = File::options().write(true).open(image.path()).unwrap();
    file.set_len(SIZE + MIB).unwrap();
    assert_eq!(image.least(), SIZE + MIB, "it is not at the end");
    file.set_len(SIZE - MIB).unwrap();
    assert_eq!(image.least(), SIZE - MIB, "it was cut off");
}

#[test]
fn a_table_that_fills_the_disk_needs_it() {
    let image = Image::new();
    image.run("sgdisk", "-n1:0:0", "");
    assert_eq!(image.least(), SIZE);
    let empty = Image::new();
    empty.run("sgdisk", "-o", "");
    assert_eq!(empty.least(), 34 * 512 + COPY, "no partition at all");
}

#[test]
fn an_image_has_the_sectors_of_its_gpt() {
    let image = Image::new();
    image.run(
        "fdisk",
        "--sector-size 4096",
        "g\nn\n1\n\n+4M\nx\nn\na b\nr\nw\n",
    );
    let (words, least, sector) = image.read(None).unwrap();
    assert_eq!(words.as_deref(), Some("1 at 1 MiB, 4 MiB: Linux, \"a b\""));
    assert_eq!((least, sector), (5 * MIB + 5 * 4096, 4096));
    assert!(image.read(Some(4096)).is_ok());
    let error = image.read(Some(512)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::SectorSize {
                said: 512,
                table: 4096,
                ..
            }
        ),
        "{error}"
    );
    assert!(Image::gpt().read(Some(4096)).is_err());
}

#[test]
fn a_master_boot_record_is_told_with_its_logical_partitions() {
    let image = Image::new();
    let words = "label: dos\np1 : start=2048,size=8M,type=7\np2 : size=20M,type=5\n\
                 p5 : size=4M,type=83\np6 : size=6M,type=82\n";
    image.run("sfdisk", "-q", words);
    image.write(MIB + 3, b"NTFS    ");
    let (words, least, sector) = image.read(None).unwrap();
    let expected = "1 at 1 MiB, 8 MiB: NTFS or exFAT, NTFS\n\
                    2 at 9 MiB, 20 MiB: extended\n\
                    5 at 10 MiB, 4 MiB: Linux\n\
                    6 at 15 MiB, 6 MiB: Linux swap";
    assert_eq!((words.as_deref(), sector), (Some(expected), 512));
    assert_eq!(least, 29 * MIB);
    image.write(40 * MIB, b"x");
    assert_eq!(image.least(), SIZE);
}

#[test]
fn an_image_without_a_table_may_be_a_file_system() {
    let image = Image::new();
    assert_eq!(image.read(None).unwrap(), (None, SIZE, 512));
    assert_eq!(image.read(Some(4096)).unwrap(), (None, SIZE, 4096));
    image.run("mkfs.ext4", "-q -F", "");
    let (words, least, _) = image.read(None).unwrap();
    assert_eq!((words.as_deref(), least), (Some("no table: ext4"), SIZE));
    let fat = Image::new();
    fat.run("mkfs.vfat", "-F 32", "");
    assert_eq!(
        fat.read(None).unwrap().0.as_deref(),
        Some("no table: FAT32")
    );
}

#[test]
fn a_file_system_beside_a_table_that_is_not_right_is_what_was_there_before() {
    // One that stands for a GPT, which is damaged; one that begins at 0, which none can.
    for (kind, first) in [(0xee, 1), (0x83, 0)] {
        let image = Image::new();
        image.run("mkfs.ext4", "-q -F", "");
        let mut entry = [0; 16];
        (entry[4], entry[8], entry[12]) = (kind, first, 99);
        image.write(446, &entry);
        image.write(510, &[0x55, 0xaa]);
        let source = image.source();
        let layout = Layout::read(&source, None).unwrap();
        let unused = Unused::find(&source, &layout, image.0.path()).unwrap();
        assert_eq!(unused.partitions, []);
        assert_eq!(unused.ranges.bytes(), 0);
        assert_eq!(layout.words(), None);
    }
}

#[test]
fn what_reaches_into_the_records_of_logical_partitions_is_packed_whole() {
    let image = Image::new();
    let entry = |kind: u8, first: u64, count: u64| {
        let mut entry = [0; 16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&((first * MIB / 512) as u32).to_le_bytes());
        entry[12..].copy_from_slice(&((count * MIB / 512) as u32).to_le_bytes());
        entry
    };
    // The swap area of 20 MiB has the record of a partition that begins behind it.
    let table = [entry(0x82, 1, 20), entry(5, 10, 50)].concat();
    for (place, entries) in [(0, &table[..]), (10 * MIB, &entry(0x82, 15, 20))] {
        image.write(place + 446, entries);
        image.write(place + 510, &[0x55, 0xaa]);
    }
    for start in [MIB, 25 * MIB] {
        image.write(start + 1024, &[1, 0, 0, 0, 0xff, 1, 0, 0]);
        image.write(start + 4086, b"SWAPSPACE2");
    }
    let source = image.source();
    let layout = Layout::read(&source, None).unwrap();
    let unused = Unused::find(&source, &layout, image.0.path()).unwrap();
    let told: Vec<_> = unused
        .partitions
        .iter()
        .map(|told| (told.number, told.unused.is_ok()))
        .collect();
    assert_eq!(told, [(Some(1), false), (Some(5), true)]);
    assert_eq!(unused.ranges.bytes(), 511 * 4096);
}
