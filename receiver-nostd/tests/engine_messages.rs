//! The engine and single messages: floods, full memory, and whatever else a network may bring.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ironcast_proto::bits::BitSet;
use ironcast_proto::receiver;
use ironcast_proto::time::Instant;
use ironcast_proto::wire::{
    Capabilities, ConnectReply, Data, Hello, HelloKind, MAX_CONTROL_LEN, Message, ReqAck,
    Retransmit,
};
use ironcast_receiver_nostd::engine::{Event, MIN_RING_LEN, WRITE_SIZE};
use lab::{Random, Setup, TestDisk, image};

const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 9001);

fn bytes(message: &Message<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 2000];
    let len = message.emit(&mut buffer).expect("it has room");
    buffer.truncate(len);
    buffer
}

fn hello(capabilities: Capabilities) -> Vec<u8> {
    bytes(&Message::Hello(Hello {
        kind: HelloKind::Classic,
        capabilities,
        data_address: Ipv4Addr::new(233, 255, 0, 1),
        block_size: 1024,
    }))
}

fn reply() -> Vec<u8> {
    bytes(&Message::ConnectReply(ConnectReply {
        receiver: 0,
        block_size: 1024,
        capabilities: Capabilities::STOCK,
        data_address: Ipv4Addr::new(233, 255, 0, 1),
    }))
}

fn request(slice: u32, slice_bytes: u32) -> Vec<u8> {
    bytes(&Message::ReqAck(ReqAck {
        slice,
        slice_bytes,
        rxmit: 0,
        ready: BitSet::EMPTY,
    }))
}

fn block(slice: u32, block: u16, slice_bytes: u32, payload: &[u8]) -> Vec<u8> {
    bytes(&Message::Data(Data {
        slice,
        block,
        slice_bytes,
        payload,
    }))
}

#[test]
fn p4_p6_a_flood_of_notices_does_not_hide_the_end() {
    let disk = TestDisk::new();
    let mut engine = Setup::default().engine(disk.clone());
    let now = Instant::ZERO;
    for _ in 0..100 {
        engine.handle_datagram(
            now,
            SENDER,
            &hello(Capabilities::STOCK | Capabilities::ASYNC),
        );
    }
    for datagram in [
        reply(),
        block(0, 0, 5, b"image"),
        request(0, 5),
        request(1, 0),
    ] {
        engine.handle_datagram(now, SENDER, &datagram);
    }
    while engine.work(now) {}
    assert_eq!(disk.bytes(), b"image");
    let mut buffer = [0; MAX_CONTROL_LEN];
    while engine.poll_transmit(&mut buffer).is_some() {}
    engine.handle_timeout(now + Duration::from_secs(1));
    while engine.poll_transmit(&mut buffer).is_some() {}
    let events: Vec<_> = std::iter::from_fn(|| engine.poll_event()).collect();
    assert!(events.contains(&Event::Receiver(receiver::Event::Started)));
    assert!(
        matches!(events.last(), Some(Event::Finished(Ok(_)))),
        "{events:?}"
    );
}

#[test]
fn p3_full_memory_is_silent_and_asks_for_the_slice_when_there_is_room() {
    let mut engine = Setup {
        ring: MIN_RING_LEN,
        ..Setup::default()
    }
    .engine(TestDisk::new());
    let now = Instant::ZERO;
    let mut buffer = [0; MAX_CONTROL_LEN];
    engine.handle_datagram(now, SENDER, &reply());
    while engine.poll_transmit(&mut buffer).is_some() {}
    let len = WRITE_SIZE as u32;
    for number in 0..3 {
        for index in 0..256 {
            engine.handle_datagram(now, SENDER, &block(number, index, len, &[7; 1024]));
        }
    }
    assert_eq!(engine.stats().no_room, 256, "the third slice finds none");
    for rxmit in 0..300 {
        let asked = ReqAck {
            slice: 2,
            slice_bytes: len,
            rxmit,
            ready: BitSet::EMPTY,
        };
        engine.handle_datagram(now, SENDER, &bytes(&Message::ReqAck(asked)));
        assert_eq!(engine.poll_transmit(&mut buffer), None, "round {rxmit}");
    }
    let sent = loop {
        assert!(engine.work(now), "an answer");
        if let Some(sent) = engine.poll_transmit(&mut buffer) {
            break sent;
        }
    };
    assert!(engine.progress().written >= WRITE_SIZE as u64, "not before");
    let answer = Message::parse(&buffer[..sent.len]);
    assert!(
        matches!(
            answer,
            Ok(Message::Retransmit(Retransmit {
                slice: 2,
                rxmit: 299,
                ..
            }))
        ),
        "{answer:?}"
    );
}

