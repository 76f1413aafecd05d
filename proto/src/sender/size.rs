//! How many blocks the next slice gets.
//!
//! In full duplex the size is fixed. In half duplex the line is idle while answers are awaited, so
//! larger slices pay, until loss makes them dear (docs/protocol.md, "Session").

use super::config::{Config, Duplex};
use crate::geometry::{DEFAULT_BLOCK_SIZE, MAX_SLICE_BLOCKS};

/// What a slice has in full duplex, as stock's: two of them fit a socket's usual buffer.
const FULL_DUPLEX: u16 = 112;
/// What the first slice has in half duplex, as stock's.
const HALF_DUPLEX: u16 = 130;
/// What loss does not shrink below in half duplex, as stock's.
const LEAST: u16 = 32;

/// The size of slices, adapted to loss in half duplex.
#[derive(Debug)]
pub(super) struct SliceSize {
    blocks: u16,
    min: u16,
    max: u16,
    /// The largest size that went through without loss and was left for a larger one.
    good: Option<u16>,
    adaptive: bool,
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
        Self {
            blocks,
            min,
            max,
            good: None,
            adaptive: config.duplex == Duplex::Half && config.fec.is_none() && !config.asynchronous,
        }
    }

    /// Blocks for the next slice.
    pub(super) fn blocks(&self) -> u16 {
        self.blocks
    }

    /// The most blocks that a slice will ever get.
    pub(super) fn most_blocks(&self) -> u16 {
        match self.adaptive {
            true => self.max,
            false => self.blocks,
        }
    }

    /// Takes in how a slice of `blocks` blocks went. Shorter ones than were asked for, at the end
    /// of the image, teach nothing.
    pub(super) fn learn(&mut self, blocks: u16, lost: bool) {
        if !self.adaptive || blocks < self.blocks {
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
    fn full_duplex_keeps_its_size() {
        let mut size = size(Duplex::Full);
        size.learn(112, true);
        size.learn(112, false);
        assert_eq!(size.blocks(), 112);
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
        assert_eq!(Config::default().max_slice_len(), 112 * 1456);
    }
}
