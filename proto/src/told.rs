//! Whom the caller was told of.
//!
//! Strangers come as often as they like and from as many addresses, and a caller writes what it is
//! told to a screen or a log: so it is told of each of a few once, and of the rest now and then.

use core::net::SocketAddrV4;

use heapless::Deque;

use crate::time::{Duration, Instant};

/// How many are remembered. Chosen (docs/protocol.md, "Rendezvous"): more than come by mistake.
const REMEMBERED: usize = 8;

/// How often the caller is told of one more, for whom another is forgotten. Chosen
/// (docs/protocol.md, "Rendezvous").
const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The oldest first.
    addresses: Deque<SocketAddrV4, REMEMBERED>,
    /// When the last one came.
    at: Option<Instant>,
}

impl Told {
    /// Whether the caller is to be told of `address`, and counts as told then.
    pub(crate) fn tell(&mut self, now: Instant, address: SocketAddrV4) -> bool {
        if self.addresses.iter().any(|&other| other == address) {
            return false;
        }
        if self.addresses.is_full() {
            if self.at.is_some_and(|at| now.since(at) < INTERVAL) {
                return false;
            }
            self.addresses.pop_front();
        }
        self.at = Some(now);
        self.addresses.push_back(address).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 9001)
    }

    #[test]
    fn a_few_are_told_of_once_each_in_whatever_order_they_come() {
        let mut told = Told::default();
        for last in 0..8 {
            assert!(told.tell(Instant::ZERO, address(last)));
        }
        for round in 0..100 {
            let now = Instant::ZERO + Duration::from_secs(round);
            assert!((0..8).all(|last| !told.tell(now, address(last))));
        }
    }

    #[test]
    fn p6_of_a_crowd_one_is_told_of_now_and_then() {
        let mut told = Told::default();
        let mut count = 0;
        for round in 0..600 {
            let now = Instant::ZERO + Duration::from_millis(100 * round);
            count += (0..=255)
                .filter(|&last| told.tell(now, address(last)))
                .count();
        }
        assert_eq!(count, 8 + 5, "in a minute");
    }
}
