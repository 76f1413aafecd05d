//! The memory of the real programs while a room full of strangers talks at them.
//!
//! The protocol's crate can't allocate, as the build without an operating system shows. This is
//! about what is around it: sockets, tables, logs.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Host, LabError, Transfer, Transferring};

const LIMIT: Duration = Duration::from_secs(60);
const SIZE: u64 = 8_000_000;

/// Its opcode (docs/protocol.md, "Opcodes").
const CONNECT_REQ: &str = "3";

/// Messages of the first flood, after which everything has its size, and of the second.
const SOME: &str = "20000";
const MANY: &str = "200000";

/// What the second flood may cost a program: some pages that nothing had touched before. One byte
/// kept of each message that gets through would be more.
const ALLOWED: u64 = 128 << 10;

/// A host with two hundred addresses.
fn crowd(transfer: &Transferring) -> Result<Host, LabError> {
    let host = transfer.sender_host.lab().host("10.77.0.250")?;
    let add = "for i in $(seq 40 240); do ip address add 10.77.0.$i/24 dev eth0; done";
    host.run("sh", &["-c", add])?;
    Ok(host)
}

fn flood(host: &Host, arguments: &[&str]) -> Result<(), LabError> {
    host.run(env!("CARGO_BIN_EXE_flood"), arguments).map(drop)
}

#[test]
fn p6_a_senders_memory_does_not_grow_with_what_it_is_told() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[Ours, Stock]).size(SIZE).fed();
    let mut transfer = transfer.start()?;
    let crowd = crowd(&transfer)?;
    transfer.sender.wait_for("Starting transfer", LIMIT)?;
    flood(&crowd, &["10.77.0.1", "9001", SOME])?;
    transfer.feed(0, SIZE / 2)?;
    transfer.wait_received(SIZE / 4)?;
    let before = transfer.sender.peak_memory()?;
    flood(&crowd, &["10.77.0.1", "9001", MANY])?;
    let after = transfer.sender.peak_memory()?;
    assert!(after - before <= ALLOWED, "{before} bytes became {after}");
    transfer.feed(SIZE / 2, SIZE)?;
    transfer.end_feed();
    transfer.demand_success()
}

#[test]
fn p6_a_receivers_memory_does_not_grow_with_what_it_is_told() -> Result<(), LabError> {
    let mut transfer = Transfer::new(Ours, &[Ours]).size(SIZE).fed().start()?;
    let crowd = crowd(&transfer)?;
    transfer.feed(0, SIZE / 2)?;
    transfer.wait_received(SIZE / 4)?;
    flood(&crowd, &["10.77.0.2", "9000", SOME])?;
    let before = transfer.receivers[0].program.peak_memory()?;
    flood(&crowd, &["10.77.0.2", "9000", MANY])?;
    let after = transfer.receivers[0].program.peak_memory()?;
    assert!(after - before <= ALLOWED, "{before} bytes became {after}");
    transfer.feed(SIZE / 2, SIZE)?;
    transfer.end_feed();
    transfer.demand_success()
}

#[test]
fn p3_a_crowd_that_never_answers_costs_memory_for_its_places_only() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[Ours]).size(SIZE);
    // The floods are over by then.
    let mut transfer = transfer.sender_args(&["--min-wait", "30"]).start()?;
    let crowd = crowd(&transfer)?;
    transfer.sender.wait_for("New connection from", LIMIT)?;
    flood(&crowd, &["10.77.0.1", "9001", SOME, CONNECT_REQ])?;
    let before = transfer.sender.peak_memory();
    let before = before.map_err(|error| transfer.with_logs(error))?;
    flood(&crowd, &["10.77.0.1", "9001", MANY, CONNECT_REQ])?;
    let after = transfer.sender.peak_memory();
    let after = after.map_err(|error| transfer.with_logs(error))?;
    assert!(after - before <= ALLOWED, "{before} bytes became {after}");
    let status = transfer.sender.wait(LIMIT)?;
    let log = transfer.sender.log();
    assert_eq!(status.code(), Some(4), "{log}");
    assert!(log.contains("1023 receivers left or dropped"), "{log}");
    let receiver = &mut transfer.receivers[0];
    receiver.program.wait_success(LIMIT)?;
    ironcast_tests::image::demand_equal(&transfer.source, &receiver.file)
}
