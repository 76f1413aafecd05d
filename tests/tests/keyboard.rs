//! The key that starts a transfer, at a terminal with a shell that controls its jobs.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use ironcast_tests::Kind::Ours;
use ironcast_tests::{Lab, LabError, Program, Running, image, processor_time};

const LIMIT: Duration = Duration::from_secs(30);

/// The number that the shell told on a line `job=...`.
fn job(shell: &Running) -> Option<u32> {
    let log = shell.log();
    log.lines()
        .find_map(|line| line.strip_prefix("job=")?.parse().ok())
}

#[test]
fn keys_are_the_programs_when_it_is_in_the_foreground_and_cost_nothing_before()
-> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let folder = folder.path();
    let (source, file) = (folder.join("source"), folder.join("received"));
    image::write_random(&source, 1_000_000, 1)?;
    let lab = Lab::new()?;
    let (server, client) = (lab.host("10.77.0.1")?, lab.host("10.77.0.2")?);
    let sender = Program::sender(Ours)?.file(&source);
    let mut sender = sender.start(&server, "sender", folder)?;
    let mut command = client.command("script")?;
    command.args(["-qec", "bash --noprofile --norc -i", "/dev/null"]);
    let mut shell = Running::start_with("shell", command, folder, Stdio::piped(), None)?;
    let mut person = shell.take_stdin().unwrap();
    let mut press = |keys: &str| person.write_all(keys.as_bytes());
    let receiver = Program::receiver(Ours)?;
    let (receiver, file_name) = (receiver.path().display(), file.display());
    press(&format!(
        "{receiver} --interface eth0 --no-progress --file {file_name} & echo job=$!\n"
    ))
    .unwrap();
    shell.wait_for("Press Enter to start receiving data", LIMIT)?;
    let job = job(&shell).unwrap();
    // Keys for whatever the shell does next.
    press("sleep 3\n").unwrap();
    thread::sleep(Duration::from_millis(500));
    press("no-such-command\n").unwrap();
    thread::sleep(Duration::from_millis(200));
    let before = processor_time(job)?;
    thread::sleep(Duration::from_secs(1));
    let busy = processor_time(job)? - before;
    assert!(busy < Duration::from_millis(100), "it took {busy:?}");
    shell.wait_for("not found", LIMIT)?;
    let log = sender.log();
    assert!(!log.contains("Starting transfer"), "{log}");
    press("fg\n").unwrap();
    thread::sleep(Duration::from_secs(1));
    press("\n").unwrap();
    shell.wait_for("Transfer complete", LIMIT)?;
    sender.wait_success(LIMIT)?;
    image::demand_equal(&source, &file)
}
