//! HELLO in its three kinds: the sender is there.

use core::fmt;
use core::net::Ipv4Addr;

use super::field::{self as wire_field, put};
use super::{BufferTooShort, Capabilities, Error, Opcode};

mod field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
    pub(super) const CAPABILITIES: Field = after(&RESERVED, 4);
    pub(super) const DATA_ADDRESS: Field = after(&CAPABILITIES, 16);
    pub(super) const BLOCK_SIZE: Field = after(&DATA_ADDRESS, 2);
    pub(super) const PADDING: Field = after(&BLOCK_SIZE, 2);
}

/// Which of the three opcodes a HELLO has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloKind {
    /// 0x0500, which stock senders use.
    Classic,
    /// HELLO_NEW, which means the same.
    New,
    /// HELLO_STREAMING: receivers may join while the transfer runs.
    Streaming,
}

impl HelloKind {
    /// The kind's opcode.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        match self {
            Self::Classic => Opcode::HELLO,
            Self::New => Opcode::HELLO_NEW,
            Self::Streaming => Opcode::HELLO_STREAMING,
        }
    }

    const fn from_opcode(opcode: Opcode) -> Option<Self> {
        match opcode {
            Opcode::HELLO => Some(Self::Classic),
            Opcode::HELLO_NEW => Some(Self::New),
            Opcode::HELLO_STREAMING => Some(Self::Streaming),
            _ => None,
        }
    }
}

/// HELLO (docs/protocol.md, "HELLO").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Which HELLO it is.
    pub kind: HelloKind,
    /// What the sender can do.
    pub capabilities: Capabilities,
    /// Where data will be sent to; unspecified (0.0.0.0) if the message did not say.
    pub data_address: Ipv4Addr,
    /// Bytes of a block; 0 if the message did not say.
    pub block_size: u16,
}

impl Hello {
    /// Bytes of the message.
    pub const LEN: usize = field::PADDING.end;

    /// Reads the message. Fields that the datagram has no more bytes for are zero; padding and
    /// bytes behind [`Self::LEN`] are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no opcode. [`Error::WrongOpcode`] if this is another
    /// message; it names the HELLO of stock senders as the one expected, though all three are.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        let got = Opcode::parse(datagram)?;
        let expected = Opcode::HELLO;
        let kind = HelloKind::from_opcode(got).ok_or(Error::WrongOpcode { expected, got })?;
        Ok(Self {
            kind,
            capabilities: Capabilities(wire_field::u32(datagram, field::CAPABILITIES)),
            data_address: wire_field::address(datagram, field::DATA_ADDRESS),
            block_size: wire_field::u16(datagram, field::BLOCK_SIZE),
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
        let message = wire_field::start::<{ Self::LEN }>(buffer, self.kind.opcode())?;
        put(
            message,
            field::CAPABILITIES,
            &self.capabilities.0.to_be_bytes(),
        );
        put(message, field::DATA_ADDRESS, &self.data_address.octets());
        put(message, field::BLOCK_SIZE, &self.block_size.to_be_bytes());
        Ok(Self::LEN)
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} capabilities {}, data address {}, block size {}",
            self.kind.opcode(),
            self.capabilities,
            self.data_address,
            self.block_size
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 28] = [
        5, 0, 0, 0, 0, 0, 0, 9, // up to the capabilities
        234, 77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // the address field
        5, 0xb0, 0, 0, // block size and padding
    ];
    const MESSAGE: Hello = Hello {
        kind: HelloKind::Classic,
        capabilities: Capabilities::STOCK,
        data_address: Ipv4Addr::new(234, 77, 0, 1),
        block_size: 1456,
    };

    #[test]
    fn bytes_become_the_message() {
        assert_eq!(Hello::parse(&BYTES), Ok(MESSAGE));
        let mut leaked = BYTES;
        leaked[26..].fill(0x55);
        assert_eq!(Hello::parse(&leaked), Ok(MESSAGE));
    }

    #[test]
    fn the_message_becomes_bytes() {
        let mut buffer = [0xaa; 28];
        assert_eq!(MESSAGE.emit(&mut buffer), Ok(28));
        assert_eq!(buffer, BYTES);
        assert!(MESSAGE.emit(&mut buffer[..27]).is_err());
    }

    #[test]
    fn the_three_kinds_differ_in_nothing_but_the_opcode() {
        let kinds = [
            (HelloKind::Classic, [5, 0]),
            (HelloKind::New, [0, 10]),
            (HelloKind::Streaming, [0, 11]),
        ];
        for (kind, opcode) in kinds {
            let mut bytes = BYTES;
            bytes[..2].copy_from_slice(&opcode);
            let message = Hello { kind, ..MESSAGE };
            assert_eq!(Hello::parse(&bytes), Ok(message));
            let mut buffer = [0; 28];
            assert_eq!(message.emit(&mut buffer), Ok(28));
            assert_eq!(buffer, bytes);
        }
    }

    #[test]
    fn an_old_sender_s_hello_reads_as_if_padded() {
        let short = Hello::parse(&BYTES[..8]).unwrap();
        assert_eq!(short.capabilities, Capabilities::STOCK);
        assert!(short.data_address.is_unspecified());
        assert_eq!(short.block_size, 0);
        let wrong = Error::WrongOpcode {
            expected: Opcode::HELLO,
            got: Opcode::DATA,
        };
        assert_eq!(Hello::parse(&[0, 8]), Err(wrong));
    }
}
