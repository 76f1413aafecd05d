//! Sequences of datagrams, time and commands, as they come to a receiver of any configuration.
//!
//! Whatever a network sends, a block never goes outside the memory that the machine was told of,
//! nor does a repair, and the machine ends once and for all.
#![no_main]

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use ironcast_fuzz::message_to_receiver;
use ironcast_proto::receiver::{Config, Event, Receiver};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::MAX_CONTROL_LEN;
use libfuzzer_sys::fuzz_target;

/// Small, so that the end of the memory is met.
const CAPACITY: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((&choices, mut rest)) = input.split_first() else {
        return;
    };
    let config = Config {
        capacity: CAPACITY as u64,
        passive: choices & 1 != 0,
        late_join: choices & 2 != 0,
        ignore_lost_data: choices & 4 != 0,
        start_timeout: (choices & 8 != 0).then_some(Duration::from_secs(2)),
        ..Config::default()
    };
    let mut now = Instant::ZERO;
    let mut machine = Receiver::new(config, now);
    let mut ring = vec![0; CAPACITY];
    let mut released = 0;
    let mut finished = false;
    while let [operation, argument, tail @ ..] = rest {
        rest = tail;
        let sender = Ipv4Addr::new(10, 0, 0, operation >> 6);
        let from = SocketAddrV4::new(sender, 9001);
        let mut made = [0; MAX_CONTROL_LEN];
        let datagram = match operation % 16 {
            0 => {
                now = now + Duration::from_millis(u64::from(*argument) * 20);
                &[]
            }
            1 => {
                machine.handle_timeout(now);
                &[]
            }
            2 => {
                let part = machine.contiguous() * u64::from(*argument) / 255;
                released = released.max(part);
                machine.release(released);
                &[]
            }
            3 => {
                machine.confirm(now);
                &[]
            }
            4 => {
                match argument {
                    0 => machine.abort(now),
                    _ => machine.go(),
                }
                &[]
            }
            5..8 => {
                let (datagram, tail) = rest.split_at(usize::from(*argument).min(rest.len()));
                rest = tail;
                datagram
            }
            _ => message_to_receiver(operation / 8 % 8, *argument, &mut rest, &mut made),
        };
        if let Some(block) = machine.handle_datagram(now, from, datagram) {
            assert!(block.offset + block.payload.len() as u64 <= released + CAPACITY as u64);
        }
        released = released.min(machine.contiguous());
        while let Some(repair) = machine.poll_repair() {
            repair.apply(&mut ring);
        }
        let mut buffer = [0; MAX_CONTROL_LEN];
        while let Some(transmit) = machine.poll_transmit(&mut buffer) {
            assert!(transmit.len <= MAX_CONTROL_LEN);
            assert!(choices & 1 == 0, "a passive receiver said something");
        }
        while let Some(event) = machine.poll_event() {
            assert!(!finished, "{event:?} after the end");
            finished = matches!(event, Event::Finished(_));
        }
        assert_eq!(machine.poll_timeout().is_none(), finished);
    }
});
