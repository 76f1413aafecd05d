//! Those who do harm without being dead: senders that begin anew, the stalled, and intruders.

use std::time::Duration;

use ironcast_proto::receiver::Failure;
use ironcast_proto::sender::{self, Addressing, Standing, StartRules};
use ironcast_proto::wire::{Capabilities, ConnectReq, Message};

use crate::host::Host;
use crate::random::Random;
use crate::rough;
use crate::world::{Scenario, World, address};

/// A transfer to receivers 0 and 1 whose sender is replaced after `after` by one with another
/// image, which receiver 2 then connects to; with the tags of both.
fn replaced(seed: u64, after: Duration, tags: [u16; 2]) -> World {
    let mut scenario = Scenario::new(seed, 3, 1_500_000);
    if seed.is_multiple_of(2) {
        scenario = scenario.conditions(rough(3.0));
    }
    scenario.sender.start.min_receivers = Some(2);
    scenario.sender.tag = tags[0];
    let config = scenario.receiver.clone();
    let mut world = scenario.build();
    world.hosts[2].dies_at = Some(world.now);
    world.run_to_start();
    world.run_until(world.now + after);
    let second = sender::Config {
        tag: tags[1],
        addressing: Addressing::Multicast,
        start: StartRules {
            min_receivers: Some(1),
            // So rare that the others may hear none before the transfer.
            hello_interval: Some(Duration::from_secs(3600)),
            ..StartRules::default()
        },
        ..sender::Config::default()
    };
    let other = Random::new(seed + 1000).bytes(1_500_000);
    world.replace_sender(second, other);
    world.start_host(2, config);
    world.run();
    world
}

/// Receivers of the first sender that call something else than its image a success.
fn mixed(world: &World) -> usize {
    let is_mixed =
        |host: &&Host| host.result == Some(Ok(())) && world.first_image() != Some(&host.disk);
    world.hosts[..2].iter().filter(is_mixed).count()
}

#[test]
fn p1_images_of_two_senders_at_one_address_are_never_mixed() {
    let mut without_tags = 0;
    for seed in 0..30 {
        let after = Duration::from_micros(500 + 400 * seed);
        let world = replaced(seed, after, [0x1111, 0x2222]);
        assert_eq!(world.hosts[2].result, Some(Ok(())), "seed {seed}");
        assert_eq!(world.hosts[2].disk, world.image());
        assert_eq!(mixed(&world), 0, "P1: seed {seed}");
        without_tags += mixed(&replaced(seed, after, [0, 0]));
    }
    assert!(without_tags > 0, "the tag makes no difference here");
}

/// Casts to three receivers, of which the first ones have disks that take a second for a slice or
/// so; the time that the last one took.
fn with_slow_disks(slow: usize, stall_limit: Option<Duration>) -> (World, Duration) {
    let mut scenario = Scenario::new(21, 3, 20_000_000);
    scenario.sender.stall_limit = stall_limit;
    let mut world = scenario.build();
    world.run_to_start();
    for host in &mut world.hosts[..slow] {
        // 98 s in all.
        host.write_time = Duration::from_millis(20);
    }
    world.run();
    assert_eq!(world.hosts[2].disk, world.image());
    let took = world.hosts[2].finished_at.unwrap() - world.started_at.unwrap();
    (world, took)
}

#[test]
fn p3_one_that_is_late_again_and_again_is_dropped() {
    let is_dropped = |world: &World| world.standings.contains(&(0, Standing::Stalled));
    for limit in [5, 30] {
        let (world, took) = with_slow_disks(1, Some(Duration::from_secs(limit)));
        assert!(is_dropped(&world), "{limit} s");
        // A quarter of the time comes to it, and what does not count.
        let bound = Duration::from_secs(2 * limit + 5);
        assert!(took < bound, "{limit} s: {took:?}");
    }
    let (world, took) = with_slow_disks(1, None);
    assert!(!is_dropped(&world) && took > Duration::from_secs(90));
    world.assert_all_equal();
    // They are most of the room.
    let (world, took) = with_slow_disks(2, Some(Duration::from_secs(5)));
    assert!(!is_dropped(&world) && took > Duration::from_secs(90));
    world.assert_all_equal();
}

#[test]
fn p3_nobody_is_dropped_for_the_time_that_the_sender_stood_still() {
    for moment in 1..=10 {
        let mut scenario = Scenario::new(21, 3, 20_000_000);
        scenario.sender.stall_limit = Some(Duration::from_secs(30));
        let mut world = scenario.build();
        world.run_to_start();
        // 24 s in all, for which the others wait.
        world.hosts[0].write_time = Duration::from_millis(5);
        world.run_until(world.now + Duration::from_millis(1_500 * moment));
        // What has been sent arrives all the same, and is taken afterwards.
        world.now = world.now + Duration::from_secs(50);
        world.run();
        let is_good = |standing| matches!(standing, Standing::Connected | Standing::Completed);
        let mut told = world.standings.iter();
        assert!(told.all(|&(_, standing)| is_good(standing)), "{moment}");
        world.assert_all_equal();
    }
}

