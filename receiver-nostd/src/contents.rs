//! What is on a disk now, told by a few of its bytes, so that a person sees what would be lost.
//!
//! Partition table, kinds of volumes, and labels where they stand in a volume's first sectors. It
//! is for people's eyes alone: nothing is decided by it, and what is not recognised may be
//! precious all the same.

use core::fmt;

use heapless::Vec;

use crate::volume::Volume;

/// Bytes from the start of a disk that are read. The entries of a partition table are in them.
pub const START_LEN: usize = 64 << 10;

/// Most partitions that are looked into: each takes one read or two, and a line has only so much
/// room.
pub const MAX_VOLUMES: usize = 8;

/// Bytes from the start of a partition that are read, unless its sectors are larger.
const VOLUME_LEN: usize = 4096;

/// What is on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    table: Table,
    /// The volumes that were recognised: of the partitions, or the one that fills the disk.
    volumes: Vec<Volume, MAX_VOLUMES>,
}

/// What the disk begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    /// Zeros as far as was read.
    Blank,
    /// No partition table.
    None,
    /// GUID partition table; how many partitions it has, if its entries are where they usually are.
    Gpt(Option<usize>),
    /// What only protects a GUID partition table, without one.
    DamagedGpt,
    /// Master boot record, with this many primary partitions.
    Mbr(usize),
}

impl Contents {
    /// Looks at a disk with sectors of `sector` bytes. `read` fills memory with what the disk has
    /// at an offset, both multiples of a sector; `buffer` is memory for that: [`START_LEN`] bytes,
    /// or as many as the disk has.
    ///
    /// # Errors
    /// That of `read`, if not even the start can be read. Partitions that can't be read, and those
    /// after them, are left out.
    pub fn read<E>(
        sector: usize,
        buffer: &mut [u8],
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        read(0, buffer)?;
        let (table, starts) = look_at_start(sector, buffer);
        let mut volumes = Vec::new();
        for start in starts {
            // A disk that fails takes its time: once is enough.
            let Ok(volume) = read_volume(sector, start, buffer, &mut read) else {
                break;
            };
            volumes.extend(volume);
        }
        Ok(Self { table, volumes })
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions = |count| match count {
            1 => "partition",
            _ => "partitions",
        };
        match self.table {
            Table::Blank => f.write_str("blank at its start")?,
            Table::None => f.write_str("no partition table")?,
            Table::Gpt(None) => f.write_str("GPT")?,
            Table::Gpt(Some(count)) => write!(f, "GPT with {count} {}", partitions(count))?,
            Table::DamagedGpt => f.write_str("a damaged GPT")?,
            Table::Mbr(count) => write!(f, "MBR with {count} {}", partitions(count))?,
        }
        for (place, volume) in self.volumes.iter().enumerate() {
            let separator = match (place, self.table) {
                (0, Table::Gpt(_) | Table::Mbr(_)) => ": ",
                _ => ", ",
            };
            write!(f, "{separator}{volume}")?;
        }
        Ok(())
    }
}

/// What the start of a disk says, and at which bytes its volumes begin.
fn look_at_start(sector: usize, start: &[u8]) -> (Table, Vec<u64, MAX_VOLUMES>) {
    let mut starts = Vec::new();
    let table = if let Some(table) = gpt(sector, start, &mut starts) {
        table
    } else if start.iter().all(|&byte| byte == 0) {
        Table::Blank
    } else if Volume::recognise(start).is_some() {
        let _ = starts.push(0);
        Table::None
    } else {
        mbr(sector, start, &mut starts).unwrap_or(Table::None)
    };
    (table, starts)
}

