//! FEC of any bytes, also emitted as header and payload apart.
#![no_main]

use ironcast_fuzz::{check, with_opcode};
use ironcast_proto::wire::{Fec, Opcode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let datagram = with_opcode(Opcode::FEC, bytes);
    check!(Fec, &datagram);
    if let Ok(message) = Fec::parse(&datagram) {
        let mut header = [0xaa; Fec::HEADER_LEN];
        assert_eq!(message.emit_header(&mut header), Ok(Fec::HEADER_LEN));
        assert_eq!(
            Fec::parse(&[&header, message.payload].concat()),
            Ok(message)
        );
    }
});
