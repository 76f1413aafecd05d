//! How the blocks of a slice are dealt into stripes.
//!
//! Neighbours belong to different stripes, so that a burst of losses is shared by all of them
//! (docs/protocol.md, "FEC code").

use core::fmt;
use core::str::FromStr;

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

/// Reads what `--fec` takes: STRIPESxREDUNDANCY/STRIPESIZE. Without a stripe size it is 128, or as
/// many as fit a slice.
impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<u16>().map_err(|_| LayoutError);
        let (rows, stripe_size) = match text.split_once('/') {
            Some((rows, stripe_size)) => (rows, Some(number(stripe_size)?)),
            None => (text, None),
        };
        let (stripes, redundancy) = rows.split_once('x').ok_or(LayoutError)?;
        let (stripes, redundancy) = (number(stripes)?, number(redundancy)?);
        let fitting = MAX_SLICE_BLOCKS.checked_div(stripes).unwrap_or(0);
        Self::new(
            stripes,
            redundancy,
            stripe_size.unwrap_or(fitting.min(MAX_STRIPE)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_the_command_line_has_it() {
        assert_eq!("8x8/128".parse(), Layout::new(8, 8, 128));
        assert_eq!("8x4".parse(), Layout::new(8, 4, 128));
        assert_eq!("16x4".parse(), Layout::new(16, 4, 64));
        assert_eq!("1x128/128".parse(), Layout::new(1, 128, 128));
        for wrong in [
            "",
            "8",
            "8x",
            "x8",
            "0x8",
            "8x0",
            "8x8/0",
            "8x129",
            "1x1/129",
            "8x8/129",
            "9x8/128",
            "8x8/128/1",
            "-1x8",
            "8X8",
            "65536x1/1",
            "1025x1",
        ] {
            assert_eq!(wrong.parse::<Layout>(), Err(LayoutError), "{wrong}");
        }
    }
}
