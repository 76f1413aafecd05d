//! Notices that a network card has gone deaf in the middle of a transfer.
//!
//! Some cards' drivers receive nothing any more after more frames came than they had room for. What
//! helps is to start the card anew. That may cost a real card its link for some seconds, so it is
//! worth it only once for each silence, and only with a sender that would be heard.

use ironcast_proto::time::{Duration, Instant};

/// How long a card may hear nothing in a transfer. A sender that waits for an answer asks at least
/// each second, and ours gives a receiver up after five unless told otherwise.
pub const LONGEST: Duration = Duration::from_secs(3);

/// How long nobody may have looked, because of a slow disk for example, for a silence still to be
/// the card's.
const BUSY: Duration = Duration::from_millis(500);

/// How long a network card has heard nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    since: Instant,
    looked: Instant,
    was_noticed: bool,
}

impl Silence {
    /// One that begins now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            looked: now,
            was_noticed: false,
        }
    }

    /// Takes in whether the card had a frame when it was looked at just now. True once in each
    /// silence that reaches [`LONGEST`].
    #[must_use]
    pub fn is_too_long(&mut self, heard: bool, now: Instant) -> bool {
        let was_busy = now.since(core::mem::replace(&mut self.looked, now)) > BUSY;
        if heard || was_busy {
            self.since = now;
        }
        if heard {
            self.was_noticed = false;
        }
        let is_too_long = !self.was_noticed && now.since(self.since) >= LONGEST;
        self.was_noticed |= is_too_long;
        is_too_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    /// Looks every 100 ms for a time without hearing anything; when the silence was too long.
    fn listen(silence: &mut Silence, from: u64, to: u64) -> Option<u64> {
        (from..to)
            .step_by(100)
            .find(|&millis| silence.is_too_long(false, at(millis)))
    }

    #[test]
    fn a_long_silence_is_noticed_once() {
        let mut silence = Silence::new(at(0));
        assert_eq!(listen(&mut silence, 0, 20_000), Some(3000));
        assert_eq!(listen(&mut silence, 3100, 20_000), None);
    }

    #[test]
    fn a_frame_ends_it() {
        let mut silence = Silence::new(at(0));
        assert_eq!(listen(&mut silence, 0, 2900), None);
        assert!(!silence.is_too_long(true, at(2900)));
        assert_eq!(listen(&mut silence, 3000, 20_000), Some(5900));
        assert!(!silence.is_too_long(true, at(6000)));
        assert_eq!(listen(&mut silence, 6100, 20_000), Some(9000));
    }

    #[test]
    fn while_nobody_looks_nothing_is_silent() {
        let mut silence = Silence::new(at(0));
        assert!(!silence.is_too_long(false, at(10_000)));
        assert_eq!(listen(&mut silence, 10_100, 20_000), Some(13_000));
    }
}
