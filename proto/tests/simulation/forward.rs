//! Transfers with redundancy, without a way back, and with receivers that come late.
//!
//! What they have in common is that nobody waits for everybody: so each test says exactly which
//! bytes a receiver has to have at its end.

use std::time::Duration;

use ironcast_proto::fec::Layout;
use ironcast_proto::receiver::Failure;
use ironcast_proto::sender::{Standing, StartRules};

use crate::network::Conditions;
use crate::world::{Scenario, World};

fn layout(text: &str) -> Option<Layout> {
    Some(text.parse().unwrap())
}

/// One that starts by itself, and sends 100 Mbit/s.
fn asynchronous(seed: u64, receivers: usize, image_len: usize) -> Scenario {
    let mut scenario = Scenario::new(seed, receivers, image_len);
    scenario.sender.asynchronous = true;
    scenario.sender.max_bitrate = Some(100_000_000);
    scenario.sender.start = StartRules {
        autostart: Some(3),
        hello_interval: Some(Duration::from_millis(300)),
        ..StartRules::default()
    };
    scenario.receiver.capacity = 4 << 20;
    scenario
}

/// The receiver has what was sent from some block of the image on.
fn assert_has_the_rest(world: &World, receiver: usize) {
    let host = &world.hosts[receiver];
    assert_eq!(host.result, Some(Ok(())));
    assert!(world.image().ends_with(&host.disk), "P1: another suffix");
    let before = world.image().len() - host.disk.len();
    assert!(host.joined.is_some() && before.is_multiple_of(1456));
}

#[test]
fn p7_redundancy_saves_questions() {
    for (layout_text, loss) in [("8x8/128", 3.0), ("4x4/16", 5.0), ("1x128/128", 20.0)] {
        let mut scenario = Scenario::new(3, 4, 1_500_001).conditions(Conditions::lossy(loss));
        scenario.receiver.capacity = 4 << 20;
        let plain = scenario.clone().run();
        scenario.sender.fec = layout(layout_text);
        let world = scenario.run();
        world.assert_all_equal();
        let rebuilt: u64 = world
            .hosts
            .iter()
            .map(|host| host.machine.stats().rebuilt)
            .sum();
        assert!(rebuilt > 0, "{layout_text}");
        let again = world.sender.stats().retransmitted;
        assert!(
            again * 4 < plain.sender.stats().retransmitted,
            "{layout_text}: {again}"
        );
    }
}

#[test]
fn images_of_any_length_go_with_redundancy() {
    let block = 1456;
    for len in [
        0,
        1,
        block - 1,
        block,
        block + 1,
        64 * block,
        64 * block + 5,
        100 * block - 1,
    ] {
        let mut scenario = Scenario::new(4, 2, len).conditions(Conditions::lossy(10.0));
        scenario.sender.fec = layout("4x4/16");
        scenario.run().assert_all_equal();
    }
}

#[test]
fn without_a_way_back_redundancy_makes_up_for_loss() {
    for len in [0, 1, 1456, 3_000_001] {
        let mut scenario = asynchronous(5, 4, len);
        scenario.sender.fec = layout("8x8/64");
        scenario.down = Conditions::lossy(4.0);
        scenario.up = Conditions::lossy(100.0);
        let world = scenario.run();
        world.assert_all_equal();
        assert_eq!(world.outcome.unwrap().bytes, len as u64);
        assert_eq!(world.outcome.unwrap().completed, 0, "nobody can say so");
    }
}

#[test]
fn without_redundancy_an_async_transfer_needs_a_good_network() {
    let world = asynchronous(6, 3, 5_000_000).run();
    world.assert_all_equal();
    let mut scenario = asynchronous(6, 3, 5_000_000);
    scenario.down = Conditions::lossy(1.0);
    for host in &scenario.run().hosts {
        assert!(
            matches!(host.result, Some(Err(Failure::DataLost { .. }))),
            "P1"
        );
    }
}

#[test]
fn the_rate_is_kept() {
    let mut scenario = asynchronous(7, 1, 3_000_000);
    scenario.sender.max_bitrate = Some(10_000_000);
    let world = scenario.run();
    world.assert_all_equal();
    let took = crate::after_start(&world).as_secs_f64();
    let expected = 3_000_000.0 * 1500.0 / 1456.0 * 8.0 / 10_000_000.0;
    assert!(
        (expected * 0.99..expected * 1.05).contains(&took),
        "{took} s, not {expected}"
    );
}

#[test]
fn what_is_lost_may_be_ignored_and_becomes_zeroes() {
    let mut scenario = asynchronous(8, 2, 5_000_000);
    scenario.down = Conditions::lossy(1.0);
    scenario.receiver.ignore_lost_data = true;
    let world = scenario.run();
    for host in &world.hosts {
        assert_eq!(host.result, Some(Ok(())));
        assert_eq!(host.disk.len(), world.image().len());
        let mut lost = 0;
        for (got, sent) in host.disk.chunks(1456).zip(world.image().chunks(1456)) {
            if got != sent {
                assert!(got.iter().all(|&byte| byte == 0));
                lost += got.len() as u64;
            }
        }
        assert!(lost > 0);
        assert_eq!(host.machine.stats().lost_bytes, lost);
    }
}

