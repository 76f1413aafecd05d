//! How an image is cut into slices and blocks.
//!
//! Both ends count alike, so the arithmetic stands once (docs/protocol.md, "Geometry").

use crate::bits;

/// Most blocks in a slice: as many as RETRANSMIT's map has bits.
pub const MAX_SLICE_BLOCKS: u16 = bits::CAPACITY as u16;

/// Most receivers at one sender: as many as REQACK's ready set has bits.
pub const MAX_RECEIVERS: u16 = bits::CAPACITY as u16;

/// Bytes in a block unless the sender says otherwise: with 16 bytes of DATA header and 28 of IP and
/// UDP they fill a frame of 1500.
pub const DEFAULT_BLOCK_SIZE: u16 = 1456;

/// Largest block: a UDP payload of 65,507 bytes less DATA's header, down to a multiple of 4.
pub const MAX_BLOCK_SIZE: u16 = 65_488;

/// Smallest block: sizes are multiples of 4, and 0 would carry nothing.
pub const MIN_BLOCK_SIZE: u16 = 4;

/// Why a block size can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSizeError(
    /// The size that was asked for, in bytes.
    pub u32,
);

impl core::fmt::Display for BlockSizeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "block size {} is not a multiple of 4 from {MIN_BLOCK_SIZE} to {MAX_BLOCK_SIZE}",
            self.0
        )
    }
}

impl core::error::Error for BlockSizeError {}

/// Checks a block size in bytes, as an operator or a sender gives it.
///
/// # Errors
/// If `size` is not a multiple of 4 from [`MIN_BLOCK_SIZE`] to [`MAX_BLOCK_SIZE`].
pub fn check_block_size(size: u32) -> Result<u16, BlockSizeError> {
    match u16::try_from(size) {
        Ok(size @ MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE) if size % 4 == 0 => Ok(size),
        _ => Err(BlockSizeError(size)),
    }
}

/// How many blocks `bytes` take, the last one perhaps short.
#[must_use]
pub const fn blocks_in(bytes: u32, block_size: u16) -> u32 {
    bytes.div_ceil(block_size as u32)
}

/// Bytes that block number `block` of a slice of `bytes` carries; 0 if the slice has no such block.
#[must_use]
pub fn block_len(bytes: u32, block_size: u16, block: u16) -> u32 {
    let start = u32::from(block) * u32::from(block_size);
    bytes.saturating_sub(start).min(u32::from(block_size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_carries_what_is_left() {
        assert_eq!(blocks_in(0, 1456), 0);
        assert_eq!(blocks_in(1457, 1456), 2);
        assert_eq!(block_len(1457, 1456, 0), 1456);
        assert_eq!(block_len(1457, 1456, 1), 1);
        assert_eq!(block_len(1457, 1456, 2), 0);
        assert_eq!(
            block_len(u32::MAX, MAX_BLOCK_SIZE, u16::MAX),
            u32::from(MAX_BLOCK_SIZE)
        );
    }

    #[test]
    fn block_sizes_out_of_range_name_the_size() {
        assert_eq!(check_block_size(1456), Ok(1456));
        for size in [0, 3, 1455, 65_492, 70_000] {
            assert_eq!(check_block_size(size), Err(BlockSizeError(size)));
        }
    }
}
