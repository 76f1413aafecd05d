//! One machine of the demo: from power-on over its blank disk to the prompt of what it was sent,
//! and through one more network boot, which must not image it again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use ironcast_tests::image::make_sparse;
use ironcast_tests::partitions::demand_installed;
use ironcast_tests::{BootOrder, DiskKind, Lab, Machine};

use super::lines::Lines;
use super::qmp::Qmp;

/// What the receiver says when every byte is on the disk, and when that has not worked. The rest of
/// the line has the particulars.
const WRITTEN: &str = "ironcast: result ok";
const NOT_WRITTEN: &str = "ironcast: result failed";

/// What it says when it has had its job already. The name of the job follows, and the rest.
const HAD_ITS_JOB: &str = "ironcast: job ";

/// Bytes of the machines' sectors.
const SECTOR: u32 = 512;

/// What every machine is to do.
pub(super) struct Job<'a> {
    /// The image that is sent.
    pub(super) image: &'a Path,
    /// What the imaged system prints on the serial port when it has come up.
    pub(super) prompt: &'a str,
    /// Each machine's memory in MiB.
    pub(super) memory: u32,
    /// Where disks and logs go.
    pub(super) folder: &'a Path,
}

/// How far a machine is.
enum Phase {
    /// It netboots and receives.
    Receiving,
    /// It has its disk compared and boots from it.
    Booting,
    /// It has come up from its disk, and netboots once more.
    Again {
        /// Whether it has said that its job is done.
        had_its_job: bool,
    },
    /// It has come up once more, without having been imaged again.
    Up,
    /// It has not, for this reason.
    Failed(String),
}

/// A machine, and what has become of it.
pub(super) struct Subject {
    machine: Machine,
    qmp: Qmp,
    disk: PathBuf,
    kind: DiskKind,
    lines: Lines,
    phase: Phase,
    /// When the last byte was on the disk, after power-on.
    pub(super) written: Option<Duration>,
    /// How many bytes were compared and found equal.
    pub(super) equal: Option<u64>,
    /// When the imaged system had come up, after power-on.
    pub(super) up: Option<Duration>,
    /// The same after the second network boot.
    pub(super) up_again: Option<Duration>,
}

impl Subject {
    /// Switches on machine `number` (from 1) with a blank disk somewhat larger than the image.
    pub(super) fn start(number: usize, lab: &Lab, job: &Job) -> Result<Self> {
        // A kind for each, so that all are seen.
        let kinds = [DiskKind::VirtioBlk, DiskKind::Nvme, DiskKind::Ahci];
        let kind = kinds[(number - 1) % kinds.len()];
        let name = format!("machine{number}");
        let disk = job.folder.join(format!("{name}.disk"));
        let length = job
            .image
            .metadata()
            .context("cannot look at the image")?
            .len();
        make_sparse(&disk, (length + length / 4).next_multiple_of(1 << 20))?;
        let mut builder = Machine::builder(&name)
            .memory(job.memory)
            .disk(&disk, kind)
            .boot_order(BootOrder::NetworkFirst);
        for argument in Qmp::arguments(job.folder, &name) {
            builder = builder.arg(&argument);
        }
        let machine = builder.start(lab, job.folder)?;
        Ok(Self {
            qmp: Qmp::connect(job.folder, &name)?,
            machine,
            disk,
            kind,
            lines: Lines::new(&format!("machine {number}")),
            phase: Phase::Receiving,
            written: None,
            equal: None,
            up: None,
            up_again: None,
        })
    }

    /// Looks what the machine has done since the last time, prints what it said, and sees it on.
    pub(super) fn look(&mut self, job: &Job) {
        if self.is_running()
            && let Err(error) = self.advance(job)
        {
            self.fail(&format!("{error:#}"));
        }
    }

    fn advance(&mut self, job: &Job) -> Result<()> {
        // Asked before the serial port is read: what a machine says before it restarts is there
        // then.
        let held = self.machine.is_on().then(|| self.qmp.is_held());
        let serial = self.machine.serial();
        let news = self.lines.print_new(&serial);
        let Some(held) = held else {
            self.fail("it switched itself off");
            return Ok(());
        };
        match self.phase {
            Phase::Receiving => self.advance_receiving(news, held?, job)?,
            Phase::Booting if news.contains(HAD_ITS_JOB) => {
                self.fail("it netbooted, and was to start from its disk");
            }
            Phase::Booting if news.contains(job.prompt) => {
                self.up = Some(self.age());
                self.lines
                    .say("is up, from its own disk; now it is reset, and netboots once more");
                self.phase = Phase::Again { had_its_job: false };
                self.qmp.restart()?;
            }
            Phase::Again { had_its_job } => self.advance_again(news, had_its_job, held?, job),
            Phase::Booting if held? => self.fail("it restarted once more"),
            _ => {}
        }
        Ok(())
    }

