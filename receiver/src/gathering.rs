//! When to let datagrams gather before the next look at them.
//!
//! A sender that sends one by one wakes a receiver for each: that costs both more than the datagram
//! itself, and with many receivers on one machine it is what they wait for. So where datagrams come
//! one by one and fast, a moment passes before they are looked at again. Those that come many at a
//! time need none.

use std::time::Duration;

use ironcast_proto::time::Instant;

/// The moment. Chosen: an answer that is late by so much delays no sender that has another slice to
/// send meanwhile, and a socket's usual buffer holds what comes in four such moments at 1 Gbit/s.
const MOMENT: Duration = Duration::from_micros(250);

/// Datagrams that are enough at a time.
const ENOUGH: usize = 32;

/// Notes how datagrams come.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    looked_at: Instant,
}

impl Gathering {
    /// How long to wait before the next look, when `count` datagrams were found at `now`.
    pub(crate) fn pause(&mut self, now: Instant, count: usize) -> Option<Duration> {
        let elapsed = now.since(self.looked_at);
        self.looked_at = now;
        let came_fast = Duration::from_micros(count as u64 * MOMENT.as_micros() as u64) > elapsed;
        (count < ENOUGH && came_fast).then_some(MOMENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it waits after each of looks so many microseconds apart that find so many datagrams.
    fn pauses(apart: u64, count: usize) -> Vec<bool> {
        let mut gathering = Gathering::default();
        gathering.pause(Instant::from_micros(1_000_000), 1);
        (1..5)
            .map(|look| {
                let now = Instant::from_micros(1_000_000 + look * apart);
                gathering.pause(now, count).is_some()
            })
            .collect()
    }

    #[test]
    fn fast_ones_that_come_one_by_one_are_let_gather() {
        assert_eq!(pauses(10, 1), [true; 4]);
        assert_eq!(pauses(300, 25), [true; 4]);
    }

    #[test]
    fn nobody_waits_for_slow_ones_for_many_or_for_none() {
        assert_eq!(pauses(251, 1), [false; 4]);
        assert_eq!(pauses(250, 44), [false; 4]);
        assert_eq!(pauses(10, 0), [false; 4]);
    }
}
