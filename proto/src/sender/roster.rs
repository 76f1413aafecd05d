//! The receivers that a sender knows: their numbers, addresses and fates.

use core::net::SocketAddrV4;

use heapless::Vec;
use heapless::index_map::FnvIndexMap;

use super::{Event, Standing};
use crate::bits::{self, BitSet};
use crate::geometry::MAX_RECEIVERS;
use crate::time::{Duration, Instant};
use crate::wire::{Capabilities, ConnectReq};

/// How far apart two requests for a connection are if they are no copies of each other. Chosen
/// (docs/protocol.md, "Rendezvous").
const ASKS_AGAIN: Duration = Duration::from_millis(500);

/// Twice as many places as receivers, so that the search for an address stays short.
const PLACES: usize = 2 * bits::CAPACITY;

/// A receiver.
#[derive(Clone, Copy, Debug)]
struct Entry {
    address: SocketAddrV4,
    standing: Standing,
    /// What it said of itself.
    request: ConnectReq,
    /// When it was heard last.
    heard_at: Instant,
    /// When it asked for a connection, if that was the last that was heard of it, and it had
    /// answered requests before.
    asked_at: Option<Instant>,
    /// How long most of the others have waited for it, in all.
    held_up: Duration,
}

#[derive(Debug)]
pub(super) struct Roster {
    /// How many receivers there may be.
    limit: u16,
    numbers: FnvIndexMap<SocketAddrV4, u16, PLACES>,
    /// Each receiver by its number.
    receivers: Vec<Entry, { bits::CAPACITY }>,
    /// Numbers of the receivers that take part.
    connected: BitSet,
    /// Numbers of the receivers that have answered a request.
    answered: BitSet,
    /// Numbers of the receivers that came after the start.
    late: BitSet,
    /// Numbers whose standing changed since [`Self::poll_event`] told it.
    untold: BitSet,
}

impl Roster {
    /// An empty one for at most `limit` receivers, or [`MAX_RECEIVERS`] if that is less.
    pub(super) fn new(limit: u16) -> Self {
        Self {
            limit: limit.min(MAX_RECEIVERS),
            numbers: FnvIndexMap::new(),
            receivers: Vec::new(),
            connected: BitSet::EMPTY,
            answered: BitSet::EMPTY,
            late: BitSet::EMPTY,
            untold: BitSet::EMPTY,
        }
    }

    /// Takes a receiver in, or back in; its number, or `None` if there is no place. Only before the
    /// transfer starts: later, numbers must stay whose they are.
    pub(super) fn admit(&mut self, address: SocketAddrV4, request: ConnectReq) -> Option<u16> {
        if let Some(number) = self.number(address) {
            if let Some(entry) = self.receivers.get_mut(usize::from(number)) {
                entry.request = request;
            }
            self.set(number, Standing::Connected);
            return Some(number);
        }
        let number = self.vacant()?;
        self.numbers.insert(address, number).ok()?;
        let entry = Entry {
            address,
            standing: Standing::Left,
            request,
            heard_at: Instant::ZERO,
            asked_at: None,
            held_up: Duration::ZERO,
        };
        match self.receivers.get_mut(usize::from(number)) {
            Some(place) => *place = entry,
            None => self.receivers.push(entry).ok()?,
        }
        self.set(number, Standing::Connected);
        Some(number)
    }

    /// A number that nobody has: a new one, or if there are no more, that of one who left.
    fn vacant(&mut self) -> Option<u16> {
        let new = u16::try_from(self.receivers.len()).ok()?;
        if new < self.limit {
            return Some(new);
        }
        let is_left = |entry: &Entry| entry.standing == Standing::Left;
        let number = self.receivers.iter().position(is_left)?;
        self.numbers.remove(&self.receivers.get(number)?.address);
        u16::try_from(number).ok()
    }

    /// The number of a receiver that was admitted once.
    pub(super) fn number(&self, address: SocketAddrV4) -> Option<u16> {
        self.numbers.get(&address).copied()
    }

    /// The number of a receiver that takes part.
    pub(super) fn connected_number(&self, address: SocketAddrV4) -> Option<u16> {
        self.number(address)
            .filter(|&number| self.connected.contains(usize::from(number)))
    }

    /// The receiver with a number.
    pub(super) fn address(&self, number: usize) -> Option<SocketAddrV4> {
        self.receivers.get(number).map(|entry| entry.address)
    }

    /// What the receiver with a number is.
    pub(super) fn standing(&self, number: usize) -> Option<Standing> {
        self.receivers.get(number).map(|entry| entry.standing)
    }

    /// Numbers of the receivers that take part.
    pub(super) fn connected(&self) -> &BitSet {
        &self.connected
    }

    /// The least socket buffer of the receivers that take part, in bytes; `None` if one of them did
    /// not say how large its is.
    pub(super) fn least_receive_buffer(&self) -> Option<u32> {
        self.requests()
            .map(|request| request.receive_buffer)
            .min()
            .filter(|&least| least > 0)
    }

