//! One transfer to one machine, for what becomes of its disk.

use std::time::Duration;

use ironcast_receiver_nostd::engine::{DiskOptions, Error, Leftover, Report};

use super::{DiskError, Machine, Network, Setup, TestDisk, image};

/// How long it may take, in the network's time.
const LIMIT: Duration = Duration::from_secs(120);

/// Sends to one machine, which ends well.
pub fn send(image: &[u8], options: DiskOptions, disk: &TestDisk) -> Report {
    send_to(image, &with(options), disk)
}

/// Sends to one machine that is made so, which ends well.
pub fn send_to(image: &[u8], setup: &Setup, disk: &TestDisk) -> Report {
    let network = cast_to(image, setup, disk);
    let outcome = network.machines[0].outcome.expect("the run has ended");
    outcome.expect("it ends well")
}

/// Sends to one machine, which fails: why, and what that leaves.
pub fn fail(image: &[u8], options: DiskOptions, disk: &TestDisk) -> Failed {
    fail_to(image, &with(options), disk)
}

/// Sends to one machine that is made so, which fails: why, and what that leaves.
pub fn fail_to(image: &[u8], setup: &Setup, disk: &TestDisk) -> Failed {
    let network = cast_to(image, setup, disk);
    let machine = &network.machines[0];
    let outcome = machine.outcome.expect("the run has ended");
    let leftover = machine.engine.leftover().expect("it is known");
    (outcome.expect_err("it fails"), *leftover)
}

pub type Failed = (Error<DiskError>, Leftover<Error<DiskError>>);

pub fn cast(image: &[u8], options: DiskOptions, disk: &TestDisk) -> Network {
    cast_to(image, &with(options), disk)
}

fn with(options: DiskOptions) -> Setup {
    Setup {
        options,
        ..Setup::default()
    }
}

/// Sends to one machine that is made so.
pub fn cast_to(image: &[u8], setup: &Setup, disk: &TestDisk) -> Network {
    let mut network = Network::new(image, vec![Machine::new(setup, disk.clone())]);
    network.run(LIMIT);
    let is_ok = matches!(network.machines[0].outcome, Some(Ok(_)));
    let sent = network.outcome.expect("the sender knows");
    assert_eq!(sent.completed, u16::from(is_ok), "P5");
    network
}

pub fn defaults() -> DiskOptions {
    DiskOptions::default()
}

/// A disk of `len` bytes that had another system, for an image with a table for `sector`.
pub fn used_disk(len: usize, sector: usize) -> (TestDisk, Vec<u8>) {
    let old = image(len + 1)[..len].to_vec();
    let disk = TestDisk::with_capacity(len as u64).with_sectors_of(sector as u32);
    (disk.holding(old.clone()), old)
}
