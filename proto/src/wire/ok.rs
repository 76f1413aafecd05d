//! OK: a receiver has the whole slice.

use core::fmt;

use super::field::{self as wire_field, put};
use super::{BufferTooShort, Error, Opcode};

mod field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
    pub(super) const SLICE: Field = after(&RESERVED, 4);
}

/// OK (docs/protocol.md, "OK").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceOk {
    /// The slice's number.
    pub slice: u32,
}

impl SliceOk {
    /// Bytes of the message.
    pub const LEN: usize = field::SLICE.end;

    /// Reads the message. Bytes behind [`Self::LEN`] are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the slice's number is not all there: read as zero, it would be an OK
    /// for slice 0. [`Error::WrongOpcode`] if this is another message.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        wire_field::check(datagram, Opcode::OK, Self::LEN)?;
        Ok(Self {
            slice: wire_field::u32(datagram, field::SLICE),
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
        let message = wire_field::start::<{ Self::LEN }>(buffer, Opcode::OK)?;
        put(message, field::SLICE, &self.slice.to_be_bytes());
        Ok(Self::LEN)
    }
}

impl fmt::Display for SliceOk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OK slice {}", self.slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 8] = [0, 0, 0, 0, 0, 1, 2, 3];
    const MESSAGE: SliceOk = SliceOk { slice: 0x0001_0203 };

    #[test]
    fn bytes_become_the_message() {
        assert_eq!(SliceOk::parse(&BYTES), Ok(MESSAGE));
        let reserved_set = [0, 0, 9, 9, 0, 1, 2, 3, 9];
        assert_eq!(SliceOk::parse(&reserved_set), Ok(MESSAGE));
    }

    #[test]
    fn the_message_becomes_bytes() {
        let mut buffer = [0xaa; 9];
        assert_eq!(MESSAGE.emit(&mut buffer), Ok(8));
        assert_eq!(buffer[..8], BYTES);
        assert_eq!(buffer[8], 0xaa);
        assert!(MESSAGE.emit(&mut buffer[..7]).is_err());
    }

    #[test]
    fn a_slice_s_number_is_never_made_up() {
        let opcode = Some(Opcode::OK);
        for got in 2..8 {
            let error = Error::Truncated {
                opcode,
                needed: 8,
                got,
            };
            assert_eq!(SliceOk::parse(&BYTES[..got]), Err(error));
        }
    }
}