    /// Whether all receivers that take part are ours: others give no reports.
    pub(super) fn are_all_ours(&self) -> bool {
        self.requests()
            .all(|request| request.capabilities.contains(Capabilities::REPORTS))
    }

    /// What the receivers that take part said of themselves.
    fn requests(&self) -> impl Iterator<Item = &ConnectReq> {
        self.receivers
            .iter()
            .filter(|entry| entry.standing == Standing::Connected)
            .map(|entry| &entry.request)
    }

    /// How many receivers have a standing.
    pub(super) fn count(&self, standing: Standing) -> u16 {
        let count = self
            .receivers
            .iter()
            .filter(|entry| entry.standing == standing)
            .count();
        u16::try_from(count).unwrap_or(MAX_RECEIVERS)
    }

    /// A receiver has acknowledged the end.
    pub(super) fn complete(&mut self, number: u16) {
        let standing = match self.late.contains(usize::from(number)) {
            true => Standing::Partial,
            false => Standing::Completed,
        };
        self.set(number, standing);
    }

    /// Changes a receiver's standing. One that has acknowledged the end keeps that.
    pub(super) fn set(&mut self, number: u16, standing: Standing) {
        let index = usize::from(number);
        let Some(Entry {
            standing: current, ..
        }) = self.receivers.get_mut(index)
        else {
            return;
        };
        let is_kept = matches!(current, Standing::Completed | Standing::Partial);
        if *current == standing || is_kept {
            return;
        }
        *current = standing;
        self.untold.insert(index);
        if standing == Standing::Connected {
            self.connected.insert(index);
        } else {
            self.connected.remove(index);
        }
    }

    /// Notes that something other than CONNECT_REQ came from a receiver, and whether that was an
    /// answer to a request.
    pub(super) fn hear(&mut self, now: Instant, number: u16, is_answer: bool) {
        if let Some(entry) = self.receivers.get_mut(usize::from(number)) {
            entry.heard_at = now;
            entry.asked_at = None;
        }
        if is_answer {
            self.answered.insert(usize::from(number));
        }
    }

    /// Numbers of the receivers that have answered a request.
    pub(super) fn answered(&self) -> &BitSet {
        &self.answered
    }

    /// Whether a receiver has answered a request.
    pub(super) fn has_answered(&self, number: u16) -> bool {
        self.answered.contains(usize::from(number))
    }

    /// Whether this receiver was dropped since it never answered anything.
    pub(super) fn is_mute(&self, address: SocketAddrV4) -> bool {
        self.number(address).is_some_and(|number| {
            let standing = self.standing(usize::from(number));
            standing == Some(Standing::Silent) && !self.has_answered(number)
        })
    }

    /// Notes that a receiver which had answered asks for a connection again. True if it has been
    /// restarted: a single request may be a copy of one that it made at first.
    pub(super) fn ask_again(&mut self, now: Instant, number: u16) -> bool {
        let Some(entry) = self.receivers.get_mut(usize::from(number)) else {
            return false;
        };
        entry.heard_at = now;
        let first = *entry.asked_at.get_or_insert(now);
        now.since(first) >= ASKS_AGAIN
    }

    /// Has everything that was heard so far have been heard `time` later, which is not after `now`.
    pub(super) fn postpone(&mut self, now: Instant, time: Duration) {
        for entry in &mut self.receivers {
            entry.heard_at = now.min(entry.heard_at + time);
        }
    }

    /// How many came after the start, and left before they had answered anything.
    pub(super) fn passers_by(&self) -> u16 {
        let has_left = |index: &usize| {
            let entry = self.receivers.get(*index);
            entry.is_some_and(|entry| entry.standing == Standing::Left)
        };
        let silent = self.late.difference(&self.answered);
        silent.iter().filter(has_left).count() as u16
    }

    /// Takes a receiver for one that has just come.
    pub(super) fn renew(&mut self, number: u16) {
        self.late.insert(usize::from(number));
        self.answered.remove(usize::from(number));
        if let Some(entry) = self.receivers.get_mut(usize::from(number)) {
            entry.asked_at = None;
        }
    }

    /// Drops those of `awaited` that said nothing for `limit`, be it since they were asked at
    /// `asked_at`. Of one that has answered before, and said nothing for so long already when it
    /// was asked, half of that is enough: it may have died while others were waited for.
    pub(super) fn drop_silent(
        &mut self,
        awaited: &BitSet,
        asked_at: Instant,
        now: Instant,
        limit: Duration,
    ) {
        for index in awaited.iter() {
            let Some(heard_at) = self.receivers.get(index).map(|entry| entry.heard_at) else {
                continue;
            };
            let patience = match self.answered.contains(index) {
                true => limit / 2,
                false => limit,
            };
            if now.since(heard_at) >= limit && now.since(asked_at) >= patience {
                self.set(index as u16, Standing::Silent);
            }
        }
    }

