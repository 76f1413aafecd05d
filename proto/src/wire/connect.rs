//! CONNECT_REQ and CONNECT_REPLY: how a receiver becomes a number at the sender.

use core::fmt;
use core::net::Ipv4Addr;

use super::field::{self as wire_field, put};
use super::{BufferTooShort, Capabilities, Error, Opcode};

mod request_field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
    pub(super) const CAPABILITIES: Field = after(&RESERVED, 4);
    pub(super) const RECEIVE_BUFFER: Field = after(&CAPABILITIES, 4);
}

mod reply_field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const RESERVED: Field = after(&OPCODE, 2);
    pub(super) const RECEIVER: Field = after(&RESERVED, 4);
    pub(super) const BLOCK_SIZE: Field = after(&RECEIVER, 4);
    pub(super) const CAPABILITIES: Field = after(&BLOCK_SIZE, 4);
    pub(super) const DATA_ADDRESS: Field = after(&CAPABILITIES, 16);
}

/// CONNECT_REQ (docs/protocol.md, "CONNECT_REQ").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectReq {
    /// What the receiver can do.
    pub capabilities: Capabilities,
    /// Bytes of the receiver's socket buffer; 0 if it does not know.
    pub receive_buffer: u32,
}

impl ConnectReq {
    /// Bytes of the message.
    pub const LEN: usize = request_field::RECEIVE_BUFFER.end;

    /// Reads the message. Fields that the datagram has no more bytes for are zero, bytes behind
    /// [`Self::LEN`] are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no opcode. [`Error::WrongOpcode`] if this is another
    /// message.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        wire_field::check(datagram, Opcode::CONNECT_REQ, wire_field::OPCODE.end)?;
        let capabilities = wire_field::u32(datagram, request_field::CAPABILITIES);
        Ok(Self {
            capabilities: Capabilities(capabilities),
            receive_buffer: wire_field::u32(datagram, request_field::RECEIVE_BUFFER),
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
        use request_field::{CAPABILITIES, RECEIVE_BUFFER};
        let message = wire_field::start::<{ Self::LEN }>(buffer, Opcode::CONNECT_REQ)?;
        put(message, CAPABILITIES, &self.capabilities.0.to_be_bytes());
        put(message, RECEIVE_BUFFER, &self.receive_buffer.to_be_bytes());
        Ok(Self::LEN)
    }
}

impl fmt::Display for ConnectReq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            capabilities,
            receive_buffer,
        } = self;
        write!(
            f,
            "CONNECT_REQ capabilities {capabilities}, receive buffer {receive_buffer}"
        )
    }
}

/// CONNECT_REPLY (docs/protocol.md, "CONNECT_REPLY").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectReply {
    /// The receiver's number, from 0; [`Self::TABLE_FULL`] if the sender can't take another. Other
    /// numbers that no receiver can have may come from the network as well.
    pub receiver: i32,
    /// Bytes of a block.
    pub block_size: u32,
    /// What the sender can do.
    pub capabilities: Capabilities,
    /// Where data will be sent to; unspecified (0.0.0.0) if the message did not say.
    pub data_address: Ipv4Addr,
}

impl ConnectReply {
    /// Bytes of the message.
    pub const LEN: usize = reply_field::DATA_ADDRESS.end;

    /// Bytes that a message has at least: read as zero, a missing number would be receiver 0's.
    pub const MIN_LEN: usize = reply_field::RECEIVER.end;

    /// In place of the receiver's number: the sender has no room for it.
    pub const TABLE_FULL: i32 = -1;

