//! What fills a partition, told by its first sectors: kinds of volumes and their labels.
//!
//! Bytes of a disk that anybody may have written, so that nothing in them is believed.

use core::fmt;
use core::ops::Range;

use crate::disk_identity::{Text, text};

/// A file system, or what else fills a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    /// What it is.
    kind: &'static str,
    /// What it is called; empty if it has no name, or keeps it elsewhere.
    label: Text,
}

const NTFS: &str = "NTFS";

/// Kinds of volumes that are told by a few bytes: name, offset and bytes that tell.
pub(crate) const SIGNATURES: [(&str, usize, &[u8]); 6] = [
    (NTFS, 3, b"NTFS    "),
    ("exFAT", 3, b"EXFAT   "),
    ("BitLocker", 3, b"-FVE-FS-"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("XFS", 0, b"XFSB"),
    ("LVM", 512, b"LABELONE"),
];

impl Volume {
    /// The volume that begins with these bytes, if it is of a kind that is known.
    pub(crate) fn recognise(start: &[u8]) -> Option<Self> {
        let by_signature = SIGNATURES.iter().find_map(|&(kind, offset, signature)| {
            start.get(offset..)?.starts_with(signature).then_some(Self {
                kind,
                label: Text::new(),
            })
        });
        by_signature.or_else(|| fat(start)).or_else(|| ext(start))
    }

    /// Where in the volume that begins with `start` its label has to be read, if it is elsewhere:
    /// an offset and a number of bytes, 4096 at most.
    pub(crate) fn label_record(&self, start: &[u8]) -> Option<(u64, usize)> {
        (self.kind == NTFS).then(|| ntfs_record(start)).flatten()
    }

    /// Takes the label from what was read there.
    pub(crate) fn take_label(&mut self, record: &mut [u8]) {
        self.label = ntfs_label(record).unwrap_or_default();
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if self.label.is_empty() {
            return Ok(());
        }
        write!(f, " \"{}\"", self.label)
    }
}

mod fat_field {
    use core::ops::Range;

    pub(super) const JUMP: usize = 0;
    pub(super) const BYTES_PER_SECTOR: Range<usize> = 11..13;
    pub(super) const SECTORS_PER_CLUSTER: usize = 13;
    pub(super) const RESERVED_SECTORS: Range<usize> = 14..16;
    pub(super) const TABLES: usize = 16;
    pub(super) const ROOT_ENTRIES: Range<usize> = 17..19;
    pub(super) const MEDIA: usize = 21;
    pub(super) const SIGNATURE: Range<usize> = 510..512;

    /// Place of the mark that a label follows, 5 bytes later: FAT12 and FAT16, then FAT32.
    pub(super) const EXTENDED: [usize; 2] = [38, 66];
    pub(super) const EXTENDED_MARK: u8 = 0x29;
    pub(super) const LABEL: Range<usize> = 5..16;
}

/// A FAT volume. Its label is that of the boot sector; programs that change only the one in the
/// root folder leave another here, or none.
fn fat(start: &[u8]) -> Option<Volume> {
    let byte = |at: usize| start.get(at).copied();
    let sector = u16_at(start, fat_field::BYTES_PER_SECTOR)?;
    let is_fat = start.get(fat_field::SIGNATURE)? == [0x55, 0xaa]
        && matches!(byte(fat_field::JUMP)?, 0xeb | 0xe9)
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && byte(fat_field::SECTORS_PER_CLUSTER)?.is_power_of_two()
        && u16_at(start, fat_field::RESERVED_SECTORS)? > 0
        && matches!(byte(fat_field::TABLES)?, 1 | 2)
        && byte(fat_field::MEDIA)? >= 0xf0;
    if !is_fat {
        return None;
    }
    let [small, large] = fat_field::EXTENDED;
    let is_large = u16_at(start, fat_field::ROOT_ENTRIES)? == 0;
    let extended = start.get(if is_large { large } else { small }..)?;
    let label = match extended {
        [fat_field::EXTENDED_MARK, ..] => text(extended.get(fat_field::LABEL)?.iter().copied()),
        _ => Text::new(),
    };
    let is_named = label != "NO NAME";
    Some(Volume {
        kind: "FAT",
        label: if is_named { label } else { Text::new() },
    })
}

mod ext_field {
    use core::ops::Range;

    /// Where the superblock is; the others are relative to it.
    pub(super) const SUPERBLOCK: Range<usize> = 1024..2048;

    pub(super) const MAGIC: Range<usize> = 56..58;
    pub(super) const COMPATIBLE: Range<usize> = 92..96;
    pub(super) const INCOMPATIBLE: Range<usize> = 96..100;
    pub(super) const LABEL: Range<usize> = 120..136;

    pub(super) const HAS_JOURNAL: u32 = 0x4;
    /// Extents, 64 bits, flexible groups: what came with ext4.
    pub(super) const OF_EXT4: u32 = 0x40 | 0x80 | 0x200;
}

fn ext(start: &[u8]) -> Option<Volume> {
    let superblock = start.get(ext_field::SUPERBLOCK)?;
    if superblock.get(ext_field::MAGIC)? != [0x53, 0xef] {
        return None;
    }
    let compatible = u32_at(superblock, ext_field::COMPATIBLE)?;
    let incompatible = u32_at(superblock, ext_field::INCOMPATIBLE)?;
    let kind = if incompatible & ext_field::OF_EXT4 != 0 {
        "ext4"
    } else if compatible & ext_field::HAS_JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    };
    let label = superblock.get(ext_field::LABEL)?;
    let label = label.split(|&byte| byte == 0).next()?;
    Some(Volume {
        kind,
        label: text(label.iter().copied()),
    })
}

