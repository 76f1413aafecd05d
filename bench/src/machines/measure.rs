//! One machine from power-on to its image on its disk, with the times of what happens between.
//!
//! The times are of this computer's clock, by when a line was seen in a log; only what the machine
//! does without a word is taken from its own clock.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ironcast_tests::room::{Room, demand_written};
use ironcast_tests::{BootOrder, DiskKind, LabError, Machine, Running};

use super::stats::Stats;
use super::way::Way;
use crate::senders::sent_again;

/// How often the logs are looked at: the times are not better than that.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long the firmware may take until it hands over: many times what it takes.
const FIRMWARE: Duration = Duration::from_secs(90);

/// How long the sender may take to end when the machine has its image.
const SENDER: Duration = Duration::from_secs(30);

/// What the firmware says when it hands over to what it has loaded.
const HANDED_OVER: &str = "BdsDxe: starting";

/// What both senders say when they begin to send.
const STARTED: &str = "Starting transfer";

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// How the machine is imaged.
    pub way: Way,
    /// What its disk is attached to.
    pub disk: DiskKind,
    /// The image.
    pub image: &'a Path,
    /// The machine's memory in MiB.
    pub memory: u32,
    /// How long it may take from power-on.
    pub limit: Duration,
}

/// When things happened, in seconds since power-on.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The firmware started what it had loaded: our receiver, or a boot loader.
    pub handed_over: f64,
    /// The sender began to send the image, by its own word or, if that is earlier, our receiver's.
    pub first_byte: f64,
    /// The last byte was on the disk. Of ours, it had been flushed too; of Linux it is when the
    /// disk's file was last changed, since the receiver waits before it ends.
    pub written: f64,
    /// The disk had been read back and found right. Only ours does that.
    pub verified: Option<f64>,
}

/// What came of one measurement.
#[derive(Clone, Debug)]
pub struct Run {
    /// The times.
    pub times: Times,
    /// Where our receiver's time went.
    pub stats: Option<Stats>,
    /// How many blocks the sender has sent again.
    pub sent_again: u64,
    /// Bytes of the files that the machine was netbooted by.
    pub payload: u64,
}

/// Images one machine, and compares its disk with the image afterwards.
///
/// Fails if it is not imaged in time, or not right.
pub fn measure(subject: &Subject) -> Result<Run> {
    let room = Room::serving(&subject.way.served()?)?;
    let length = size_of(subject.image)?;
    let disk = room.disk("disk", (length + length / 4).next_multiple_of(1 << 20))?;
    let sender = subject.way.sender(subject.image)?;
    let mut sender = sender.start(&room.server, "sender", room.folder.path())?;
    let builder = Machine::builder("machine")
        .memory(subject.memory)
        .disk(&disk, subject.disk)
        .boot_order(BootOrder::NetworkFirst)
        .reboots(false);
    let mut machine = room.start(builder)?;
    let watched = watch(subject, &mut machine, &sender).and_then(|mut times| {
        if times.verified.is_none() {
            times.written = last_change(&disk, &machine)?;
        }
        sender.wait_success(SENDER)?;
        Ok(times)
    });
    machine.switch_off();
    let times = watched.map_err(|error| {
        room.explain(
            LabError::wrong(format!("{error:#}")),
            &[&machine],
            &[&sender],
        )
    })?;
    demand_written(subject.image, &disk)?;
    let files = room.pxe().given_out();
    let payload = files
        .iter()
        .map(|file| size_of(file))
        .sum::<Result<u64>>()?;
    Ok(Run {
        times,
        stats: Stats::find(&machine.serial()),
        sent_again: sent_again(&sender.log()).context("the sender counts no blocks")?,
        payload,
    })
}

/// When a disk's file was last written to, in seconds since the machine was switched on.
fn last_change(disk: &Path, machine: &Machine) -> Result<f64> {
    let changed = fs::metadata(disk).and_then(|metadata| metadata.modified());
    let changed = changed.context("cannot tell when the disk was last written to")?;
    let age = machine.powered_on().elapsed();
    let since = changed.elapsed().context("the clock was set back")?;
    Ok(age.saturating_sub(since).as_secs_f64())
}

/// Bytes of a file.
fn size_of(file: &Path) -> Result<u64> {
    let metadata = fs::metadata(file);
    Ok(metadata
        .with_context(|| format!("cannot look at {}", file.display()))?
        .len())
}

/// Watches until the machine has its image.
fn watch(subject: &Subject, machine: &mut Machine, sender: &Running) -> Result<Times> {
    let mut seen = Seen::default();
    loop {
        // Asked before the logs are read, so that a last word is not missed.
        let is_on = machine.is_on();
        let age = machine.powered_on().elapsed();
        let serial = machine.serial();
        if let Some(times) = seen.look(age.as_secs_f64(), &serial, sender) {
            return Ok(times);
        }
        if let Some(line) = serial.lines().find(|line| is_failure(line)) {
            bail!("the machine failed: {line}");
        }
        if !is_on {
            bail!("the machine went off without its image");
        }
        if age > subject.limit || (age > FIRMWARE && seen.handed_over.is_none()) {
            bail!("the machine was not done after {} s", age.as_secs());
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Whether a line says that the machine won't get its image.
fn is_failure(line: &str) -> bool {
    let ended = line.contains("linux: receiver ended with") && !line.contains("with 0,");
    ended || line.contains("ironcast: result failed")
}

/// What has been seen so far, in seconds since power-on.
#[derive(Debug, Default)]
struct Seen {
    handed_over: Option<f64>,
    /// Our receiver's first word, right after its entry.
    entry: Option<f64>,
    first_byte: Option<f64>,
}

impl Seen {
    /// Looks at what the machine and the sender have said until now. Gives all times when the image
    /// is on the disk and, where that is done, read back.
    fn look(&mut self, now: f64, serial: &str, sender: &Running) -> Option<Times> {
        let note = |time: &mut Option<f64>, is_said: bool| {
            if time.is_none() && is_said {
                *time = Some(now);
            }
        };
        note(&mut self.handed_over, serial.contains(HANDED_OVER));
        note(&mut self.entry, serial.contains("ironcast: "));
        if self.first_byte.is_none() {
            note(&mut self.first_byte, sender.log().contains(STARTED));
        }
        let times = Times {
            handed_over: self.handed_over?,
            first_byte: self.first_byte?,
            written: now,
            verified: None,
        };
        if written_by_linux(serial) {
            return Some(times);
        }
        let stats = Stats::find(serial)?;
        let at = |moment| Some(self.entry? + stats.seconds(moment)?);
        Some(Times {
            // A busy sender tells it late.
            first_byte: times.first_byte.min(at("started")?),
            written: at("flushed")?,
            verified: Some(at("ready")?),
            ..times
        })
    }
}

fn written_by_linux(serial: &str) -> bool {
    serial.contains("linux: receiver ended with 0, disk flushed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_end_counts() {
        let line = |code: u32| format!("linux: receiver ended with {code}, disk flushed");
        assert!(written_by_linux(&line(0)) && !is_failure(&line(0)));
        assert!(!written_by_linux(&line(1)) && is_failure(&line(1)));
        assert!(is_failure("ironcast: result failed: no disk"));
    }
}
