//! Sequences of datagrams, time and commands, as they come to a receiver.
//!
//! Whatever a network sends, a block never goes outside the memory that the machine was told of,
//! and the machine ends once and for all.
#![no_main]

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use ironcast_proto::receiver::{Config, Event, Receiver};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;
use libfuzzer_sys::fuzz_target;

const CAPACITY: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let mut now = Instant::ZERO;
    let mut machine = Receiver::new(Config { capacity: CAPACITY, ..Config::default() }, now);
    let mut released = 0;
    let mut finished = false;
    let mut rest = input;
    while let [operation, argument, tail @ ..] = rest {
        rest = tail;
        match operation % 8 {
            0 => now = now + Duration::from_millis(u64::from(*argument) * 20),
            1 => machine.handle_timeout(now),
            2 => {
                released = machine.contiguous() * u64::from(*argument) / 255;
                machine.release(released);
            }
            3 => machine.confirm(now),
            4 if *argument == 0 => machine.abort(now),
            4 => machine.go(),
            _ => {
                let len = usize::from(*argument).min(rest.len());
                let (datagram, tail) = rest.split_at(len);
                rest = tail;
                let sender = Ipv4Addr::new(10, 0, 0, operation >> 6);
                let from = SocketAddrV4::new(sender, 9001);
                if let Some(block) = machine.handle_datagram(now, from, datagram) {
                    assert!(block.offset + block.payload.len() as u64 <= released + CAPACITY);
                }
            }
        }
        released = released.min(machine.contiguous());
        let mut buffer = [0; MAX_CONTROL_LEN];
        while let Some(transmit) = machine.poll_transmit(&mut buffer) {
            assert!(transmit.len <= MAX_CONTROL_LEN);
        }
        while let Some(event) = machine.poll_event() {
            assert!(!finished, "{event:?} after the end");
            finished = matches!(event, Event::Finished(_));
        }
        assert_eq!(machine.poll_timeout().is_none(), finished);
    }
});
