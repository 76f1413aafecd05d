//! Whole transfers over a simulated network, in virtual time, reproducible from a seed.
//!
//! Sender and receivers are the real machines; only links, disks and the clock are made up. What a
//! test asserts of every run: every living receiver has the sender's bytes, and everyone ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod faults;
mod forward;
mod host;
mod network;
mod random;
mod rates;
mod reports;
mod takeover;
mod world;

use std::time::Duration;

use ironcast_proto::geometry::MAX_RECEIVERS;
use ironcast_proto::receiver::Failure;
use ironcast_proto::sender::{Addressing, Duplex, Outcome, SliceBlocks, Standing};
use ironcast_proto::time::Instant;

use network::Conditions;
use random::Random;
use world::{Scenario, World, address};

/// All that a bad network does at once, but for the loss.
fn rough(loss: f64) -> Conditions {
    Conditions {
        loss,
        burst: 0.2,
        burst_time: Duration::from_micros(400),
        duplicate: 2.0,
        delay: Duration::from_micros(100),
        jitter: Duration::from_micros(400),
        ..Conditions::default()
    }
}

fn after_start(world: &World) -> Duration {
    let started = world.started_at.expect("the transfer started");
    world
        .hosts
        .iter()
        .filter_map(|host| host.finished_at)
        .max()
        .expect("someone finished")
        - started
}

#[test]
fn a_perfect_network_carries_each_block_once() {
    let world = Scenario::new(1, 4, 1_000_001).run();
    world.assert_all_equal();
    assert_eq!(
        world.outcome,
        Some(Outcome {
            completed: 4,
            partial: 0,
            lost: 0,
            bytes: 1_000_001
        })
    );
    assert_eq!(world.sender.stats().retransmitted, 0);
    assert_eq!(world.sender.stats().blocks, 687);
    for host in &world.hosts {
        assert_eq!(host.machine.stats().missing, 0);
    }
}

#[test]
fn lengths_around_every_limit() {
    let (block, slice) = (1456, 112 * 1456);
    for len in [
        0,
        1,
        3,
        block - 1,
        block,
        block + 1,
        slice - block,
        slice - 1,
        slice,
        slice + 1,
    ]
    .into_iter()
    .chain([slice + block, 2 * slice, 2 * slice + 1, 3 * slice - 1])
    {
        for duplex in [Duplex::Full, Duplex::Half] {
            let mut scenario = Scenario::new(len as u64, 2, len).conditions(rough(3.0));
            scenario.sender.duplex = duplex;
            scenario.run().assert_all_equal();
        }
    }
}

#[test]
fn p7_a_fifth_lost_with_bursts_and_reordering_and_everyone_finishes() {
    for (seed, receivers) in [1, 2, 3, 5, 8, 16, 32, 64].into_iter().enumerate() {
        let world = Scenario::new(seed as u64, receivers, 400_000)
            .conditions(rough(20.0))
            .run();
        world.assert_all_equal();
        assert_eq!(world.outcome.unwrap().completed, receivers as u16);
        assert!(world.sender.stats().retransmitted > 0, "nothing was lost?");
    }
}

#[test]
fn many_seeds_many_conditions() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let receivers = 1 + random.below(8) as usize;
        let len = random.below(700_000) as usize;
        let mut scenario = Scenario::new(seed, receivers, len);
        for link in [&mut scenario.down, &mut scenario.up] {
            *link = rough(random.below(21) as f64);
            link.jitter = Duration::from_micros(random.below(5_000));
            link.delay = Duration::from_micros(random.below(10_000));
        }
        scenario.sender.duplex = [Duplex::Full, Duplex::Half][random.below(2) as usize];
        scenario.sender.block_size = [512, 1024, 1456][random.below(3) as usize];
        scenario.sender.addressing = [
            Addressing::Automatic,
            Addressing::Multicast,
            Addressing::Broadcast,
        ][random.below(3) as usize];
        scenario.receiver.capacity = [340 << 10, 1 << 20, 4 << 20][random.below(3) as usize];
        // Half duplex grows its slices up to 1024 blocks; two need not fit the memory, but one
        // must.
        scenario.sender.slice_blocks.max = Some(220);
        scenario.run().assert_all_equal();
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let digest = |seed| {
        Scenario::new(seed, 5, 300_000)
            .conditions(rough(10.0))
            .run()
            .digest()
    };
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

#[test]
fn p8_as_many_receivers_as_the_protocol_has_numbers_for() {
    let receivers = usize::from(MAX_RECEIVERS);
    let mut scenario = Scenario::new(11, receivers, 500_000).conditions(Conditions::lossy(0.5));
    scenario.sender.start.min_receivers = Some(MAX_RECEIVERS);
    let world = scenario.run();
    world.assert_all_equal();
    assert_eq!(world.outcome.unwrap().completed, MAX_RECEIVERS);
}

