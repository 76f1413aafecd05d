//! A receiver that comes when the transfer is under way: whether it may join, and wants to.
//!
//! A streaming sender takes receivers at any time, and tells them once a slice (docs/protocol.md,
//! "Streaming"). Any other transfer is lost to those who were not there when it began.

use super::window::Window;
use crate::time::{Duration, Instant};
use crate::wire::{HelloKind, Message, ReqAck};

/// How long a receiver that came into a transfer waits to be told that it may join. Chosen
/// (docs/protocol.md, "Streaming"): a streaming sender says so once a slice.
const JOIN_WAIT: Duration = Duration::from_secs(10);

/// The first slice that a sender can have in flight only if an earlier one has been acknowledged by
/// all.
const FOLLOWER: u32 = 3;

/// How a receiver stands to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It has been there from the start, or has joined.
    InTime,
    /// It joins now.
    Join,
    /// It may be told that it can join.
    Wait,
    /// It does not want to.
    TooLate,
    /// Nobody told it that it can.
    Hopeless,
}

#[derive(Debug)]
pub(super) struct Late {
    /// Whether it wants to join.
    join: bool,
    /// Since when a transfer goes on that it has no part in.
    behind_since: Option<Instant>,
}

impl Late {
    pub(super) fn new(join: bool) -> Self {
        Self {
            join,
            behind_since: None,
        }
    }

    /// Takes a message of the sender before anyone else does; `number` is by which it knows this
    /// receiver.
    pub(super) fn meet(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        window: &Window,
        number: Option<u16>,
    ) -> Arrival {
        if window.has_begun() {
            return Arrival::InTime;
        }
        let is_asked = |request: &ReqAck| {
            number.is_some_and(|number| !request.ready.contains(usize::from(number)))
        };
        let is_behind = match message {
            Message::Hello(hello) if hello.kind == HelloKind::Streaming => {
                return match self.join && self.behind_since.is_some() {
                    true => Arrival::Join,
                    false => Arrival::InTime,
                };
            }
            Message::Data(data) => data.slice >= FOLLOWER,
            Message::Fec(fec) => fec.slice >= FOLLOWER,
            // Who was there from the start is asked for slice 0 before any other.
            Message::ReqAck(request) => {
                request.slice >= FOLLOWER || request.slice > 0 && is_asked(request)
            }
            _ => return Arrival::InTime,
        };
        if !is_behind || number.is_none() {
            return Arrival::InTime;
        }
        let since = *self.behind_since.get_or_insert(now);
        match self.join {
            false => Arrival::TooLate,
            true if now.since(since) >= JOIN_WAIT => Arrival::Hopeless,
            true => Arrival::Wait,
        }
    }
}
