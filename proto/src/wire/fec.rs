//! FEC: a block of redundancy, from which receivers rebuild blocks that they lack.
//!
//! Only the message; the code itself is docs/protocol.md, "FEC".

use core::fmt;

use super::field::{self as wire_field, put};
use super::{BufferTooShort, Error, Opcode};

mod field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const STRIPES: Field = after(&OPCODE, 2);
    pub(super) const SLICE: Field = after(&STRIPES, 4);
    pub(super) const BLOCK: Field = after(&SLICE, 2);
    pub(super) const RESERVED: Field = after(&BLOCK, 2);
    pub(super) const SLICE_BYTES: Field = after(&RESERVED, 4);
}

/// FEC (docs/protocol.md, "FEC"). The payload stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fec<'a> {
    /// Into how many stripes the slice's blocks are dealt. The network may say 0.
    pub stripes: u16,
    /// The slice's number.
    pub slice: u32,
    /// The FEC block's number in its slice, from 0, counted apart from the data blocks: of stripe
    /// `block % stripes` it is row `block / stripes`.
    pub block: u16,
    /// Bytes of the image that the whole slice carries.
    pub slice_bytes: u32,
    /// The block, of a block size of bytes. Of any length here.
    pub payload: &'a [u8],
}

impl<'a> Fec<'a> {
    /// Bytes before the payload.
    pub const HEADER_LEN: usize = field::SLICE_BYTES.end;

    /// Reads the message.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the header is not all there. [`Error::WrongOpcode`] if this is
    /// another message.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        wire_field::check(datagram, Opcode::FEC, Self::HEADER_LEN)?;
        Ok(Self {
            stripes: wire_field::u16(datagram, field::STRIPES),
            slice: wire_field::u32(datagram, field::SLICE),
            block: wire_field::u16(datagram, field::BLOCK),
            slice_bytes: wire_field::u32(datagram, field::SLICE_BYTES),
            payload: datagram.get(Self::HEADER_LEN..).unwrap_or_default(),
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        Self::HEADER_LEN + self.payload.len()
    }

    /// Writes the message and returns its length.
    ///
    /// # Errors
    /// [`BufferTooShort`] if `buffer` has less than [`Self::buffer_len`] bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let (needed, got) = (self.buffer_len(), buffer.len());
        let message = buffer
            .get_mut(..needed)
            .ok_or(BufferTooShort { needed, got })?;
        let header_len = self.emit_header(message)?;
        message[header_len..].copy_from_slice(self.payload);
        Ok(needed)
    }

    /// Writes only the header and returns its length, [`Self::HEADER_LEN`].
    ///
    /// # Errors
    /// [`BufferTooShort`] if `buffer` has less than [`Self::HEADER_LEN`] bytes.
    pub fn emit_header(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let header = wire_field::start::<{ Fec::HEADER_LEN }>(buffer, Opcode::FEC)?;
        put(header, field::STRIPES, &self.stripes.to_be_bytes());
        put(header, field::SLICE, &self.slice.to_be_bytes());
        put(header, field::BLOCK, &self.block.to_be_bytes());
        put(header, field::SLICE_BYTES, &self.slice_bytes.to_be_bytes());
        Ok(Self::HEADER_LEN)
    }
}

impl fmt::Display for Fec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stripes,
            slice,
            block,
            slice_bytes,
            ..
        } = self;
        write!(
            f,
            "FEC slice {slice} of {slice_bytes} bytes, block {block}, {stripes} stripes"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 18] = [
        0, 9, 0, 4, 0, 0, 0, 5, 0, 6, 0, 0, 0, 1, 0x6c, 0x00, 0xde, 0xad,
    ];
    const MESSAGE: Fec<'_> = Fec {
        stripes: 4,
        slice: 5,
        block: 6,
        slice_bytes: 93_184,
        payload: &[0xde, 0xad],
    };

    #[test]
    fn bytes_become_the_message() {
        assert_eq!(Fec::parse(&BYTES), Ok(MESSAGE));
    }

    #[test]
    fn the_message_becomes_bytes() {
        let mut buffer = [0xaa; 18];
        assert_eq!(MESSAGE.emit(&mut buffer), Ok(18));
        assert_eq!(buffer, BYTES);
        assert!(MESSAGE.emit(&mut buffer[..17]).is_err());
    }

    #[test]
    fn the_header_is_all_there_or_it_is_no_fec() {
        assert_eq!(
            Fec::parse(&BYTES[..16]),
            Ok(Fec {
                payload: &[],
                ..MESSAGE
            })
        );
        for got in 2..16 {
            let error = Error::Truncated {
                opcode: Some(Opcode::FEC),
                needed: 16,
                got,
            };
            assert_eq!(Fec::parse(&BYTES[..got]), Err(error));
        }
    }
}
