//! OK of any bytes.
#![no_main]

use ironcast_fuzz::{check, with_opcode};
use ironcast_proto::wire::{Opcode, SliceOk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check!(SliceOk, &with_opcode(Opcode::OK, bytes));
});
