//! Sequences of datagrams, time and commands, as they come to a sender.
//!
//! Whatever receivers and strangers send, the machine asks for no image byte that it gave back or
//! was never given, and ends once and for all.
#![no_main]

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use ironcast_proto::sender::{Config, Event, Sender, StartRules};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut now = Instant::ZERO;
    let start = StartRules { min_receivers: Some(2), ..StartRules::default() };
    let config = Config { start, retries_until_drop: 12, ..Config::default() };
    let mut machine = Box::new(Sender::new(config, now));
    let mut supplied = 0;
    let mut finished = false;
    let mut rest = input;
    while let [operation, argument, tail @ ..] = rest {
        rest = tail;
        match operation % 8 {
            0 => now = now + Duration::from_millis(u64::from(*argument) * 20),
            1 => machine.handle_timeout(now),
            2 if *argument == 0 => machine.supply(supplied, true),
            2 => {
                supplied += u64::from(*argument) * 1000;
                machine.supply(supplied, false);
            }
            3 if *argument == 0 => machine.start(),
            _ => {
                let len = usize::from(*argument).min(rest.len());
                let (datagram, tail) = rest.split_at(len);
                rest = tail;
                let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, operation >> 5), 9000);
                machine.handle_datagram(now, from, datagram);
            }
        }
        let mut buffer = [0; MAX_CONTROL_LEN];
        for _ in 0..300 {
            let Some(transmit) = machine.poll_transmit(now, &mut buffer) else { break };
            assert!(transmit.payload.is_empty() || machine.needed_from() <= transmit.payload.start);
            assert!(transmit.payload.end <= supplied);
        }
        while let Some(event) = machine.poll_event() {
            assert!(!finished, "{event:?} after the end");
            finished = matches!(event, Event::Finished(_));
        }
    }
});
