//! REQACK: the sender asks who has the whole slice.

use core::fmt;

use super::field::{self as wire_field, put};
use super::{BufferTooShort, Error, Opcode};
use crate::bits::BitSet;

mod field {
    use super::super::field::{Field, OPCODE, after};
    use crate::bits;

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
    pub(super) const SLICE: Field = after(&RESERVED, 4);
    pub(super) const SLICE_BYTES: Field = after(&SLICE, 4);
    pub(super) const RXMIT: Field = after(&SLICE_BYTES, 4);
    pub(super) const READY: Field = after(&RXMIT, bits::WIRE_LEN);
}

/// REQACK (docs/protocol.md, "REQACK").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReqAck {
    /// The slice's number.
    pub slice: u32,
    /// Bytes of the image that the slice carries; 0 in the slice that ends the stream.
    pub slice_bytes: u32,
    /// The round of this question; rounds of a slice count from 0.
    pub rxmit: u32,
    /// The numbers of the receivers that said OK already and need not answer.
    pub ready: BitSet,
}

impl ReqAck {
    /// Bytes of the message.
    pub const LEN: usize = field::READY.end;

    /// Bytes that a message has at least: read as zero, a missing byte count would be the stream's
    /// end. Of a ready set that is cut off, the rest reads as receivers that are to answer.
    pub const MIN_LEN: usize = field::RXMIT.end;

    /// Reads the message. Bytes behind [`Self::LEN`] are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there are less than [`Self::MIN_LEN`] bytes. [`Error::WrongOpcode`]
    /// if this is another message.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        wire_field::check(datagram, Opcode::REQACK, Self::MIN_LEN)?;
        Ok(Self {
            slice: wire_field::u32(datagram, field::SLICE),
            slice_bytes: wire_field::u32(datagram, field::SLICE_BYTES),
            rxmit: wire_field::u32(datagram, field::RXMIT),
            ready: BitSet::from_bytes(wire_field::bytes(datagram, field::READY)),
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        Self::LEN
    }

    /// Writes the message and returns its length.
    ///
    /// # Errors
    /// [`BufferTooShort`] if `buffer` has less than [`Self::buffer_len`] bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let message = wire_field::start::<{ Self::LEN }>(buffer, Opcode::REQACK)?;
        put(message, field::SLICE, &self.slice.to_be_bytes());
        put(message, field::SLICE_BYTES, &self.slice_bytes.to_be_bytes());
        put(message, field::RXMIT, &self.rxmit.to_be_bytes());
        put(message, field::READY, self.ready.as_bytes());
        Ok(Self::LEN)
    }
}

impl fmt::Display for ReqAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slice,
            slice_bytes,
            rxmit,
            ready,
        } = self;
        let ready = ready.len();
        write!(
            f,
            "REQACK slice {slice} of {slice_bytes} bytes, rxmit {rxmit}, {ready} ready"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [u8; 16] = [0, 6, 0, 0, 0, 0, 0, 2, 0, 2, 0x7d, 0x00, 0, 0, 0, 1];

    fn bytes() -> [u8; 144] {
        let mut bytes = [0; 144];
        bytes[..16].copy_from_slice(&HEAD);
        bytes[17] = 0b0000_0010;
        bytes
    }

    fn message() -> ReqAck {
        let mut ready = BitSet::EMPTY;
        ready.insert(9);
        ReqAck {
            slice: 2,
            slice_bytes: 163_072,
            rxmit: 1,
            ready,
        }
    }

    #[test]
    fn bytes_become_the_message() {
        assert_eq!(ReqAck::parse(&bytes()), Ok(message()));
    }

    #[test]
    fn the_message_becomes_bytes() {
        let mut buffer = [0xaa; 144];
        assert_eq!(message().emit(&mut buffer), Ok(144));
        assert_eq!(buffer, bytes());
        assert!(message().emit(&mut buffer[..143]).is_err());
    }

    #[test]
    fn a_cut_off_message_never_ends_the_stream() {
        assert_eq!(ReqAck::parse(&HEAD).unwrap().ready, BitSet::EMPTY);
        for got in 2..16 {
            let error = Error::Truncated {
                opcode: Some(Opcode::REQACK),
                needed: 16,
                got,
            };
            assert_eq!(ReqAck::parse(&HEAD[..got]), Err(error));
        }
    }
}
