//! CONNECT_REQ of any bytes.
#![no_main]

use ironcast_fuzz::{check, with_opcode};
use ironcast_proto::wire::{ConnectReq, Opcode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check!(ConnectReq, &with_opcode(Opcode::CONNECT_REQ, bytes));
});
