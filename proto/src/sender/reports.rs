//! The reports that receivers give of themselves: who gives any, and whose last one is still to
//! come.
//!
//! What they say is the caller's; here is only what the protocol needs of it (docs/protocol.md,
//! "Reports").

use core::net::SocketAddrV4;

use super::Standing;
use super::roster::Roster;
use crate::bits::BitSet;
use crate::time::Duration;
use crate::wire::{Report, State};

/// How long the sender waits for the last reports once the transfer is over. Chosen
/// (docs/protocol.md, "Reports").
pub(super) const COLLECTING_TIME: Duration = Duration::from_secs(3);

/// How often each acknowledgement is said: when all reports are there nobody is left to say it
/// again. Chosen (docs/protocol.md, "Reports").
const COPIES: u8 = 3;

/// A report that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported<'d> {
    /// The receiver's number; `None` for a machine that can't take part, and says why.
    pub number: Option<u16>,
    /// Its address and port.
    pub address: SocketAddrV4,
    /// What it says.
    pub report: Report<'d>,
}

#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Numbers of the receivers that give reports.
    givers: BitSet,
    /// Numbers of those whose last report is here.
    complete: BitSet,
    /// Those who are to be told so.
    to_acknowledge: BitSet,
    /// One without a number who is to be told so; others repeat theirs.
    stranger: Option<SocketAddrV4>,
    /// How often the next one was told already.
    copies: u8,
}

impl Reports {
    /// A receiver is taken in that gives reports, or not. What it said before is forgotten.
    pub(super) fn admit(&mut self, number: u16, gives: bool) {
        let index = usize::from(number);
        self.complete.remove(index);
        match gives {
            true => self.givers.insert(index),
            false => self.givers.remove(index),
        };
    }

    /// Whether a receiver gives reports.
    pub(super) fn is_giver(&self, number: usize) -> bool {
        self.givers.contains(number)
    }

    /// Takes a report from `address`; `None` if it is of no use: only who can't take part may speak
    /// without being known, and only to say why; and what comes after the last is late.
    pub(super) fn take<'d>(
        &mut self,
        roster: &Roster,
        address: SocketAddrV4,
        report: Report<'d>,
    ) -> Option<Reported<'d>> {
        let number = roster.number(address).filter(|&n| self.is_giver(n.into()));
        match number {
            Some(number) if report.state.is_final() => {
                self.complete.insert(usize::from(number));
                self.to_acknowledge.insert(usize::from(number));
            }
            None if report.state == State::FAILED => self.stranger = Some(address),
            Some(number) if !self.complete.contains(number.into()) => {}
            Some(_) | None => return None,
        }
        Some(Reported {
            number,
            address,
            report,
        })
    }

    /// Whether the last reports of all who said OK to the end, or left, are here, and they know.
    /// Those who fell silent have none to give.
    pub(super) fn are_settled(&self, roster: &Roster) -> bool {
        let missing = self.givers.difference(&self.complete);
        let mut standings = missing.iter().map(|index| roster.standing(index));
        let is_awaited = |s| {
            matches!(
                s,
                Some(Standing::Completed | Standing::Partial | Standing::Left)
            )
        };
        let is_to_acknowledge = self.stranger.is_some() || !self.to_acknowledge.is_empty();
        !is_to_acknowledge && !standings.any(is_awaited)
    }

    /// Whom to acknowledge now.
    pub(super) fn poll_acknowledge(&mut self, roster: &Roster) -> Option<SocketAddrV4> {
        let first = self.to_acknowledge.first_from(0);
        let address = match first {
            Some(index) => roster.address(index),
            None => self.stranger,
        };
        self.copies += 1;
        if self.copies >= COPIES || address.is_none() {
            self.copies = 0;
            match first {
                Some(index) => {
                    self.to_acknowledge.remove(index);
                }
                None => self.stranger = None,
            }
        }
        address
    }
}
