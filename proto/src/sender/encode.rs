//! What the caller makes of the image: FEC blocks, which the machine only names.
//!
//! Making them takes longer than sending them, so it is the caller's matter where that is done
//! (docs/protocol.md, "FEC code").

use core::ops::Range;

/// An FEC block that the caller made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FecBlock {
    /// Number of the slice.
    pub slice: u32,
    /// Which of its stripes.
    pub stripe: u16,
    /// Which row of that.
    pub row: u16,
}

/// A slice whose FEC blocks are to be made: for each stripe and row of
/// [`Config::fec`](super::Config::fec), as [`fec::encode`](crate::fec::encode) does from every
/// so-many-th block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encode {
    /// Its number.
    pub slice: u32,
    /// Its stream bytes, which have been [supplied](super::Sender::supply) and stay
    /// [needed](super::Sender::needed_from) meanwhile. Empty for the end of an asynchronous
    /// transfer, whose FEC blocks are zeroes.
    pub range: Range<u64>,
}
