//! How far a transfer is, and how fast, measured about once a second.

use alloc::format;
use alloc::string::String;

use ironcast_proto::receiver::Stats;
use ironcast_proto::time::{Duration, Instant};
use ironcast_receiver_nostd::engine::Progress;
use ironcast_receiver_nostd::screen::Figures;

/// How often progress is shown.
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches a transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    /// Bytes of memory between network and disk.
    memory: u64,
    /// Whether the disk is read back at the end.
    verify: bool,
    started: Option<Instant>,
    /// When it was first seen that everything had arrived.
    all_here: Option<Instant>,
    /// When there was the last measurement, and of what.
    measured: Instant,
    last: Figures,
}

impl Meter {
    /// For a transfer with `memory` bytes between network and disk, which is read back at the end
    /// with `verify`.
    pub(crate) fn new(memory: u64, verify: bool) -> Self {
        Self {
            memory,
            verify,
            started: None,
            all_here: None,
            measured: Instant::ZERO,
            last: Figures::default(),
        }
    }

    /// Notes that the transfer has begun.
    pub(crate) fn start(&mut self, now: Instant) {
        self.started = Some(now);
        self.measured = now;
    }

    /// When it began.
    pub(crate) fn started(&self) -> Option<Instant> {
        self.started
    }

    /// Whether it is time to measure and to tell.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.started.is_some() && now.since(self.measured) >= INTERVAL
    }

    /// Measures what went on since the last time.
    pub(crate) fn measure(&mut self, now: Instant, progress: Progress, stats: &Stats) -> Figures {
        let Progress {
            received,
            written,
            verified,
            waiting,
            total,
            disk_len,
            ..
        } = progress;
        let is_all_here = total == Some(received);
        let started = self.started.unwrap_or(now);
        let all_here = *self.all_here.get_or_insert(now);
        if !is_all_here {
            self.all_here = None;
        }
        let passed = now.since(self.measured);
        let rate = |new: u64, old: u64| per_second(new.saturating_sub(old), passed);
        let figures = Figures {
            received,
            written,
            verified,
            image_len: disk_len,
            is_all_here,
            verify: self.verify,
            elapsed: now.since(started),
            receiving: all_here.since(started),
            receive_rate: rate(received, self.last.received),
            write_rate: rate(written, self.last.written),
            verify_rate: rate(verified, self.last.verified),
            missing: stats.missing,
            requests: stats.retransmits,
            lost: stats.lost_bytes,
            waiting,
            memory: self.memory,
        };
        self.measured = now;
        self.last = figures;
        figures
    }
}

/// The line that tells of it.
pub(crate) fn line(figures: &Figures) -> String {
    let Figures {
        received,
        written,
        verified,
        ..
    } = figures;
    // One begins when the other has ended.
    let rate = figures.receive_rate + figures.verify_rate;
    let tenths = rate / 100_000;
    let what = match verified {
        0 => format!("{received} bytes received, {written} written"),
        _ => format!("{verified} of {written} bytes read back"),
    };
    format!("{what}, {}.{} MB/s", tenths / 10, tenths % 10)
}

/// Bytes in a second.
fn per_second(bytes: u64, passed: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / passed.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX / 2)
}
