//! How long the others wait for a receiver before the transfer goes on without it.
//!
//! One that is silent, or takes too long for one slice, shows at once. One that is late again and
//! again would hold up a whole room slice by slice, so what it has cost the others is added up
//! (docs/protocol.md, "Waits").

use super::config::Config;
use super::roster::Roster;
use super::slice::Slice;
use crate::time::{Duration, Instant};

/// How long a receiver may be silent at the end. Chosen: disks flush then, and nobody else is held
/// up.
const END_GRACE: Duration = Duration::from_secs(30);

/// How long the end may take in all. Chosen: a large disk is read back.
const END_LIMIT: Duration = Duration::from_secs(3600);

/// How far a receiver may be behind most of the others with a slice before they count as waiting.
/// Chosen: disks of one kind are as far apart now and then.
const BEHIND: Duration = Duration::from_millis(100);

/// The part of a transfer's time that receivers may hold the others up beside the limit of each,
/// together. Chosen: disks that pause now and then do so for less of it.
const HELD_PART: u32 = 4;

#[derive(Debug)]
pub(super) struct Patience {
    retries_until_drop: u32,
    drop_after: Option<Duration>,
    stall_limit: Option<Duration>,
    /// When receivers were asked about a slice first.
    begun_at: Option<Instant>,
}

impl Patience {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            retries_until_drop: config.retries_until_drop,
            drop_after: config.drop_after,
            stall_limit: config.stall_limit,
            begun_at: None,
        }
    }

    /// Receivers are asked about a slice.
    pub(super) fn ask(&mut self, now: Instant) {
        self.begun_at.get_or_insert(now);
    }

    /// Receiver `number` has a slice now: notes how long most of the others have waited for that,
    /// and drops it if that was too long in all.
    pub(super) fn hear(&self, now: Instant, number: u16, slice: &Slice, roster: &mut Roster) {
        if slice.is_end() || slice.ready().contains(usize::from(number)) {
            return;
        }
        let waited = waiting(slice, now);
        if !waited.is_zero() {
            roster.hold_up(number, waited);
            self.drop_holder(now, usize::from(number), Duration::ZERO, roster);
        }
    }

    /// Drops receivers that have not got the oldest slice and were given the time for that.
    pub(super) fn drop_late(&self, now: Instant, slice: &mut Slice, roster: &mut Roster) {
        let audience = slice.audience(roster.connected());
        let awaited = audience.difference(slice.ready());
        let asked_at = slice.asked_at().unwrap_or(now);
        if let Some(limit) = self.drop_after {
            let limit = match slice.is_end() {
                true => limit.max(END_GRACE),
                false => limit,
            };
            roster.drop_silent(&awaited, asked_at, now, limit);
        }
        let limit = match slice.is_end() {
            true => Some(END_LIMIT),
            false => self.stall_limit,
        };
        if limit.is_some_and(|limit| asked_at + limit <= now) {
            roster.drop_stalled(&awaited);
        }
        if !slice.is_end() {
            let waiting = waiting(slice, now);
            for number in awaited.iter() {
                self.drop_holder(now, number, waiting, roster);
            }
        }
        // At the end nobody else is held up, and who shows that it is alive may go on.
        let counts = !slice.is_end() || self.drop_after.is_none();
        let audience = slice.audience(roster.connected());
        if counts && let Some(keep) = slice.kept_at_limit(&audience, self.retries_until_drop) {
            let others = roster.connected().difference(&audience);
            roster.drop_all_but(&keep.union(&others));
        }
    }

    /// Drops a receiver that has held the others up for too long by now, `waiting` of it right now.
    fn drop_holder(&self, now: Instant, number: usize, waiting: Duration, roster: &mut Roster) {
        let since = self.begun_at.map(|begun_at| now.since(begun_at));
        let rest = since.unwrap_or_default() / HELD_PART;
        if let Some(limit) = self.stall_limit {
            roster.drop_holder(number, waiting, limit, rest);
        }
    }
}

/// How long most of the receivers have waited for those who have not got a slice.
fn waiting(slice: &Slice, now: Instant) -> Duration {
    let waited = slice.waited_since().map(|since| now.since(since));
    waited.unwrap_or_default().saturating_sub(BEHIND)
}
