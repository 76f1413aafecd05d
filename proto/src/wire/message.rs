//! Any message: what a socket's reader gets before it knows what came.

use core::fmt;

use super::{
    BufferTooShort, ConnectReply, ConnectReq, Data, Error, Fec, Hello, Opcode, Report, ReqAck,
    Retransmit, Signal, SliceOk, field,
};

/// A message of any kind. Payloads stay in the datagram they came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A receiver has the whole slice.
    Ok(SliceOk),
    /// A receiver lacks blocks of the slice.
    Retransmit(Retransmit),
    /// A receiver's operator wants the transfer to start.
    Go,
    /// A receiver asks to take part.
    ConnectReq(ConnectReq),
    /// A receiver leaves.
    Disconnect,
    /// The sender asks who has the whole slice.
    ReqAck(ReqAck),
    /// The sender's answer to a receiver that asked to take part.
    ConnectReply(ConnectReply),
    /// A block of the image.
    Data(Data<'a>),
    /// A block of redundancy.
    Fec(Fec<'a>),
    /// The sender is there.
    Hello(Hello),
    /// What a receiver says of itself.
    Report(Report<'a>),
    /// The sender has taken note of a receiver's last report.
    ReportAck,
    /// Something else, to be counted and ignored. Only the opcode of it is kept.
    Unknown(Opcode),
}

impl<'a> Message<'a> {
    /// Reads the message that a datagram is.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the datagram has no opcode, or ends before a field that its message
    /// can't do without; each message's own `parse` says which those are.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        match Opcode::parse(datagram)? {
            Opcode::OK => SliceOk::parse(datagram).map(Self::Ok),
            Opcode::RETRANSMIT => Retransmit::parse(datagram).map(Self::Retransmit),
            Opcode::GO => Ok(Self::Go),
            Opcode::CONNECT_REQ => ConnectReq::parse(datagram).map(Self::ConnectReq),
            Opcode::DISCONNECT => Ok(Self::Disconnect),
            Opcode::REQACK => ReqAck::parse(datagram).map(Self::ReqAck),
            Opcode::CONNECT_REPLY => ConnectReply::parse(datagram).map(Self::ConnectReply),
            Opcode::DATA => Data::parse(datagram).map(Self::Data),
            Opcode::FEC => Fec::parse(datagram).map(Self::Fec),
            Opcode::HELLO | Opcode::HELLO_NEW | Opcode::HELLO_STREAMING => {
                Hello::parse(datagram).map(Self::Hello)
            }
            Opcode::REPORT => Report::parse(datagram).map(Self::Report),
            Opcode::REPORT_ACK => Ok(Self::ReportAck),
            unknown => Ok(Self::Unknown(unknown)),
        }
    }

    /// The message's opcode.
    #[must_use]
    pub const fn opcode(&self) -> Opcode {
        match self {
            Self::Ok(_) => Opcode::OK,
            Self::Retransmit(_) => Opcode::RETRANSMIT,
            Self::Go => Opcode::GO,
            Self::ConnectReq(_) => Opcode::CONNECT_REQ,
            Self::Disconnect => Opcode::DISCONNECT,
            Self::ReqAck(_) => Opcode::REQACK,
            Self::ConnectReply(_) => Opcode::CONNECT_REPLY,
            Self::Data(_) => Opcode::DATA,
            Self::Fec(_) => Opcode::FEC,
            Self::Hello(hello) => hello.kind.opcode(),
            Self::Report(_) => Opcode::REPORT,
            Self::ReportAck => Opcode::REPORT_ACK,
            Self::Unknown(opcode) => *opcode,
        }
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub fn buffer_len(&self) -> usize {
        match self {
            Self::Ok(message) => message.buffer_len(),
            Self::Retransmit(message) => message.buffer_len(),
            Self::Go | Self::Disconnect | Self::ReportAck => Signal::LEN,
            Self::ConnectReq(message) => message.buffer_len(),
            Self::ReqAck(message) => message.buffer_len(),
            Self::ConnectReply(message) => message.buffer_len(),
            Self::Data(message) => message.buffer_len(),
            Self::Fec(message) => message.buffer_len(),
            Self::Hello(message) => message.buffer_len(),
            Self::Report(message) => message.buffer_len(),
            Self::Unknown(_) => UNKNOWN_LEN,
        }
    }

    /// Writes the message and returns its length. Of an unknown one, only its opcode.
    ///
    /// # Errors
    /// [`BufferTooShort`] if `buffer` has less than [`Self::buffer_len`] bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        match self {
            Self::Ok(message) => message.emit(buffer),
            Self::Retransmit(message) => message.emit(buffer),
            Self::Go => Signal::Go.emit(buffer),
            Self::ConnectReq(message) => message.emit(buffer),
            Self::Disconnect => Signal::Disconnect.emit(buffer),
            Self::ReqAck(message) => message.emit(buffer),
            Self::ConnectReply(message) => message.emit(buffer),
            Self::Data(message) => message.emit(buffer),
            Self::Fec(message) => message.emit(buffer),
            Self::Hello(message) => message.emit(buffer),
            Self::Report(message) => message.emit(buffer),
            Self::ReportAck => Signal::ReportAck.emit(buffer),
            Self::Unknown(opcode) => {
                field::start::<UNKNOWN_LEN>(buffer, *opcode)?;
                Ok(UNKNOWN_LEN)
            }
        }
    }
}

