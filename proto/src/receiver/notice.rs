//! A machine that can't take part, and lets the sender know why.
//!
//! It must not connect: senders count who connects, and start. So it waits until a sender says
//! HELLO that takes reports, and tells that one its last (docs/protocol.md, "Reports").

use core::fmt;
use core::net::SocketAddrV4;

use heapless::Vec;

use super::Transmit;
use super::reporting::{Identity, Reporter};
use crate::time::{Duration, Instant};
use crate::wire::{Capabilities, Message};

/// How many senders are told.
const MOST_SENDERS: usize = 8;

/// The last report of a machine that does not take part.
///
/// Calls are those of [`Receiver`](super::Receiver), with the same rules, until
/// [`is_over`](Self::is_over). One sender after the other is told, if several are heard, and again
/// one that does not take note.
#[derive(Debug)]
pub struct Notice {
    /// The senders' port.
    port: u16,
    reporter: Reporter,
    /// Who is being told.
    sender: Option<SocketAddrV4>,
    /// Who has taken note, the last one at the end.
    told: Vec<SocketAddrV4, MOST_SENDERS>,
    /// When nobody is waited for any more.
    until: Instant,
}

impl Notice {
    /// That the machine with this identity can't take part for this `reason`, to be told to
    /// senders with the port `port_base` + 1 that are heard within `patience` from `now` on.
    /// Senders of ours say HELLO each second until they start.
    #[must_use]
    pub fn new(
        port_base: u16,
        identity: Identity,
        reason: impl fmt::Display,
        now: Instant,
        patience: Duration,
    ) -> Self {
        let mut reporter = Reporter::default();
        reporter.identify(identity);
        reporter.explain(reason);
        Self {
            port: port_base.wrapping_add(1),
            reporter,
            sender: None,
            told: Vec::new(),
            until: now + patience,
        }
    }

    /// Takes a datagram that arrived at the receiver's port.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddrV4, datagram: &[u8]) {
        match (Message::parse(datagram), self.sender) {
            (Ok(Message::Hello(hello)), None)
                if from.port() == self.port
                    && hello.capabilities.contains(Capabilities::REPORTS)
                    && !self.told.contains(&from)
                    && !self.told.is_full() =>
            {
                self.sender = Some(from);
                self.reporter.connect(now, hello.capabilities);
                self.reporter.conclude(now, false);
            }
            (Ok(Message::ReportAck), Some(sender)) if sender == from => {
                self.reporter.acknowledge();
                // There is room, or nobody would have been told.
                let _ = self.told.push(sender);
                self.sender = None;
            }
            _ => {}
        }
    }

    /// Does what is due at `now`. Calls that come too early are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.reporter.handle_timeout(now);
        if !self.reporter.is_owed() {
            self.sender = None;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next, or
    /// [`is_over`](Self::is_over) changes.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.sender {
            None => Some(self.until),
            Some(_) => self.reporter.due(),
        }
    }

    /// Writes the next datagram to be sent into `buffer`, as
    /// [`Receiver::poll_transmit`](super::Receiver::poll_transmit).
    #[must_use]
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let destination = self.sender?;
        let report = self.reporter.poll(0)?;
        let len = Message::Report(report).emit(buffer).ok()?;
        Some(Transmit { destination, len })
    }

    /// Whether nobody is waited for any more.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.sender.is_none() && (self.until <= now || self.told.is_full())
    }

    /// The senders that have taken note, in their order.
    #[must_use]
    pub fn told(&self) -> &[SocketAddrV4] {
        &self.told
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::wire::{Hello, HelloKind, MAX_CONTROL_LEN, State};

    const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9001);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn notice() -> Notice {
        let patience = Duration::from_secs(5);
        Notice::new(9000, Identity::default(), "no disk", at(0), patience)
    }

    fn hear(notice: &mut Notice, from: SocketAddrV4, message: &Message<'_>) {
        let mut buffer = [0; MAX_CONTROL_LEN];
        let len = message.emit(&mut buffer).unwrap();
        notice.handle_datagram(at(1), from, &buffer[..len]);
    }

    fn hello(capabilities: Capabilities) -> Message<'static> {
        Message::Hello(Hello {
            kind: HelloKind::Classic,
            capabilities,
            data_address: Ipv4Addr::UNSPECIFIED,
            block_size: 1456,
        })
    }

    #[test]
    fn a_sender_of_ours_is_told_until_it_takes_note() {
        let mut notice = notice();
        hear(&mut notice, SENDER, &hello(Capabilities::REPORTS));
        let mut buffer = [0; MAX_CONTROL_LEN];
        for second in 1..3 {
            notice.handle_timeout(at(second));
            let sent = notice.poll_transmit(&mut buffer).unwrap();
            assert_eq!(sent.destination, SENDER);
            let Ok(Message::Report(report)) = Message::parse(&buffer[..sent.len]) else {
                panic!("no report");
            };
            assert_eq!((report.state, report.message), (State::FAILED, "no disk"));
            assert!(!notice.is_over(at(second)));
        }
        let stranger = SocketAddrV4::new(Ipv4Addr::BROADCAST, 9001);
        hear(&mut notice, stranger, &Message::ReportAck);
        assert!(!notice.is_over(at(2)));
        hear(&mut notice, SENDER, &Message::ReportAck);
        assert_eq!(notice.told(), [SENDER]);
        assert!(!notice.is_over(at(4)));
        assert!(notice.is_over(at(5)));
    }

    #[test]
    fn who_takes_no_note_keeps_nobody_else_from_being_told() {
        let mut notice = notice();
        let forged = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 66), 9001);
        hear(&mut notice, forged, &hello(Capabilities::REPORTS));
        hear(&mut notice, SENDER, &hello(Capabilities::REPORTS));
        notice.handle_timeout(at(7));
        hear(&mut notice, SENDER, &hello(Capabilities::REPORTS));
        let sent = notice.poll_transmit(&mut [0; MAX_CONTROL_LEN]).unwrap();
        assert_eq!(sent.destination, SENDER);
        hear(&mut notice, SENDER, &Message::ReportAck);
        hear(&mut notice, SENDER, &hello(Capabilities::REPORTS));
        assert_eq!(notice.poll_transmit(&mut [0; MAX_CONTROL_LEN]), None);
        hear(&mut notice, forged, &hello(Capabilities::REPORTS));
        let sent = notice.poll_transmit(&mut [0; MAX_CONTROL_LEN]).unwrap();
        assert_eq!(sent.destination, forged);
    }

    #[test]
    fn a_stock_sender_is_told_nothing() {
        let mut notice = notice();
        hear(&mut notice, SENDER, &hello(Capabilities::STOCK));
        notice.handle_timeout(at(1));
        assert_eq!(notice.poll_transmit(&mut [0; MAX_CONTROL_LEN]), None);
        assert!(!notice.is_over(at(4)));
        assert!(notice.is_over(at(5)));
        assert_eq!(notice.told(), []);
    }
}
