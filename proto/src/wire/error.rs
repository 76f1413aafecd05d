//! Why bytes are not a message, and why a message does not fit a buffer.
//!
//! Anyone on the network can cause the former, so both are for counting and logging, never for
//! stopping.

use core::fmt;

use super::Opcode;

/// Why a datagram could not be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The datagram ends before a field that its message can't do without.
    Truncated {
        /// The message's kind; `None` if the datagram is too short for even that.
        opcode: Option<Opcode>,
        /// Bytes that the message has at least.
        needed: usize,
        /// Bytes that the datagram has.
        got: usize,
    },
    /// The datagram is a message of another kind than the one that `parse` was called for.
    /// [`Message::parse`](super::Message::parse), which takes every kind, never returns this.
    WrongOpcode {
        /// The kind that was asked for.
        expected: Opcode,
        /// The kind that the datagram is.
        got: Opcode,
    },
    /// A text is not UTF-8, or has control characters.
    Text,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated {
                opcode: None,
                needed,
                got,
            } => {
                write!(f, "datagram has {got} bytes, an opcode takes {needed}")
            }
            Self::Truncated {
                opcode: Some(opcode),
                needed,
                got,
            } => {
                write!(f, "{opcode} has {got} bytes, at least {needed} expected")
            }
            Self::WrongOpcode { expected, got } => write!(f, "{got} where {expected} was expected"),
            Self::Text => f.write_str("a text is not UTF-8, or has control characters"),
        }
    }
}

impl core::error::Error for Error {}

/// The caller's buffer is too short for the message that it wanted to emit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooShort {
    /// Bytes that the message takes.
    pub needed: usize,
    /// Bytes that the buffer has.
    pub got: usize,
}

impl fmt::Display for BufferTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, got } = self;
        write!(
            f,
            "message of {needed} bytes does not fit a buffer of {got}"
        )
    }
}

impl core::error::Error for BufferTooShort {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn every_variant_prints_its_numbers() {
        let no_opcode = Error::Truncated {
            opcode: None,
            needed: 2,
            got: 1,
        };
        assert_eq!(
            no_opcode.to_string(),
            "datagram has 1 bytes, an opcode takes 2"
        );
        let short = Error::Truncated {
            opcode: Some(Opcode::DATA),
            needed: 16,
            got: 7,
        };
        assert_eq!(short.to_string(), "DATA has 7 bytes, at least 16 expected");
        let wrong = Error::WrongOpcode {
            expected: Opcode::GO,
            got: Opcode(0x77),
        };
        assert_eq!(wrong.to_string(), "opcode 0x0077 where GO was expected");
        assert!(Error::Text.to_string().contains("UTF-8"));
        let buffer = BufferTooShort {
            needed: 144,
            got: 16,
        };
        assert_eq!(
            buffer.to_string(),
            "message of 144 bytes does not fit a buffer of 16"
        );
    }
}
