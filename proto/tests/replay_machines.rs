//! The recorded transfers, replayed against the receiver machine.
//!
//! It must take the stock sender's datagrams for what they are, end with the file, and say OK to
//! each slice that the stock receiver said OK to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod pcap;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use ironcast_proto::receiver::{Config, Event, Receiver};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::{MAX_CONTROL_LEN, Message};
use pcap::Datagram;

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// What came of a replay.
struct Replayed {
    disk: Vec<u8>,
    acknowledged: BTreeSet<u32>,
    finished: bool,
}

fn replay(datagrams: &[Datagram]) -> Replayed {
    let mut machine = Receiver::new(Config::default(), Instant::ZERO);
    let mut replayed = Replayed {
        disk: Vec::new(),
        acknowledged: BTreeSet::new(),
        finished: false,
    };
    for datagram in datagrams
        .iter()
        .filter(|datagram| *datagram.source.ip() == SENDER)
    {
        let to = *datagram.destination.ip();
        if to != RECEIVER && !to.is_multicast() && to.octets()[3] != 255 {
            continue;
        }
        let now = Instant::from_micros(datagram.micros);
        step(&mut machine, now, Some(datagram), &mut replayed);
    }
    while let Some(due) = machine.poll_timeout() {
        step(&mut machine, due, None, &mut replayed);
    }
    replayed
}

fn step(machine: &mut Receiver, now: Instant, datagram: Option<&Datagram>, to: &mut Replayed) {
    machine.handle_timeout(now);
    if let Some(datagram) = datagram
        && let Some(block) = machine.handle_datagram(now, datagram.source, &datagram.payload)
    {
        let end = block.offset as usize + block.payload.len();
        to.disk.resize(to.disk.len().max(end), 0);
        to.disk[block.offset as usize..end].copy_from_slice(block.payload);
    }
    machine.release(machine.contiguous());
    while let Some(event) = machine.poll_event() {
        match event {
            Event::Ended { .. } => machine.confirm(now),
            Event::Finished(result) => {
                result.unwrap();
                to.finished = true;
            }
            _ => {}
        }
    }
    let mut buffer = [0; MAX_CONTROL_LEN];
    while let Some(transmit) = machine.poll_transmit(&mut buffer) {
        if let Ok(Message::Ok(ok)) = Message::parse(&buffer[..transmit.len]) {
            to.acknowledged.insert(ok.slice);
        }
    }
    while let Some(Event::Finished(result)) = machine.poll_event() {
        result.unwrap();
        to.finished = true;
    }
}

/// The slices that the stock receiver said OK to.
fn acknowledged_by_stock(datagrams: &[Datagram]) -> BTreeSet<u32> {
    datagrams
        .iter()
        .filter(|datagram| *datagram.source.ip() == RECEIVER)
        .filter_map(|datagram| match Message::parse(&datagram.payload) {
            Ok(Message::Ok(ok)) => Some(ok.slice),
            _ => None,
        })
        .collect()
}

#[test]
fn every_recorded_transfer_ends_with_the_file_and_the_same_slices_acknowledged() {
    let file = replay(&pcap::read("plain2")).disk;
    assert_eq!(file.len(), 300_001);
    for name in [
        "plain2", "nop2p", "loss5", "fec", "fecloss5", "bs512", "empty",
    ] {
        let datagrams = pcap::read(name);
        let replayed = replay(&datagrams);
        assert!(replayed.finished, "{name}");
        let expected: &[u8] = if name == "empty" { &[] } else { &file };
        assert!(
            replayed.disk == expected,
            "{name}: {} bytes",
            replayed.disk.len()
        );
        assert_eq!(
            replayed.acknowledged,
            acknowledged_by_stock(&datagrams),
            "{name}"
        );
    }
}

#[test]
fn a_transfer_that_breaks_off_is_no_success() {
    let datagrams = pcap::read("plain2");
    let broken = &datagrams[..datagrams.len() / 2];
    let mut machine = Receiver::new(Config::default(), Instant::ZERO);
    let mut replayed = Replayed {
        disk: Vec::new(),
        acknowledged: BTreeSet::new(),
        finished: false,
    };
    for datagram in broken
        .iter()
        .filter(|datagram| datagram.source == from_sender())
    {
        step(
            &mut machine,
            Instant::from_micros(datagram.micros),
            Some(datagram),
            &mut replayed,
        );
    }
    let mut result = None;
    while let Some(due) = machine.poll_timeout() {
        machine.handle_timeout(due);
        while machine.poll_transmit(&mut [0; MAX_CONTROL_LEN]).is_some() {}
        while let Some(event) = machine.poll_event() {
            if let Event::Finished(finished) = event {
                result = Some(finished);
            }
        }
    }
    assert!(matches!(result, Some(Err(_))), "P1, P4: {result:?}");
}

fn from_sender() -> SocketAddrV4 {
    SocketAddrV4::new(SENDER, 9001)
}
