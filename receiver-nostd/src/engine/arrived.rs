//! How much of a stream is there, and how far the next step over it goes.

use super::checksums::UNIT_LEN;

/// Most bytes that one step hashes or takes to decode. Pure Rust on firmware's terms (no SIMD) does
/// some 400 MB/s, an emulated CPU 50, so that a step takes less than a millisecond even there.
pub(super) const PIECE_LEN: u64 = UNIT_LEN as u64;

/// How much of the stream is in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Offset up to which every byte has arrived.
    pub(super) upto: u64,
    /// Whether the stream ends there.
    pub(super) is_all: bool,
    /// Whether the sender's next blocks find no room, so that waiting for more would be for ever.
    pub(super) is_pressed: bool,
    /// Whether more has come since the last step, so that more is likely to come right now.
    pub(super) is_busy: bool,
}

impl Arrived {
    /// How far a step over units of `unit` bytes goes that begins at `from`: to the unit's end, or
    /// as far as the stream goes. `None` to wait.
    pub(super) fn end_of_unit(&self, from: u64, unit: u64) -> Option<u64> {
        let end = (from / unit + 1) * unit;
        if self.upto >= end {
            Some(end)
        } else if self.is_all && self.upto > from {
            Some(self.upto)
        } else {
            None
        }
    }

    /// How far a step goes that hashes or decodes from `from` on: over a piece, or over less if
    /// waiting for more would be for ever; nowhere to wait.
    pub(super) fn end_of_piece(&self, from: u64) -> u64 {
        self.end_of_unit(from, PIECE_LEN)
            .or_else(|| self.is_pressed.then_some(self.upto))
            .unwrap_or(from)
    }
}
