//! What the sender knows of each machine when all is over: at its terminal, and with `--results`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Kind, LabError, Transfer, Transferring};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// A transfer whose sender writes a results file.
struct Reported {
    _folder: TempDir,
    file: PathBuf,
    transferring: Transferring,
}

impl Reported {
    fn start(
        receivers: &[Kind],
        change: impl FnOnce(Transfer) -> Transfer,
    ) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
        let file = folder.path().join("results");
        let argument = file.display().to_string();
        let transfer = change(Transfer::new(Ours, receivers).size(8_000_000));
        Ok(Self {
            transferring: transfer.sender_args(&["--results", &argument]).start()?,
            _folder: folder,
            file,
        })
    }

    /// Demands the sender's exit status and these words, one for each receiver, in the results.
    fn demand(&mut self, code: i32, words: &[&str]) -> Result<Vec<Value>, LabError> {
        let sender = &mut self.transferring.sender;
        let status = sender.wait(Duration::from_secs(60))?;
        let log = sender.log();
        let results = read(&self.file)?;
        let found: Vec<&str> = results
            .iter()
            .map(|result| result["result"].as_str().unwrap_or_default())
            .collect();
        if status.code() == Some(code) && found == words {
            return Ok(results);
        }
        let wrong = LabError::wrong(format!("{status}, {found:?}, not {code}, {words:?}: {log}"));
        Err(self.transferring.with_logs(wrong))
    }
}

fn read(file: &Path) -> Result<Vec<Value>, LabError> {
    let text = fs::read_to_string(file).map_err(|e| LabError::io("read the results", e))?;
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(|e| LabError::wrong(format!("{line}: {e}"))))
        .collect()
}

/// The BLAKE3 of a file as the sender printed it.
fn printed_hash(log: &str) -> Option<&str> {
    let (_, rest) = log.split_once("blake3: ")?;
    rest.split_whitespace().next()
}

#[test]
fn p5_every_receiver_is_in_the_results_with_what_it_said() -> Result<(), LabError> {
    let mut reported = Reported::start(&[Ours, Stock, Ours], |transfer| transfer)?;
    let results = reported.demand(0, &["ok", "ok", "ok"])?;
    let log = reported.transferring.sender.log();
    let hash = printed_hash(&log).unwrap_or("none");
    let hostname = Command::new("cat")
        .arg("/proc/sys/kernel/hostname")
        .output();
    let hostname = hostname.map_err(|e| LabError::io("read the host name", e))?;
    let hostname = String::from_utf8_lossy(&hostname.stdout).trim().to_owned();
    let addresses = ["10.77.0.2", "10.77.0.3", "10.77.0.4"];
    let mut found: Vec<&str> = Vec::new();
    for result in &results {
        let address = result["address"].as_str().unwrap_or_default();
        found.push(address);
        let Some(number) = addresses.iter().position(|known| *known == address) else {
            return Err(LabError::wrong(format!("whose is this? {result}")));
        };
        if number == 1 {
            // Stock receivers say nothing of themselves.
            assert_eq!(result.get("blake3"), None, "{result}");
            continue;
        }
        assert_eq!(result["blake3"], hash, "{result}");
        assert_eq!(result["bytes"], 8_000_000, "{result}");
        assert_eq!(result["written"], 8_000_000, "{result}");
        assert_eq!(result["host"], hostname.as_str(), "{result}");
        let file = &reported.transferring.receivers[number].file;
        assert_eq!(result["disk"], file.display().to_string(), "{result}");
        let mac = result["mac"].as_str().unwrap_or_default();
        assert_eq!(mac.len(), 17, "{result}");
    }
    found.sort_unstable();
    assert_eq!(found, addresses);
    Ok(())
}

#[test]
fn p5_one_that_fails_says_why_and_one_that_vanishes_is_lost() -> Result<(), LabError> {
    let change = |transfer: Transfer| transfer.output(0, "/dev/full").fed();
    let mut reported = Reported::start(&[Ours, Ours, Ours], change)?;
    let transferring = &mut reported.transferring;
    transferring.feed(0, 3_000_000)?;
    // Not /dev/full, which stays empty.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let length = |file: &Path| fs::metadata(file).map_or(0, |metadata| metadata.len());
    while length(&transferring.receivers[2].file) < 1_000_000 {
        assert!(std::time::Instant::now() < deadline, "nothing arrives");
        std::thread::sleep(Duration::from_millis(10));
    }
    transferring.receivers[1].program.signal(Signal::KILL)?;
    transferring.feed(3_000_000, 8_000_000)?;
    transferring.end_feed();
    let status = reported.transferring.sender.wait(Duration::from_secs(60))?;
    assert_eq!(
        status.code(),
        Some(4),
        "{}",
        reported.transferring.sender.log()
    );
    let by_address = |last: usize| -> Result<Value, LabError> {
        let address = format!("10.77.0.{last}");
        let mut results = read(&reported.file)?.into_iter();
        let result = results.find(|result| result["address"] == address.as_str());
        result.ok_or_else(|| LabError::wrong(format!("no result of {address}")))
    };
    let failed = by_address(2)?;
    assert_eq!(failed["result"], "failed");
    let reason = failed["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("No space left on device"), "{failed}");
    assert_eq!(by_address(3)?["result"], "lost");
    assert_eq!(by_address(4)?["result"], "ok");
    Ok(())
}

#[test]
fn a_results_file_that_cannot_be_written_is_named_before_the_transfer() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[]).sender_args(&["--results", "/nonexistent/results"]);
    let mut transferring = transfer.start()?;
    let status = transferring.sender.wait(Duration::from_secs(10))?;
    let log = transferring.sender.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("/nonexistent/results"), "{log}");
    Ok(())
}
