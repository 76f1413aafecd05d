//! REQACK of any bytes.
#![no_main]

use ironcast_fuzz::{check, set, with_opcode};
use ironcast_proto::wire::{Opcode, ReqAck};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let datagram = with_opcode(Opcode::REQACK, bytes);
    check!(ReqAck, &datagram);
    if let Ok(message) = ReqAck::parse(&datagram) {
        set(&message.ready);
    }
});
