//! Whether what a sender says belongs to this transfer, or to another that it made or makes.
//!
//! A sender that is started anew has the same address. Its blocks must never be mixed with those of
//! the transfer before (docs/protocol.md, "Transfer tag" and "Rendezvous").

use crate::time::{Duration, Instant};
use crate::wire::{HelloKind, Message};

/// How long after the first block a HELLO may still be one from before it: some networks hold
/// broadcasts back. Chosen (docs/protocol.md, "Rendezvous").
const HELLO_DELAY: Duration = Duration::from_secs(2);

/// So many messages of another transfer or about slices of long ago, and none of others, are no
/// late ones. Chosen (docs/protocol.md, "Rendezvous").
const STRANGE_LIMIT: u8 = 32;

/// The transfer that a receiver takes part in, as far as messages show theirs.
#[derive(Debug)]
pub(super) struct Origin {
    tag: u16,
    /// Messages in a row that the sender can't have sent for this transfer now.
    strange: u8,
}

impl Origin {
    /// The transfer whose messages have this tag; 0 of a stock sender.
    pub(super) fn new(tag: u16) -> Self {
        Self { tag, strange: 0 }
    }

    /// What the sender's messages of this transfer have in them.
    pub(super) fn tag(&self) -> u16 {
        self.tag
    }

    /// Whether a message, which came at `now`, shows that the sender has begun another transfer
    /// after this one, which began at `since`. `is_ancient` tells of a slice whether it can't be in
    /// flight any more.
    pub(super) fn is_over(
        &mut self,
        (message, tag): (&Message<'_>, u16),
        (since, now): (Instant, Instant),
        is_ancient: impl Fn(u32) -> bool,
    ) -> bool {
        let slice = match message {
            _ if tag != self.tag => None,
            Message::Hello(hello) => {
                let is_late = tag == 0 && now.since(since) >= HELLO_DELAY;
                return hello.kind != HelloKind::Streaming && is_late;
            }
            Message::Data(data) => Some(data.slice),
            Message::Fec(fec) => Some(fec.slice),
            Message::ReqAck(request) => Some(request.slice),
            _ => return false,
        };
        self.strange = match slice.is_none_or(is_ancient) {
            true => self.strange.saturating_add(1),
            false => 0,
        };
        self.strange >= STRANGE_LIMIT
    }
}
