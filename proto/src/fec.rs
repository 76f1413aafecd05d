//! Forward error correction: how a slice is dealt into stripes, and the code over each stripe.
//!
//! A sender adds blocks from which receivers rebuild those that were lost, so that a loss costs no
//! question and no answer; without a way back it is the only help there is (docs/protocol.md, "FEC
//! code").

use core::fmt;

use crate::geometry::MAX_SLICE_BLOCKS;

/// Most data blocks in a stripe, and most FEC blocks for one: what the code has columns and rows
/// for.
pub const MAX_STRIPE: u16 = 128;

/// How the blocks of a slice are dealt into stripes (docs/protocol.md, "FEC code").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    stripes: u16,
    redundancy: u16,
    stripe_size: u16,
}

/// Why a [`Layout`] is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutError;

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not STRIPESxREDUNDANCY/STRIPESIZE with redundancy and stripe size from 1 to 128 and \
             at most 1024 blocks in all stripes",
        )
    }
}

impl core::error::Error for LayoutError {}

impl Layout {
    /// A layout of `stripes` stripes with at most `stripe_size` data blocks and `redundancy` FEC
    /// blocks each.
    ///
    /// # Errors
    /// If any is 0, the latter two are more than [`MAX_STRIPE`], or all data blocks together are
    /// more than a slice can have.
    pub fn new(stripes: u16, redundancy: u16, stripe_size: u16) -> Result<Self, LayoutError> {
        let is_row = |count| (1..=MAX_STRIPE).contains(&count);
        let blocks = u32::from(stripes) * u32::from(stripe_size);
        let fits = (1..=u32::from(MAX_SLICE_BLOCKS)).contains(&blocks);
        (is_row(redundancy) && is_row(stripe_size) && fits)
            .then_some(Self {
                stripes,
                redundancy,
                stripe_size,
            })
            .ok_or(LayoutError)
    }

    /// How many stripes a slice has.
    #[must_use]
    pub const fn stripes(&self) -> u16 {
        self.stripes
    }

    /// FEC blocks of each stripe.
    #[must_use]
    pub const fn redundancy(&self) -> u16 {
        self.redundancy
    }

    /// Most data blocks of each stripe.
    #[must_use]
    pub const fn stripe_size(&self) -> u16 {
        self.stripe_size
    }

    /// Most data blocks of a slice.
    #[must_use]
    pub const fn blocks(&self) -> u16 {
        self.stripes * self.stripe_size
    }

    /// FEC blocks of each slice, however short.
    #[must_use]
    pub const fn fec_blocks(&self) -> u16 {
        self.stripes * self.redundancy
    }
}
