//! The receiver machine against senders that no simulation has: restarted ones, and ones that
//! vanish.
//!
//! Each test hands it the datagrams of its case, one by one, since these cases hang on which
//! message comes after which.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ironcast_proto::bits::BitSet;
use ironcast_proto::receiver::{Config, Event, Failure, Receiver};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::{
    Capabilities, ConnectReply, Data, Hello, HelloKind, MAX_CONTROL_LEN, Message, ReqAck, SliceOk,
};

const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 9001);
const BLOCK: u32 = 8;
const SECOND: Duration = Duration::from_secs(1);

fn hello() -> Message<'static> {
    Message::Hello(Hello {
        kind: HelloKind::Classic,
        capabilities: Capabilities::STOCK,
        data_address: Ipv4Addr::new(233, 255, 0, 1),
        block_size: BLOCK as u16,
    })
}

fn reply() -> Message<'static> {
    Message::ConnectReply(ConnectReply {
        receiver: 0,
        block_size: BLOCK,
        capabilities: Capabilities::STOCK,
        data_address: Ipv4Addr::new(233, 255, 0, 1),
    })
}

/// The only block of a slice.
fn block(slice: u32) -> Message<'static> {
    Message::Data(Data {
        slice,
        block: 0,
        slice_bytes: BLOCK,
        payload: &[7; BLOCK as usize],
    })
}

fn request(slice: u32, slice_bytes: u32) -> Message<'static> {
    Message::ReqAck(ReqAck {
        slice,
        slice_bytes,
        rxmit: 0,
        ready: BitSet::EMPTY,
    })
}

struct Machine {
    receiver: Receiver,
    now: Instant,
}

impl Machine {
    fn new() -> Self {
        let now = Instant::ZERO;
        Self {
            receiver: Receiver::new(Config::default(), now),
            now,
        }
    }

    /// One that is connected, and has `slices` slices.
    fn with_slices(slices: u32) -> Self {
        let mut machine = Self::new();
        machine.hear(&reply());
        for slice in 0..slices {
            assert!(machine.hear(&block(slice)));
        }
        machine
    }

    /// Takes a message of the sender's; whether it brought a new block.
    fn hear(&mut self, message: &Message<'_>) -> bool {
        self.hear_from(SENDER, message)
    }

    fn hear_from(&mut self, sender: SocketAddrV4, message: &Message<'_>) -> bool {
        let mut datagram = [0; 200];
        let len = message.emit(&mut datagram).unwrap();
        let datagram = &datagram[..len];
        let block = self.receiver.handle_datagram(self.now, sender, datagram);
        block.is_some()
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.receiver.poll_timeout().filter(|&due| due <= end) {
            self.now = due.max(self.now);
            self.receiver.handle_timeout(self.now);
            if due == end {
                break;
            }
        }
        self.now = end;
    }

    /// Everything that is to be sent.
    fn sent(&mut self) -> Vec<(SocketAddrV4, Message<'static>)> {
        let mut sent = Vec::new();
        let mut buffer = [0; MAX_CONTROL_LEN];
        while let Some(transmit) = self.receiver.poll_transmit(&mut buffer) {
            let bytes = buffer[..transmit.len].to_vec().leak();
            sent.push((transmit.destination, Message::parse(bytes).unwrap()));
        }
        sent
    }

    fn result(&mut self) -> Option<Result<(), Failure>> {
        std::iter::from_fn(|| self.receiver.poll_event()).find_map(|event| match event {
            Event::Finished(result) => Some(result),
            _ => None,
        })
    }
}

#[test]
fn a_passive_receiver_says_nothing_whatever_it_is_told() {
    let config = Config {
        passive: true,
        ..Config::default()
    };
    let mut machine = Machine {
        receiver: Receiver::new(config, Instant::ZERO),
        now: Instant::ZERO,
    };
    let reply = Message::ConnectReply(ConnectReply {
        receiver: 0,
        block_size: BLOCK,
        capabilities: Capabilities::STOCK | Capabilities::REPORTS,
        data_address: Ipv4Addr::UNSPECIFIED,
    });
    for message in [hello(), reply, block(0), reply] {
        machine.hear(&message);
        machine.wait(Duration::from_secs(3));
        assert_eq!(machine.sent(), []);
    }
}

#[test]
fn p1_a_sender_that_says_hello_amid_the_transfer_has_begun_another() {
    let mut machine = Machine::with_slices(2);
    machine.wait(3 * SECOND);
    machine.hear(&hello());
    assert!(!machine.hear(&block(2)), "a block of another image");
    assert_eq!(machine.sent(), [(SENDER, Message::Disconnect)]);
    machine.wait(SECOND);
    let expected = Failure::Restarted {
        received: 2 * u64::from(BLOCK),
    };
    assert_eq!(machine.result(), Some(Err(expected)));
}

#[test]
fn a_hello_that_the_first_blocks_have_overtaken_means_nothing() {
    let mut machine = Machine::with_slices(2);
    machine.hear(&hello());
    assert!(machine.hear(&block(2)));
}

