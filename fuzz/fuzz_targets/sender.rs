//! Sequences of datagrams, time and commands, as they come to a sender of any configuration.
//!
//! Whatever receivers and strangers send, the machine asks for no image byte that it gave back or
//! was never given, for no FEC block that was not encoded, and ends once and for all.
#![no_main]

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use ironcast_fuzz::message_to_sender;
use ironcast_proto::sender::{Config, Duplex, Event, Sender, StartRules};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;
use libfuzzer_sys::fuzz_target;

fn config(choices: u8) -> Config {
    Config {
        block_size: 16,
        start: StartRules {
            min_receivers: Some(2),
            ..StartRules::default()
        },
        retries_until_drop: 12,
        fec: (choices & 1 != 0).then(|| "2x2/4".parse().expect("a layout")),
        asynchronous: choices & 2 != 0,
        streaming: (choices & 4 != 0).then_some(2),
        max_bitrate: (choices & 8 != 0).then_some(1_000_000),
        duplex: match choices & 16 {
            0 => Duplex::Full,
            _ => Duplex::Half,
        },
        drop_after: (choices & 32 != 0).then_some(Duration::from_secs(1)),
        ..Config::default()
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&choices, mut rest)) = input.split_first() else {
        return;
    };
    let mut now = Instant::ZERO;
    let mut machine = Box::new(Sender::new(config(choices), now));
    let (mut supplied, mut encoded) = (0, Vec::new());
    let mut finished = false;
    while let [operation, argument, tail @ ..] = rest {
        rest = tail;
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, operation >> 5), 9000);
        let mut made = [0; MAX_CONTROL_LEN];
        match operation % 8 {
            0 => now = now + Duration::from_millis(u64::from(*argument) * 20),
            1 => machine.handle_timeout(now),
            2 if *argument == 0 => machine.supply(supplied, true),
            2 => {
                supplied += u64::from(*argument) * 10;
                machine.supply(supplied, false);
            }
            3 if *argument == 0 => machine.start(),
            3 => {
                let (datagram, tail) = rest.split_at(usize::from(*argument).min(rest.len()));
                rest = tail;
                machine.handle_datagram(now, from, datagram);
            }
            kind => {
                let datagram = message_to_sender(kind - 4, *argument, &mut rest, &mut made);
                machine.handle_datagram(now, from, datagram);
            }
        }
        while let Some(encode) = machine.poll_encode() {
            assert!(encode.range.end <= supplied && machine.needed_from() <= encode.range.start);
            machine.encoded(encode.slice);
            encoded.push(encode.slice);
        }
        let mut buffer = [0; MAX_CONTROL_LEN];
        for _ in 0..300 {
            let Some(transmit) = machine.poll_transmit(now, &mut buffer) else {
                break;
            };
            assert!(transmit.payload.is_empty() || machine.needed_from() <= transmit.payload.start);
            assert!(transmit.payload.end <= supplied);
            assert!(
                transmit
                    .fec
                    .is_none_or(|block| encoded.contains(&block.slice))
            );
        }
        while let Some(event) = machine.poll_event() {
            assert!(!finished, "{event:?} after the end");
            finished = matches!(event, Event::Finished(_));
        }
    }
});