    /// Notes that most of the others have waited for a receiver.
    pub(super) fn hold_up(&mut self, number: u16, waited: Duration) {
        if let Some(entry) = self.receivers.get_mut(usize::from(number)) {
            entry.held_up = entry.held_up.saturating_add(waited);
        }
    }

    /// Drops a receiver for which the others have waited longer than `limit` in all, and `waiting`
    /// beside, if what they have waited for it and others beyond that limit is more than `rest`.
    pub(super) fn drop_holder(
        &mut self,
        number: usize,
        waiting: Duration,
        limit: Duration,
        rest: Duration,
    ) {
        let beyond = |held_up: Duration| held_up.saturating_sub(limit);
        let of_all: Duration = self
            .receivers
            .iter()
            .filter(|entry| entry.standing == Standing::Connected)
            .map(|entry| beyond(entry.held_up))
            .fold(Duration::ZERO, Duration::saturating_add);
        let entry = self.receivers.get(number);
        let Some(entry) = entry.filter(|entry| entry.standing == Standing::Connected) else {
            return;
        };
        let own = beyond(entry.held_up.saturating_add(waiting));
        let of_others = of_all.saturating_sub(beyond(entry.held_up));
        if !own.is_zero() && own.saturating_add(of_others) > rest {
            self.set(number as u16, Standing::Stalled);
        }
    }

    /// Drops those of `awaited`, who have taken too long.
    pub(super) fn drop_stalled(&mut self, awaited: &BitSet) {
        for index in self.connected.intersection(awaited).iter() {
            self.set(index as u16, Standing::Stalled);
        }
    }

    /// Drops those who take part and are not in `keep`.
    pub(super) fn drop_all_but(&mut self, keep: &BitSet) {
        for index in self.connected.difference(keep).iter() {
            self.set(index as u16, Standing::Dropped);
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        let index = self.untold.first_from(0)?;
        self.untold.remove(index);
        let entry = self.receivers.get(index)?;
        Some(Event::Receiver {
            number: index as u16,
            address: entry.address,
            standing: entry.standing,
        })
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    fn address(last: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000 + u32::from(last)), 9000)
    }

    #[test]
    fn the_same_address_keeps_its_number() {
        let mut roster = Roster::new(MAX_RECEIVERS);
        assert_eq!(roster.admit(address(1), ConnectReq::default()), Some(0));
        assert_eq!(roster.admit(address(2), ConnectReq::default()), Some(1));
        roster.set(0, Standing::Left);
        assert_eq!(roster.connected_number(address(1)), None);
        assert_eq!(roster.admit(address(1), ConnectReq::default()), Some(0));
        assert_eq!(roster.connected().len(), 2);
    }

    #[test]
    fn the_1025th_receiver_finds_no_place() {
        let mut roster = Roster::new(u16::MAX);
        for last in 0..1024 {
            assert_eq!(
                roster.admit(address(last), ConnectReq::default()),
                Some(last)
            );
        }
        assert_eq!(roster.admit(address(1024), ConnectReq::default()), None);
        assert_eq!(roster.admit(address(0), ConnectReq::default()), Some(0));
        assert_eq!(core::iter::from_fn(|| roster.poll_event()).count(), 1024);
    }

    #[test]
    fn one_who_left_makes_place_for_another() {
        let mut roster = Roster::new(1);
        assert_eq!(roster.admit(address(1), ConnectReq::default()), Some(0));
        assert_eq!(roster.admit(address(2), ConnectReq::default()), None);
        roster.set(0, Standing::Left);
        assert_eq!(roster.admit(address(2), ConnectReq::default()), Some(0));
        assert_eq!(roster.address(0), Some(address(2)));
        assert_eq!(roster.connected_number(address(2)), Some(0));
        assert_eq!(roster.number(address(1)), None);
        assert_eq!(roster.admit(address(1), ConnectReq::default()), None);
        assert_eq!(roster.count(Standing::Connected), 1);
    }

    #[test]
    fn p3_who_was_silent_before_it_was_asked_gets_half_the_time() {
        let mut roster = Roster::new(8);
        for last in 0..3 {
            let _ = roster.admit(address(last), ConnectReq::default());
        }
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        roster.hear(at(0), 0, true);
        roster.hear(at(6000), 1, true);
        // The third has never answered: it may still be joining the group.
        let mut after = |millis| {
            let limit = Duration::from_secs(5);
            roster.drop_silent(&BitSet::below(3), at(5000), at(millis), limit);
            roster.count(Standing::Silent)
        };
        assert_eq!(
            [7000, 7500, 9000, 10_000, 11_000].map(&mut after),
            [0, 1, 1, 2, 3]
        );
    }

    #[test]
    fn only_those_who_are_not_kept_are_dropped() {
        let mut roster = Roster::new(8);
        for last in 0..4 {
            let _ = roster.admit(address(last), ConnectReq::default());
        }
        roster.drop_all_but(&BitSet::below(3));
        assert_eq!(roster.count(Standing::Dropped), 1);
        assert_eq!(roster.connected(), &BitSet::below(3));
    }
}