/// Bytes of what is kept of an unknown message.
const UNKNOWN_LEN: usize = field::OPCODE.end;

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(message) => message.fmt(f),
            Self::Retransmit(message) => message.fmt(f),
            Self::Go => Signal::Go.fmt(f),
            Self::ConnectReq(message) => message.fmt(f),
            Self::Disconnect => Signal::Disconnect.fmt(f),
            Self::ReqAck(message) => message.fmt(f),
            Self::ConnectReply(message) => message.fmt(f),
            Self::Data(message) => message.fmt(f),
            Self::Fec(message) => message.fmt(f),
            Self::Hello(message) => message.fmt(f),
            Self::Report(message) => message.fmt(f),
            Self::ReportAck => Signal::ReportAck.fmt(f),
            Self::Unknown(opcode) => opcode.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::net::Ipv4Addr;
    use std::string::ToString;

    use super::*;
    use crate::bits::BitSet;
    use crate::wire::{Capabilities, HelloKind, MAX_CONTROL_LEN, State};

    fn from_receivers() -> [Message<'static>; 6] {
        let received = BitSet::below(3);
        [
            Message::Ok(SliceOk { slice: 7 }),
            Message::Retransmit(Retransmit {
                slice: 7,
                rxmit: 1,
                received,
            }),
            Message::Go,
            Message::ConnectReq(ConnectReq {
                capabilities: Capabilities::STOCK,
                receive_buffer: 99,
            }),
            Message::Disconnect,
            Message::Report(Report {
                state: State::FAILED,
                received: 3000,
                disk: "sata0",
                message: "no power",
                ..Report::default()
            }),
        ]
    }

    fn from_senders() -> [Message<'static>; 8] {
        let (slice, rxmit, slice_bytes, block) = (7, 1, 2000, 2);
        let payload = b"block";
        let ready = BitSet::below(4);
        let capabilities = Capabilities::STOCK | Capabilities::ASYNC;
        let data_address = Ipv4Addr::new(233, 255, 0, 1);
        let hello = |kind| Hello {
            kind,
            capabilities,
            data_address,
            block_size: 1456,
        };
        [
            Message::ReqAck(ReqAck {
                slice,
                slice_bytes,
                rxmit,
                ready,
            }),
            Message::ConnectReply(ConnectReply {
                receiver: ConnectReply::TABLE_FULL,
                block_size: 1456,
                capabilities,
                data_address,
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
            Message::Hello(hello(HelloKind::Classic)),
            Message::Hello(hello(HelloKind::New)),
            Message::Hello(hello(HelloKind::Streaming)),
            Message::ReportAck,
        ]
    }

    /// A message of every kind.
    fn all() -> impl Iterator<Item = Message<'static>> {
        from_receivers()
            .into_iter()
            .chain(from_senders())
            .chain([Message::Unknown(Opcode(0x4242))])
    }

    #[test]
    fn every_kind_says_what_it_is() {
        let words = [
            "OK slice 7",
            "RETRANSMIT slice 7 rxmit 1, has 3 blocks",
            "GO",
            "CONNECT_REQ capabilities 0x09, receive buffer 99",
            "DISCONNECT",
            "REPORT failed, 3000 bytes received, disk sata0: no power",
            "REQACK slice 7 of 2000 bytes, rxmit 1, 4 ready",
            "CONNECT_REPLY receiver -1, block size 1456, capabilities 0x29, \
             data address 233.255.0.1",
            "DATA slice 7 of 2000 bytes, block 2 of 5 bytes",
            "FEC slice 7 of 2000 bytes, block 2, 4 stripes",
            "HELLO capabilities 0x29, data address 233.255.0.1, block size 1456",
            "HELLO_NEW capabilities 0x29, data address 233.255.0.1, block size 1456",
            "HELLO_STREAMING capabilities 0x29, data address 233.255.0.1, block size 1456",
            "REPORT_ACK",
            "opcode 0x4242",
        ];
        assert!(all().map(|message| message.to_string()).eq(words));
    }

    #[test]
    fn every_kind_survives_emit_and_parse_in_a_buffer_that_just_fits() {
        for message in all() {
            let mut buffer = [0xaa; MAX_CONTROL_LEN];
            let len = message.buffer_len();
            assert_eq!(message.emit(&mut buffer[..len]), Ok(len), "{message}");
            assert_eq!(Message::parse(&buffer[..len]), Ok(message));
            assert_eq!(Opcode::parse(&buffer), Ok(message.opcode()));
            let error = BufferTooShort {
                needed: len,
                got: len - 1,
            };
            assert_eq!(
                message.emit(&mut buffer[..len - 1]),
                Err(error),
                "{message}"
            );
        }
    }

    #[test]
    fn no_length_of_any_message_panics_and_each_error_names_the_lengths() {
        for message in all() {
            let mut buffer = [0; MAX_CONTROL_LEN];
            let len = message.emit(&mut buffer).unwrap();
            for cut in 0..len {
                match Message::parse(&buffer[..cut]) {
                    Ok(shorter) => assert_eq!(shorter.opcode(), message.opcode()),
                    Err(Error::Truncated { needed, got, .. }) => {
                        assert!(got == cut && needed > cut && needed <= len, "{message}");
                    }
                    Err(error) => panic!("{message} cut to {cut} bytes: {error}"),
                }
            }
        }
    }

    #[test]
    fn a_message_parsed_as_another_is_refused() {
        for message in all() {
            let mut buffer = [0; MAX_CONTROL_LEN];
            let len = message.emit(&mut buffer).unwrap();
            let datagram = &buffer[..len];
            let fitting = [
                SliceOk::parse(datagram).is_ok(),
                Retransmit::parse(datagram).is_ok(),
                Signal::parse(datagram).is_ok(),
                ConnectReq::parse(datagram).is_ok(),
                ConnectReply::parse(datagram).is_ok(),
                ReqAck::parse(datagram).is_ok(),
                Data::parse(datagram).is_ok(),
                Fec::parse(datagram).is_ok(),
                Hello::parse(datagram).is_ok(),
                Report::parse(datagram).is_ok(),
            ];
            let takers = fitting.iter().filter(|&&fits| fits).count();
            let expected = usize::from(message.opcode().name().is_some());
            assert_eq!(takers, expected, "{message}");
        }
    }
}
