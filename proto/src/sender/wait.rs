//! How long to wait for answers before asking again.
//!
//! Too short a wait asks again while answers are under way, and makes them stale; too long a one
//! stands still after each lost datagram. So the wait follows the answers seen, rising fast and
//! falling slowly, since it is the slowest receivers that count (docs/protocol.md, "Session").

use crate::time::{Duration, Instant};

/// The wait before any answer was seen, as stock's.
const FIRST: Duration = Duration::from_millis(10);
/// Never less: below it lies only the noise of schedulers. Chosen.
const LEAST: Duration = Duration::from_millis(1);
/// Never more. Chosen: a receiver that is busy finds itself asked again within this time.
const MOST: Duration = Duration::from_secs(1);

/// The wait for answers, adapted to those seen.
#[derive(Debug)]
pub(super) struct AnswerWait {
    /// Microseconds that answers take, as an envelope over those seen.
    answer_time: u64,
    /// Whether that is but a guess: nobody has taken longer yet than was expected.
    is_guess: bool,
    /// Rounds since anyone answered.
    unanswered: u32,
    /// Never more than this.
    most: Duration,
}

impl AnswerWait {
    /// Waits that leave time for several rounds within `drop_after`.
    pub(super) fn new(drop_after: Option<Duration>) -> Self {
        Self {
            most: drop_after.map_or(MOST, |after| (after / 4).clamp(LEAST, MOST)),
            answer_time: FIRST.as_micros() as u64,
            is_guess: true,
            unanswered: 0,
        }
    }

    /// Notes an answer to a request of `asked`.
    pub(super) fn answered(&mut self, now: Instant, asked: Instant) {
        let sample = now.since(asked).min(MOST).as_micros() as u64;
        if sample > self.answer_time {
            self.answer_time += (sample - self.answer_time) / 2 + 1;
            self.is_guess = false;
        } else {
            let part = if self.is_guess { 2 } else { 16 };
            self.answer_time -= (self.answer_time - sample) / part;
        }
        self.unanswered = 0;
    }

    /// Notes that somebody answered, when it can't be told which request.
    pub(super) fn alive(&mut self) {
        self.unanswered = 0;
    }

    /// Notes a round that nobody answered.
    pub(super) fn unanswered(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// The time to wait now: 1.1 times what answers take, and half as much again for each round
    /// that nobody answered. Stock's goes up to a second at once after the tenth: a request that
    /// was lost while a disk was busy for 40 ms would cost that second.
    pub(super) fn duration(&self) -> Duration {
        let usual = Duration::from_micros(self.answer_time + self.answer_time / 10).max(LEAST);
        let (mut wait, mut unanswered) = (usual, self.unanswered);
        while wait < self.most && unanswered > 0 {
            wait += wait / 2;
            unanswered -= 1;
        }
        wait.min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(wait: &mut AnswerWait, samples: &[u64]) -> u64 {
        for &micros in samples {
            wait.answered(Instant::from_micros(micros), Instant::ZERO);
        }
        wait.duration().as_micros() as u64
    }

    #[test]
    fn starts_at_a_tenth_over_10_ms() {
        assert_eq!(AnswerWait::new(None).duration(), Duration::from_millis(11));
    }

    #[test]
    fn follows_slow_answers_at_once_and_fast_ones_slowly() {
        let mut wait = AnswerWait::new(None);
        assert!(after(&mut wait, &[100_000]) > 55_000);
        assert!(after(&mut wait, &[1_000]) > 50_000);
        assert!(after(&mut wait, &[1_000; 100]) < 2_000);
        assert_eq!(after(&mut wait, &[0; 400]), 1_000, "never under the least");
    }

    #[test]
    fn what_it_begins_with_is_soon_forgotten() {
        let mut wait = AnswerWait::new(None);
        assert!(after(&mut wait, &[300; 5]) <= 1_000);
        assert!(after(&mut wait, &[3_000]) > 1_500);
        assert!(after(&mut wait, &[300; 5]) > 1_300, "slowly, from then on");
    }

    #[test]
    fn silence_lengthens_it_to_a_second_and_an_answer_ends_that() {
        let mut wait = AnswerWait::new(None);
        let mut last = wait.duration();
        for _ in 0..12 {
            wait.unanswered();
            assert!(wait.duration() > last && wait.duration() < 2 * last);
            last = wait.duration();
        }
        assert_eq!(last, Duration::from_secs(1));
        wait.unanswered = u32::MAX;
        assert_eq!(wait.duration(), last);
        wait.alive();
        assert_eq!(wait.duration(), Duration::from_millis(11));
    }

    #[test]
    fn silence_lengthens_the_shortest_wait_too() {
        let mut wait = AnswerWait::new(None);
        assert_eq!(after(&mut wait, &[0; 400]), 1_000);
        let waited: Duration = (0..200)
            .map(|_| {
                wait.unanswered();
                wait.duration()
            })
            .sum();
        assert!(waited > Duration::from_secs(180), "{waited:?}");
    }
}
