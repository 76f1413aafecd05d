//! What a partition has, told by the bytes that each kind of file system begins with.
//!
//! No more is looked at than it takes to tell them apart: whether a file system is whole is for
//! those who understand it.

use std::fmt;

use crate::error::Error;
use crate::source::Source;

/// What a partition has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext2,
    Ext3,
    Ext4,
    Ntfs,
    Fat12,
    Fat16,
    Fat32,
    ExFat,
    Xfs,
    Btrfs,
    /// Memory that was moved out.
    Swap {
        /// Bytes of a page, of which the first says what it is.
        page: u32,
    },
    /// A physical volume of Linux's volume manager.
    Lvm,
    /// Encrypted, by Linux.
    Luks,
    /// Encrypted, by Windows.
    BitLocker,
    /// A member of a Linux RAID.
    Raid,
    /// A member of a pool.
    Zfs,
    SquashFs,
    Iso9660,
}

/// Bytes that tell them all.
const START: usize = 68 << 10;

/// Bytes of a page that a computer may have.
const PAGES: [u32; 3] = [4096, 16_384, 65_536];

/// Where a file system has which bytes. The first that fits is it: a file system leaves what was
/// before it where it has no use for the place, and RAID lies around others.
const MAGICS: [(usize, &[u8], FileSystem); 16] = [
    (0, b"LUKS\xba\xbe", FileSystem::Luks),
    (3, b"-FVE-FS-", FileSystem::BitLocker),
    (0x1000, b"\xfc\x4e\x2b\xa9\x01\0\0\0", FileSystem::Raid),
    (0, b"\xfc\x4e\x2b\xa9\x01\0\0\0", FileSystem::Raid),
    (512 + 24, b"LVM2 001", FileSystem::Lvm),
    // The list in its first label, whose first name this is. It leaves 8 KiB before that alone.
    (0x4014, b"\0\0\0\x07version\0", FileSystem::Zfs),
    (0, b"XFSB", FileSystem::Xfs),
    (0, b"hsqs", FileSystem::SquashFs),
    (3, b"NTFS    ", FileSystem::Ntfs),
    (3, b"EXFAT   ", FileSystem::ExFat),
    (0x36, b"FAT12   ", FileSystem::Fat12),
    (0x36, b"FAT16   ", FileSystem::Fat16),
    (0x52, b"FAT32   ", FileSystem::Fat32),
    (0x1_0040, b"_BHRfS_M", FileSystem::Btrfs),
    (ext::MAGIC, b"\x53\xef", FileSystem::Ext2),
    (0x8001, b"CD001", FileSystem::Iso9660),
];

/// Places in the superblock of ext2 and its successors.
mod ext {
    const SUPERBLOCK: usize = 1024;
    pub(super) const MAGIC: usize = SUPERBLOCK + 0x38;
    pub(super) const COMPATIBLE: usize = SUPERBLOCK + 0x5c;
    pub(super) const INCOMPATIBLE: usize = SUPERBLOCK + 0x60;

    pub(super) const HAS_JOURNAL: u32 = 0x4;
    /// Incompatible features that ext3 has: directories with types, a journal to be replayed, one
    /// on another disk, groups of descriptors.
    pub(super) const OF_EXT3: u32 = 0x2 | 0x4 | 0x8 | 0x10;
}

impl FileSystem {
    /// What begins at `place` of an image; `None` if it is nothing that is known.
    pub(super) fn of(source: &Source, place: u64) -> Result<Option<Self>, Error> {
        Ok(Self::tell(&source.bytes_at(place, START)?))
    }

    fn tell(start: &[u8]) -> Option<Self> {
        let has = |place: usize, magic: &[u8]| {
            start
                .get(place..)
                .is_some_and(|there| there.starts_with(magic))
        };
        let mut magics = MAGICS.iter();
        let found = magics.find(|(place, magic, _)| has(*place, magic));
        if let Some((_, _, file_system)) = found {
            return Some(match file_system {
                Self::Ext2 => Self::tell_ext(start),
                other => *other,
            });
        }
        let is_swap = |page: &u32| has(*page as usize - 10, b"SWAPSPACE2");
        PAGES
            .into_iter()
            .find(is_swap)
            .map(|page| Self::Swap { page })
    }

    fn tell_ext(start: &[u8]) -> Self {
        let word = |place: usize| {
            let bytes = start.get(place..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        if word(ext::INCOMPATIBLE) & !ext::OF_EXT3 != 0 {
            return Self::Ext4;
        }
        match word(ext::COMPATIBLE) & ext::HAS_JOURNAL {
            0 => Self::Ext2,
            _ => Self::Ext3,
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Ntfs => "NTFS",
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
            Self::ExFat => "exFAT",
            Self::Xfs => "XFS",
            Self::Btrfs => "btrfs",
            Self::Swap { .. } => "swap",
            Self::Lvm => "LVM",
            Self::Luks => "LUKS",
            Self::BitLocker => "BitLocker",
            Self::Raid => "RAID",
            Self::Zfs => "ZFS",
            Self::SquashFs => "squashfs",
            Self::Iso9660 => "ISO 9660",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_magic_is_told_by_it() {
        assert_eq!(FileSystem::tell(&[]), None);
        assert_eq!(FileSystem::tell(&[0; START]), None);
        for (place, magic, file_system) in MAGICS {
            let mut start = vec![0; START];
            start[place..place + magic.len()].copy_from_slice(magic);
            assert_eq!(FileSystem::tell(&start), Some(file_system));
            assert_eq!(FileSystem::tell(&start[..place + magic.len() - 1]), None);
        }
        for page in PAGES {
            let mut start = vec![0; START];
            start[page as usize - 10..page as usize].copy_from_slice(b"SWAPSPACE2");
            assert_eq!(FileSystem::tell(&start), Some(FileSystem::Swap { page }));
        }
    }

    #[test]
    fn successors_of_ext2_are_told_by_their_features() {
        for (compatible, incompatible, file_system) in [
            (0x38, 0x2, FileSystem::Ext2),
            (0x3c, 0x6, FileSystem::Ext3),
            (0x3c, 0x2c2, FileSystem::Ext4),
            (0x38, 0x40, FileSystem::Ext4),
        ] {
            let mut start = vec![0; START];
            start[ext::MAGIC..ext::MAGIC + 2].copy_from_slice(b"\x53\xef");
            start[ext::COMPATIBLE] = compatible;
            start[ext::INCOMPATIBLE..ext::INCOMPATIBLE + 4]
                .copy_from_slice(&u32::to_le_bytes(incompatible));
            assert_eq!(FileSystem::tell(&start), Some(file_system));
        }
    }
}
