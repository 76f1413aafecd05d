//! GO and DISCONNECT of any bytes.
#![no_main]

use ironcast_fuzz::{check, with_opcode};
use ironcast_proto::wire::{Opcode, Signal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for opcode in [Opcode::GO, Opcode::DISCONNECT] {
        check!(Signal, &with_opcode(opcode, bytes));
    }
});
