//! What the first bytes of an image say about the disk that they were made for.
//!
//! A disk that is too small or has sectors of another size should be refused while it is untouched,
//! and the stream's length is not known until it ends. Most images begin with a partition table,
//! which tells. One without a table tells nothing, and is found too large only when the disk is
//! full.

use core::fmt;

use crate::gpt::{Header, SECTOR_SIZES};
use crate::mbr;

/// Bytes from the start of an image that [`needed`] looks at.
pub const START_LEN: usize = 8192;

/// What disk an image needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Bytes, at the least.
    pub bytes: u64,
    /// Bytes of its sectors; `None` if any will do.
    pub sector_size: Option<u32>,
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
/// An image can have a GUID partition table for each size of sectors; then the one for sectors of
/// `disk_sector_size` bytes, if that is known, speaks for it.
///
/// `None` if there is none, or none that makes sense: nothing is known of the disk then.
#[must_use]
pub fn needed(start: &[u8], disk_sector_size: Option<u32>) -> Option<Needed> {
    gpt(start, disk_sector_size).or_else(|| mbr(start))
}

/// The table's second copy is in the disk's last sector, which the header names.
fn gpt(start: &[u8], disk_sector_size: Option<u32>) -> Option<Needed> {
    disk_sector_size
        .into_iter()
        .chain(SECTOR_SIZES)
        .find_map(|sector_size| {
            let header = Header::primary(start, sector_size).ok().flatten()?;
            Some(Needed {
                bytes: header.disk_len()?,
                sector_size: Some(sector_size),
                table: Table::Gpt,
            })
        })
}

/// The end of the last partition.
fn mbr(start: &[u8]) -> Option<Needed> {
    Some(Needed {
        bytes: mbr::disk_len(start)?,
        sector_size: None,
        table: Table::Mbr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTECTIVE: u8 = 0xee;

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

    fn add_gpt(start: &mut [u8], sector: u32, alternate: u64) {
        let header = &mut start[sector as usize..][..92];
        header[..8].copy_from_slice(b"EFI PART");
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        header[32..40].copy_from_slice(&alternate.to_le_bytes());
        let crc = crc32fast::hash(header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
    }

    fn with_gpt(sector: u32, alternate: u64) -> [u8; START_LEN] {
        let none = (0, 0, 0, 0);
        let mut start = with_mbr([(0, PROTECTIVE, 1, u32::MAX), none, none, none]);
        add_gpt(&mut start, sector, alternate);
        start
    }

    #[test]
    fn a_gpt_names_the_last_sector_of_its_disk() {
        for sector in SECTOR_SIZES {
            for disk in [None, Some(512), Some(4096), Some(520)] {
                let needed = needed(&with_gpt(sector, 99), disk).unwrap();
                assert_eq!(needed.bytes, 100 * u64::from(sector));
                assert_eq!(needed.sector_size, Some(sector));
                assert_eq!(needed.table, Table::Gpt);
            }
        }
    }

    #[test]
    fn of_two_gpts_the_disk_takes_its_own() {
        let mut start = with_gpt(512, 799);
        add_gpt(&mut start, 4096, 199);
        for (disk, bytes, sector) in [
            (None, 800 * 512, 512),
            (Some(512), 800 * 512, 512),
            (Some(4096), 200 * 4096, 4096),
        ] {
            let needed = needed(&start, disk).unwrap();
            assert_eq!((needed.bytes, needed.sector_size), (bytes, Some(sector)));
        }
    }

    #[test]
    fn a_damaged_gpt_says_nothing() {
        let mut start = with_gpt(512, 99);
        start[512 + 32] ^= 1;
        assert_eq!(needed(&start, Some(512)), None);
        let absurd = with_gpt(512, u64::MAX);
        assert_eq!(needed(&absurd, None), None, "no such disk");
    }

    #[test]
    fn an_mbr_needs_room_for_its_furthest_partition() {
        let none = (0, 0, 0, 0);
        let start = with_mbr([(0x80, 0x83, 2048, 1000), (0, 0x82, 10_000, 5), none, none]);
        let needed = needed(&start[..512], Some(4096)).unwrap();
        assert_eq!(needed.bytes, 10_005 * 512);
        assert_eq!(needed.sector_size, None, "it doesn't say");
        assert_eq!(needed.table, Table::Mbr);
    }

    #[test]
    fn what_is_no_table_says_nothing() {
        let none = (0, 0, 0, 0);
        let nothing = |start: &[u8]| needed(start, None).is_none();
        assert!(nothing(&with_mbr([none; 4])), "an empty table");
        let code = (0x66, 0x20, 0x2065_7265, 0x6968);
        assert!(nothing(&with_mbr([(0, 0x0c, 1, 1), code, none, none])));
        assert!(nothing(&[0xaa; START_LEN]));
        for len in [0, 1, 511, 512, 600] {
            assert!(nothing(&with_gpt(512, 99)[..len]), "cut off at {len}");
        }
    }
}
