//! DATA: a block of the image.

use core::fmt;

use super::field::{self as wire_field, put};
use super::{BufferTooShort, Error, Opcode};

mod field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
    pub(super) const SLICE: Field = after(&RESERVED, 4);
    pub(super) const BLOCK: Field = after(&SLICE, 2);
    pub(super) const RESERVED_TOO: Field = after(&BLOCK, 2);
    pub(super) const SLICE_BYTES: Field = after(&RESERVED_TOO, 4);
}

/// DATA (docs/protocol.md, "DATA"). The payload stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// The slice's number.
    pub slice: u32,
    /// The block's number in its slice, from 0. The network may say more than a slice has.
    pub block: u16,
    /// Bytes of the image that the whole slice carries.
    pub slice_bytes: u32,
    /// The block: a block size of bytes, or what is left of the slice. Of any length here; whether
    /// it fits the slice is for the receiver to check.
    pub payload: &'a [u8],
}

impl<'a> Data<'a> {
    /// Bytes before the payload.
    pub const HEADER_LEN: usize = field::SLICE_BYTES.end;

    /// Reads the message.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the header is not all there: zeroes in its place would put the block
    /// where it does not belong. [`Error::WrongOpcode`] if this is another message.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        wire_field::check(datagram, Opcode::DATA, Self::HEADER_LEN)?;
        Ok(Self {
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

    /// Writes only the header and returns its length, [`Self::HEADER_LEN`]: for a caller that has
    /// the payload in the right place already or sends it from where it is.
    ///
    /// # Errors
    /// [`BufferTooShort`] if `buffer` has less than [`Self::HEADER_LEN`] bytes.
    pub fn emit_header(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let header = wire_field::start::<{ Data::HEADER_LEN }>(buffer, Opcode::DATA)?;
        put(header, field::SLICE, &self.slice.to_be_bytes());
        put(header, field::BLOCK, &self.block.to_be_bytes());
        put(header, field::SLICE_BYTES, &self.slice_bytes.to_be_bytes());
        Ok(Self::HEADER_LEN)
    }
}

impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slice,
            block,
            slice_bytes,
            payload,
        } = self;
        let len = payload.len();
        write!(
            f,
            "DATA slice {slice} of {slice_bytes} bytes, block {block} of {len} bytes"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 19] = [
        0, 8, 0, 0, 0, 1, 0, 2, 3, 0xff, 0, 0, 0, 0, 0x10, 0x03, b'a', b'b', b'c',
    ];
    const MESSAGE: Data<'_> = Data {
        slice: 0x0001_0002,
        block: 1023,
        slice_bytes: 4099,
        payload: b"abc",
    };

    #[test]
    fn bytes_become_the_message() {
        assert_eq!(Data::parse(&BYTES), Ok(MESSAGE));
    }

    #[test]
    fn the_message_becomes_bytes() {
        let mut buffer = [0xaa; 19];
        assert_eq!(MESSAGE.emit(&mut buffer), Ok(19));
        assert_eq!(buffer, BYTES);
    }

    #[test]
    fn a_header_alone_leaves_the_payload_s_place_alone() {
        let mut buffer = [0xaa; 19];
        assert_eq!(MESSAGE.emit_header(&mut buffer), Ok(16));
        assert_eq!(buffer[..16], BYTES[..16]);
        assert_eq!(buffer[16..], [0xaa; 3]);
    }

    #[test]
    fn a_short_buffer_is_left_alone() {
        let mut buffer = [0xaa; 18];
        let error = BufferTooShort {
            needed: 19,
            got: 18,
        };
        assert_eq!(MESSAGE.emit(&mut buffer), Err(error));
        assert_eq!(buffer, [0xaa; 18]);
    }

    #[test]
    fn the_header_is_all_there_or_it_is_no_data() {
        assert_eq!(
            Data::parse(&BYTES[..16]),
            Ok(Data {
                payload: &[],
                ..MESSAGE
            })
        );
        for got in 2..16 {
            let error = Error::Truncated {
                opcode: Some(Opcode::DATA),
                needed: 16,
                got,
            };
            assert_eq!(Data::parse(&BYTES[..got]), Err(error));
        }
    }
}
