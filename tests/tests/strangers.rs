//! Others on the network, and programs that vanish or come back, with the real programs.
//!
//! The simulation has every order of such things; here they go through sockets. What a stranger
//! says is written by the shell of a host of its own, byte by byte.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::thread;
use std::time::{Duration, Instant};

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Host, Lab, LabError, Program, Transfer, Transferring, image};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const SIZE: u64 = 8_000_000;

/// What a receiver says (docs/protocol.md, "Messages").
const GO: &[u8] = &[0, 2, 0, 0];
const DISCONNECT: &[u8] = &[0, 4, 0, 0];
const CONNECT_REQ: &[u8] = &[0, 3, 0, 0, 0, 0, 0, 9, 0, 3, 0x40, 0];

fn ok(slice: u8) -> Vec<u8> {
    vec![0, 0, 0, 0, 0, 0, 0, slice]
}

/// Sends a datagram to the lab's sender, from any port.
fn say(host: &Host, message: &[u8]) -> Result<(), LabError> {
    let bytes: String = message
        .iter()
        .map(|byte| format!("\\x{byte:02x}"))
        .collect();
    let script = format!("printf '{bytes}' > /dev/udp/10.77.0.1/9001");
    host.run("bash", &["-c", &script]).map(drop)
}

/// What a sender says to the first receiver that it has, naming the data group with this number.
fn connect_reply(group: u8) -> String {
    let padding = "00".repeat(12);
    format!("0007000000000000000005b000000009ef0101{group:02x}{padding}")
}

/// Says something, in hexadecimal, to the lab's first receiver as a sender at `host` would.
fn say_as_sender(host: &Host, messages: &[String]) -> Result<(), LabError> {
    let from = format!("{}:9001", host.address());
    let mut arguments = vec!["say", &from, "10.77.0.2:9000"];
    arguments.extend(messages.iter().map(String::as_str));
    host.run(env!("CARGO_BIN_EXE_lab-probe"), &arguments)
        .map(drop)
}

fn fed(transfer: Transfer) -> Result<Transferring, LabError> {
    let mut transfer = transfer.size(SIZE).fed().start()?;
    transfer.feed(0, SIZE / 2)?;
    transfer.wait_received(SIZE / 4)?;
    Ok(transfer)
}

fn feed_the_rest(transfer: &mut Transferring) -> Result<(), LabError> {
    transfer.feed(SIZE / 2, SIZE)?;
    transfer.end_feed();
    Ok(())
}

#[test]
fn what_strangers_say_to_a_sender_changes_nothing() -> Result<(), LabError> {
    for receiver in [Ours, Stock] {
        let mut transfer = Transfer::new(Ours, &[receiver]).size(SIZE).fed();
        transfer = transfer.sender_args(&["--min-receivers", "2"]);
        let mut transfer = transfer.start()?;
        let stranger = transfer.sender_host.lab().host("10.77.0.66")?;
        transfer.sender.wait_for("New connection from", LIMIT)?;
        for message in [GO, DISCONNECT, &ok(0)] {
            say(&stranger, message)?;
        }
        thread::sleep(Duration::from_secs(1));
        let log = transfer.sender.log();
        assert!(!log.contains("Starting transfer"), "{log}");
        let host = transfer.sender_host.lab().host("10.77.0.50")?;
        let file = transfer.folder().join("second");
        let second = Program::receiver(receiver)?.file(&file);
        let mut second = second.start(&host, "second", transfer.folder())?;
        transfer.feed(0, SIZE / 2)?;
        transfer.wait_received(SIZE / 4)?;
        for slice in 0..=255 {
            say(&stranger, &ok(slice))?;
        }
        say(&stranger, DISCONNECT)?;
        say(&stranger, GO)?;
        feed_the_rest(&mut transfer)?;
        transfer.demand_success()?;
        second.wait_success(LIMIT)?;
        image::demand_equal(&transfer.source, &file)?;
    }
    Ok(())
}

#[test]
fn p3_who_joins_and_never_answers_costs_the_others_seconds() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[Ours, Stock]).size(SIZE);
    let mut transfer = transfer.sender_args(&["--min-receivers", "3"]).start()?;
    let mute = transfer.sender_host.lab().host("10.77.0.66")?;
    // The shell that asks keeps its port, so that the answer is no error there; it says no more.
    let mut command = mute.command("bash")?;
    let bytes: String = CONNECT_REQ
        .iter()
        .map(|byte| format!("\\x{byte:02x}"))
        .collect();
    let script = format!("exec 3<> /dev/udp/10.77.0.1/9001; printf '{bytes}' >&3; exec sleep 60");
    command.args(["-c", &script]);
    let folder = transfer.folder().to_owned();
    let begin = Instant::now();
    let null = std::process::Stdio::null();
    let _mute = ironcast_tests::Running::start_with("mute", command, &folder, null, None)?;
    let status = transfer.sender.wait(LIMIT)?;
    let time = begin.elapsed();
    let log = transfer.sender.log();
    assert_eq!(status.code(), Some(4), "{log}");
    assert!(time < Duration::from_secs(15), "it took {time:?}\n{log}");
    for receiver in &mut transfer.receivers {
        receiver.program.wait_success(LIMIT)?;
        image::demand_equal(&transfer.source, &receiver.file)?;
    }
    Ok(())
}

