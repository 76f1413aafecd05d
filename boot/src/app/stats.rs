//! Where the time of a run went, for whoever wants it shorter (`stats=yes`).
//!
//! One processor does everything, one thing after the other, so the counters are where the work
//! is done, and need not be handed through all that lies between.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ironcast_proto::time::Instant;

use super::arch::ticks;
use super::clock::Clock;

/// The driver of the network card: frames that it gave or took.
pub(crate) static NIC: Counter = Counter::new();

/// What is done with frames beside: checksums, copies, ARP and DHCP, the protocol. A call is a
/// batch.
pub(crate) static COPY: Counter = Counter::new();

/// Hashing, and comparing what is read back.
pub(crate) static HASH: Counter = Counter::new();

/// Decompression, and hashing what comes out of it.
pub(crate) static DECODE: Counter = Counter::new();

/// The driver of the disk.
pub(crate) static DISK: Counter = Counter::new();

/// Turns of the loop in which there was nothing to do.
pub(crate) static IDLE: Counter = Counter::new();

const COUNTERS: [(&str, &Counter); 6] = [
    ("nic", &NIC),
    ("copy", &COPY),
    ("hash", &HASH),
    ("decode", &DECODE),
    ("disk", &DISK),
    ("idle", &IDLE),
];

/// How long something took, how often it was done, and with how many bytes.
#[derive(Debug)]
pub(crate) struct Counter {
    ticks: AtomicU64,
    calls: AtomicU64,
    bytes: AtomicU64,
}

impl Counter {
    const fn new() -> Self {
        Self {
            ticks: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Counts one more, with `bytes` bytes.
    pub(crate) fn add(&self, ticks: u64, bytes: usize) {
        self.ticks.fetch_add(ticks, Relaxed);
        self.calls.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Does and counts something with `bytes` bytes.
    pub(crate) fn time<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        let before = ticks();
        let result = work();
        self.add(ticks().wrapping_sub(before), bytes);
        result
    }

    /// The ticks so far.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.load(Relaxed)
    }

    fn reset(&self) {
        for part in [&self.ticks, &self.calls, &self.bytes] {
            part.store(0, Relaxed);
        }
    }
}

/// A point of a run, in their order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// Every device has its driver.
    Drivers,
    /// The settings are known.
    Settings,
    /// The disk is chosen and opened, and the memory taken.
    Plan,
    /// There is a network card with an address.
    Network,
    /// A sender has taken this machine.
    Connected,
    /// The transfer has begun.
    Started,
    /// The first bytes of the image are here.
    FirstData,
    /// All of them are.
    Arrived,
    /// They are safe on the disk.
    Flushed,
    /// The disk is proved and may start.
    Ready,
}

const MOMENTS: [&str; 10] = [
    "drivers",
    "settings",
    "plan",
    "network",
    "connected",
    "started",
    "first-data",
    "arrived",
    "flushed",
    "ready",
];

/// When each was, in microseconds since the entry; 0 if it has not been.
static REACHED: [AtomicU64; MOMENTS.len()] = [const { AtomicU64::new(0) }; MOMENTS.len()];

/// Notes that `moment` is reached at `now`, unless it was before.
pub(crate) fn reach(moment: Moment, now: Instant) {
    let place = &REACHED[moment as usize];
    if place.load(Relaxed) == 0 {
        place.store(now.as_micros(), Relaxed);
    }
}

/// Begins to count, at the start of a transfer.
pub(crate) fn begin(now: Instant) {
    reach(Moment::Started, now);
    for (_, counter) in COUNTERS {
        counter.reset();
    }
}

/// The line that tells all of it. Moments that were not reached are left out.
pub(crate) fn line(clock: &Clock) -> String {
    let mut line = String::from("ironcast: stats entry=0");
    for (name, at) in MOMENTS.into_iter().zip(&REACHED) {
        match at.load(Relaxed) {
            0 => {}
            at => line += &format!(" {name}={at}"),
        }
    }
    for (name, counter) in COUNTERS {
        let micros = clock.micros_of(counter.ticks());
        let (calls, bytes) = (counter.calls.load(Relaxed), counter.bytes.load(Relaxed));
        line += &format!(" {name}={micros}/{calls}/{bytes}");
    }
    line
}