#[test]
fn p3_several_that_are_late_by_turns_are_dropped() {
    const LATE: usize = 4;
    let mut scenario = Scenario::new(22, 9, 30_000_000);
    scenario.sender.stall_limit = Some(Duration::from_secs(3));
    let mut world = scenario.build();
    world.run_to_start();
    for turn in 0..200 {
        // One write of it takes two seconds, or the next one too.
        let host = turn % LATE;
        world.hosts[host].write_time = Duration::from_secs(2);
        world.run_until(world.now + Duration::from_secs(2));
        world.hosts[host].write_time = Duration::ZERO;
        if world.hosts[LATE].finished_at.is_some() {
            break;
        }
    }
    world.run();
    for host in &world.hosts[LATE..] {
        assert_eq!(host.disk, world.image());
        let took = host.finished_at.unwrap() - world.started_at.unwrap();
        // Of each what the limit allows, and a quarter.
        assert!(took < Duration::from_secs(25), "{took:?}");
    }
    let is_late = |(host, standing): &(usize, Standing)| {
        assert!(*standing != Standing::Stalled || *host < LATE);
        *standing == Standing::Stalled
    };
    let late = world.standings.iter().filter(|one| is_late(one)).count();
    assert!(late > 1, "{late}: {:?}", world.hosts[8].finished_at);
}

#[test]
fn p3_one_that_is_alive_and_gets_no_further_is_dropped() {
    let mut scenario = Scenario::new(20, 3, 3_000_000);
    scenario.receiver.capacity = 1 << 20;
    let mut world = scenario.build();
    world.run_to_start();
    // A minute for 4 KiB: it shows that it is alive all the time.
    world.hosts[0].write_time = Duration::from_secs(60);
    world.hosts[0].dies_at = Some(world.now + Duration::from_secs(1000));
    world.run();
    assert!(world.standings.contains(&(0, Standing::Stalled)));
    for other in [1, 2] {
        assert_eq!(world.hosts[other].disk, world.image());
        let took = world.hosts[other].finished_at.unwrap() - world.started_at.unwrap();
        assert!(took < Duration::from_secs(35), "{took:?}");
    }
}

#[test]
fn p4_a_disk_that_never_finishes_ends_its_transfer_too() {
    let mut scenario = Scenario::new(21, 1, 300_000);
    scenario.receiver.capacity = 1 << 20;
    scenario.receiver.finish_timeout = Duration::from_secs(100);
    let mut world = scenario.build();
    world.run_to_start();
    world.hosts[0].write_time = Duration::from_secs(1_000_000);
    world.run();
    let waited = Duration::from_secs(100);
    let failure = Failure::NotFinished { waited };
    assert_eq!(world.hosts[0].result, Some(Err(failure)));
}

#[test]
fn p3_intruders_hold_no_streaming_transfer_up() {
    let mut scenario = Scenario::new(22, 1, 3_000_000);
    scenario.sender.streaming = Some(50);
    let mut world = scenario.build();
    world.run_to_start();
    let request = Message::ConnectReq(ConnectReq {
        capabilities: Capabilities::STOCK,
        receive_buffer: 0,
    });
    let mut buffer = [0; 12];
    request.emit(&mut buffer).unwrap();
    // From ever new ports of one host, and again and again from one that could be a receiver.
    for round in 0..200 {
        let mut from = address(50);
        from.set_port(20_000 + round / 2);
        world.forge_at_sender(from, &buffer);
        world.forge_at_sender(address(51), &buffer);
        world.run_until(world.now + Duration::from_millis(250));
    }
    world.run();
    assert_eq!(world.hosts[0].disk, world.image());
    let took = world.hosts[0].finished_at.unwrap() - world.started_at.unwrap();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(world.outcome.unwrap().completed, 1);
}

#[test]
fn slices_that_were_never_heard_of_are_counted_as_lost() {
    let mut scenario = Scenario::new(23, 1, 2_000_000);
    scenario.sender.asynchronous = true;
    scenario.sender.max_bitrate = Some(50_000_000);
    scenario.sender.start = StartRules {
        autostart: Some(3),
        ..StartRules::default()
    };
    scenario.receiver.ignore_lost_data = true;
    scenario.receiver.capacity = 8 << 20;
    scenario.receiver.start_timeout = Some(Duration::from_secs(5));
    scenario.sender.slice_blocks.default = Some(64);
    let mut world = scenario.build();
    world.run_to_start();
    let (usual, nothing) = (rough(0.0), crate::Conditions::lossy(100.0));
    // The first slices are lost as a whole: the transfer has started all the same.
    world.set_link(0, nothing, usual);
    world.run_until(world.now + Duration::from_millis(60));
    world.set_link(0, usual, usual);
    world.run();
    let host = &world.hosts[0];
    assert_eq!(host.result, Some(Ok(())));
    assert!(host.disk != world.image());
    assert!(host.machine.stats().lost_slices > 0);
}
