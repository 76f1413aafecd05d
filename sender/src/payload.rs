//! What follows a message's head, by its place: image bytes or an FEC block.
//!
//! The bytes stay where they are until the system takes them, so whatever waits for room has to be
//! asked what it refers to before memory is used for something else.

use std::ops::Range;

use ironcast_proto::sender::{FecBlock, Transmit};

use crate::encoder::Encoder;
use crate::source::Source;

/// The bytes behind a message's head.
pub(crate) enum Payload {
    /// Of the image, from and to these stream offsets; perhaps none.
    Image(Range<u64>),
    /// An FEC block.
    Fec(FecBlock),
}

impl Payload {
    /// What follows a message.
    pub(crate) fn of(transmit: &Transmit) -> Self {
        match transmit.fec {
            Some(block) => Self::Fec(block),
            None => Self::Image(transmit.payload.clone()),
        }
    }

    /// How many bytes there are to be, be they there or not.
    pub(crate) fn len(&self, encoder: Option<&Encoder>) -> usize {
        match self {
            // No longer than a block.
            Self::Image(range) => (range.end - range.start) as usize,
            Self::Fec(_) => encoder.map_or(0, Encoder::block_size),
        }
    }

    /// The bytes themselves; none if they are not there.
    pub(crate) fn bytes<'b>(&self, source: &'b Source, encoder: Option<&'b Encoder>) -> &'b [u8] {
        match (self, encoder) {
            (Self::Image(range), _) => source.block(range.clone()),
            (Self::Fec(block), Some(encoder)) => encoder.block(*block),
            (Self::Fec(_), None) => &[],
        }
    }
}