    /// Reads the message. Fields that the datagram has no more bytes for are zero, bytes behind
    /// [`Self::LEN`] are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there are less than [`Self::MIN_LEN`] bytes. [`Error::WrongOpcode`]
    /// if this is another message.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        wire_field::check(datagram, Opcode::CONNECT_REPLY, Self::MIN_LEN)?;
        let capabilities = wire_field::u32(datagram, reply_field::CAPABILITIES);
        Ok(Self {
            receiver: i32::from_be_bytes(wire_field::bytes(datagram, reply_field::RECEIVER)),
            block_size: wire_field::u32(datagram, reply_field::BLOCK_SIZE),
            capabilities: Capabilities(capabilities),
            data_address: wire_field::address(datagram, reply_field::DATA_ADDRESS),
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
        use reply_field::{BLOCK_SIZE, CAPABILITIES, DATA_ADDRESS, RECEIVER};
        let message = wire_field::start::<{ Self::LEN }>(buffer, Opcode::CONNECT_REPLY)?;
        put(message, RECEIVER, &self.receiver.to_be_bytes());
        put(message, BLOCK_SIZE, &self.block_size.to_be_bytes());
        put(message, CAPABILITIES, &self.capabilities.0.to_be_bytes());
        put(message, DATA_ADDRESS, &self.data_address.octets());
        Ok(Self::LEN)
    }
}

impl fmt::Display for ConnectReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CONNECT_REPLY receiver {}, block size {}, capabilities {}, data address {}",
            self.receiver, self.block_size, self.capabilities, self.data_address
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST_BYTES: [u8; 12] = [0, 3, 0, 0, 0, 0, 0, 9, 0, 3, 0x40, 0];
    const REQUEST: ConnectReq = ConnectReq {
        capabilities: Capabilities::STOCK,
        receive_buffer: 0x3_4000,
    };

    const REPLY_BYTES: [u8; 32] = [
        0, 7, 0, 0, 0, 0, 0, 3, 0, 0, 5, 0xb0, 0, 0, 0, 9, // up to the capabilities
        233, 255, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // the address field
    ];
    const REPLY: ConnectReply = ConnectReply {
        receiver: 3,
        block_size: 1456,
        capabilities: Capabilities::STOCK,
        data_address: Ipv4Addr::new(233, 255, 0, 1),
    };

    #[test]
    fn bytes_become_the_request() {
        assert_eq!(ConnectReq::parse(&REQUEST_BYTES), Ok(REQUEST));
    }

    #[test]
    fn the_request_becomes_bytes() {
        let mut buffer = [0xaa; 12];
        assert_eq!(REQUEST.emit(&mut buffer), Ok(12));
        assert_eq!(buffer, REQUEST_BYTES);
        assert!(REQUEST.emit(&mut buffer[..11]).is_err());
    }

    #[test]
    fn an_old_receiver_s_request_reads_as_if_padded() {
        let no_buffer = ConnectReq {
            receive_buffer: 0,
            ..REQUEST
        };
        assert_eq!(ConnectReq::parse(&REQUEST_BYTES[..8]), Ok(no_buffer));
        let nothing = ConnectReq {
            capabilities: Capabilities(0),
            receive_buffer: 0,
        };
        assert_eq!(ConnectReq::parse(&REQUEST_BYTES[..2]), Ok(nothing));
    }

    #[test]
    fn bytes_become_the_reply() {
        assert_eq!(ConnectReply::parse(&REPLY_BYTES), Ok(REPLY));
        let mut full = REPLY_BYTES;
        full[4..8].fill(0xff);
        let full = ConnectReply::parse(&full).unwrap();
        assert_eq!(full.receiver, ConnectReply::TABLE_FULL);
    }

    #[test]
    fn the_reply_becomes_bytes() {
        let mut buffer = [0xaa; 32];
        assert_eq!(REPLY.emit(&mut buffer), Ok(32));
        assert_eq!(buffer, REPLY_BYTES);
        assert!(REPLY.emit(&mut buffer[..31]).is_err());
    }

    #[test]
    fn a_short_reply_reads_as_if_padded_but_its_number_is_never_made_up() {
        let short = ConnectReply::parse(&REPLY_BYTES[..16]).unwrap();
        assert!(short.data_address.is_unspecified());
        assert_eq!(short.block_size, 1456);
        let error = Error::Truncated {
            opcode: Some(Opcode::CONNECT_REPLY),
            needed: 8,
            got: 7,
        };
        assert_eq!(ConnectReply::parse(&REPLY_BYTES[..7]), Err(error));
    }
}