    fn advance_again(&mut self, news: &str, had_its_job: bool, held: bool, job: &Job) {
        let had_its_job = had_its_job || news.contains(HAD_ITS_JOB);
        self.phase = Phase::Again { had_its_job };
        if news.contains(WRITTEN) || held {
            self.fail("it was imaged again");
        } else if had_its_job && news.contains(job.prompt) {
            self.up_again = Some(self.age());
            self.phase = Phase::Up;
            self.lines.say("is up again, and was not imaged again");
        }
    }

    fn advance_receiving(&mut self, news: &str, held: bool, job: &Job) -> Result<()> {
        if self.written.is_none() && news.contains(WRITTEN) {
            self.written = Some(self.age());
        }
        if let Some(reason) = news.lines().find(|line| line.contains(NOT_WRITTEN)) {
            self.fail(reason.trim());
        } else if held && self.written.is_none() {
            self.fail("it restarted without having written all");
        } else if held {
            self.compare_and_restart(job)?;
        }
        Ok(())
    }

    fn compare_and_restart(&mut self, job: &Job) -> Result<()> {
        let is_moved = demand_installed(job.image, &self.disk, SECTOR)?;
        let length = job
            .image
            .metadata()
            .context("cannot look at the image")?
            .len();
        self.equal = Some(length);
        let but = match is_moved {
            true => ", but for the ends that its partition table names",
            false => "",
        };
        self.lines.say(&format!(
            "its disk equals the image, {length} bytes{but}; now it restarts"
        ));
        self.phase = Phase::Booting;
        self.qmp.restart()
    }

    fn age(&self) -> Duration {
        self.machine.powered_on().elapsed()
    }

    /// Gives the machine up for this reason, unless it is done.
    pub(super) fn fail(&mut self, reason: &str) {
        if self.is_running() {
            self.lines.say(&format!("FAILED: {reason}"));
            self.phase = Phase::Failed(reason.to_owned());
        }
    }

    /// Whether there is still something to come.
    pub(super) fn is_running(&self) -> bool {
        !matches!(self.phase, Phase::Up | Phase::Failed(_))
    }

    /// Whether all went well.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }

    /// Whether it still waits for its image or receives it.
    pub(super) fn is_receiving(&self) -> bool {
        matches!(self.phase, Phase::Receiving)
    }

    /// Its line of the closing table, with what the sender's list has of it.
    pub(super) fn row(&self, results: &str) -> [String; 7] {
        let seconds = |time: Option<Duration>| {
            time.map_or("-".to_owned(), |time| {
                format!("{:.1} s", time.as_secs_f64())
            })
        };
        let kind = self.kind.name();
        let equal = self
            .equal
            .map_or("NO".to_owned(), |length| format!("yes, {length} bytes"));
        let after = |time: Option<Duration>| time.map(|_| format!("yes, after {}", seconds(time)));
        let again = after(self.up_again).unwrap_or_else(|| match &self.phase {
            Phase::Failed(reason) => format!("NO: {}", reason.lines().next().unwrap_or_default()),
            _ => "NO".to_owned(),
        });
        [
            self.lines.name().to_owned(),
            kind.to_owned(),
            seconds(self.written),
            equal,
            self.result_in(results),
            after(self.up).unwrap_or_else(|| "NO".to_owned()),
            again,
        ]
    }

    /// What the sender's list of results has of this machine.
    fn result_in(&self, results: &str) -> String {
        let mut results = results
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let own = results.find(|result| result["mac"] == self.machine.mac());
        let Some(own) = own else {
            return "NOTHING".to_owned();
        };
        let verified = match own["verified"].as_bool() {
            Some(true) => ", verified",
            _ => "",
        };
        let word = own["result"].as_str().unwrap_or_default();
        format!("{word}{verified}")
    }
}
