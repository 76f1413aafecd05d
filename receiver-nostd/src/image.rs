//! What the first bytes of an image say about the disk that they were made for.
//!
//! A disk that is too small should be refused while it is untouched, and the stream's length is not
//! known until it ends. Most images begin with a partition table, which tells. One without a table
//! tells nothing, and is found too large only when the disk is full.

use core::fmt;

/// Sector sizes that a GUID partition table can be written for, in bytes.
const SECTOR_SIZES: [usize; 2] = [512, 4096];

/// Bytes from the start of an image that [`needed`] looks at.
pub const START_LEN: usize = 8192;

/// How large a disk an image needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Bytes, at the least.
    pub bytes: u64,
    /// What says so.
    pub table: Table,
}

/// A kind of partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// GUID partition table, as UEFI defines it.
    Gpt,
    /// Master boot record, with four primary partitions.
    Mbr,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gpt => "GPT",
            Self::Mbr => "MBR",
        })
    }
}

/// Looks for a partition table in the first bytes of an image, of which [`START_LEN`] are enough.
///
/// `None` if there is none, or none that makes sense: nothing is known of the disk then.
#[must_use]
pub fn needed(start: &[u8]) -> Option<Needed> {
    gpt(start).or_else(|| mbr(start))
}

mod gpt_field {
    use core::ops::Range;

    pub(super) const SIGNATURE: Range<usize> = 0..8;
    pub(super) const HEADER_SIZE: Range<usize> = 12..16;
    pub(super) const HEADER_CRC32: Range<usize> = 16..20;
    pub(super) const ALTERNATE_LBA: Range<usize> = 32..40;
    /// Where the fields of the first revision end.
    pub(super) const END: usize = 92;
}

/// The table's second copy is in the disk's last sector, which the header names.
fn gpt(start: &[u8]) -> Option<Needed> {
    SECTOR_SIZES.iter().find_map(|&sector| {
        let header = start.get(sector..sector.checked_mul(2)?)?;
        let alternate = alternate_lba(header)?;
        let bytes = alternate.checked_add(1)?.checked_mul(sector as u64)?;
        Some(Needed {
            bytes,
            table: Table::Gpt,
        })
    })
}

fn alternate_lba(header: &[u8]) -> Option<u64> {
    if header.get(gpt_field::SIGNATURE)? != b"EFI PART" {
        return None;
    }
    let size = usize::try_from(u32_at(header, gpt_field::HEADER_SIZE)?).ok()?;
    if size < gpt_field::END {
        return None;
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(header.get(..gpt_field::HEADER_CRC32.start)?);
    crc.update(&[0; 4]);
    crc.update(header.get(gpt_field::HEADER_CRC32.end..size)?);
    if crc.finalize() != u32_at(header, gpt_field::HEADER_CRC32)? {
        return None;
    }
    let bytes = header.get(gpt_field::ALTERNATE_LBA)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

mod mbr_field {
    use core::ops::Range;

    pub(super) const PARTITIONS: Range<usize> = 446..510;
    pub(super) const SIGNATURE: Range<usize> = 510..512;

    pub(super) const PARTITION_LEN: usize = 16;
    pub(super) const STATUS: usize = 0;
    pub(super) const TYPE: usize = 4;
    pub(super) const FIRST_LBA: Range<usize> = 8..12;
    pub(super) const SECTORS: Range<usize> = 12..16;
}

/// Type of the partition that keeps older programs away from a GUID partition table. Its length is
/// often more than the disk's.
const PROTECTIVE: u8 = 0xee;

/// The end of the last partition. File systems begin with a sector of the same signature but with
/// program code where the table would be, so a table with an impossible entry counts as none.
fn mbr(start: &[u8]) -> Option<Needed> {
    if start.get(mbr_field::SIGNATURE)? != [0x55, 0xaa] {
        return None;
    }
    let mut sectors = 0;
    for entry in start
        .get(mbr_field::PARTITIONS)?
        .chunks_exact(mbr_field::PARTITION_LEN)
    {
        let status = *entry.get(mbr_field::STATUS)?;
        if status != 0 && status != 0x80 {
            return None;
        }
        let kind = *entry.get(mbr_field::TYPE)?;
        if kind != 0 && kind != PROTECTIVE {
            let first = u64::from(u32_at(entry, mbr_field::FIRST_LBA)?);
            let count = u64::from(u32_at(entry, mbr_field::SECTORS)?);
            sectors = (first + count).max(sectors);
        }
    }
    (sectors > 0).then_some(Needed {
        bytes: sectors * 512,
        table: Table::Mbr,
    })
}

fn u32_at(bytes: &[u8], field: core::ops::Range<usize>) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mbr(entries: [(u8, u8, u32, u32); 4]) -> [u8; START_LEN] {
        let mut start = [0; START_LEN];
        start[510] = 0x55;
        start[511] = 0xaa;
        for (i, (status, kind, first, count)) in entries.into_iter().enumerate() {
            let entry = &mut start[446 + 16 * i..446 + 16 * (i + 1)];
            entry[0] = status;
            entry[4] = kind;
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..16].copy_from_slice(&count.to_le_bytes());
        }
        start
    }

    fn with_gpt(sector: usize, alternate: u64) -> [u8; START_LEN] {
        let mut start = with_mbr([
            (0, PROTECTIVE, 1, u32::MAX),
            (0, 0, 0, 0),
            (0, 0, 0, 0),
            (0, 0, 0, 0),
        ]);
        let header = &mut start[sector..sector + 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        header[32..40].copy_from_slice(&alternate.to_le_bytes());
        let crc = crc32fast::hash(header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        start
    }

    #[test]
    fn a_gpt_names_the_last_sector_of_its_disk() {
        for sector in SECTOR_SIZES {
            let needed = needed(&with_gpt(sector, 99)).unwrap();
            assert_eq!(needed.bytes, 100 * sector as u64);
            assert_eq!(needed.table, Table::Gpt);
        }
    }

    #[test]
    fn a_damaged_gpt_says_nothing() {
        let mut start = with_gpt(512, 99);
        start[512 + 32] ^= 1;
        assert_eq!(needed(&start), None);
        assert_eq!(needed(&with_gpt(512, u64::MAX)), None, "no such disk");
    }

    #[test]
    fn an_mbr_needs_room_for_its_furthest_partition() {
        let none = (0, 0, 0, 0);
        let start = with_mbr([(0x80, 0x83, 2048, 1000), (0, 0x82, 10_000, 5), none, none]);
        let needed = needed(&start[..512]).unwrap();
        assert_eq!(needed.bytes, 10_005 * 512);
        assert_eq!(needed.table, Table::Mbr);
    }

    #[test]
    fn what_is_no_table_says_nothing() {
        let none = (0, 0, 0, 0);
        assert_eq!(needed(&with_mbr([none; 4])), None, "an empty table");
        let code = (0x66, 0x20, 0x2065_7265, 0x6968);
        assert_eq!(needed(&with_mbr([(0, 0x0c, 1, 1), code, none, none])), None);
        assert_eq!(needed(&[0xaa; START_LEN]), None);
        for len in [0, 1, 511, 512, 600] {
            assert_eq!(needed(&with_gpt(512, 99)[..len]), None, "cut off at {len}");
        }
    }
}