/// The volume at byte `start`, if it is of a kind that is known.
fn read_volume<E>(
    sector: usize,
    start: u64,
    buffer: &mut [u8],
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Option<Volume>, E> {
    let length = VOLUME_LEN.max(sector).min(buffer.len());
    let buffer = buffer.get_mut(..length).unwrap_or_default();
    read(start, buffer)?;
    let Some(mut volume) = Volume::recognise(buffer) else {
        return Ok(None);
    };
    if let Some((offset, length)) = volume.label_record(buffer)
        && let Some(offset) = start.checked_add(offset)
        && let Some(record) = buffer.get_mut(..length)
        && offset.is_multiple_of(sector as u64)
        && length.is_multiple_of(sector)
    {
        read(offset, record)?;
        volume.take_label(record);
    }
    Ok(Some(volume))
}

mod gpt_field {
    use core::ops::Range;

    pub(super) const SIGNATURE: &[u8] = b"EFI PART";
    pub(super) const ENTRIES_LBA: Range<usize> = 72..80;
    pub(super) const ENTRY_COUNT: Range<usize> = 80..84;
    pub(super) const ENTRY_LENGTH: Range<usize> = 84..88;

    /// Of an entry.
    pub(super) const TYPE: Range<usize> = 0..16;
    pub(super) const FIRST_LBA: Range<usize> = 32..40;
    pub(super) const LEAST_ENTRY_LENGTH: usize = 128;
}

/// A GUID partition table, whose checksums are not looked at: a person may still want what it
/// leads to. Its first partitions are put into `partitions`.
fn gpt(sector: usize, start: &[u8], partitions: &mut Vec<u64, MAX_VOLUMES>) -> Option<Table> {
    let header = start.get(sector..sector.checked_mul(2)?)?;
    if !header.starts_with(gpt_field::SIGNATURE) {
        return None;
    }
    let Some(entries) = gpt_entries(header, sector, start) else {
        return Some(Table::Gpt(None));
    };
    let is_used = |entry: &&[u8]| {
        let kind = entry.get(gpt_field::TYPE);
        kind.is_some_and(|kind| kind.iter().any(|&byte| byte != 0))
    };
    let mut count = 0;
    for entry in entries.filter(is_used) {
        count += 1;
        let first = u64_at(entry, gpt_field::FIRST_LBA);
        let offset = first.and_then(|first| first.checked_mul(sector as u64));
        // The ones that are not looked into are counted all the same.
        let _ = offset.map(|offset| partitions.push(offset));
    }
    Some(Table::Gpt(Some(count)))
}

/// The table's entries, if all of them are at the start of the disk.
fn gpt_entries<'s>(
    header: &[u8],
    sector: usize,
    start: &'s [u8],
) -> Option<impl Iterator<Item = &'s [u8]>> {
    let length = usize::try_from(u32_at(header, gpt_field::ENTRY_LENGTH)?).ok()?;
    let count = usize::try_from(u32_at(header, gpt_field::ENTRY_COUNT)?).ok()?;
    let first = usize::try_from(u64_at(header, gpt_field::ENTRIES_LBA)?).ok()?;
    let first = first.checked_mul(sector)?;
    let entries = start.get(first..)?.get(..length.checked_mul(count)?)?;
    (length >= gpt_field::LEAST_ENTRY_LENGTH).then(|| entries.chunks_exact(length))
}

mod mbr_field {
    use core::ops::Range;

    pub(super) const ENTRIES: Range<usize> = 446..510;
    pub(super) const SIGNATURE: Range<usize> = 510..512;

    /// Of an entry.
    pub(super) const STATUS: usize = 0;
    pub(super) const TYPE: usize = 4;
    pub(super) const FIRST_LBA: Range<usize> = 8..12;
    pub(super) const ENTRY_LENGTH: usize = 16;

    /// Type of the partition that keeps older programs away from a GUID partition table.
    pub(super) const PROTECTIVE: u8 = 0xee;
}

/// A master boot record; where its partitions begin is put into `partitions`. Boot sectors of file
/// systems have the same signature, but program code where the table would be: a table with an
/// impossible entry is none.
fn mbr(sector: usize, start: &[u8], partitions: &mut Vec<u64, MAX_VOLUMES>) -> Option<Table> {
    if start.get(mbr_field::SIGNATURE)? != [0x55, 0xaa] {
        return None;
    }
    let entries = start.get(mbr_field::ENTRIES)?;
    let entries = || entries.chunks_exact(mbr_field::ENTRY_LENGTH);
    let byte = |entry: &[u8], field: usize| entry.get(field).copied().unwrap_or(0);
    if !entries().all(|entry| matches!(byte(entry, mbr_field::STATUS), 0 | 0x80)) {
        return None;
    }
    if entries().any(|entry| byte(entry, mbr_field::TYPE) == mbr_field::PROTECTIVE) {
        return Some(Table::DamagedGpt);
    }
    let mut count = 0;
    for entry in entries().filter(|entry| byte(entry, mbr_field::TYPE) != 0) {
        count += 1;
        let first = u64::from(u32_at(entry, mbr_field::FIRST_LBA)?);
        let offset = first.checked_mul(sector as u64);
        let _ = offset.map(|offset| partitions.push(offset));
    }
    Some(Table::Mbr(count))
}