#[test]
fn p1_a_sender_that_goes_back_to_the_start_has_begun_another_transfer() {
    let mut machine = Machine::with_slices(40);
    for slice in 0..40 {
        assert!(!machine.hear(&block(slice)));
        machine.hear(&request(slice, BLOCK));
    }
    assert!(!machine.hear(&block(40)), "a block of another image");
    machine.wait(SECOND);
    let result = machine.result();
    assert!(
        matches!(result, Some(Err(Failure::Restarted { .. }))),
        "{result:?}"
    );
}

#[test]
fn old_datagrams_among_new_ones_mean_nothing() {
    let mut machine = Machine::with_slices(40);
    for slice in 40..400 {
        machine.hear(&block(0));
        assert!(machine.hear(&block(slice)));
    }
}

#[test]
fn p4_a_sender_that_only_says_hello_does_not_keep_a_transfer_alive() {
    let mut machine = Machine::with_slices(2);
    for _ in 0..200 {
        machine.hear(&hello());
        machine.wait(SECOND / 2);
    }
    assert!(machine.result().is_some());
}

#[test]
fn p5_the_last_ok_is_repeated_since_it_may_be_lost() {
    let mut machine = Machine::with_slices(2);
    machine.hear(&request(2, 0));
    assert_eq!(machine.sent(), []);
    machine.receiver.confirm(machine.now);
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.extend(machine.sent());
        machine.wait(SECOND / 20);
    }
    let ok = (SENDER, Message::Ok(SliceOk { slice: 2 }));
    let (last, oks) = sent.split_last().unwrap();
    assert_eq!(*last, (SENDER, Message::Disconnect));
    assert!(oks.iter().all(|message| *message == ok), "{oks:?}");
    assert!((3..=8).contains(&oks.len()), "{}", oks.len());
    assert_eq!(machine.result(), Some(Ok(())));
}

#[test]
fn p1_what_follows_the_end_changes_nothing_any_more() {
    let mut machine = Machine::with_slices(2);
    machine.hear(&request(2, 0));
    for slice in [0, 3, 4, 5, 1000] {
        machine.hear(&block(slice));
        machine.hear(&request(slice, BLOCK));
    }
    machine.wait(3 * SECOND);
    machine.hear(&hello());
    let _ = machine.sent();
    machine.receiver.confirm(machine.now);
    let ok = (SENDER, Message::Ok(SliceOk { slice: 2 }));
    assert_eq!(machine.sent(), [ok]);
    machine.wait(SECOND);
    let _ = machine.sent();
    assert_eq!(machine.result(), Some(Ok(())));
}

#[test]
fn p4_a_sender_that_was_heard_and_never_answers_does_not_hide_others() {
    let mut machine = Machine::new();
    machine.hear(&hello());
    let mut asked = Vec::new();
    for _ in 0..10 {
        machine.wait(SECOND);
        asked.extend(machine.sent().iter().map(|(to, _)| *to));
    }
    let anyone = SocketAddrV4::new(Ipv4Addr::BROADCAST, 9001);
    for to in [SENDER, anyone] {
        let count = asked.iter().filter(|&&asked| asked == to).count();
        assert!(count >= 4, "{to} was asked {count} times in 10 s");
    }
}

/// How many events there are when senders at these addresses say HELLO in turn, a thousand times.
fn told(machine: &mut Machine, senders: &[u8]) -> usize {
    let mut told = 0;
    for _ in 0..1000 {
        for &last in senders {
            let sender = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 9001);
            machine.hear_from(sender, &hello());
            told += std::iter::from_fn(|| machine.receiver.poll_event()).count();
        }
    }
    told
}

#[test]
fn a_sender_that_only_answers_is_not_lost_however_short_the_patience() {
    let config = Config {
        sender_timeout: SECOND,
        ..Config::default()
    };
    let mut machine = Machine::new();
    machine.receiver = Receiver::new(config, machine.now);
    machine.hear(&reply());
    for _ in 0..100 {
        machine.wait(SECOND / 10);
        if machine.sent().iter().any(|(to, _)| *to == SENDER) {
            machine.hear(&reply());
        }
    }
    let mut events = std::iter::from_fn(|| machine.receiver.poll_event());
    assert!(!events.any(|event| event == Event::Lost));
}

#[test]
fn p6_senders_that_say_hello_in_turn_are_told_of_once() {
    assert_eq!(told(&mut Machine::new(), &[2, 3]), 2);
    let mut connected = Machine::with_slices(1);
    while connected.receiver.poll_event().is_some() {}
    assert_eq!(told(&mut connected, &[2, 3]), 2);
    let crowd: Vec<u8> = (2..=255).collect();
    assert_eq!(told(&mut connected, &crowd), 6, "eight are told of at once");
}

#[test]
fn p6_memory_without_end_does_not_overflow() {
    let config = Config {
        capacity: u64::MAX,
        ..Config::default()
    };
    let mut machine = Machine::new();
    machine.receiver = Receiver::new(config, machine.now);
    machine.hear(&reply());
    assert!(machine.hear(&block(0)));
    machine.receiver.release(u64::MAX);
    assert!(machine.hear(&block(1)));
}
