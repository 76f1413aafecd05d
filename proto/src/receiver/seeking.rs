//! A receiver that looks for a sender: whom it asks, and when.
//!
//! Everyone, and whoever was heard of, in turn, since that sender may be gone (docs/protocol.md,
//! "Rendezvous").

use core::net::SocketAddrV4;

use super::{Config, Failure};
use crate::time::{Duration, Instant};
use crate::told::Told;

/// How long a receiver that was refused looks for another sender. Chosen (docs/protocol.md,
/// "Rendezvous").
const REFUSED_WAIT: Duration = Duration::from_secs(5);

/// How long a receiver that came too late for a transfer leaves its sender alone. Chosen
/// (docs/protocol.md, "Streaming").
pub(super) const TOO_LATE_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Seeking {
    /// When to ask for a connection again.
    ask_at: Instant,
    /// The sender whose HELLO was heard last.
    heard: Option<SocketAddrV4>,
    /// Those that were heard.
    told: Told,
    /// Whether that sender was asked last, and not everyone: it may be gone.
    asked_heard: bool,
    /// A sender whose transfer is under way, and can be joined.
    streaming: Option<SocketAddrV4>,
    /// When to give up, since a sender does not take this receiver, and why.
    refused: Option<(Instant, Failure)>,
}

impl Seeking {
    pub(super) fn new(ask_at: Instant) -> Self {
        Self {
            ask_at,
            heard: None,
            told: Told::default(),
            asked_heard: false,
            streaming: None,
            refused: None,
        }
    }

    /// Notes a sender; whether the caller is to be told of it.
    pub(super) fn hear(&mut self, now: Instant, sender: SocketAddrV4) -> bool {
        self.heard = Some(sender);
        self.told.tell(now, sender)
    }

    /// Notes that a sender's transfer is under way, and can be joined.
    pub(super) fn hear_streaming(&mut self, sender: SocketAddrV4) {
        self.streaming = Some(sender);
    }

    /// Whether that is so.
    pub(super) fn is_streaming(&self, sender: SocketAddrV4) -> bool {
        self.streaming == Some(sender)
    }

    /// Notes that a sender does not take this receiver, and why. Another may; and anyone can say
    /// this.
    pub(super) fn refuse(&mut self, now: Instant, why: Failure) {
        self.refused.get_or_insert((now + REFUSED_WAIT, why));
    }

    /// Why a sender did not take this receiver, if none has since.
    pub(super) fn refusal(&self) -> Option<Failure> {
        self.refused.map(|(_, why)| why)
    }

    /// Whether it is time to give up for that reason.
    pub(super) fn is_refused(&self, now: Instant) -> bool {
        self.refused.is_some_and(|(until, _)| until <= now)
    }

    /// When there is something to do next.
    pub(super) fn due(&self) -> Instant {
        self.refused
            .map_or(self.ask_at, |(until, _)| until.min(self.ask_at))
    }

    /// Whom to ask now, if anyone.
    pub(super) fn ask(&mut self, now: Instant, config: &Config) -> Option<SocketAddrV4> {
        if self.ask_at > now {
            return None;
        }
        self.ask_at = now + config.connect_interval;
        self.asked_heard = !self.asked_heard;
        let port = config.port_base.wrapping_add(1);
        let anyone = SocketAddrV4::new(config.control_address, port);
        let heard = self.heard.filter(|_| self.asked_heard);
        (!config.passive).then_some(heard.unwrap_or(anyone))
    }
}
