//! DATA of any bytes, also emitted as header and payload apart.
#![no_main]

use ironcast_fuzz::{check, with_opcode};
use ironcast_proto::wire::{Data, Opcode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let datagram = with_opcode(Opcode::DATA, bytes);
    check!(Data, &datagram);
    if let Ok(message) = Data::parse(&datagram) {
        let mut header = [0xaa; Data::HEADER_LEN];
        assert_eq!(message.emit_header(&mut header), Ok(Data::HEADER_LEN));
        assert_eq!(
            Data::parse(&[&header, message.payload].concat()),
            Ok(message)
        );
    }
});
