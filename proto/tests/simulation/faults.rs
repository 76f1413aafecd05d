//! Transfers to which everything happens at once: drawn from a seed, and checked for safety and for
//! an end.
//!
//! `IRONCAST_SEED` runs one seed and tells its story, `IRONCAST_RUNS` says how many are run
//! (`cargo xtask simulate` sets both). What a seed drew is the same for ever, as long as this file
//! stays.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, iter, panic, thread};

use ironcast_proto::bits::BitSet;
use ironcast_proto::fec::Layout;
use ironcast_proto::receiver::Failure;
use ironcast_proto::sender::{Addressing, Duplex, SliceBlocks, Standing, StartRules};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::{
    Capabilities, ConnectReply, ConnectReq, Data, Hello, HelloKind, Message, ReqAck, Retransmit,
    SliceOk,
};

use crate::network::Conditions;
use crate::random::Random;
use crate::world::{PORT_BASE, Scenario, World};

/// How many seeds are run if nobody says otherwise.
const RUNS: u64 = 2000;

/// What happens to a transfer at some time.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Crash(usize),
    Restart(usize),
    Freeze(usize, Duration),
    SlowDisk(usize, Duration),
    DiskError(usize),
    /// Loss in percent towards and from a receiver.
    Link(usize, f64, f64),
    Stranger(usize),
    StrangerAtSender,
    Replay,
    Truncate,
    SenderCrash,
}

/// A run that was drawn from a seed.
struct Run {
    scenario: Scenario,
    /// What happens when, counted from the start of the transfer.
    faults: Vec<(Duration, Fault)>,
    loss: f64,
}

fn chance(random: &mut Random, percent: u64) -> bool {
    random.below(100) < percent
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}

fn draw(seed: u64) -> Run {
    let mut random = Random::new(seed ^ 0xfa17);
    let receivers = pick(&mut random, &[1, 2, 3, 5, 8, 16]);
    let block = pick(&mut random, &[1456, 1456, 512, 64]);
    let len = match random.below(8) {
        0 => 0,
        1 => block - 1,
        2 => 112 * block,
        _ => 1 + random.below(300 * block as u64) as usize,
    };
    let mut scenario = Scenario::new(seed, receivers, len);
    draw_settings(&mut random, &mut scenario, block as u16);
    let loss = pick(&mut random, &[0.0, 0.0, 1.0, 5.0, 20.0]);
    let conditions = Conditions {
        loss,
        burst: if chance(&mut random, 30) { 0.1 } else { 0.0 },
        burst_time: Duration::from_micros(400),
        duplicate: if chance(&mut random, 30) { 3.0 } else { 0.0 },
        delay: Duration::from_micros(100),
        jitter: Duration::from_micros(pick(&mut random, &[0, 50, 500])),
        ..Conditions::default()
    };
    scenario.down = conditions;
    scenario.up = match chance(&mut random, 20) {
        true => Conditions::lossy(20.0),
        false => conditions,
    };
    let count = pick(&mut random, &[0, 1, 2, 4, 8]);
    let mut faults: Vec<(Duration, Fault)> = (0..count)
        .map(|_| {
            let soon = pick(&mut random, &[5_000, 200_000]);
            let at = Duration::from_micros(random.below(soon));
            (at, draw_fault(&mut random, receivers))
        })
        .collect();
    faults.sort_by_key(|(at, _)| *at);
    Run {
        scenario,
        faults,
        loss,
    }
}

fn draw_settings(random: &mut Random, scenario: &mut Scenario, block: u16) {
    let sender = &mut scenario.sender;
    sender.block_size = block;
    sender.duplex = pick(random, &[Duplex::Full, Duplex::Half]);
    sender.addressing = pick(random, &[Addressing::Automatic, Addressing::Multicast]);
    if chance(random, 30) {
        sender.slice_blocks = SliceBlocks {
            default: Some(1 + random.below(200) as u16),
            ..SliceBlocks::default()
        };
    }
    if chance(random, 30) {
        let layout = pick(random, &["4x2/16", "8x8/32", "1x16/64", "3x5/7"]);
        sender.fec = layout.parse::<Layout>().ok();
    }
    if chance(random, 20) {
        sender.asynchronous = true;
        sender.start = StartRules {
            autostart: Some(4),
            hello_interval: Some(Duration::from_millis(200)),
            ..StartRules::default()
        };
    }
    if chance(random, 25) {
        sender.streaming = Some(random.below(100) as u16);
    }
    if sender.asynchronous || chance(random, 20) {
        sender.max_bitrate = Some(pick(random, &[20_000_000, 100_000_000]));
    }
    sender.drop_after = pick(
        random,
        &[
            Some(Duration::from_secs(5)),
            Some(Duration::from_millis(700)),
            None,
        ],
    );
    sender.retries_until_drop = pick(random, &[200, 30]);
    let receiver = &mut scenario.receiver;
    // Two slices at least, or the largest may never fit.
    receiver.capacity = pick(random, &[4 << 20, 1 << 20]);
    receiver.late_join = chance(random, 70);
    receiver.ignore_lost_data = chance(random, 10);
    receiver.start_timeout = Some(Duration::from_secs(90));
    receiver.sender_timeout = pick(random, &[Duration::from_secs(60), Duration::from_secs(8)]);
}

