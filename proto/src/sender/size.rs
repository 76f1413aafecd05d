//! How many blocks the next slice gets.
//!
//! Each slice costs a request, answers and a wait, so larger ones pay. In full duplex two of them
//! are under way, and more than what receivers' buffers hold is lost. In half duplex the line is
//! idle while answers are awaited: slices grow until loss makes them dear (docs/protocol.md,
//! "Slice size").

use super::config::{Config, Duplex};
use crate::geometry::{DEFAULT_BLOCK_SIZE, MAX_SLICE_BLOCKS};

/// What a slice has in full duplex if receivers don't say how much they can hold, as stock's.
const FULL_DUPLEX: u16 = 112;
/// What the first slice has in half duplex, as stock's.
const HALF_DUPLEX: u16 = 130;
/// What neither loss nor small buffers shrink below, as stock's in half duplex.
const LEAST: u16 = 32;
/// What a datagram takes of a receiver's buffer beside its block. Measured: Linux counts 2304 bytes
/// for one with a block of the default size.
const OVERHEAD: u32 = 848;

/// What slices are fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// Nothing: all have the same size.
    Fixed,
    /// The receivers' buffers.
    Buffers,
    /// The loss that was seen.
    Loss,
}

/// The size of slices.
#[derive(Debug)]
pub(super) struct SliceSize {
    blocks: u16,
    block_size: u16,
    min: u16,
    max: u16,
    /// The largest size that went through without loss and was left for a larger one.
    good: Option<u16>,
    fit: Fit,
}

impl SliceSize {
    pub(super) fn new(config: &Config) -> Self {
        let sizes = config.slice_blocks;
        let usual = match (&config.fec, config.asynchronous, config.duplex) {
            (Some(layout), _, _) => layout.blocks(),
            (None, true, _) => MAX_SLICE_BLOCKS,
            (None, false, Duplex::Full) => FULL_DUPLEX,
            (None, false, Duplex::Half) => HALF_DUPLEX,
        };
        let usual = same_memory(usual, config.block_size);
        let max = sizes
            .max
            .unwrap_or(same_memory(MAX_SLICE_BLOCKS, config.block_size))
            .clamp(
                1,
                config
                    .fec
                    .map_or(MAX_SLICE_BLOCKS, |layout| layout.blocks()),
            );
        let least = sizes.default.unwrap_or(usual).min(LEAST);
        let min = sizes.min.unwrap_or(least).clamp(1, max);
        let blocks = sizes.default.unwrap_or(usual).clamp(min, max);
        let fit = match (config.duplex, sizes.default) {
            _ if config.fec.is_some() || config.asynchronous => Fit::Fixed,
            (Duplex::Half, _) => Fit::Loss,
            (Duplex::Full, None) => Fit::Buffers,
            (Duplex::Full, Some(_)) => Fit::Fixed,
        };
        Self {
            blocks,
            block_size: config.block_size,
            min,
            max,
            good: None,
            fit,
        }
    }

    /// Blocks for the next slice.
    pub(super) fn blocks(&self) -> u16 {
        self.blocks
    }

    /// As many blocks as are enough for a slice while the image's source has no more yet.
    pub(super) fn enough_blocks(&self) -> u16 {
        match self.fit {
            Fit::Buffers => self.blocks.min(FULL_DUPLEX),
            Fit::Fixed | Fit::Loss => self.blocks,
        }
    }

    /// The most blocks that a slice will ever get.
    pub(super) fn most_blocks(&self) -> u16 {
        match self.fit {
            Fit::Fixed => self.blocks,
            Fit::Buffers | Fit::Loss => self.max,
        }
    }

    /// Takes in the least of the receivers' buffers, in bytes; `None` if one of them did not say
    /// how large its is.
    pub(super) fn fit_buffers(&mut self, least: Option<u32>) {
        if self.fit != Fit::Buffers {
            return;
        }
        let usual = u32::from(same_memory(FULL_DUPLEX, self.block_size));
        let datagram = u32::from(self.block_size.max(DEFAULT_BLOCK_SIZE)) + OVERHEAD;
        let fitting = least.map_or(usual, |buffer| buffer / datagram / 2);
        let fitting = u16::try_from(fitting).unwrap_or(self.max);
        self.blocks = fitting.clamp(self.min, self.max);
    }

