//! RETRANSMIT of any bytes.
#![no_main]

use ironcast_fuzz::{check, set, with_opcode};
use ironcast_proto::wire::{Opcode, Retransmit};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let datagram = with_opcode(Opcode::RETRANSMIT, bytes);
    check!(Retransmit, &datagram);
    if let Ok(message) = Retransmit::parse(&datagram) {
        set(&message.received);
    }
});