#[test]
fn p8_32_receivers_take_no_more_than_a_tenth_longer_than_one() {
    for duplex in [Duplex::Full, Duplex::Half] {
        let time = |receivers| {
            let mut scenario = Scenario::new(3, receivers, 8_000_000);
            scenario.sender.duplex = duplex;
            scenario.receiver.capacity = 8 << 20;
            // The same way for one as for many.
            scenario.sender.addressing = Addressing::Multicast;
            let delay = Duration::from_micros(50);
            let world = scenario
                .conditions(Conditions {
                    delay,
                    ..Conditions::default()
                })
                .run();
            world.assert_all_equal();
            after_start(&world)
        };
        let (one, many) = (time(1), time(32));
        assert!(
            many * 10 <= one * 11,
            "{duplex:?}: 1 in {one:?}, 32 in {many:?}"
        );
    }
}

#[test]
fn p3_without_a_limit_in_time_a_dead_receiver_costs_what_the_retries_allow() {
    for retries in [20, 50, 200] {
        for duplex in [Duplex::Full, Duplex::Half] {
            let mut scenario = Scenario::new(11, 8, 2_000_000).conditions(rough(1.0));
            scenario.sender.retries_until_drop = retries;
            scenario.sender.drop_after = None;
            scenario.sender.stall_limit = None;
            scenario.sender.duplex = duplex;
            let mut world = scenario.build();
            world.run_to_start();
            world.hosts[3].dies_at = Some(world.now + Duration::from_millis(2));
            world.run();
            world.assert_all_equal();
            assert!(world.standings.contains(&(3, Standing::Dropped)));
            assert_eq!(world.outcome.unwrap().completed, 7);
            // Ten short waits, then a second each, then the transfer itself.
            let bound = Duration::from_secs(u64::from(retries) + 10);
            assert!(
                after_start(&world) < bound,
                "{retries} retries: {:?}",
                after_start(&world)
            );
        }
    }
}

#[test]
fn a_receiver_that_hears_but_is_not_heard_is_dropped_and_learns_it() {
    let mut scenario = Scenario::new(12, 3, 1_000_000);
    scenario.sender.retries_until_drop = 5;
    let mut world = scenario.build();
    world.run_to_start();
    world.set_link(1, Conditions::default(), Conditions::lossy(100.0));
    world.run();
    assert_eq!(world.hosts[0].result, Some(Ok(())));
    assert!(world.standings.contains(&(1, Standing::Dropped)));
    // It has every byte if it heard them all: what it can't have is the sender's knowledge of it.
    assert_eq!(world.outcome.unwrap().lost, 1);
}

#[test]
fn a_receiver_that_is_heard_but_hears_nothing_ends_too() {
    let mut scenario = Scenario::new(13, 3, 1_000_000);
    scenario.sender.retries_until_drop = 5;
    let mut world = scenario.build();
    world.run_to_start();
    world.set_link(1, Conditions::lossy(100.0), Conditions::default());
    world.run();
    assert!(matches!(
        world.hosts[1].result,
        Some(Err(Failure::Silent { .. }))
    ));
    assert_eq!(world.hosts[0].result, Some(Ok(())));
    assert_eq!(world.hosts[2].result, Some(Ok(())));
}

#[test]
fn one_way_loss_of_a_half_is_survived_in_either_direction() {
    for (down, up) in [(50.0, 0.0), (0.0, 50.0)] {
        let mut scenario = Scenario::new(14, 4, 500_000);
        scenario.down = Conditions::lossy(down);
        scenario.up = Conditions::lossy(up);
        scenario.run().assert_all_equal();
    }
}

#[test]
fn p3_a_disk_that_fails_takes_its_machine_out_at_once() {
    let mut world = Scenario::new(15, 4, 2_000_000)
        .conditions(rough(1.0))
        .build();
    world.hosts[2].fails_after = Some(500_000);
    world.run();
    assert_eq!(world.hosts[2].result, Some(Err(Failure::Aborted)));
    assert_eq!(
        world.outcome.unwrap(),
        Outcome {
            completed: 3,
            partial: 0,
            lost: 1,
            bytes: 2_000_000
        }
    );
    assert!(world.standings.contains(&(2, Standing::Left)));
    assert!(
        after_start(&world) < Duration::from_secs(2),
        "{:?}",
        after_start(&world)
    );
}

#[test]
fn a_slow_disk_holds_the_sender_back_by_silence_alone() {
    let mut scenario = Scenario::new(16, 2, 3_000_000);
    scenario.receiver.capacity = 700_000;
    let mut world = scenario.build();
    // 4 KiB in 200 us: 20 MB/s, a sixth of the line's rate.
    world.hosts[1].write_time = Duration::from_micros(200);
    world.run();
    world.assert_all_equal();
    let stats = world.hosts[1].machine.stats();
    assert_eq!((stats.no_room, stats.retransmits), (0, 0), "{stats:?}");
    assert!(
        after_start(&world) < Duration::from_millis(800),
        "{:?}",
        after_start(&world)
    );
}

#[test]
fn memory_for_less_than_four_slices_makes_do() {
    let mut scenario = Scenario::new(16, 2, 3_000_000);
    scenario.receiver.capacity = 400_000;
    let mut world = scenario.build();
    world.hosts[1].write_time = Duration::from_micros(200);
    world.run();
    world.assert_all_equal();
    // Blocks that found no room have to come again, but they are not asked for until there is room.
    let stats = world.hosts[1].machine.stats();
    assert!(stats.no_room > 0 && stats.retransmits < 40, "{stats:?}");
}

