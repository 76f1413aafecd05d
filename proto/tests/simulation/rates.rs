//! Ways that are slower than the sender's link, and what the rate comes to there.

use std::time::Duration;

use ironcast_proto::sender::Duplex;

use crate::after_start;
use crate::network::Conditions;
use crate::world::{Scenario, World};

/// A link of so many megabits a second behind a switch with memory for `queue` bytes.
fn slow(megabits: u64, queue: u32) -> Conditions {
    Conditions {
        delay: Duration::from_micros(50),
        byte_time: Duration::from_nanos(8000 / megabits),
        queue,
        ..Conditions::default()
    }
}

/// How much longer than the slow link needs it took, and how often each block was sent, in percent.
fn costs(world: &World, megabits: u64) -> (u64, u64) {
    let len = world.image().len() as u64;
    let least = len * 8 * 1538 / 1456 / megabits;
    let stats = world.sender.stats();
    let sent = 100 * stats.blocks / len.div_ceil(1456);
    (100 * after_start(world).as_micros() as u64 / least, sent)
}

#[test]
fn p3_one_slow_link_among_fast_ones_is_filled_and_not_flooded() {
    for (duplex, megabits, queue, buffer, len) in [
        (Duplex::Full, 100, 64 << 10, 212_992, 20_000_000),
        (Duplex::Full, 100, 256 << 10, 16 << 20, 30_000_000),
        (Duplex::Full, 500, 64 << 10, 16 << 20, 60_000_000),
        (Duplex::Full, 10, 64 << 10, 0, 5_000_000),
        (Duplex::Half, 100, 64 << 10, 212_992, 20_000_000),
    ] {
        let mut scenario = Scenario::new(31, 4, len).conditions(Conditions {
            delay: Duration::from_micros(50),
            ..Conditions::default()
        });
        scenario.sender.duplex = duplex;
        scenario.receiver.capacity = 8 << 20;
        scenario.receiver.receive_buffer = buffer;
        let mut world = scenario.build();
        world.set_link(1, slow(megabits, queue), Conditions::default());
        world.run();
        world.assert_all_equal();
        let (time, sent) = costs(&world, megabits);
        let what = format!("{duplex:?}, {megabits} Mbit/s: {time} %, {sent} % sent");
        assert!(time <= 170 && sent <= 150, "{what}");
    }
}