#[test]
fn missing_blocks_and_bytes_that_wait_are_counted() {
    let mut engine = Setup::default().engine(TestDisk::new());
    let now = Instant::ZERO;
    let len = WRITE_SIZE as u32;
    engine.handle_datagram(now, SENDER, &reply());
    for index in (0..256).filter(|index| !(100..106).contains(index)) {
        engine.handle_datagram(now, SENDER, &block(0, index, len, &[7; 1024]));
    }
    for rxmit in 0..2 {
        let asked = ReqAck {
            slice: 0,
            slice_bytes: len,
            rxmit,
            ready: BitSet::EMPTY,
        };
        engine.handle_datagram(now, SENDER, &bytes(&Message::ReqAck(asked)));
    }
    let stats = engine.stats();
    assert_eq!((stats.retransmits, stats.missing), (2, 6));
    assert_eq!(engine.progress().waiting, 100 * 1024);
    for index in 100..106 {
        engine.handle_datagram(now, SENDER, &block(0, index, len, &[7; 1024]));
    }
    while engine.work(now) {}
    assert_eq!(engine.progress().waiting, 0);
}

#[test]
fn p4_room_is_made_for_a_slice_that_is_asked_for_after_its_blocks_were_let_go() {
    let mut engine = Setup {
        ring: MIN_RING_LEN,
        ..Setup::default()
    }
    .engine(TestDisk::new());
    let now = Instant::ZERO;
    let mut buffer = [0; MAX_CONTROL_LEN];
    engine.handle_datagram(now, SENDER, &reply());
    // Two slices that don't fit together, and are no multiple of a write.
    let len = 500 << 10;
    for (slice, blocks) in [(0, 1..500), (1, 0..500)] {
        for index in blocks {
            engine.handle_datagram(now, SENDER, &block(slice, index, len, &[7; 1024]));
            while engine.work(now) {}
        }
    }
    // The first slice's last block comes after all of the second were in vain.
    engine.handle_datagram(now, SENDER, &block(0, 0, len, &[7; 1024]));
    while engine.work(now) {}
    while engine.poll_transmit(&mut buffer).is_some() {}
    engine.handle_datagram(now, SENDER, &request(1, len));
    while engine.work(now) {}
    let sent = engine.poll_transmit(&mut buffer).expect("an answer");
    let answer = Message::parse(&buffer[..sent.len]);
    assert!(
        matches!(answer, Ok(Message::Retransmit(Retransmit { slice: 1, .. }))),
        "{answer:?}"
    );
}

/// What a hostile sender might say. Most are the next block of slices of two, counted in `right`;
/// the others could come from anywhere.
fn wild_message(random: &mut Random, right: &mut u32) -> Vec<u8> {
    let lens = [2048, 0, 1, 1024, 1 << 20, 1025 << 10, u32::MAX];
    let len = lens[random.below(7) as usize];
    let slice = *right / 2 + random.below(4) as u32;
    match random.below(1000) {
        0 => hello(Capabilities::STOCK),
        1 => reply(),
        2 | 3 => request(slice, len),
        4 => image(random.below(200) as usize),
        5 => request(slice, len)[..7].to_vec(),
        6..20 => block(slice, random.below(3) as u16, len, &image(1024)),
        _ => {
            let number = *right;
            *right += 1;
            block(number / 2, number as u16 % 2, 2048, &image(1024))
        }
    }
}

#[test]
fn p6_no_sequence_of_messages_panics_or_writes_outside() {
    let mut random = Random::new(11);
    let capacity = 600_000;
    let mut written = 0;
    for _ in 0..60 {
        let disk = TestDisk::with_capacity(capacity);
        let setup = Setup {
            ring: MIN_RING_LEN,
            ..Setup::default()
        };
        let mut engine = setup.engine(disk.clone());
        let mut now = Instant::ZERO;
        let mut buffer = [0; MAX_CONTROL_LEN];
        let mut right = 0;
        engine.handle_datagram(now, SENDER, &reply());
        for _ in 0..2000 {
            engine.handle_datagram(now, SENDER, &wild_message(&mut random, &mut right));
            let progress = engine.progress();
            assert!(progress.written <= capacity.min(progress.received));
            if random.below(3) == 0 {
                engine.work(now);
                while engine.poll_transmit(&mut buffer).is_some() {}
                while engine.poll_event().is_some() {}
                engine.handle_timeout(now);
            }
            now = now + Duration::from_millis(random.below(100));
        }
        engine.abort(now);
        engine.handle_timeout(now + Duration::from_secs(1));
        assert_eq!(engine.poll_timeout(), None, "every run ends");
        written += disk.bytes().len();
    }
    assert!(
        written > 60 * capacity as usize / 10,
        "some got far: {written}"
    );
}
