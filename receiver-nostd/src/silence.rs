//! Notices that a network card has gone deaf in the middle of a transfer.
//!
//! Some cards' drivers receive nothing any more after more frames came than they had room for. What
//! helps is to start the card anew. That may cost a real card its link for some seconds, and a
//! switch may forget what the card had joined; so it is worth it only once for each silence, and
//! only with a sender that would be heard. A sender that waits for more of its image rests as well.

use ironcast_proto::time::{Duration, Instant};

/// How long a card may hear nothing while a slice is here in part. A sender that waits for an
/// answer asks at least each second, and ours gives a receiver up after five unless told otherwise.
pub const AMID_A_SLICE: Duration = Duration::from_secs(3);

/// How long it may between two slices. Senders of ours that wait for more of their image say
/// something every 10 seconds.
pub const BETWEEN_SLICES: Duration = Duration::from_secs(25);

/// How long nobody may have looked, because of a slow disk for example, for a silence still to be
/// the card's.
const BUSY: Duration = Duration::from_millis(500);

/// How often a card is started anew in a transfer.
const MOST_RESTARTS: u32 = 30;

/// How often groups are joined anew after each start, and how long after each other: a link takes
/// seconds to come up.
const JOINS: u32 = 8;
const JOIN_INTERVAL: Duration = Duration::from_secs(1);

/// What to do about a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Start the card anew.
    Restart,
    /// Join all groups anew.
    Join,
}

/// How long a network card has heard nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    since: Instant,
    looked: Instant,
    restarts: u32,
    /// How often groups are still to be joined anew, and when next.
    joins: u32,
    join_at: Instant,
    was_noticed: bool,
}

impl Silence {
    /// One that begins now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            looked: now,
            restarts: 0,
            joins: 0,
            join_at: now,
            was_noticed: false,
        }
    }

    /// Takes in whether the card had a frame when it was looked at just now, and whether a slice is
    /// here in part; gives what to do now.
    #[must_use]
    pub fn remedy(&mut self, heard: bool, is_amid_slice: bool, now: Instant) -> Option<Remedy> {
        let was_busy = now.since(core::mem::replace(&mut self.looked, now)) > BUSY;
        if heard || was_busy {
            self.since = now;
        }
        if heard {
            self.was_noticed = false;
            self.joins = 0;
        }
        let limit = match is_amid_slice {
            true => AMID_A_SLICE,
            false => BETWEEN_SLICES,
        };
        let is_too_long = !self.was_noticed && now.since(self.since) >= limit;
        if is_too_long && self.restarts < MOST_RESTARTS {
            self.was_noticed = true;
            self.restarts += 1;
            self.joins = JOINS;
            self.join_at = now + JOIN_INTERVAL;
            return Some(Remedy::Restart);
        }
        if self.joins > 0 && self.join_at <= now {
            self.joins -= 1;
            self.join_at = now + JOIN_INTERVAL;
            return Some(Remedy::Join);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    /// Looks every 100 ms for a time without hearing anything: when the card is to be started anew,
    /// and how often groups are to be joined.
    fn listen(silence: &mut Silence, amid: bool, from: u64, to: u64) -> (Vec<u64>, usize) {
        let remedies: Vec<_> = (from..to)
            .step_by(100)
            .filter_map(|millis| Some((millis, silence.remedy(false, amid, at(millis))?)))
            .collect();
        let restarts = remedies
            .iter()
            .filter(|(_, remedy)| *remedy == Remedy::Restart)
            .map(|(millis, _)| *millis);
        let restarts: Vec<u64> = restarts.collect();
        let joins = remedies.len() - restarts.len();
        (restarts, joins)
    }

    #[test]
    fn a_long_silence_is_noticed_once_and_groups_are_joined_for_a_while() {
        let mut silence = Silence::new(at(0));
        assert_eq!(listen(&mut silence, true, 0, 60_000), ([3000].into(), 8));
    }

    #[test]
    fn between_slices_a_sender_may_rest() {
        let mut silence = Silence::new(at(0));
        assert_eq!(listen(&mut silence, false, 0, 24_900), ([].into(), 0));
        let (restarts, _) = listen(&mut silence, false, 24_900, 60_000);
        assert_eq!(restarts, [25_000]);
    }

    #[test]
    fn a_frame_ends_it() {
        let mut silence = Silence::new(at(0));
        assert_eq!(listen(&mut silence, true, 0, 2900), ([].into(), 0));
        assert_eq!(silence.remedy(true, true, at(2900)), None);
        let heard_again = listen(&mut silence, true, 3000, 7500);
        assert_eq!(heard_again, ([5900].into(), 1));
        assert_eq!(silence.remedy(true, true, at(7500)), None);
        assert_eq!(listen(&mut silence, true, 7600, 10_000), ([].into(), 0));
    }

    #[test]
    fn while_nobody_looks_nothing_is_silent() {
        let mut silence = Silence::new(at(0));
        assert_eq!(silence.remedy(false, true, at(10_000)), None);
        let (restarts, _) = listen(&mut silence, true, 10_100, 20_000);
        assert_eq!(restarts, [13_000]);
    }

    #[test]
    fn a_card_that_stays_deaf_is_left_alone_in_the_end() {
        let mut silence = Silence::new(at(0));
        let mut restarts = 0;
        for round in 0..100 {
            let from = round * 10_000;
            restarts += listen(&mut silence, true, from, from + 9000).0.len();
            let _ = silence.remedy(true, true, at(from + 9000));
        }
        assert_eq!(restarts, 30);
    }
}
