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

/// Stripes of a layout of which only the redundancy is given: what a stock sender takes then.
const USUAL_STRIPES: u16 = 8;

/// Why a [`Layout`] is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The text is none.
    Malformed,
    /// The redundancy or the stripe size is not from 1 to [`MAX_STRIPE`].
    Stripe {
        /// FEC blocks of a stripe.
        redundancy: u16,
        /// Data blocks of a stripe.
        stripe_size: u16,
    },
    /// All stripes together have no data block, or more than a slice can have.
    Blocks(u32),
    /// All stripes together have more FEC blocks than can be numbered.
    FecBlocks(u32),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not STRIPESxREDUNDANCY/STRIPESIZE, such as 8x8/128"),
            Self::Stripe {
                redundancy,
                stripe_size,
            } => write!(
                f,
                "redundancy {redundancy} and stripe size {stripe_size} are not both from 1 to \
                 {MAX_STRIPE}"
            ),
            Self::Blocks(blocks) => write!(
                f,
                "{blocks} blocks in all stripes are not from 1 to {MAX_SLICE_BLOCKS}"
            ),
            Self::FecBlocks(blocks) => write!(
                f,
                "{blocks} FEC blocks in all stripes are more than {}",
                u16::MAX
            ),
        }
    }
}

impl core::error::Error for LayoutError {}

impl Layout {
    /// A layout of `stripes` stripes with at most `stripe_size` data blocks and `redundancy` FEC
    /// blocks each.
    ///
    /// # Errors
    /// [`LayoutError`] if any is 0, the latter two are more than [`MAX_STRIPE`], or all data blocks
    /// together are more than a slice can have, or all FEC blocks more than their numbers on the
    /// wire.
    pub fn new(stripes: u16, redundancy: u16, stripe_size: u16) -> Result<Self, LayoutError> {
        let is_row = |count| (1..=MAX_STRIPE).contains(&count);
        if !is_row(redundancy) || !is_row(stripe_size) {
            return Err(LayoutError::Stripe {
                redundancy,
                stripe_size,
            });
        }
        let blocks = u32::from(stripes) * u32::from(stripe_size);
        if !(1..=u32::from(MAX_SLICE_BLOCKS)).contains(&blocks) {
            return Err(LayoutError::Blocks(blocks));
        }
        let fec_blocks = u32::from(stripes) * u32::from(redundancy);
        if fec_blocks > u32::from(u16::MAX) {
            return Err(LayoutError::FecBlocks(fec_blocks));
        }
        Ok(Self {
            stripes,
            redundancy,
            stripe_size,
        })
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

/// Reads STRIPESxREDUNDANCY/STRIPESIZE, as a stock sender does: without stripes there are 8, and a
/// stripe size that is not given or too large is 128, or as much as fits a slice.
impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<u16>().map_err(|_| LayoutError::Malformed);
        let (rows, stripe_size) = match text.split_once('/') {
            Some((rows, stripe_size)) => (rows, number(stripe_size)?),
            None => (text, MAX_STRIPE),
        };
        let (stripes, redundancy) = match rows.split_once('x') {
            Some((stripes, redundancy)) => (number(stripes)?, number(redundancy)?),
            None => (USUAL_STRIPES, number(rows)?),
        };
        let fitting = MAX_SLICE_BLOCKS.checked_div(stripes).unwrap_or(0);
        let stripe_size = stripe_size.min(MAX_STRIPE).min(fitting);
        Self::new(stripes, redundancy, stripe_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_the_command_line_has_it() {
        for (text, stripes, redundancy, stripe_size) in [
            ("8x8/128", 8, 8, 128),
            ("8x4", 8, 4, 128),
            ("16x4", 16, 4, 64),
            ("1x128/128", 1, 128, 128),
            // What a stock sender was seen to make of these.
            ("4", 8, 4, 128),
            ("4/64", 8, 4, 64),
            ("16x8/128", 16, 8, 64),
            ("9x8/128", 9, 8, 113),
            ("2x4/200", 2, 4, 128),
            ("1x4/300", 1, 4, 128),
        ] {
            let layout = Layout::new(stripes, redundancy, stripe_size);
            assert!(layout.is_ok(), "{text}");
            assert_eq!(text.parse(), layout, "{text}");
        }
        for wrong in [
            "",
            "8x",
            "x8",
            "8x8/128/1",
            "-1x8",
            "8X8",
            "65536x1/1",
            "8x8/",
        ] {
            assert_eq!(
                wrong.parse::<Layout>(),
                Err(LayoutError::Malformed),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_the_code_or_the_wire_has_no_numbers_for_is_refused() {
        for wrong in ["0x8", "8x0", "8x8/0", "8x129", "1025x1"] {
            let error = wrong.parse::<Layout>().unwrap_err();
            assert!(
                matches!(error, LayoutError::Stripe { .. }),
                "{wrong}: {error}"
            );
        }
        assert_eq!(Layout::new(9, 8, 128), Err(LayoutError::Blocks(1152)));
        assert_eq!(Layout::new(0, 8, 128), Err(LayoutError::Blocks(0)));
        assert_eq!(
            Layout::new(512, 127, 2).map(|layout| layout.fec_blocks()),
            Ok(65_024)
        );
        for (text, blocks) in [("1024x64/1", 65_536), ("600x128/1", 76_800)] {
            assert_eq!(text.parse::<Layout>(), Err(LayoutError::FecBlocks(blocks)));
        }
    }
}