mod ntfs_field {
    use core::ops::Range;

    /// Of the boot sector.
    pub(super) const BYTES_PER_SECTOR: Range<usize> = 11..13;
    pub(super) const SECTORS_PER_CLUSTER: usize = 13;
    pub(super) const MFT_CLUSTER: Range<usize> = 48..56;
    pub(super) const RECORD_SIZE: usize = 64;

    /// Of a record of the master file table.
    pub(super) const RECORD_SIGNATURE: &[u8] = b"FILE";
    pub(super) const FIXUP_OFFSET: Range<usize> = 4..6;
    pub(super) const FIXUP_COUNT: Range<usize> = 6..8;
    pub(super) const FIRST_ATTRIBUTE: Range<usize> = 20..22;

    /// Of an attribute.
    pub(super) const KIND: Range<usize> = 0..4;
    pub(super) const LENGTH: Range<usize> = 4..8;
    pub(super) const IS_ELSEWHERE: usize = 8;
    pub(super) const CONTENT_LENGTH: Range<usize> = 16..20;
    pub(super) const CONTENT_OFFSET: Range<usize> = 20..22;

    pub(super) const VOLUME_NAME: u32 = 0x60;
    /// Number of the record that has it.
    pub(super) const VOLUME_RECORD: u64 = 3;
    /// The last two bytes of each piece of a record of this length are kept elsewhere.
    pub(super) const FIXUP_STRIDE: usize = 512;
}

/// Where the volume's record of the master file table is, and how long, by the boot sector.
fn ntfs_record(boot: &[u8]) -> Option<(u64, usize)> {
    /// Records have 1024 bytes, or 4096 on disks with such sectors.
    const LENGTHS: core::ops::RangeInclusive<u64> = 512..=4096;

    let sector = u64::from(u16_at(boot, ntfs_field::BYTES_PER_SECTOR)?);
    // Counts above 128 stand for a power of two, by its negative exponent.
    let power = |count: u8| 1_u64.checked_shl(u32::from(count.wrapping_neg()));
    let cluster = match *boot.get(ntfs_field::SECTORS_PER_CLUSTER)? {
        count @ 0..=128 => u64::from(count),
        count => power(count)?,
    };
    let cluster = cluster.checked_mul(sector)?;
    let length = match *boot.get(ntfs_field::RECORD_SIZE)? {
        count @ 0..=127 => u64::from(count).checked_mul(cluster)?,
        count => power(count)?,
    };
    if !LENGTHS.contains(&length) {
        return None;
    }
    let table = u64_at(boot, ntfs_field::MFT_CLUSTER)?.checked_mul(cluster)?;
    let offset = table.checked_add(ntfs_field::VOLUME_RECORD * length)?;
    Some((offset, usize::try_from(length).ok()?))
}

/// The label in a record.
fn ntfs_label(record: &mut [u8]) -> Option<Text> {
    if !record.starts_with(ntfs_field::RECORD_SIGNATURE) {
        return None;
    }
    put_back(record)?;
    let mut rest = record.get(usize::from(u16_at(record, ntfs_field::FIRST_ATTRIBUTE)?)..)?;
    while u32_at(rest, ntfs_field::KIND)? != ntfs_field::VOLUME_NAME {
        let length = usize::try_from(u32_at(rest, ntfs_field::LENGTH)?).ok()?;
        // One without a length would be met again and again.
        rest = rest.get(length.max(1)..)?;
    }
    if *rest.get(ntfs_field::IS_ELSEWHERE)? != 0 {
        return None;
    }
    let length = usize::try_from(u32_at(rest, ntfs_field::CONTENT_LENGTH)?).ok()?;
    let content = rest.get(usize::from(u16_at(rest, ntfs_field::CONTENT_OFFSET)?)..)?;
    let units = content.get(..length)?.chunks_exact(2);
    Some(text(units.map(|unit| match *unit {
        [low, 0] if low.is_ascii() => low,
        _ => b'?',
    })))
}

/// Puts the bytes at the end of each piece of a record in their places.
fn put_back(record: &mut [u8]) -> Option<()> {
    let start = usize::from(u16_at(record, ntfs_field::FIXUP_OFFSET)?);
    let count = usize::from(u16_at(record, ntfs_field::FIXUP_COUNT)?);
    // The first is what stands in the places.
    for place in 1..count {
        let kept = start.checked_add(2 * place)?;
        let kept: [u8; 2] = record.get(kept..)?.first_chunk().copied()?;
        let end = place.checked_mul(ntfs_field::FIXUP_STRIDE)?;
        record.get_mut(end - 2..end)?.copy_from_slice(&kept);
    }
    Some(())
}

fn u16_at(bytes: &[u8], field: Range<usize>) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], field: Range<usize>) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], field: Range<usize>) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}
