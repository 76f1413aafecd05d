//! What the fuzz targets share: the promises of the codecs, and messages that make sense.
//!
//! The promises are those of `ironcast_proto::wire`: parsing never panics, what was parsed can be
//! printed and emitted in exactly `buffer_len` bytes, those bytes are the same message again, and a
//! buffer that is one byte too short is refused and left alone.

use core::net::Ipv4Addr;

use ironcast_proto::bits::{BitSet, CAPACITY};
use ironcast_proto::wire::{
    Capabilities, ConnectReply, ConnectReq, Data, Fec, Hello, HelloKind, Message, Opcode, Report,
    ReqAck, Retransmit, SliceOk, State,
};

/// `bytes` with the opcode put before them, so that the fuzzer need not guess it.
#[must_use]
pub fn with_opcode(opcode: Opcode, bytes: &[u8]) -> Vec<u8> {
    [&opcode.0.to_be_bytes(), bytes].concat()
}

/// Holds one datagram against the promises of the message type `$message`.
#[macro_export]
macro_rules! check {
    ($message:ty, $datagram:expr) => {{
        let datagram: &[u8] = $datagram;
        match <$message>::parse(datagram) {
            Ok(message) => {
                assert!(!message.to_string().is_empty());
                let len = message.buffer_len();
                let mut buffer = vec![0xaa; len];
                assert_eq!(message.emit(&mut buffer), Ok(len));
                assert_eq!(<$message>::parse(&buffer), Ok(message));

                let mut short = vec![0xaa; len - 1];
                assert!(message.emit(&mut short).is_err());
                assert!(short.iter().all(|&byte| byte == 0xaa));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }};
}

/// Holds a set from the wire against the plain definition of what its functions say.
///
/// # Panics
/// If one of them says something else.
pub fn set(set: &BitSet) {
    let members: Vec<usize> = (0..CAPACITY)
        .filter(|&number| set.contains(number))
        .collect();
    assert_eq!(set.len(), members.len());
    assert_eq!(set.is_empty(), members.is_empty());
    assert!(set.iter().eq(members.iter().copied()));
    for from in 0..=CAPACITY {
        let first = members.iter().copied().find(|&member| member >= from);
        assert_eq!(set.first_from(from), first);
    }
    assert_eq!(BitSet::from_bytes(*set.as_bytes()), *set);
}

/// Bytes of the blocks of [`message_to_receiver`].
const BLOCK_SIZE: u16 = 16;

/// A message of a sender's that makes sense, so that the fuzzer gets deep into a transfer: of kind
/// `kind`, with small numbers out of `argument` and the next bytes of `rest`.
pub fn message_to_receiver<'b>(
    kind: u8,
    argument: u8,
    rest: &mut &[u8],
    buffer: &'b mut [u8],
) -> &'b [u8] {
    let (slice, bytes) = (u32::from(argument >> 4), u32::from(next(rest)) * 8);
    let block = u16::from(argument & 15);
    let payload = [argument; BLOCK_SIZE as usize];
    let last = bytes.saturating_sub(u32::from(block) * u32::from(BLOCK_SIZE));
    let address = Ipv4Addr::new(233, 255, 0, 1);
    let capabilities = match argument & 1 {
        0 => Capabilities::STOCK,
        _ => Capabilities::STOCK.union(Capabilities::ASYNC),
    };
    let message = match kind {
        0 => Message::Hello(Hello {
            kind: [HelloKind::Classic, HelloKind::Streaming][usize::from(argument >> 7)],
            capabilities,
            data_address: address,
            block_size: BLOCK_SIZE,
        }),
        1 => Message::ConnectReply(ConnectReply {
            receiver: i32::from(argument & 3),
            block_size: u32::from(BLOCK_SIZE),
            capabilities: with_reports(argument & 4 != 0),
            data_address: address,
        }),
        2 | 3 => Message::Fec(Fec {
            stripes: 2,
            slice,
            block,
            slice_bytes: bytes,
            payload: &payload,
        }),
        4 => Message::ReqAck(ReqAck {
            slice,
            slice_bytes: bytes,
            rxmit: u32::from(block),
            ready: BitSet::EMPTY,
        }),
        7 if argument == u8::MAX => Message::ReportAck,
        _ => Message::Data(Data {
            slice,
            block,
            slice_bytes: bytes,
            payload: &payload[..payload.len().min(last as usize)],
        }),
    };
    emit(&message, buffer)
}

/// A message of a receiver's that makes sense; otherwise like [`message_to_receiver`].
pub fn message_to_sender<'b>(
    kind: u8,
    argument: u8,
    rest: &mut &[u8],
    buffer: &'b mut [u8],
) -> &'b [u8] {
    let (slice, rxmit) = (u32::from(argument >> 4), u32::from(argument & 15));
    let message = match kind {
        0 => Message::ConnectReq(ConnectReq {
            capabilities: with_reports(argument & 64 != 0),
            receive_buffer: u32::from(argument) << 8,
        }),
        1 => Message::Ok(SliceOk { slice }),
        2 => Message::Retransmit(Retransmit {
            slice,
            rxmit,
            received: BitSet::from_bytes([next(rest); CAPACITY / 8]),
        }),
        _ if argument & 1 == 0 => Message::Go,
        _ if argument & 2 == 0 => Message::Disconnect,
        _ => Message::Report(Report {
            state: State(argument >> 4),
            ..Report::default()
        }),
    };
    emit(&message, buffer)
}

fn with_reports(takes: bool) -> Capabilities {
    match takes {
        true => Capabilities::STOCK.union(Capabilities::REPORTS),
        false => Capabilities::STOCK,
    }
}

fn next(rest: &mut &[u8]) -> u8 {
    match rest.split_first() {
        Some((&byte, tail)) => {
            *rest = tail;
            byte
        }
        None => 0,
    }
}

fn emit<'b>(message: &Message<'_>, buffer: &'b mut [u8]) -> &'b [u8] {
    let len = message.emit(buffer).expect("room for the message");
    &buffer[..len]
}
