//! How many lines are written: what strangers cause must not fill a disk.
//!
//! Each kind of event has its own allowance, so that a flood of one hides no other.

use ironcast_proto::time::{Duration, Instant};

/// Lines of a kind that may be written at once: several for each of 1024 receivers. So many that
/// only a flood is cut short.
const BURST: u32 = 4096;

/// How often one more may be written.
const INTERVAL: Duration = Duration::from_secs(1);

/// The allowances.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    name: &'static str,
    /// Lines that may be written now.
    allowance: u32,
    /// When the allowance grew last.
    grown_at: Instant,
    /// Lines that were left out since one was written.
    left_out: u64,
}

impl Throttle {
    /// Whether a line of the kind `name` may be written at `now`: if so, how many were left out
    /// since the one before.
    pub(crate) fn admit(&mut self, now: Instant, name: &'static str) -> Option<u64> {
        let kind = self.kind(now, name);
        kind.grow(now);
        if kind.allowance == 0 {
            kind.left_out += 1;
            return None;
        }
        kind.allowance -= 1;
        Some(std::mem::take(&mut kind.left_out))
    }

    /// There are as many kinds as words for them in the source.
    fn kind(&mut self, now: Instant, name: &'static str) -> &mut Kind {
        let index = self.kinds.iter().position(|kind| kind.name == name);
        let index = index.unwrap_or_else(|| {
            self.kinds.push(Kind {
                name,
                allowance: BURST,
                grown_at: now,
                left_out: 0,
            });
            self.kinds.len() - 1
        });
        &mut self.kinds[index]
    }
}

impl Kind {
    fn grow(&mut self, now: Instant) {
        while self.allowance < BURST && self.grown_at + INTERVAL <= now {
            self.allowance += 1;
            self.grown_at = self.grown_at + INTERVAL;
        }
        if self.allowance == BURST {
            self.grown_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(throttle: &mut Throttle, second: u64, lines: u32) -> u64 {
        let now = Instant::ZERO + INTERVAL * u32::try_from(second).unwrap();
        let admitted = (0..lines).filter_map(|_| throttle.admit(now, "connected"));
        admitted.count() as u64
    }

    #[test]
    fn p6_a_flood_is_cut_short_and_counted_and_hides_nothing_else() {
        let mut throttle = Throttle::default();
        assert_eq!(admitted(&mut throttle, 0, 10_000), 4096);
        assert_eq!(admitted(&mut throttle, 3, 10_000), 3);
        let now = Instant::ZERO + INTERVAL * 3;
        assert_eq!(throttle.admit(now, "finished"), Some(0));
        let later = now + INTERVAL;
        assert_eq!(throttle.admit(later, "connected"), Some(10_000 - 3));
        assert_eq!(admitted(&mut throttle, 1_000_000, 10_000), 4096);
    }

    #[test]
    fn lines_that_come_slowly_are_all_written() {
        let mut throttle = Throttle::default();
        for second in 0..20_000 {
            assert_eq!(admitted(&mut throttle, second, 1), 1);
        }
    }
}