fn u32_at(bytes: &[u8], field: core::ops::Range<usize>) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], field: core::ops::Range<usize>) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString};
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::volume::SIGNATURES;

    /// Disks are this long in tests.
    const DISK: usize = 4 << 20;

    fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// What a disk is said to hold, and how many reads that took.
    fn shown(disk: &[u8], sector: usize) -> (String, usize) {
        let mut reads = 0;
        let mut buffer = vec![0xff; START_LEN.min(disk.len())];
        let contents = Contents::read(sector, &mut buffer, |offset, buffer| {
            reads += 1;
            assert!(offset.is_multiple_of(sector as u64) && buffer.len().is_multiple_of(sector));
            let from = usize::try_from(offset).map_err(|_| "far away")?;
            let part = disk.get(from..).and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(part.ok_or("past the end")?);
            Ok::<_, &str>(())
        });
        (contents.map_or_else(String::from, |c| c.to_string()), reads)
    }

    fn fat_volume(disk: &mut [u8], at: usize, label: &[u8; 11]) {
        let is_fat32 = disk.len() - at > 2 << 20;
        put(disk, at, &[0xeb, 0x3c, 0x90]);
        put(disk, at + 3, b"MSDOS5.0\x00\x02\x04\x01\x00\x02");
        put(disk, at + 17, if is_fat32 { &[0, 0] } else { &[0, 2] });
        put(disk, at + 21, &[0xf8]);
        let extended = at + if is_fat32 { 66 } else { 38 };
        put(disk, extended, &[0x29, 1, 2, 3, 4]);
        put(disk, extended + 5, label);
        put(disk, at + 510, &[0x55, 0xaa]);
    }

    fn ext_volume(disk: &mut [u8], at: usize, features: (u32, u32), label: &[u8]) {
        put(disk, at + 1024 + 56, &[0x53, 0xef]);
        put(disk, at + 1024 + 92, &features.0.to_le_bytes());
        put(disk, at + 1024 + 96, &features.1.to_le_bytes());
        put(disk, at + 1024 + 120, label);
    }

    fn mbr_table(disk: &mut [u8], partitions: &[(u8, u32)]) {
        for (place, (kind, first)) in partitions.iter().enumerate() {
            let entry = 446 + 16 * place;
            put(disk, entry + 4, &[*kind]);
            put(disk, entry + 8, &first.to_le_bytes());
            put(disk, entry + 12, &100_u32.to_le_bytes());
        }
        put(disk, 510, &[0x55, 0xaa]);
    }

    /// A table whose entries of `length` bytes begin in sector `lba`.
    fn gpt_table(disk: &mut [u8], sector: usize, lba: usize, length: usize, firsts: &[u64]) {
        mbr_table(disk, &[(mbr_field::PROTECTIVE, 1)]);
        for (place, first) in firsts.iter().enumerate() {
            let entry = lba * sector + place * length;
            put(disk, entry, &[0x28; 16]);
            put(disk, entry + 32, &first.to_le_bytes());
        }
        let mut header = [0; 92];
        put(&mut header, 0, b"EFI PART");
        put(&mut header, 12, &92_u32.to_le_bytes());
        put(&mut header, 72, &(lba as u64).to_le_bytes());
        put(&mut header, 80, &128_u32.to_le_bytes());
        put(
            &mut header,
            84,
            &u32::try_from(length).unwrap().to_le_bytes(),
        );
        put(disk, sector, &header);
    }

    #[test]
    fn a_gpt_with_volumes_of_each_kind() {
        for sector in [512, 4096] {
            let mut disk = vec![0; DISK];
            let starts = [1 << 20, 2 << 20, 3 << 20];
            gpt_table(
                &mut disk,
                sector,
                2,
                128,
                &starts.map(|start| (start / sector) as u64),
            );
            fat_volume(&mut disk, starts[0], b"EFI        ");
            put(&mut disk, starts[1] + 3, b"NTFS    ");
            ext_volume(&mut disk, starts[2], (0x4, 0x2c2), b"root\0garbage");
            let (text, reads) = shown(&disk, sector);
            let expected = "GPT with 3 partitions: FAT \"EFI\", NTFS, ext4 \"root\"";
            assert_eq!(text, expected, "sectors of {sector}");
            assert_eq!(reads, 4);
        }
    }

    #[test]
    fn a_gpt_with_entries_elsewhere_is_not_counted() {
        let mut disk = vec![0; DISK];
        gpt_table(&mut disk, 512, 200, 128, &[2048]);
        assert_eq!(shown(&disk, 512), (String::from("GPT"), 1));
        gpt_table(&mut disk, 512, 2, 64, &[2048]);
        assert_eq!(shown(&disk, 512), (String::from("GPT"), 1));
        gpt_table(&mut disk, 512, 2, 256, &[2048]);
        assert_eq!(shown(&disk, 512).0, "GPT with 1 partition");
        disk[512] ^= 1;
        assert_eq!(shown(&disk, 512).0, "a damaged GPT");
    }

    #[test]
    fn only_the_first_partitions_are_looked_into() {
        let mut disk = vec![0; DISK];
        gpt_table(&mut disk, 512, 2, 128, &[2048; 100]);
        ext_volume(&mut disk, 1 << 20, (0, 0), b"");
        let (text, reads) = shown(&disk, 512);
        assert!(
            text.starts_with("GPT with 100 partitions: ext2, ext2,"),
            "{text}"
        );
        assert_eq!(reads, 1 + MAX_VOLUMES);
        // The third can't be read, which ends it.
        gpt_table(&mut disk, 512, 2, 128, &[2048, u64::MAX, 1 << 40, 2048]);
        let (text, reads) = shown(&disk, 512);
        assert_eq!(text, "GPT with 100 partitions: ext2");
        assert_eq!(reads, 3);
    }

    #[test]
    fn an_mbr_counts_its_primary_partitions() {
        let mut disk = vec![0; DISK];
        mbr_table(&mut disk, &[(0x0c, 2048), (0x83, 4096)]);
        fat_volume(&mut disk, 1 << 20, b"NO NAME    ");
        ext_volume(&mut disk, 2 << 20, (0x4, 0), b"data");
        let text = "MBR with 2 partitions: FAT, ext3 \"data\"";
        assert_eq!(shown(&disk, 512).0, text);
    }

    #[test]
    fn a_volume_may_fill_the_disk() {
        let mut disk = vec![0; DISK];
        fat_volume(&mut disk, 0, b"MY STICK   ");
        let text = "no partition table, FAT \"MY STICK\"";
        assert_eq!(shown(&disk, 512), (text.to_string(), 2));
        let mut small = vec![0; 1 << 20];
        fat_volume(&mut small, 0, b"FLOPPY\x1b[2J ");
        let text = "no partition table, FAT \"FLOPPY [2J\"";
        assert_eq!(shown(&small, 512).0, text);
    }

    #[test]
    fn what_is_no_volume_and_no_table() {
        let mut disk = vec![0; DISK];
        assert_eq!(shown(&disk, 512).0, "blank at its start");
        disk[START_LEN - 1] = 1;
        assert_eq!(shown(&disk, 512).0, "no partition table");
        assert_eq!(shown(&[0; 512], 512).0, "blank at its start");
        assert_eq!(shown(&[0xff; 512], 512).0, "no partition table");
        for (kind, offset, signature) in SIGNATURES {
            let mut disk = vec![0; DISK];
            put(&mut disk, offset, signature);
            let text = std::format!("no partition table, {kind}");
            assert_eq!(shown(&disk, 512).0, text);
        }
    }

    /// An NTFS volume at `at` whose records have `length` bytes, and the label `Labs 3 ä`.
    fn ntfs_volume(disk: &mut [u8], at: usize, length: usize) {
        put(disk, at + 3, b"NTFS    \x00\x02\x02");
        put(disk, at + 48, &[4]);
        let exponent = u8::try_from(length.ilog2()).unwrap().wrapping_neg();
        put(disk, at + 64, &[exponent]);
        let record = at + 4 * 1024 + 3 * length;
        put(disk, record, b"FILE\x30\x00\x03\x00");
        put(disk, record + 20, &[0x38]);
        let mut attributes = vec![0x10, 0, 0, 0, 0xa8, 1];
        attributes.resize(0x1a8, 0);
        attributes.extend([0x60, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        attributes.extend([16, 0, 0, 0, 24, 0, 0, 0]);
        attributes.extend(b"L\0a\0b\0s\0 \x003\0 \0\xe4\0");
        put(disk, record + 0x38, &attributes);
        // The label lies across the end of a piece, whose bytes are kept after the signature's.
        let kept: [u8; 2] = disk[record + 510..record + 512].try_into().unwrap();
        put(disk, record + 0x30, &[0xaa, 0xbb]);
        put(disk, record + 0x32, &kept);
        put(disk, record + 510, &[0xaa, 0xbb]);
    }

    #[test]
    fn the_label_of_an_ntfs_volume_is_in_a_record() {
        let mut disk = vec![0; DISK];
        mbr_table(&mut disk, &[(7, 2048)]);
        ntfs_volume(&mut disk, 1 << 20, 1024);
        let (text, reads) = shown(&disk, 512);
        assert_eq!(text, "MBR with 1 partition: NTFS \"Labs 3 ?\"");
        assert_eq!(reads, 3);
    }

    #[test]
    fn a_disk_that_fails_says_why() {
        let read = |_, _: &mut [u8]| Err("broken");
        assert_eq!(Contents::read(512, &mut [0; 512], read), Err("broken"));
        let empty = Contents::read(512, &mut [], |_, _| Ok::<_, &str>(()));
        assert_eq!(empty.unwrap().to_string(), "blank at its start");
    }

    #[test]
    fn what_is_cut_off_is_not_read_past() {
        let mut disk = vec![0; DISK];
        gpt_table(&mut disk, 512, 2, 128, &[2048]);
        ext_volume(&mut disk, 0, (0, 0), b"");
        fat_volume(&mut disk, 1 << 20, b"EFI        ");
        let starts: Vec<u8> = disk[..2048].to_vec();
        for length in 0..2048 {
            let _ = look_at_start(512, &starts[..length]);
            let _ = Volume::recognise(&disk[1 << 20..][..length]);
        }
    }
}
