//! A receiver for which everything is decided: it answers what the sender still asks.
//!
//! Its last word may be lost, so it is said several times before the receiver is gone
//! (docs/protocol.md, "End").

use core::net::SocketAddrV4;

use super::Failure;
use super::answers::Answer;
use super::session::Session;
use crate::time::{Duration, Instant};
use crate::wire::Message;

/// How often the last message is said during [`Config::exit_wait`](super::Config::exit_wait), since
/// any may be lost. Chosen (docs/protocol.md, "End").
const LAST_WORDS: u32 = 5;

#[derive(Debug)]
pub(super) struct Leaving {
    sender: SocketAddrV4,
    /// What the sender's messages of this transfer have in them.
    tag: u16,
    until: Instant,
    /// When to say the last message again.
    again_at: Instant,
    again_after: Duration,
    /// Stream offset up to which every byte has arrived.
    received: u64,
    /// What to answer: OK after success, DISCONNECT after failure.
    result: Result<(), Failure>,
    answer: Option<u32>,
    /// The slice that ended the stream, if it was asked for.
    last: Option<u32>,
    /// Whether a DISCONNECT is to be sent.
    disconnect: bool,
}

impl Leaving {
    pub(super) fn new(
        now: Instant,
        session: &Session,
        result: Result<(), Failure>,
        exit_wait: Duration,
    ) -> Self {
        let again_after = exit_wait / LAST_WORDS;
        let answer = session.asked();
        Self {
            sender: session.sender(),
            tag: session.tag(),
            until: now + exit_wait,
            again_at: now + again_after,
            again_after,
            received: session.contiguous(),
            result,
            answer,
            last: answer,
            disconnect: result.is_err(),
        }
    }

    pub(super) fn sender(&self) -> SocketAddrV4 {
        self.sender
    }

    /// Stream offset up to which every byte has arrived.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// When there is something to do next; `owes` tells whether the last report is still to be
    /// taken note of, which has a time of its own.
    pub(super) fn due(&self, owes: bool) -> Option<Instant> {
        let again = Some(self.again_at).filter(|&at| at < self.until);
        again.or((!owes).then_some(self.until))
    }

    /// Takes a message of the sender, with its tag.
    pub(super) fn handle(&mut self, message: &Message<'_>, tag: u16) {
        if let Message::ReqAck(request) = message
            && tag == self.tag
        {
            self.answer = Some(request.slice);
        }
    }

    /// Says again what the sender must not miss: it may have heard nothing yet, and ask no more
    /// before the time is over. The result, if it is over, and the sender has taken note of the
    /// last report, as far as one is owed.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        owes: bool,
    ) -> Option<Result<(), Failure>> {
        if self.until <= now {
            self.again_at = self.until;
            if owes {
                return None;
            }
            // Success says DISCONNECT only here, as stock receivers do; failure said it at once.
            if self.result.is_err() || self.disconnect {
                return Some(self.result);
            }
            self.disconnect = true;
            self.answer = None;
        } else if self.again_at <= now {
            self.again_at = now + self.again_after;
            match self.result {
                Ok(()) => self.answer = self.last,
                Err(_) => self.disconnect = true,
            }
        }
        None
    }

    /// What is to be said next, and whether that is the last word of a receiver that succeeded.
    pub(super) fn message(&mut self) -> Option<(Message<'static>, bool)> {
        let answer = self.answer.take();
        if core::mem::take(&mut self.disconnect) {
            return Some((Message::Disconnect, self.result.is_ok()));
        }
        let answer = answer?;
        Some(match self.result {
            Ok(()) => (Answer::Ok(answer).into_message(), false),
            Err(_) => (Message::Disconnect, false),
        })
    }
}
