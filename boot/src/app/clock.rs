//! The time since the start, from a counter of the processor's.
//!
//! Firmware has no clock with microseconds. The counter has, but where the processor does not tell
//! its speed, that is measured: against the firmware's own delay at first, which is off by several
//! percent on a busy virtual machine, and against the calendar clock's seconds as soon as there is
//! time for that.

use core::cell::Cell;
use core::slice::from_ref;

use ironcast_proto::time::{Duration, Instant};
use uefi::boot::{self, EventType, TimerTrigger, Tpl};
use uefi::{Event, runtime};

use super::arch::{self, ticks};

/// How long each of the first measurements takes.
const FIRST_MEASUREMENT: Duration = Duration::from_millis(5);

/// How many there are. Whatever disturbs one makes it longer, so that the shortest is right.
const FIRST_MEASUREMENTS: usize = 3;

/// How far apart two changes of the calendar clock's second must be to measure by them.
const REFINING_TIME: Duration = Duration::from_secs(8);

/// A change of the second counts only if the clock was looked at so shortly before.
const EDGE_WINDOW: Duration = Duration::from_millis(20);

/// How often the calendar clock is looked at: reading it can be slow.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A clock that starts at zero, counts microseconds and never goes back.
#[derive(Debug)]
pub(crate) struct Clock {
    rate: Cell<Rate>,
    refining: Cell<Refining>,
}

/// The line by which ticks become microseconds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    from_ticks: u64,
    from_micros: u64,
    ticks_per_second: u64,
}

/// How far the measurement by the calendar clock has come.
#[derive(Clone, Copy, Debug)]
enum Refining {
    /// Looking for the first change of the second.
    First { seen: Option<Look> },
    /// It was at `start`; looking for a later one.
    Second { start: Look, seen: Look },
    /// The speed is known, or the calendar clock is of no use.
    Done,
}

/// What the calendar clock said, and when.
#[derive(Clone, Copy, Debug)]
struct Look {
    second_of_day: u64,
    ticks: u64,
    at: Instant,
}

impl Clock {
    /// A clock that starts now. It takes 15 ms to measure the counter's speed, if it has to be.
    pub(crate) fn start() -> Self {
        let before = ticks();
        let (ticks_per_second, refining) = match arch::ticks_per_second() {
            Some(speed) => (speed, Refining::Done),
            None => (measure_by_delay(), Refining::First { seen: None }),
        };
        Self {
            rate: Cell::new(Rate {
                from_ticks: before,
                from_micros: 0,
                ticks_per_second,
            }),
            refining: Cell::new(refining),
        }
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.at(ticks())
    }

    /// How many microseconds that many ticks of the processor's counter take.
    pub(crate) fn micros_of(&self, ticks: u64) -> u64 {
        let per_second = self.rate.get().ticks_per_second;
        let micros = u128::from(ticks) * 1_000_000 / u128::from(per_second);
        u64::try_from(micros).unwrap_or(u64::MAX)
    }

    /// Does a step of measuring the counter's speed against the calendar clock. To be called often
    /// while nothing urgent goes on; some firmwares take milliseconds to read their calendar clock.
    pub(crate) fn refine(&self) {
        let now = self.now();
        let last = match self.refining.get() {
            Refining::First { seen } => seen,
            Refining::Second { start, .. } if now.since(start.at) < REFINING_TIME => return,
            Refining::Second { seen, .. } => Some(seen),
            Refining::Done => return,
        };
        if last.is_some_and(|last| now.since(last.at) < LOOK_AGAIN) {
            return;
        }
        let next = match look(now) {
            Some(look) => self.compare(look),
            None => Refining::Done,
        };
        self.refining.set(next);
    }

    fn at(&self, ticks: u64) -> Instant {
        let rate = self.rate.get();
        let passed = u128::from(ticks.saturating_sub(rate.from_ticks));
        let micros = passed * 1_000_000 / u128::from(rate.ticks_per_second);
        Instant::from_micros(rate.from_micros + u64::try_from(micros).unwrap_or(u64::MAX / 2))
    }

    fn compare(&self, look: Look) -> Refining {
        let is_edge = |seen: Look| {
            seen.second_of_day != look.second_of_day && look.at.since(seen.at) < EDGE_WINDOW
        };
        match self.refining.get() {
            Refining::First { seen: Some(seen) } if is_edge(seen) => Refining::Second {
                start: look,
                seen: look,
            },
            Refining::First { .. } => Refining::First { seen: Some(look) },
            Refining::Second { start, seen } if is_edge(seen) => {
                self.set_speed(start, look);
                Refining::Done
            }
            Refining::Second { start, .. } => Refining::Second { start, seen: look },
            Refining::Done => Refining::Done,
        }
    }

    /// Takes the speed from two changes of the second, unless somebody has set the calendar clock
    /// in between.
    fn set_speed(&self, start: Look, end: Look) {
        let old = self.rate.get();
        let seconds = (end.second_of_day + 86_400 - start.second_of_day) % 86_400;
        let Some(measured) = end.ticks.saturating_sub(start.ticks).checked_div(seconds) else {
            return;
        };
        if measured.abs_diff(old.ticks_per_second) < old.ticks_per_second / 4 {
            self.rate.set(Rate {
                from_ticks: end.ticks,
                from_micros: self.at(end.ticks).as_micros(),
                ticks_per_second: measured,
            });
        }
    }
}

/// A way to wait that leaves the processor to others, or lets it rest.
#[derive(Debug)]
pub(crate) struct Nap {
    /// None if the firmware has none left.
    timer: Option<Event>,
}

impl Nap {
    /// Gets a timer from the firmware.
    pub(crate) fn new() -> Self {
        // SAFETY: without a function to call, nothing of ours is run or read by the firmware.
        let timer = unsafe { boot::create_event(EventType::TIMER, Tpl::APPLICATION, None, None) };
        Self { timer: timer.ok() }
    }

    /// Waits for `duration`, which firmwares round up to their timer's period, 10 ms mostly.
    pub(crate) fn wait(&self, duration: Duration) {
        let waited = self.timer.as_ref().is_some_and(|timer| {
            boot::set_timer(timer, TimerTrigger::Relative(duration)).is_ok()
                && boot::wait_for_event(from_ref(timer)).is_ok()
        });
        if !waited {
            boot::stall(duration);
        }
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            // An event that can't be closed is never signalled again, and does no harm.
            let _ = boot::close_event(timer);
        }
    }
}

/// The counter's ticks in a second, by the firmware's own delay.
fn measure_by_delay() -> u64 {
    let measurements = (0..FIRST_MEASUREMENTS).map(|_| {
        let before = ticks();
        boot::stall(FIRST_MEASUREMENT);
        ticks().wrapping_sub(before)
    });
    let passed = measurements.min().unwrap_or(0);
    match 1_000_000 / micros(FIRST_MEASUREMENT) * passed {
        // A counter that stands still would stop every timer; 1 GHz is near any real one.
        0 => 1_000_000_000,
        per_second => per_second,
    }
}

fn look(now: Instant) -> Option<Look> {
    let time = runtime::get_time().ok()?;
    let minutes = u64::from(time.hour()) * 60 + u64::from(time.minute());
    Some(Look {
        second_of_day: minutes * 60 + u64::from(time.second()),
        ticks: ticks(),
        at: now,
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A number that differs from machine to machine and from start to start, though nobody should keep
/// a secret by it.
pub(crate) fn noise() -> u32 {
    let ticks = ticks();
    (ticks ^ (ticks >> 32)) as u32
}
