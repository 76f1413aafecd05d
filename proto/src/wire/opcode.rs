//! The number that tells the messages apart.
//!
//! A number with names and not an enum: what another program may send is not ours to enumerate.

use core::fmt;

use super::error::Error;
use super::field;

/// The first 16 bits of every message (docs/protocol.md, "Opcodes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opcode(pub u16);

impl Opcode {
    /// A receiver has the whole slice.
    pub const OK: Self = Self(0x0000);
    /// A receiver lacks blocks of the slice.
    pub const RETRANSMIT: Self = Self(0x0001);
    /// A receiver's operator wants the transfer to start.
    pub const GO: Self = Self(0x0002);
    /// A receiver asks to take part.
    pub const CONNECT_REQ: Self = Self(0x0003);
    /// A receiver leaves.
    pub const DISCONNECT: Self = Self(0x0004);
    /// The sender asks who has the whole slice.
    pub const REQACK: Self = Self(0x0006);
    /// The sender's answer to [`Self::CONNECT_REQ`].
    pub const CONNECT_REPLY: Self = Self(0x0007);
    /// A block of the image.
    pub const DATA: Self = Self(0x0008);
    /// A block of redundancy.
    pub const FEC: Self = Self(0x0009);
    /// The sender is there; the number that the protocol moved to, which stock senders do not use.
    pub const HELLO_NEW: Self = Self(0x000a);
    /// The sender is there and takes receivers while it transfers.
    pub const HELLO_STREAMING: Self = Self(0x000b);
    /// The sender is there; the number that stock senders use.
    pub const HELLO: Self = Self(0x0500);
    /// What a machine says of itself. Ours, not UDPcast's.
    pub const REPORT: Self = Self(0x1c01);
    /// The sender has taken note of a machine's last report. Ours, not UDPcast's.
    pub const REPORT_ACK: Self = Self(0x1c02);

    /// Reads the opcode of a datagram.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there are not even two bytes.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        if datagram.len() < field::OPCODE.end {
            return Err(Error::Truncated {
                opcode: None,
                needed: field::OPCODE.end,
                got: datagram.len(),
            });
        }
        Ok(Self(field::u16(datagram, field::OPCODE)))
    }

    /// The protocol's name for it, if it has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::OK => "OK",
            Self::RETRANSMIT => "RETRANSMIT",
            Self::GO => "GO",
            Self::CONNECT_REQ => "CONNECT_REQ",
            Self::DISCONNECT => "DISCONNECT",
            Self::REQACK => "REQACK",
            Self::CONNECT_REPLY => "CONNECT_REPLY",
            Self::DATA => "DATA",
            Self::FEC => "FEC",
            Self::HELLO_NEW => "HELLO_NEW",
            Self::HELLO_STREAMING => "HELLO_STREAMING",
            Self::HELLO => "HELLO",
            Self::REPORT => "REPORT",
            Self::REPORT_ACK => "REPORT_ACK",
            _ => return None,
        })
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "opcode {:#06x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn all_numbers_survive_known_or_not() {
        for number in 0..=u16::MAX {
            assert_eq!(Opcode::parse(&number.to_be_bytes()), Ok(Opcode(number)));
        }
    }

    #[test]
    fn known_ones_have_the_protocol_s_names() {
        let named = (0..=u16::MAX).filter(|&number| Opcode(number).name().is_some());
        assert!(named.eq([0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 0x500, 0x1c01, 0x1c02]));
        assert_eq!(Opcode::HELLO.to_string(), "HELLO");
        assert_eq!(Opcode(5).to_string(), "opcode 0x0005");
    }

    #[test]
    fn less_than_two_bytes_have_none() {
        for datagram in [&[][..], &[5][..]] {
            let got = datagram.len();
            let error = Error::Truncated {
                opcode: None,
                needed: 2,
                got,
            };
            assert_eq!(Opcode::parse(datagram), Err(error));
        }
    }
}
