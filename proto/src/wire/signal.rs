//! GO, DISCONNECT and REPORT_ACK: messages that are nothing but their opcode.

use core::fmt;

use super::field as wire_field;
use super::{BufferTooShort, Error, Opcode};

mod field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
}

/// GO or DISCONNECT (docs/protocol.md, "GO and DISCONNECT"), or REPORT_ACK (docs/protocol.md,
/// "Reports").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The receiver's operator wants the transfer to start.
    Go,
    /// The receiver leaves.
    Disconnect,
    /// The sender has taken note of the receiver's last report.
    ReportAck,
}

impl Signal {
    /// Bytes of the message.
    pub const LEN: usize = field::RESERVED.end;

    /// Reads the message. Bytes behind the opcode are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no opcode. [`Error::WrongOpcode`] if this is another
    /// message; it names GO as the one expected, though the others are too.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        match Opcode::parse(datagram)? {
            Opcode::GO => Ok(Self::Go),
            Opcode::DISCONNECT => Ok(Self::Disconnect),
            Opcode::REPORT_ACK => Ok(Self::ReportAck),
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
            Self::ReportAck => Opcode::REPORT_ACK,
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
    const REPORT_ACK: [u8; 4] = [0x1c, 2, 0, 0];

    #[test]
    fn bytes_become_the_message() {
        assert_eq!(Signal::parse(&GO), Ok(Signal::Go));
        assert_eq!(Signal::parse(&DISCONNECT[..2]), Ok(Signal::Disconnect));
        assert_eq!(Signal::parse(&REPORT_ACK), Ok(Signal::ReportAck));
        let wrong = Error::WrongOpcode {
            expected: Opcode::GO,
            got: Opcode::OK,
        };
        assert_eq!(Signal::parse(&[0, 0, 0, 0]), Err(wrong));
    }

    #[test]
    fn the_message_becomes_bytes() {
        let all = [
            (Signal::Go, GO),
            (Signal::Disconnect, DISCONNECT),
            (Signal::ReportAck, REPORT_ACK),
        ];
        for (message, bytes) in all {
            let mut buffer = [0xaa; 4];
            assert_eq!(message.emit(&mut buffer), Ok(4));
            assert_eq!(buffer, bytes);
            assert!(message.emit(&mut buffer[..3]).is_err());
        }
    }
}
