//! Any datagram at all, and any bytes as each of the messages.
//!
//! Held against the promises of the codecs. The set functions are held against their definition on
//! the way, since sets come from the network too.
#![no_main]

use ironcast_fuzz::{check, set, with_opcode};
use ironcast_proto::wire::{
    ConnectReply, ConnectReq, Data, Fec, Hello, Message, Opcode, Report, ReqAck, Retransmit,
    Signal, SliceOk,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check!(Message<'_>, input);
    if let Ok(message) = Message::parse(input) {
        assert_eq!(Opcode::parse(input), Ok(message.opcode()));
    }
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 13 {
        0 => check!(SliceOk, &with_opcode(Opcode::OK, bytes)),
        1 => retransmit(&with_opcode(Opcode::RETRANSMIT, bytes)),
        2 => check!(Signal, &with_opcode(Opcode::GO, bytes)),
        3 => check!(Signal, &with_opcode(Opcode::DISCONNECT, bytes)),
        4 => check!(ConnectReq, &with_opcode(Opcode::CONNECT_REQ, bytes)),
        5 => check!(ConnectReply, &with_opcode(Opcode::CONNECT_REPLY, bytes)),
        6 => reqack(&with_opcode(Opcode::REQACK, bytes)),
        7 => data(&with_opcode(Opcode::DATA, bytes)),
        8 => fec(&with_opcode(Opcode::FEC, bytes)),
        9 => check!(Hello, &with_opcode(Opcode::HELLO_STREAMING, bytes)),
        10 => check!(Hello, &with_opcode(Opcode::HELLO, bytes)),
        11 => check!(Report<'_>, &with_opcode(Opcode::REPORT, bytes)),
        _ => check!(Signal, &with_opcode(Opcode::REPORT_ACK, bytes)),
    }
});

fn retransmit(datagram: &[u8]) {
    check!(Retransmit, datagram);
    if let Ok(message) = Retransmit::parse(datagram) {
        set(&message.received);
    }
}

fn reqack(datagram: &[u8]) {
    check!(ReqAck, datagram);
    if let Ok(message) = ReqAck::parse(datagram) {
        set(&message.ready);
    }
}

/// Header and payload may be emitted apart.
fn data(datagram: &[u8]) {
    check!(Data, datagram);
    if let Ok(message) = Data::parse(datagram) {
        let mut header = [0xaa; Data::HEADER_LEN];
        assert_eq!(message.emit_header(&mut header), Ok(Data::HEADER_LEN));
        let again = [&header, message.payload].concat();
        assert_eq!(Data::parse(&again), Ok(message));
    }
}

/// Header and payload may be emitted apart.
fn fec(datagram: &[u8]) {
    check!(Fec, datagram);
    if let Ok(message) = Fec::parse(datagram) {
        let mut header = [0xaa; Fec::HEADER_LEN];
        assert_eq!(message.emit_header(&mut header), Ok(Fec::HEADER_LEN));
        let again = [&header, message.payload].concat();
        assert_eq!(Fec::parse(&again), Ok(message));
    }
}
