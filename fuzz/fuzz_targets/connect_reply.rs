//! CONNECT_REPLY of any bytes.
#![no_main]

use ironcast_fuzz::{check, with_opcode};
use ironcast_proto::wire::{ConnectReply, Opcode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check!(ConnectReply, &with_opcode(Opcode::CONNECT_REPLY, bytes));
});
