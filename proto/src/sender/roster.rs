//! The receivers that a sender knows: their numbers, addresses and fates.

use core::net::SocketAddrV4;

use heapless::Vec;
use heapless::index_map::FnvIndexMap;

use super::{Event, Standing};
use crate::bits::{self, BitSet};
use crate::geometry::MAX_RECEIVERS;

/// Twice as many places as receivers, so that the search for an address stays short.
const PLACES: usize = 2 * bits::CAPACITY;

#[derive(Debug)]
pub(super) struct Roster {
    /// How many receivers there may be.
    limit: u16,
    numbers: FnvIndexMap<SocketAddrV4, u16, PLACES>,
    /// Each receiver by its number.
    receivers: Vec<(SocketAddrV4, Standing), { bits::CAPACITY }>,
    /// Numbers of the receivers that take part.
    connected: BitSet,
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
            untold: BitSet::EMPTY,
        }
    }

    /// Takes a receiver in, or back in; its number, or `None` if there is no place. Only before the
    /// transfer starts: later, numbers must stay whose they are.
    pub(super) fn admit(&mut self, address: SocketAddrV4) -> Option<u16> {
        if let Some(number) = self.number(address) {
            self.set(number, Standing::Connected);
            return Some(number);
        }
        let number = self.vacant()?;
        self.numbers.insert(address, number).ok()?;
        match self.receivers.get_mut(usize::from(number)) {
            Some(place) => *place = (address, Standing::Left),
            None => self.receivers.push((address, Standing::Left)).ok()?,
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
        let is_left = |&(_, standing): &(_, Standing)| standing == Standing::Left;
        let number = self.receivers.iter().position(is_left)?;
        let (address, _) = self.receivers.get(number)?;
        self.numbers.remove(address);
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
        self.receivers.get(number).map(|&(address, _)| address)
    }

    /// Numbers of the receivers that take part.
    pub(super) fn connected(&self) -> &BitSet {
        &self.connected
    }

    /// How many receivers have a standing.
    pub(super) fn count(&self, standing: Standing) -> u16 {
        let count = self
            .receivers
            .iter()
            .filter(|&&(_, other)| other == standing)
            .count();
        u16::try_from(count).unwrap_or(MAX_RECEIVERS)
    }

    /// Changes a receiver's standing. One that [completed](Standing::Completed) keeps that.
    pub(super) fn set(&mut self, number: u16, standing: Standing) {
        let index = usize::from(number);
        let Some((_, current)) = self.receivers.get_mut(index) else {
            return;
        };
        if *current == standing || *current == Standing::Completed {
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

    /// Drops those who take part and are not in `keep`.
    pub(super) fn drop_all_but(&mut self, keep: &BitSet) {
        for index in self.connected.difference(keep).iter() {
            self.set(index as u16, Standing::Dropped);
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        let index = self.untold.first_from(0)?;
        self.untold.remove(index);
        let &(address, standing) = self.receivers.get(index)?;
        Some(Event::Receiver {
            number: index as u16,
            address,
            standing,
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
        assert_eq!(roster.admit(address(1)), Some(0));
        assert_eq!(roster.admit(address(2)), Some(1));
        roster.set(0, Standing::Left);
        assert_eq!(roster.connected_number(address(1)), None);
        assert_eq!(roster.admit(address(1)), Some(0));
        assert_eq!(roster.connected().len(), 2);
    }

    #[test]
    fn the_1025th_receiver_finds_no_place() {
        let mut roster = Roster::new(u16::MAX);
        for last in 0..1024 {
            assert_eq!(roster.admit(address(last)), Some(last));
        }
        assert_eq!(roster.admit(address(1024)), None);
        assert_eq!(roster.admit(address(0)), Some(0));
        assert_eq!(core::iter::from_fn(|| roster.poll_event()).count(), 1024);
    }

    #[test]
    fn one_who_left_makes_place_for_another() {
        let mut roster = Roster::new(1);
        assert_eq!(roster.admit(address(1)), Some(0));
        assert_eq!(roster.admit(address(2)), None);
        roster.set(0, Standing::Left);
        assert_eq!(roster.admit(address(2)), Some(0));
        assert_eq!(roster.address(0), Some(address(2)));
        assert_eq!(roster.connected_number(address(2)), Some(0));
        assert_eq!(roster.number(address(1)), None);
        assert_eq!(roster.admit(address(1)), None);
        assert_eq!(roster.count(Standing::Connected), 1);
    }

    #[test]
    fn only_those_who_are_not_kept_are_dropped() {
        let mut roster = Roster::new(8);
        for last in 0..4 {
            let _ = roster.admit(address(last));
        }
        roster.drop_all_but(&BitSet::below(3));
        assert_eq!(roster.count(Standing::Dropped), 1);
        assert_eq!(roster.connected(), &BitSet::below(3));
    }
}