#[test]
fn a_late_machine_joins_a_streaming_cast() {
    for loss in [0.0, 10.0] {
        let mut scenario = Scenario::new(9, 3, 6_000_000);
        scenario.sender.streaming = Some(50);
        scenario.sender.start.min_receivers = Some(2);
        scenario.sender.max_bitrate = Some(50_000_000);
        scenario.down = Conditions::lossy(loss);
        scenario.up = Conditions::lossy(loss);
        let config = scenario.receiver.clone();
        let mut world = scenario.build();
        world.hosts[2].dies_at = Some(world.now);
        world.run_to_start();
        world.run_until(world.now + Duration::from_millis(300));
        world.start_host(2, config);
        world.run();
        assert_has_the_rest(&world, 2);
        for host in &world.hosts[..2] {
            assert_eq!(host.disk, world.image(), "P1");
        }
        let outcome = world.outcome.unwrap();
        let fates = (outcome.completed, outcome.partial, outcome.lost);
        assert_eq!(fates, (2, 1, 0), "P1: the late one has not all of it");
    }
}

#[test]
fn a_late_machine_joins_without_a_way_back() {
    let mut scenario = asynchronous(10, 1, 6_000_000);
    scenario.sender.streaming = Some(50);
    scenario.sender.fec = layout("4x8/32");
    scenario.down = Conditions::lossy(3.0);
    scenario.up = Conditions::lossy(100.0);
    let config = scenario.receiver.clone();
    let mut world = scenario.build();
    world.hosts[0].dies_at = Some(world.now);
    world.run_to_start();
    world.run_until(world.now + Duration::from_millis(200));
    world.start_host(0, config);
    world.run();
    assert_has_the_rest(&world, 0);
}

#[test]
fn p2_one_that_wants_whole_images_leaves_a_running_cast_alone() {
    let mut scenario = Scenario::new(11, 2, 6_000_000);
    scenario.sender.streaming = Some(50);
    scenario.sender.start.min_receivers = Some(1);
    scenario.sender.max_bitrate = Some(50_000_000);
    let mut config = scenario.receiver.clone();
    config.late_join = false;
    config.start_timeout = Some(Duration::from_secs(30));
    let mut world = scenario.build();
    world.hosts[1].dies_at = Some(world.now);
    world.run_to_start();
    world.run_until(world.now + Duration::from_millis(300));
    world.start_host(1, config);
    world.run();
    assert_eq!(world.hosts[0].disk, world.image());
    assert_eq!(world.hosts[1].result, Some(Err(Failure::NotStarted)));
    assert!(world.hosts[1].disk.is_empty());
}

#[test]
fn p3_the_silent_are_dropped_in_seconds_and_the_slow_are_not() {
    let mut scenario = Scenario::new(12, 8, 3_000_000);
    scenario.receiver.capacity = 1 << 20;
    let mut world = scenario.build();
    world.run_to_start();
    // A disk that takes 40 s for what it has to write: silent for long, but alive.
    world.hosts[0].write_time = Duration::from_millis(50);
    for dead in [2, 4, 6] {
        world.hosts[dead].dies_at = Some(world.now + Duration::from_millis(3));
    }
    world.run();
    world.assert_all_equal();
    for dead in [2, 4, 6] {
        assert!(world.standings.contains(&(dead, Standing::Silent)));
    }
    let outcome = world.outcome.unwrap();
    assert_eq!((outcome.completed, outcome.lost), (5, 3));
}

#[test]
fn p3_the_delay_by_the_dead_is_what_the_operator_sets() {
    let time = |dead: &[usize], after: Duration| {
        let mut scenario = Scenario::new(13, 8, 3_000_000);
        scenario.sender.drop_after = Some(after);
        let mut world = scenario.build();
        world.run_to_start();
        for &dead in dead {
            world.hosts[dead].dies_at = Some(world.now + Duration::from_millis(3));
        }
        world.run();
        world.assert_all_equal();
        crate::after_start(&world)
    };
    for seconds in [1, 5, 20] {
        let after = Duration::from_secs(seconds);
        let delay = time(&[1, 3, 5], after) - time(&[], after);
        assert!(
            delay >= after && delay < after + after / 2,
            "{after:?}: {delay:?}"
        );
    }
}

#[test]
fn p3_a_disk_that_flushes_for_long_shows_that_its_machine_is_alive() {
    let mut scenario = Scenario::new(14, 2, 200_000);
    scenario.receiver.capacity = 1 << 20;
    let mut world = scenario.build();
    world.run_to_start();
    // All arrives in milliseconds; the disk then works on for 25 s.
    world.hosts[1].write_time = Duration::from_millis(500);
    world.run();
    world.assert_all_equal();
    assert!(crate::after_start(&world) > Duration::from_secs(20));
}

#[test]
fn p3_a_machine_that_was_restarted_leaves_the_transfer() {
    let scenario = Scenario::new(15, 3, 3_000_000);
    let config = scenario.receiver.clone();
    let mut world = scenario.build();
    world.run_to_start();
    world.run_until(world.now + Duration::from_millis(5));
    let mut config = config;
    config.start_timeout = Some(Duration::from_secs(20));
    world.start_host(1, config);
    world.run();
    assert!(world.standings.contains(&(1, Standing::Restarted)));
    assert_eq!(world.hosts[1].result, Some(Err(Failure::NotStarted)));
    for host in [0, 2] {
        assert_eq!(world.hosts[host].disk, world.image());
    }
    let took = world.hosts[0].finished_at.unwrap() - world.started_at.unwrap();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_passive_receiver_says_nothing_and_has_everything() {
    let mut scenario = Scenario::new(16, 2, 500_000);
    scenario.sender.start.min_receivers = Some(1);
    scenario.sender.start.min_wait = Duration::from_secs(2);
    scenario.sender.addressing = ironcast_proto::sender::Addressing::Multicast;
    let mut config = scenario.receiver.clone();
    config.passive = true;
    let mut world = scenario.build();
    world.start_host(1, config);
    world.run();
    world.assert_all_equal();
    assert_eq!(world.outcome.unwrap().completed, 1);
}
