//! Any datagram at all, as a socket's reader meets it.
#![no_main]

use ironcast_fuzz::check;
use ironcast_proto::wire::{Message, Opcode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    check!(Message<'_>, datagram);
    if let Ok(message) = Message::parse(datagram) {
        assert_eq!(Opcode::parse(datagram), Ok(message.opcode()));
    }
});