fn draw_fault(random: &mut Random, receivers: usize) -> Fault {
    let who = random.below(receivers as u64) as usize;
    let time = Duration::from_millis(random.below(9000));
    let loss = pick(random, &[0.0, 50.0, 100.0]);
    match random.below(13) {
        0 => Fault::Crash(who),
        1 | 2 => Fault::Restart(who),
        3 | 4 => Fault::Freeze(who, time),
        5 => Fault::SlowDisk(who, time / 100),
        6 => Fault::DiskError(who),
        7 => Fault::Link(who, loss, pick(random, &[0.0, 100.0])),
        8 => Fault::Stranger(who),
        9 => Fault::StrangerAtSender,
        10 => Fault::Replay,
        11 => Fault::Truncate,
        _ => match random.below(4) {
            0 => Fault::SenderCrash,
            _ => Fault::Link(who, 0.0, 0.0),
        },
    }
}

/// A message such as nobody of this transfer sends.
fn forged(random: &mut Random) -> Vec<u8> {
    let payload = vec![0xbd; 1456];
    let slice = random.below(5) as u32;
    let message = match random.below(9) {
        0 => Message::Go,
        1 => Message::Disconnect,
        2 => Message::Ok(SliceOk { slice }),
        3 => Message::Retransmit(Retransmit {
            slice,
            rxmit: 0,
            received: BitSet::EMPTY,
        }),
        4 => Message::ConnectReq(ConnectReq {
            capabilities: Capabilities::STOCK,
            receive_buffer: 0,
        }),
        5 => Message::Hello(Hello {
            kind: HelloKind::Classic,
            capabilities: Capabilities::STOCK,
            data_address: Ipv4Addr::new(233, 255, 9, 9),
            block_size: 512,
        }),
        6 => Message::ConnectReply(ConnectReply {
            receiver: -1,
            block_size: 1456,
            capabilities: Capabilities::STOCK,
            data_address: Ipv4Addr::new(233, 255, 9, 9),
        }),
        7 => Message::ReqAck(ReqAck {
            slice,
            slice_bytes: 0,
            rxmit: 0,
            ready: BitSet::EMPTY,
        }),
        _ => Message::Data(Data {
            slice,
            block: 0,
            slice_bytes: 1456,
            payload: &payload,
        }),
    };
    let mut bytes = vec![0; 2000];
    let len = message.emit(&mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

fn strike(world: &mut World, random: &mut Random, run: &Run, fault: Fault) {
    let stranger = SocketAddrV4::new(Ipv4Addr::new(10, 77, 99, 9), PORT_BASE + 1);
    match fault {
        Fault::Crash(who) => world.hosts[who].dies_at = Some(world.now),
        Fault::Restart(who) => world.start_host(who, run.scenario.receiver.clone()),
        Fault::Freeze(who, time) => world.freeze(who, time),
        Fault::SlowDisk(who, time) => world.hosts[who].write_time = time,
        Fault::DiskError(who) => {
            let written = world.hosts[who].disk.len();
            world.hosts[who].fails_after = Some(written + 5000);
        }
        Fault::Link(who, down, up) => {
            world.set_link(who, Conditions::lossy(down), Conditions::lossy(up));
        }
        Fault::Stranger(who) => {
            for _ in 0..20 {
                world.forge(who, stranger, &forged(random));
            }
        }
        Fault::StrangerAtSender => {
            for _ in 0..20 {
                world.forge_at_sender(stranger, &forged(random));
            }
        }
        Fault::Replay => world.replay(random, false),
        Fault::Truncate => world.replay(random, true),
        Fault::SenderCrash => world.sender_dies_at = Some(world.now),
    }
}

/// Runs a seed to its end, and checks what holds whatever happens.
fn run(seed: u64, is_told: bool) {
    let run = draw(seed);
    let mut random = Random::new(seed ^ 0x57a7);
    let mut world = run.scenario.clone().build();
    if is_told {
        let Scenario {
            receivers,
            image,
            sender,
            receiver,
            ..
        } = &run.scenario;
        println!(
            "{receivers} receivers, {} bytes, loss {} %",
            image.len(),
            run.loss
        );
        println!("{sender:#?}\n{receiver:#?}\n{:#?}", run.faults);
    }
    let limit = Instant::from_micros(120_000_000);
    while world.started_at.is_none() && world.now < limit && !world.is_over() {
        world.run_until(world.now + Duration::from_millis(1));
    }
    let start = world.now;
    for &(at, fault) in &run.faults {
        world.run_until(start + at);
        if is_told {
            println!("{:?}: {fault:?}", world.now);
        }
        strike(&mut world, &mut random, &run, fault);
    }
    world.run();
    if is_told {
        println!("{:?}: {:?} {:?}", world.now, world.outcome, world.standings);
        for (index, host) in world.hosts.iter().enumerate() {
            println!("{index}: {:?} {:?}", host.result, host.machine.stats());
        }
    }
    check(&run, &world);
}

fn check(run: &Run, world: &World) {
    let restarted = |who| {
        run.faults
            .iter()
            .any(|f| matches!(f.1, Fault::Restart(w) if w == who))
    };
    for (who, host) in world.hosts.iter().enumerate() {
        let is_whole = host.disk == world.image();
        let is_rest = host.joined.is_some() && world.image().ends_with(&host.disk);
        let stats = host.machine.stats();
        let has_lost = stats.lost_bytes > 0 || stats.lost_slices > 0;
        let has_holes = has_lost && run.scenario.receiver.ignore_lost_data;
        let is_ok = host.result == Some(Ok(()));
        assert!(
            !is_ok || is_whole || is_rest || has_holes,
            "P1: receiver {who} calls {} bytes success",
            host.disk.len()
        );
        let completed = [Standing::Completed, Standing::Partial]
            .iter()
            .any(|&standing| world.standings.contains(&(who, standing)));
        assert!(
            !completed || is_ok || restarted(who) || host.is_dead(world.now),
            "P1: the sender takes receiver {who} for complete: {:?}",
            host.result
        );
    }
    let is_gentle = run.faults.is_empty() && run.loss <= 5.0;
    if is_gentle && !run.scenario.sender.asynchronous && run.scenario.sender.drop_after.is_none() {
        world.assert_all_equal();
    }
    let is_lossless = run.faults.is_empty() && run.loss == 0.0;
    if is_lossless && !run.scenario.sender.asynchronous {
        let wrong = world.hosts.iter().find(|host| host.result != Some(Ok(())));
        let wrong = wrong.and_then(|host| host.result);
        assert!(
            wrong.is_none() || matches!(wrong, Some(Err(Failure::NotStarted))),
            "P7: {wrong:?} without any reason"
        );
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

#[test]
fn p1_p4_p6_whatever_happens_nothing_wrong_is_called_right_and_everyone_ends() {
    if let Some(seed) = number("IRONCAST_SEED") {
        return run(seed, true);
    }
    let runs = number("IRONCAST_RUNS").unwrap_or(RUNS);
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let seeds = iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
                let fails = |&seed: &u64| panic::catch_unwind(|| run(seed, false)).is_err();
                let found: Vec<u64> = seeds
                    .take_while(|&seed| seed < runs)
                    .filter(fails)
                    .collect();
                failed.lock().unwrap().extend(found);
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {runs} runs failed; replay one by: cargo xtask simulate --seed {}",
        failed.len(),
        failed[0]
    );
    println!("{runs} runs, all good");
}

/// Seeds that found a fault once.
#[test]
fn seeds_that_failed_once() {
    // A half duplex sender without a way back stood still (136), a receiver that turned away from a
    // cast under way forgot its time limit (166), and one that was told of streaming before its
    // first block took itself for late (420).
    for seed in [136, 166, 420] {
        run(seed, false);
    }
}
