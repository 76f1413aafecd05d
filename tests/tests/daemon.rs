//! The sender as a daemon: one transfer after the other, until somebody ends it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Host, Lab, LabError, Program, Transfer, image};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(30);

/// Takes the file from the daemon, as one receiver of either kind after the other.
fn demand_served(lab: &Lab, folder: &Path, address: &str) -> Result<(), LabError> {
    let host = lab.host(address)?;
    for kind in [Ours, Stock, Ours] {
        let file = folder.join(format!("{address}-{kind:?}"));
        let receiver = Program::receiver(kind)?.file(&file);
        let name = format!("receiver-{address}-{kind:?}");
        receiver.start(&host, &name, folder)?.wait_success(LIMIT)?;
        image::demand_equal(&folder.join("source"), &file)?;
    }
    Ok(())
}

fn kill(host: &Host, pid_file: &Path, folder: &Path) -> Result<(), LabError> {
    let killer = Program::sender(Ours)?.args(&["--kill", "--pid-file"]);
    let killer = killer.arg(pid_file);
    killer.start(host, "kill", folder)?.wait_success(LIMIT)
}

#[test]
fn it_serves_until_it_is_ended() -> Result<(), LabError> {
    for mode in ["-D", "-DD"] {
        let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
        let folder = folder.path();
        image::write_random(&folder.join("source"), 2_000_001, 1)?;
        let lab = Lab::new()?;
        let server = lab.host("10.77.0.1")?;
        let pid_file = folder.join("pid");
        let daemon = Program::sender(Ours)?.file(&folder.join("source"));
        let daemon = daemon.args(&[mode, "--min-receivers", "1", "--pid-file"]);
        let mut daemon = daemon.arg(&pid_file).start(&server, "daemon", folder)?;
        if mode == "-DD" {
            // It has gone to the background.
            daemon.wait_success(LIMIT)?;
        }
        demand_served(&lab, folder, "10.77.0.2")?;
        let pid = fs::read_to_string(&pid_file).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        assert!(process.exists());
        kill(&server, &pid_file, folder)?;
        let deadline = Instant::now() + LIMIT;
        while process.exists() && Instant::now() < deadline {
            if mode == "-D" && !daemon.is_running() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!pid_file.exists(), "{mode}: {}", daemon.log());
    }
    Ok(())
}

#[test]
fn one_that_is_told_to_end_sends_on_without_haste() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[Ours]).size(8_000_000).fed();
    let mut transfer = transfer.sender_args(&["--daemon-mode"]).start()?;
    transfer.feed(0, 4_000_000)?;
    transfer.wait_received(2_000_000)?;
    transfer.sender.signal(Signal::TERM)?;
    let idle = Duration::from_secs(2);
    std::thread::sleep(Duration::from_millis(200));
    let before = transfer.sender.processor_time()?;
    std::thread::sleep(idle);
    let busy = transfer.sender.processor_time()? - before;
    assert!(busy < idle / 20, "with nothing to send it took {busy:?}");
    transfer.feed(4_000_000, 8_000_000)?;
    transfer.end_feed();
    transfer.demand_success()
}
