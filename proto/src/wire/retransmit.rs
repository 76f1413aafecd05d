//! RETRANSMIT: a receiver lacks blocks of the slice.

use core::fmt;

use super::field::{self as wire_field, put};
use super::{BufferTooShort, Error, Opcode};
use crate::bits::BitSet;

mod field {
    use super::super::field::{Field, OPCODE, after};
    use crate::bits;

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
    pub(super) const SLICE: Field = after(&RESERVED, 4);
    pub(super) const RXMIT: Field = after(&SLICE, 4);
    pub(super) const MAP: Field = after(&RXMIT, bits::WIRE_LEN);
}

/// RETRANSMIT (docs/protocol.md, "RETRANSMIT").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmit {
    /// The slice's number.
    pub slice: u32,
    /// The round of the REQACK that this answers; rounds of a slice count from 0.
    pub rxmit: u32,
    /// The blocks that the receiver has. Members behind the slice's last block mean nothing.
    pub received: BitSet,
}

impl Retransmit {
    /// Bytes of the message.
    pub const LEN: usize = field::MAP.end;

    /// Bytes that a message has at least: of a map that is cut off, the rest reads as blocks that
    /// the receiver lacks.
    pub const MIN_LEN: usize = field::RXMIT.end;

    /// Reads the message. Bytes behind [`Self::LEN`] are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there are less than [`Self::MIN_LEN`] bytes. [`Error::WrongOpcode`]
    /// if this is another message.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        wire_field::check(datagram, Opcode::RETRANSMIT, Self::MIN_LEN)?;
        Ok(Self {
            slice: wire_field::u32(datagram, field::SLICE),
            rxmit: wire_field::u32(datagram, field::RXMIT),
            received: BitSet::from_bytes(wire_field::bytes(datagram, field::MAP)),
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
        let message = wire_field::start::<{ Self::LEN }>(buffer, Opcode::RETRANSMIT)?;
        put(message, field::SLICE, &self.slice.to_be_bytes());
        put(message, field::RXMIT, &self.rxmit.to_be_bytes());
        put(message, field::MAP, self.received.as_bytes());
        Ok(Self::LEN)
    }
}

impl fmt::Display for Retransmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slice,
            rxmit,
            received,
        } = self;
        let blocks = received.len();
        write!(
            f,
            "RETRANSMIT slice {slice} rxmit {rxmit}, has {blocks} blocks"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [u8; 12] = [0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 0, 130];

    fn bytes() -> [u8; 140] {
        let mut bytes = [0; 140];
        bytes[..12].copy_from_slice(&HEAD);
        bytes[12] = 0b0000_0101;
        bytes[139] = 0b1000_0000;
        bytes
    }

    fn message() -> Retransmit {
        let mut received = BitSet::EMPTY;
        for block in [0, 2, 1023] {
            received.insert(block);
        }
        Retransmit {
            slice: 0x102,
            rxmit: 130,
            received,
        }
    }

    #[test]
    fn bytes_become_the_message() {
        assert_eq!(Retransmit::parse(&bytes()), Ok(message()));
    }

    #[test]
    fn the_message_becomes_bytes() {
        let mut buffer = [0xaa; 140];
        assert_eq!(message().emit(&mut buffer), Ok(140));
        assert_eq!(buffer, bytes());
        assert!(message().emit(&mut buffer[..139]).is_err());
    }

    #[test]
    fn a_cut_off_map_means_lacking_blocks() {
        let cut = Retransmit::parse(&bytes()[..13]).unwrap();
        assert!(cut.received.iter().eq([0, 2]));
        assert_eq!(Retransmit::parse(&HEAD).unwrap().received, BitSet::EMPTY);
        assert!(matches!(
            Retransmit::parse(&HEAD[..11]),
            Err(Error::Truncated {
                needed: 12,
                got: 11,
                ..
            })
        ));
    }
}