#[test]
fn p4_a_sender_that_vanishes_is_given_up() {
    let mut world = Scenario::new(17, 3, 2_000_000).build();
    world.run_to_start();
    world.sender_dies_at = Some(world.now + Duration::from_millis(8));
    world.run();
    for host in &world.hosts {
        assert!(
            matches!(host.result, Some(Err(Failure::Silent { .. }))),
            "{:?}",
            host.result
        );
    }
}

#[test]
fn p4_a_sender_whose_receivers_all_vanish_ends() {
    let mut scenario = Scenario::new(18, 3, 2_000_000);
    scenario.sender.retries_until_drop = 10;
    let mut world = scenario.build();
    world.run_to_start();
    for host in &mut world.hosts {
        host.dies_at = Some(world.now + Duration::from_millis(8));
    }
    world.run();
    let outcome = world.outcome.unwrap();
    assert_eq!((outcome.completed, outcome.lost), (0, 3));
    assert!(outcome.bytes < 2_000_000);
}

#[test]
fn a_source_that_pauses_for_minutes_loses_no_receiver() {
    let mut scenario = Scenario::new(23, 3, 1_000_000).conditions(rough(5.0));
    scenario.source_pauses = Some((400_000, Instant::from_micros(400_000_000)));
    let world = scenario.run();
    world.assert_all_equal();
    assert!(world.now > Instant::from_micros(400_000_000));
}

#[test]
fn a_sender_that_starts_long_after_its_receivers_is_found() {
    let scenario = Scenario::new(19, 2, 100_000);
    let mut world = scenario.build();
    // Nothing the receivers ask for arrives at first.
    for receiver in 0..2 {
        world.set_link(receiver, Conditions::lossy(100.0), Conditions::lossy(100.0));
    }
    world.run_until(Instant::from_micros(30_000_000));
    assert_eq!(world.started_at, None);
    for receiver in 0..2 {
        world.set_link(receiver, Conditions::default(), Conditions::default());
    }
    world.run();
    world.assert_all_equal();
}

#[test]
fn slices_of_the_largest_size_and_the_smallest_blocks() {
    for (block_size, blocks, len) in [
        (1456, 1024, 5_000_000),
        (4, 1024, 50_000),
        (65_488, 3, 900_000),
    ] {
        let mut scenario = Scenario::new(20, 2, len).conditions(rough(2.0));
        scenario.sender.block_size = block_size;
        scenario.sender.slice_blocks = SliceBlocks {
            default: Some(blocks),
            min: None,
            max: None,
        };
        scenario.receiver.capacity = 4 << 20;
        scenario.run().assert_all_equal();
    }
}

#[test]
fn a_slice_that_can_never_fit_is_refused_with_its_size() {
    let mut scenario = Scenario::new(21, 1, 1_000_000);
    scenario.receiver.capacity = 100_000;
    let world = scenario.run();
    let expected = Failure::SliceTooLarge {
        slice: 112 * 1456,
        capacity: 100_000,
    };
    assert_eq!(world.hosts[0].result, Some(Err(expected)));
}

#[test]
fn p6_forged_and_mangled_datagrams_change_nothing() {
    let mut world = Scenario::new(22, 2, 600_000).conditions(rough(2.0)).build();
    let mut random = Random::new(99);
    // Before the start anyone may join.
    world.run_to_start();
    while !world.is_over() {
        world.run_until(world.now + Duration::from_micros(50));
        for receiver in 0..2 {
            let len = random.below(200) as usize;
            let mut bytes = random.bytes(len);
            if let [first, second, ..] = &mut bytes[..] {
                (*first, *second) = (0, (random.below(12)) as u8);
            }
            let stranger = address(3 + random.below(5) as usize);
            world.forge(receiver, stranger, &bytes);
            world.sender.handle_datagram(world.now, stranger, &bytes);
        }
    }
    world.assert_all_equal();
    assert_eq!(world.outcome.unwrap().completed, 2);
}

#[test]
fn p6_a_lying_sender_writes_nothing_outside_the_memory() {
    // `Host::receive` checks every block's place; a wrong image is what a liar may well cause.
    for seed in 0..40 {
        let mut world = Scenario::new(seed, 1, 300_000).build();
        let mut random = Random::new(seed);
        for _ in 0..2_000 {
            world.run_until(world.now + Duration::from_micros(20));
            let mut bytes = random.bytes(16 + 1456);
            bytes[..8].copy_from_slice(&[0, [6, 8][random.below(2) as usize], 0, 0, 0, 0, 0, 0]);
            bytes[7] = random.below(5) as u8;
            bytes[8] = 0;
            bytes[9] = [0, 1, 255][random.below(3) as usize];
            bytes[12..14].fill(0);
            world.forge(0, address(0), &bytes);
            if world.is_over() {
                break;
            }
        }
    }
}
