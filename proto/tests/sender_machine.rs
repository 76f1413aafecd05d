//! The sender machine against receivers that no simulation has: ones that leave before the start or
//! after the end.
//!
//! Each test hands it the datagrams of its case, one by one.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ironcast_proto::sender::{Addressing, Config, Event, Outcome, Sender};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::{Capabilities, ConnectReq, MAX_CONTROL_LEN, Message, SliceOk};

const NOW: Instant = Instant::ZERO;

const CONNECT: Message<'static> = Message::ConnectReq(ConnectReq {
    capabilities: Capabilities::STOCK,
    receive_buffer: 0,
});

fn hear(sender: &mut Sender, receiver: u8, message: &Message<'_>) {
    let mut buffer = [0; MAX_CONTROL_LEN];
    let len = message.emit(&mut buffer).unwrap();
    let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, receiver), 9000);
    sender.handle_datagram(NOW, from, &buffer[..len]);
    while sender.poll_transmit(NOW, &mut buffer).is_some() {}
}

#[test]
fn who_leaves_before_the_start_is_not_lost() {
    let mut sender = Box::new(Sender::new(Config::default(), NOW));
    sender.supply(0, true);
    for receiver in 1..=3 {
        hear(&mut sender, receiver, &CONNECT);
    }
    hear(&mut sender, 1, &Message::Disconnect);
    hear(&mut sender, 2, &Message::Go);
    hear(&mut sender, 3, &Message::Disconnect);
    hear(&mut sender, 2, &Message::Ok(SliceOk { slice: 0 }));
    let outcome = Outcome {
        completed: 1,
        partial: 0,
        lost: 1,
        bytes: 0,
    };
    let last = std::iter::from_fn(|| sender.poll_event()).last();
    assert_eq!(last, Some(Event::Finished(outcome)));
}

#[test]
fn p6_receivers_that_find_no_place_are_told_of_once() {
    let config = Config {
        addressing: Addressing::PointToPoint,
        ..Config::default()
    };
    let mut sender = Box::new(Sender::new(config, NOW));
    hear(&mut sender, 1, &CONNECT);
    while sender.poll_event().is_some() {}
    let mut told = 0;
    for _ in 0..100 {
        for receiver in 2..=255 {
            hear(&mut sender, receiver, &CONNECT);
            told += std::iter::from_fn(|| sender.poll_event()).count();
        }
    }
    assert_eq!(told, 8);
}

#[test]
fn nothing_happens_after_the_end() {
    let config = Config {
        asynchronous: true,
        ..Config::default()
    };
    let mut sender = Box::new(Sender::new(config, NOW));
    sender.supply(0, true);
    hear(&mut sender, 1, &CONNECT);
    sender.start();
    let mut buffer = [0; MAX_CONTROL_LEN];
    for second in 0..10 {
        let now = NOW + Duration::from_secs(second);
        while sender.poll_transmit(now, &mut buffer).is_some() {}
    }
    let last = std::iter::from_fn(|| sender.poll_event()).last();
    assert!(matches!(last, Some(Event::Finished(_))));
    for (receiver, message) in [(1, Message::Disconnect), (1, CONNECT), (2, CONNECT)] {
        hear(&mut sender, receiver, &message);
        assert_eq!(sender.poll_event(), None);
    }
}
