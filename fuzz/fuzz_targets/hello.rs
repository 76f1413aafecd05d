//! The three kinds of HELLO of any bytes.
#![no_main]

use ironcast_fuzz::{check, with_opcode};
use ironcast_proto::wire::{Hello, Opcode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for opcode in [Opcode::HELLO, Opcode::HELLO_NEW, Opcode::HELLO_STREAMING] {
        check!(Hello, &with_opcode(opcode, bytes));
    }
});
