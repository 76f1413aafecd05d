//! What all runs of a contender come to: medians and spread.

use std::time::Duration;

use crate::lab::case::{Case, Contender};
use crate::lab::run::{Probed, Timed};
use crate::median::median;

/// All runs of one contender in one case.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What was done.
    pub case: Case,
    /// By whom.
    pub who: Contender,
    /// Bytes of the image.
    pub size: u64,
    /// Each timed run; at least one.
    pub runs: Vec<Timed>,
    /// How many runs failed, and were repeated.
    pub failures: u32,
    /// What a closer look has shown; `None` for what is no transfer, or took too long for one.
    pub probed: Option<Probed>,
}

impl Summary {
    /// The median of something about the timed runs.
    pub fn median(&self, of: impl Fn(&Timed) -> f64) -> f64 {
        median(self.runs.iter().map(of)).unwrap_or(f64::NAN)
    }

    /// The median time of the transfer in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.median(|run| run.transfer.as_secs_f64())
    }

    /// The median time before the transfer in seconds.
    #[must_use]
    pub fn before(&self) -> f64 {
        self.median(|run| run.before.as_secs_f64())
    }

    /// The shortest and the longest time of the transfer in seconds.
    #[must_use]
    pub fn spread(&self) -> (f64, f64) {
        let times = self.runs.iter().map(|run| run.transfer.as_secs_f64());
        times.fold((f64::INFINITY, 0.0), |(low, high), time| {
            (low.min(time), high.max(time))
        })
    }

    /// Whether it was stopped before its end at least once, so that it is slower than it looks.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        self.runs.iter().any(|run| !run.ended)
    }

    /// MiB of the image a second, to all receivers at once.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.mebibytes() / self.seconds()
    }

    /// MiB of the image.
    #[must_use]
    pub fn mebibytes(&self) -> f64 {
        self.size as f64 / f64::from(1 << 20)
    }

    /// The sender's processor time in seconds for each GiB of the image.
    #[must_use]
    pub fn sender_time(&self) -> f64 {
        self.per_gibibyte(|run| run.sender)
    }

    /// The processor time of all receivers in seconds for each GiB of the image.
    #[must_use]
    pub fn receivers_time(&self) -> f64 {
        self.per_gibibyte(|run| run.receivers)
    }

    fn per_gibibyte(&self, time: impl Fn(&Timed) -> Duration) -> f64 {
        self.median(|run| time(run).as_secs_f64()) / self.mebibytes() * 1024.0
    }
}
