//! Whether a file system says in its tables what it uses, or has a journal with more to say.
//!
//! One that was not unmounted has its last changes in a journal, and blocks that only the journal
//! knows count as free in its tables. partclone does not notice it of every file system, so that
//! it is looked for here. Places are those of the file systems' published formats.

use crate::error::Error;
use crate::layout::FileSystem;
use crate::source::Source;

mod ntfs;
mod xfs;

/// Why the tables are not to be relied on.
pub(super) type Unclean = &'static str;

const JOURNAL: Unclean = "it was not unmounted: its journal has changes that are not made yet";

/// Looks at the file system at `start` of the image.
pub(super) fn check(
    source: &Source,
    start: u64,
    contents: FileSystem,
) -> Result<Result<(), Unclean>, Error> {
    match contents {
        FileSystem::Ext3 | FileSystem::Ext4 => ext(source, start),
        FileSystem::Btrfs => btrfs(source, start),
        FileSystem::Xfs => xfs::check(source, start),
        FileSystem::Ntfs => ntfs::check(source, start),
        // They have no journal.
        _ => Ok(Ok(())),
    }
}

fn ext(source: &Source, start: u64) -> Result<Result<(), Unclean>, Error> {
    const INCOMPATIBLE: u64 = 1024 + 0x60;
    const RECOVER: u8 = 0x4;
    let features = source.bytes_at(start + INCOMPATIBLE, 4)?;
    let recover = features.first().is_none_or(|byte| byte & RECOVER != 0);
    Ok(if recover { Err(JOURNAL) } else { Ok(()) })
}

fn btrfs(source: &Source, start: u64) -> Result<Result<(), Unclean>, Error> {
    const SUPERBLOCK: u64 = 64 << 10;
    const LOG_ROOT: usize = 96;
    const DEVICES: usize = 136;
    let superblock = source.bytes_at(start + SUPERBLOCK, 4096)?;
    let number = |place| little(&superblock, place).unwrap_or(u64::MAX);
    if number(DEVICES) != 1 {
        return Ok(Err("it has other disks beside this one"));
    }
    Ok(match number(LOG_ROOT) {
        0 => Ok(()),
        _ => Err(JOURNAL),
    })
}

/// 8 bytes, little-endian.
fn little(bytes: &[u8], place: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

/// 2 bytes, little-endian.
fn little16(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

/// 4 bytes, little-endian.
fn little32(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}
