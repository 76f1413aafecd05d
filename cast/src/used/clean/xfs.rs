//! The log of XFS, whose last record says whether it was unmounted.

use super::{JOURNAL, Unclean};
use crate::error::Error;
use crate::source::Source;

/// What every record of the log begins with.
const MAGIC: [u8; 4] = [0xfe, 0xed, 0xba, 0xbe];

/// Bytes of a block of the log.
const BLOCK: usize = 512;

/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;

/// Bytes of a record for each block of its header.
const RECORD_FOR_HEADER: u32 = 32 << 10;

/// Places in the superblock; numbers are big-endian.
mod superblock {
    pub(super) const BLOCK_SIZE: usize = 4;
    pub(super) const LOG_START: usize = 48;
    pub(super) const GROUP_BLOCKS: usize = 84;
    pub(super) const LOG_BLOCKS: usize = 96;
    pub(super) const GROUP_BITS: usize = 124;
}

/// Places in a record's header.
mod record {
    pub(super) const VERSION: usize = 8;
    pub(super) const SEQUENCE: usize = 16;
    pub(super) const OPERATIONS: usize = 40;
    pub(super) const SIZE: usize = 320;
}

/// Where an operation has its flags, and the one that says that the log ends well.
const FLAGS: usize = 9;
const UNMOUNTED: u8 = 0x20;

pub(super) fn check(source: &Source, start: u64) -> Result<Result<(), Unclean>, Error> {
    let superblock = source.bytes_at(start, BLOCK)?;
    let Some((place, len)) = log(&superblock) else {
        return Ok(Err("its log is on another disk, or can't be found"));
    };
    let (begin, end) = (
        start.saturating_add(place),
        start.saturating_add(place + len),
    );
    // Sequence number and place of the last record.
    let mut last = (0, None);
    let mut piece_start = begin;
    while piece_start < end {
        let piece_end = end.min(piece_start + PIECE);
        let piece = piece_start..piece_end;
        if source.has_data(&piece) {
            let bytes = source.bytes_at(piece_start, (piece_end - piece_start) as usize)?;
            for (number, block) in (0..).zip(bytes.chunks_exact(BLOCK)) {
                let sequence = u64_at(block, record::SEQUENCE).unwrap_or_default();
                if block.starts_with(&MAGIC) && sequence >= last.0 {
                    last = (sequence, Some(piece_start + number * BLOCK as u64));
                }
            }
        }
        piece_start = piece_end;
    }
    let Some(place) = last.1 else {
        return Ok(Err(JOURNAL));
    };
    let header = source.bytes_at(place, BLOCK)?;
    let behind = place + header_blocks(&header) * BLOCK as u64;
    // It may begin anew there.
    let behind = if behind < end {
        behind
    } else {
        begin + (behind - end)
    };
    let operation = source.bytes_at(behind, BLOCK)?;
    let is_last = u32_at(&header, record::OPERATIONS) == Some(1)
        && operation
            .get(FLAGS)
            .is_some_and(|flags| flags & UNMOUNTED != 0);
    Ok(if is_last { Ok(()) } else { Err(JOURNAL) })
}

/// Where the log begins in the file system, and its bytes; `None` if it is not there.
fn log(superblock: &[u8]) -> Option<(u64, u64)> {
    let block = u64::from(u32_at(superblock, superblock::BLOCK_SIZE)?);
    let start = u64_at(superblock, superblock::LOG_START)?;
    let group = u64::from(u32_at(superblock, superblock::GROUP_BLOCKS)?);
    let blocks = u64::from(u32_at(superblock, superblock::LOG_BLOCKS)?);
    let bits = u32::from(*superblock.get(superblock::GROUP_BITS)?);
    if start == 0 || !block.is_power_of_two() || block < BLOCK as u64 || bits >= u64::BITS {
        return None;
    }
    let inside = start & ((1 << bits) - 1);
    let place = (start >> bits).checked_mul(group)?.checked_add(inside)?;
    Some((place.checked_mul(block)?, blocks.checked_mul(block)?))
}

fn header_blocks(header: &[u8]) -> u64 {
    let version = u32_at(header, record::VERSION).unwrap_or_default();
    let size = u32_at(header, record::SIZE).unwrap_or_default();
    match version & 2 {
        0 => 1,
        _ => u64::from(size.div_ceil(RECORD_FOR_HEADER)).max(1),
    }
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(place..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], place: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(place..)?.first_chunk()?))
}
