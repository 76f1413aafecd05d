//! What a process takes: processor time, memory, system calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use ironcast_tests::{Running, find_tool};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// A program that runs, and what it has taken when it has ended.
#[derive(Debug)]
pub struct Watched {
    /// The program.
    pub running: Running,
    ended: Option<(ExitStatus, Duration)>,
    /// The most memory of its own that was seen, in bytes.
    pub memory: u64,
}

impl Watched {
    /// Watches a program.
    #[must_use]
    pub fn new(running: Running) -> Self {
        Self {
            running,
            ended: None,
            memory: 0,
        }
    }

    /// How it ended and how much processor time it took, all its threads together; `None` while it
    /// runs.
    ///
    /// The system adds a child's time to its parent's account when the child is waited for, to the
    /// microsecond; so no other thread may wait for children meanwhile.
    ///
    /// Fails if the system can't tell.
    pub fn ended(&mut self) -> Result<Option<(ExitStatus, Duration)>> {
        if self.ended.is_none() {
            let before = children_time()?;
            let status = self.running.try_wait()?;
            let time = children_time()?.saturating_sub(before);
            self.ended = status.map(|status| (status, time));
        }
        Ok(self.ended)
    }

    /// Looks how much memory it has now: anonymous pages only (`RssAnon`), not those of mapped
    /// files, which are the system's cache.
    pub fn look_at_memory(&mut self) {
        // It may have ended just now, and then has none.
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.id()));
        let kibibytes = status.ok().and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("RssAnon:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        self.memory = self.memory.max(kibibytes.unwrap_or(0) << 10);
    }
}

/// The processor time of all children that were waited for.
fn children_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("the system tells no times")?;
    let microseconds = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(Duration::from_micros(
        u64::try_from(microseconds).unwrap_or(0),
    ))
}

/// Counts the system calls of processes, by `perf`, which slows them down far less than tracing.
#[derive(Debug)]
pub struct CallCounter {
    perf: Running,
    result: PathBuf,
}

impl CallCounter {
    /// Begins to count those of the processes with these numbers; `None` if there is no `perf`, or
    /// it may not count.
    ///
    /// Fails if it can't be started although it is there.
    pub fn attach(name: &str, processes: &[u32], folder: &Path) -> Result<Option<Self>> {
        let Ok(perf) = find_tool("perf") else {
            return Ok(None);
        };
        let result = folder.join(format!("{name}.calls"));
        let numbers: Vec<String> = processes.iter().map(ToString::to_string).collect();
        let mut command = Command::new(perf);
        command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-o"]);
        command.arg(&result).arg("-p").arg(numbers.join(","));
        let perf = Running::start(&format!("perf-{name}"), command, folder)?;
        Ok(Some(Self { perf, result }))
    }

    /// How many there were until the processes ended, which they must have; `None` if it could not
    /// count.
    #[must_use]
    pub fn calls(mut self) -> Option<u64> {
        self.perf.wait(Duration::from_secs(5)).ok()?;
        let text = fs::read_to_string(&self.result).ok()?;
        let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
        line.split(',').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_has_worked_has_taken_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]);
        let running = Running::start("busy", command, folder.path()).unwrap();
        let mut watched = Watched::new(running);
        let (status, time) = loop {
            watched.look_at_memory();
            if let Some(ended) = watched.ended().unwrap() {
                break ended;
            }
        };
        assert!(status.success());
        assert!(time > Duration::from_millis(5) && watched.memory > 0);
    }
}
