//! Somebody who hashes beside the engine: the result is the same, whatever he is like.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;
mod streams;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ironcast_receiver_nostd::engine::{
    Format, HashOffload, UNIT_LEN, UnitValue, WRITE_SIZE, unit_value,
};
use lab::cast::defaults;
use lab::{Fault, Machine, Network, Setup, TestDisk, image};

const LIMIT: Duration = Duration::from_secs(120);

/// Holds `room` units, and gives each value when it has been asked `patience` times.
#[derive(Debug)]
struct Helper {
    room: usize,
    patience: u32,
    asked: u32,
    values: VecDeque<UnitValue>,
    taken: Arc<AtomicU32>,
}

impl HashOffload for Helper {
    fn has_room(&self) -> bool {
        self.values.len() < self.room
    }

    fn submit(&mut self, offset: u64, unit: &[u8]) -> bool {
        assert_eq!(unit.len(), UNIT_LEN);
        let has_room = self.has_room();
        if has_room {
            self.values.push_back(unit_value(offset, unit));
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    fn poll(&mut self) -> Option<UnitValue> {
        self.asked += 1;
        if self.asked < self.patience {
            return None;
        }
        self.asked = 0;
        self.values.pop_front()
    }
}

/// Sends to one machine with a helper; the network after that, and how many units were taken.
fn send(
    stream: &[u8],
    setup: &Setup,
    disk: &TestDisk,
    room: usize,
    patience: u32,
) -> (Network, u32) {
    let taken = Arc::new(AtomicU32::new(0));
    let helper = Helper {
        room,
        patience,
        asked: 0,
        values: VecDeque::new(),
        taken: taken.clone(),
    };
    let mut machine = Machine::new(setup, disk.clone());
    machine.engine.set_offload(Box::leak(Box::new(helper)));
    let mut network = Network::new(stream, vec![machine]);
    network.run(LIMIT);
    (network, taken.load(Ordering::Relaxed))
}

#[test]
fn whoever_hashes_images_arrive_whole() {
    for len in [1, UNIT_LEN, 3 * WRITE_SIZE, 12 * WRITE_SIZE + 77] {
        let image = image(len);
        for (room, patience) in [(0, 1), (1, 5), (16, 1), (16, 9)] {
            let disk = TestDisk::with_capacity(8 << 20);
            let (network, taken) = send(&image, &Setup::default(), &disk, room, patience);
            let report = network.machines[0]
                .outcome
                .expect("an end")
                .expect("a good one");
            assert!(
                report.verified && disk.bytes()[..len] == image,
                "{len} bytes"
            );
            assert_eq!(report.hash, blake3::hash(&image), "{len} bytes");
            let units = (len / UNIT_LEN).saturating_sub(1) as u32;
            assert_eq!(taken, if room == 0 { 0 } else { units }, "{len} bytes");
        }
    }
}

#[test]
fn what_is_decoded_is_hashed_by_the_helper_too() {
    let packed = streams::stream("long.gz");
    let (packed, text) = (packed.bytes, packed.content());
    let disk = TestDisk::with_capacity(8 << 20);
    let (network, taken) = send(packed, &Setup::default(), &disk, 4, 3);
    let report = network.machines[0]
        .outcome
        .expect("an end")
        .expect("a good one");
    assert!(matches!(report.format, Format::Compressed(_)));
    assert!(report.verified && disk.bytes()[..text.len()] == text);
    assert_eq!(report.hash, blake3::hash(packed));
    assert_eq!(report.disk_hash, blake3::hash(&text));
    assert_eq!(taken as usize, (text.len() / UNIT_LEN).saturating_sub(1));
}

#[test]
fn p1_a_disk_that_lies_is_caught_with_a_helper() {
    let image = image(12 * WRITE_SIZE + 77);
    for wrong in [WRITE_SIZE as u64 + 5, 11 * WRITE_SIZE as u64] {
        let setup = Setup {
            options: defaults(),
            ..Setup::default()
        };
        let disk = TestDisk::with_capacity(8 << 20).failing(Fault::Flip(wrong));
        let (network, _) = send(&image, &setup, &disk, 8, 2);
        let outcome = network.machines[0].outcome.expect("an end");
        outcome.expect_err("a byte is wrong");
    }
}
