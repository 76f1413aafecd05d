//! GO and DISCONNECT: messages of a receiver that are nothing but their opcode.

use core::fmt;

use super::field as wire_field;
use super::{BufferTooShort, Error, Opcode};

mod field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
}

/// GO or DISCONNECT (docs/protocol.md, "GO and DISCONNECT").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The receiver's operator wants the transfer to start.
    Go,
    /// The receiver leaves.
    Disconnect,
}

impl Signal {
    /// Bytes of the message.
    pub const LEN: usize = field::RESERVED.end;

    /// Reads the message. Bytes behind the opcode are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no opcode. [`Error::WrongOpcode`] if this is another
    /// message; it names GO as the one expected, though DISCONNECT is too.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        match Opcode::parse(datagram)? {
            Opcode::GO => Ok(Self::Go),
            Opcode::DISCONNECT => Ok(Self::Disconnect),
            got => Err(Error::WrongOpcode {
                expected: Opcode::GO,
                got,
            }),
        }
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
        wire_field::start::<{ Self::LEN }>(buffer, self.opcode())?;
        Ok(Self::LEN)
    }

    /// The message's opcode.
    #[must_use]
    pub const fn opcode(&self) -> Opcode {
        match self {
            Self::Go => Opcode::GO,
            Self::Disconnect => Opcode::DISCONNECT,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.opcode().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO: [u8; 4] = [0, 2, 0, 0];
    const DISCONNECT: [u8; 4] = [0, 4, 0, 0];

    #[test]
    fn bytes_become_the_message() {
        assert_eq!(Signal::parse(&GO), Ok(Signal::Go));
        assert_eq!(Signal::parse(&DISCONNECT[..2]), Ok(Signal::Disconnect));
        let wrong = Error::WrongOpcode {
            expected: Opcode::GO,
            got: Opcode::OK,
        };
        assert_eq!(Signal::parse(&[0, 0, 0, 0]), Err(wrong));
    }

    #[test]
    fn the_message_becomes_bytes() {
        for (message, bytes) in [(Signal::Go, GO), (Signal::Disconnect, DISCONNECT)] {
            let mut buffer = [0xaa; 4];
            assert_eq!(message.emit(&mut buffer), Ok(4));
            assert_eq!(buffer, bytes);
            assert!(message.emit(&mut buffer[..3]).is_err());
        }
    }
}
