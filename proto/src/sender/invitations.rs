//! Receivers that ask for a connection while a streaming transfer goes on.
//!
//! A stock receiver that is connected without having heard HELLO_STREAMING takes itself for one
//! that was there from the start, and gives up. So whoever comes is told that first, and taken in
//! when it asks again (docs/protocol.md, "Streaming").

use core::net::SocketAddrV4;

use heapless::Deque;

/// How many are remembered. Chosen: what is forgotten is told again.
const REMEMBERED: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Invitations {
    /// Who is to be told.
    to_tell: Deque<SocketAddrV4, REMEMBERED>,
    /// Who was told, and has not asked since.
    told: Deque<SocketAddrV4, REMEMBERED>,
}

impl Invitations {
    /// Whether one who asks was told before; if not, it will be.
    pub(super) fn accept(&mut self, address: SocketAddrV4) -> bool {
        if self.told.iter().any(|&other| other == address) {
            self.told.retain(|&other| other != address);
            return true;
        }
        let is_waiting = self.to_tell.iter().any(|&other| other == address);
        if !is_waiting {
            // Who finds no place here asks again.
            let _ = self.to_tell.push_back(address);
        }
        false
    }

    /// Whom to send HELLO_STREAMING to next.
    pub(super) fn poll(&mut self) -> Option<SocketAddrV4> {
        let address = self.to_tell.pop_front()?;
        if self.told.is_full() {
            self.told.pop_front();
        }
        let _ = self.told.push_back(address);
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 9000)
    }

    #[test]
    fn who_comes_is_told_once_and_taken_when_it_asks_again() {
        let mut invitations = Invitations::default();
        assert!(!invitations.accept(address(1)) && !invitations.accept(address(1)));
        assert_eq!(invitations.poll(), Some(address(1)));
        assert_eq!(invitations.poll(), None);
        assert!(invitations.accept(address(1)));
        assert!(!invitations.accept(address(1)), "later it is told anew");
    }

    #[test]
    fn p6_a_flood_takes_no_more_memory_and_keeps_nobody_out() {
        let mut invitations = Invitations::default();
        for last in 0..=255 {
            assert!(!invitations.accept(address(last)));
        }
        assert_eq!(
            core::iter::from_fn(|| invitations.poll()).count(),
            REMEMBERED
        );
        assert!(!invitations.accept(address(200)));
        assert_eq!(invitations.poll(), Some(address(200)));
        assert!(invitations.accept(address(200)));
    }
}