#[test]
fn a_second_sender_at_the_same_port_is_named_and_ignored() -> Result<(), LabError> {
    for second in [Ours, Stock] {
        let mut transfer = fed(Transfer::new(Ours, &[Ours, Stock]))?;
        let host = transfer.sender_host.lab().host("10.77.0.66")?;
        let other = transfer.folder().join("other");
        image::write_random(&other, 1000, 1)?;
        let program = Program::sender(second)?.file(&other);
        let program = program.args(&["--rexmit-hello-interval", "200"]);
        let mut other = program.start(&host, "other", transfer.folder())?;
        transfer.receivers[0]
            .program
            .wait_for("another sender, 10.77.0.66", LIMIT)?;
        feed_the_rest(&mut transfer)?;
        transfer.demand_success()?;
        assert!(other.is_running(), "nobody came to it:\n{}", other.log());
    }
    Ok(())
}

#[test]
fn p4_a_receiver_of_a_sender_that_vanished_gives_up() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[Ours]).receiver_args(&["--receive-timeout", "3"]);
    let mut transfer = fed(transfer)?;
    transfer.sender.signal(Signal::KILL)?;
    let status = transfer.receivers[0]
        .program
        .wait(Duration::from_secs(15))?;
    let log = transfer.receivers[0].program.log();
    assert_eq!(status.code(), Some(5), "{log}");
    assert!(log.contains("said nothing for 3 s"), "{log}");
    Ok(())
}

#[test]
fn p1_a_sender_that_was_restarted_is_not_taken_for_the_old_one() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[Ours]).receiver_args(&["--receive-timeout", "3"]);
    let mut transfer = fed(transfer)?;
    transfer.sender.signal(Signal::KILL)?;
    transfer.sender.wait(LIMIT)?;
    let again = Program::sender(Ours)?.file(&transfer.source);
    let again = again.args(&["--min-receivers", "1", "--max-wait", "5"]);
    let _again = again.start(&transfer.sender_host, "again", transfer.folder())?;
    let status = transfer.receivers[0]
        .program
        .wait(Duration::from_secs(20))?;
    let log = transfer.receivers[0].program.log();
    assert_eq!(
        status.code(),
        Some(5),
        "half of one and half of another:\n{log}"
    );
    Ok(())
}

#[test]
fn a_receiver_that_was_restarted_does_not_hold_up_the_others() -> Result<(), LabError> {
    for receiver in [Ours, Stock] {
        let mut transfer = fed(Transfer::new(Ours, &[receiver; 2]))?;
        transfer.receivers[0].program.kill();
        let host = transfer.receivers[0].host.clone();
        let file = transfer.folder().join("again");
        let again = Program::receiver(receiver)?.file(&file);
        let mut again = again.start(&host, "again", transfer.folder())?;
        feed_the_rest(&mut transfer)?;
        let status = transfer.sender.wait(Duration::from_secs(20))?;
        assert_eq!(status.code(), Some(4), "{}", transfer.sender.log());
        transfer.receivers[1].program.wait_success(LIMIT)?;
        image::demand_equal(&transfer.source, &transfer.receivers[1].file)?;
        // It waits for another transfer, and has written nothing of this one.
        assert!(again.is_running(), "{}", again.log());
        assert_eq!(std::fs::metadata(&file).map_or(0, |file| file.len()), 0);
    }
    Ok(())
}

#[test]
fn p6_a_sender_that_names_group_after_group_gets_one_socket() -> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let folder = folder.path();
    let lab = Lab::new()?;
    let (host, rogue) = (lab.host("10.77.0.2")?, lab.host("10.77.0.66")?);
    let receiver = Program::receiver(Ours)?.file(&folder.join("received"));
    let mut receiver = receiver.start(&host, "receiver", folder)?;
    receiver.wait_for("UDP receiver for", LIMIT)?;
    // It listens once it has asked; till then nothing is heard.
    while !receiver.log().contains("multicast on 239.1.1.0") {
        assert!(receiver.is_running(), "{}", receiver.log());
        say_as_sender(&rogue, &[connect_reply(0)])?;
    }
    let before = receiver.open_files()?;
    let all: Vec<String> = (0..=255).map(connect_reply).collect();
    say_as_sender(&rogue, &all)?;
    receiver.wait_for("multicast on 239.1.1.255", LIMIT)?;
    assert_eq!(receiver.open_files()?, before);
    let busy = receiver.processor_time()?;
    thread::sleep(Duration::from_secs(1));
    let busy = receiver.processor_time()? - busy;
    assert!(busy < Duration::from_millis(100), "it waited for {busy:?}");
    Ok(())
}
