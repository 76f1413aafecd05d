//! The tag of a transfer, in bytes of a sender's messages that UDPcast reserves.
//!
//! Nothing else on the wire tells the slices of one transfer from those of another that was started
//! at the same address (docs/protocol.md, "Transfer tag"). Apart from the messages themselves since
//! it is the same in all of them.

use super::Opcode;
use super::field::{self, Field, put};

/// Where messages that begin with a reserved field have the tag.
const FIRST_RESERVED: Field = 2..4;

/// Where DATA and FEC have it: FEC needs the first field.
const BLOCK_RESERVED: Field = 10..12;

fn place(message: &[u8]) -> Option<Field> {
    let field = match Opcode::parse(message).ok()? {
        Opcode::DATA | Opcode::FEC => BLOCK_RESERVED,
        Opcode::HELLO
        | Opcode::HELLO_NEW
        | Opcode::HELLO_STREAMING
        | Opcode::CONNECT_REPLY
        | Opcode::REQACK => FIRST_RESERVED,
        _ => return None,
    };
    (message.len() >= field.end).then_some(field)
}

/// The tag in a datagram; 0 if it has none, as all messages of stock senders.
#[must_use]
pub fn tag(datagram: &[u8]) -> u16 {
    place(datagram).map_or(0, |place| field::u16(datagram, place))
}

/// Puts a tag into a message of a sender. Others stay as they are.
pub fn set_tag(message: &mut [u8], tag: u16) {
    if let Some(place) = place(message) {
        put(message, place, &tag.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::bits::BitSet;
    use crate::wire::{
        Capabilities, ConnectReply, Data, Fec, Hello, HelloKind, MAX_CONTROL_LEN, Message, ReqAck,
        SliceOk,
    };

    #[test]
    fn a_sender_s_messages_carry_it_and_mean_the_same() {
        let hello = |kind| {
            Message::Hello(Hello {
                kind,
                capabilities: Capabilities::STOCK,
                data_address: Ipv4Addr::LOCALHOST,
                block_size: 1456,
            })
        };
        let payload = b"block";
        let (slice, block, slice_bytes) = (1, 2, 4000);
        let messages = [
            hello(HelloKind::Classic),
            hello(HelloKind::New),
            hello(HelloKind::Streaming),
            Message::ConnectReply(ConnectReply {
                receiver: 1,
                block_size: 1456,
                capabilities: Capabilities::STOCK,
                data_address: Ipv4Addr::LOCALHOST,
            }),
            Message::ReqAck(ReqAck {
                slice,
                slice_bytes,
                rxmit: 3,
                ready: BitSet::below(2),
            }),
            Message::Data(Data {
                slice,
                block,
                slice_bytes,
                payload,
            }),
            Message::Fec(Fec {
                stripes: 4,
                slice,
                block,
                slice_bytes,
                payload,
            }),
        ];
        for message in messages {
            let mut buffer = [0; MAX_CONTROL_LEN];
            let len = message.emit(&mut buffer).unwrap();
            assert_eq!(tag(&buffer[..len]), 0, "{message}");
            set_tag(&mut buffer[..len], 0x1234);
            assert_eq!(tag(&buffer[..len]), 0x1234, "{message}");
            assert_eq!(Message::parse(&buffer[..len]), Ok(message));
        }
    }

    #[test]
    fn others_have_none() {
        let mut buffer = [0; 8];
        SliceOk { slice: 7 }.emit(&mut buffer).unwrap();
        let before = buffer;
        set_tag(&mut buffer, 0x1234);
        assert_eq!((buffer, tag(&buffer)), (before, 0));
        for len in 0..4 {
            set_tag(&mut [0, 8, 1, 1][..len], 7);
            assert_eq!(tag(&[0, 6, 1, 1][..len.min(3)]), 0);
        }
    }
}