    /// Takes in how a slice of `blocks` blocks went. Shorter ones than were asked for, at the end
    /// of the image, teach nothing.
    pub(super) fn learn(&mut self, blocks: u16, lost: bool) {
        if self.fit != Fit::Loss || blocks < self.blocks {
            return;
        }
        if lost {
            let smaller = self.good.take().filter(|&good| good < self.blocks);
            self.blocks = smaller.unwrap_or(self.blocks / 2).max(self.min);
        } else {
            self.good = Some(self.blocks);
            let quarter = (self.blocks / 4).max(1);
            self.blocks = self.blocks.saturating_add(quarter).min(self.max);
        }
    }
}

/// As many blocks of `block_size` bytes as take the memory of `blocks` blocks of the default size,
/// if they are larger: receivers have memory for slices of those, and can't tell how much.
fn same_memory(blocks: u16, block_size: u16) -> u16 {
    let bytes = u32::from(blocks) * u32::from(DEFAULT_BLOCK_SIZE);
    let fitting = bytes / u32::from(block_size.max(DEFAULT_BLOCK_SIZE));
    u16::try_from(fitting).unwrap_or(blocks).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::MAX_BLOCK_SIZE;
    use crate::sender::SliceBlocks;

    fn size(duplex: Duplex) -> SliceSize {
        SliceSize::new(&Config {
            duplex,
            ..Config::default()
        })
    }

    #[test]
    fn in_full_duplex_two_slices_fit_the_least_buffer() {
        let mut size = size(Duplex::Full);
        let mut fitted = |least| {
            size.fit_buffers(least);
            size.blocks()
        };
        assert_eq!(fitted(None), 112);
        assert_eq!(fitted(Some(212_992)), 46);
        assert_eq!(fitted(Some(1 << 20)), 227);
        assert_eq!(fitted(Some(16 << 20)), 1024);
        assert_eq!(fitted(Some(u32::MAX)), 1024);
        assert_eq!(fitted(Some(1)), 32);
    }

    #[test]
    fn in_full_duplex_loss_changes_no_size() {
        let mut size = size(Duplex::Full);
        size.learn(112, true);
        size.learn(112, false);
        assert_eq!(size.blocks(), 112);
    }

    #[test]
    fn a_size_that_was_asked_for_is_kept() {
        let mut size = SliceSize::new(&Config {
            slice_blocks: SliceBlocks {
                default: Some(300),
                ..SliceBlocks::default()
            },
            ..Config::default()
        });
        size.fit_buffers(Some(212_992));
        assert_eq!((size.blocks(), size.most_blocks()), (300, 300));
    }

    #[test]
    fn half_duplex_grows_by_a_quarter_up_to_the_most() {
        let mut size = size(Duplex::Half);
        let mut seen = [0; 12];
        for blocks in &mut seen {
            *blocks = size.blocks();
            size.learn(*blocks, false);
        }
        assert_eq!(
            seen,
            [130, 162, 202, 252, 315, 393, 491, 613, 766, 957, 1024, 1024]
        );
    }

    #[test]
    fn loss_takes_it_back_to_the_last_good_size_and_then_by_halves() {
        let mut size = size(Duplex::Half);
        size.learn(130, false);
        let mut seen = [0; 5];
        for blocks in &mut seen {
            size.learn(size.blocks(), true);
            *blocks = size.blocks();
        }
        assert_eq!(seen, [130, 65, 32, 32, 32]);
    }

    #[test]
    fn a_short_slice_teaches_nothing_and_limits_hold_each_other() {
        let mut size = SliceSize::new(&Config {
            duplex: Duplex::Half,
            slice_blocks: SliceBlocks {
                default: Some(2000),
                min: Some(50),
                max: Some(40),
            },
            ..Config::default()
        });
        assert_eq!(size.blocks(), 40);
        size.learn(7, true);
        assert_eq!(size.blocks(), 40);
    }

    #[test]
    fn slices_of_larger_blocks_take_no_more_memory() {
        for duplex in [Duplex::Full, Duplex::Half] {
            let usual = Config {
                duplex,
                ..Config::default()
            };
            let large = Config {
                block_size: MAX_BLOCK_SIZE,
                ..usual.clone()
            };
            let small = Config {
                block_size: 512,
                ..usual.clone()
            };
            assert!(large.max_slice_len() <= usual.max_slice_len());
            assert!(SliceSize::new(&large).blocks() >= 2);
            assert_eq!(
                SliceSize::new(&small).blocks(),
                SliceSize::new(&usual).blocks()
            );
        }
        assert_eq!(Config::default().max_slice_len(), 1024 * 1456);
    }
}
