//! The receiving end of a transfer, as a machine without sockets, clock or heap.
//!
//! It finds a sender, takes part in the rounds of acknowledgement, and says where each block
//! belongs. It does not hold the image: the caller copies every block it is handed into memory of
//! its own, and tells when it has passed the bytes on (docs/protocol.md, "Session").

mod answers;
mod config;
mod event;
mod gaps;
mod late;
mod leaving;
mod meeting;
mod notice;
mod origin;
mod repair;
mod reporting;
mod seeking;
mod session;
mod slice;
mod window;

use core::net::SocketAddrV4;

use heapless::Deque;

pub use config::Config;
pub use event::{Block, Event, Failure, Stats, Transmit};
pub use notice::Notice;
pub use repair::Repair;
pub use reporting::{Conclusion, Identity, Label, text};

use crate::time::Instant;
use crate::told::Told;
use crate::wire::{self, Capabilities, ConnectReq, Message, State as ReportState};
use leaving::Leaving;
use reporting::Reporter;
use seeking::Seeking;
use session::{Session, Step};

/// Where a receiver is between its start and its end.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "without a heap the largest state sets the size"
)]
enum State {
    /// Looking for a sender.
    Seeking(Seeking),
    /// A sender knows this receiver.
    Connected(Session),
    /// Everything is decided; what the sender still asks is answered until the time is over.
    Leaving(Leaving),
    /// Nothing more is said.
    Gone,
}

/// The receiving end of one transfer.
///
/// Calls are of four kinds:
/// - *input*: [`handle_datagram`](Self::handle_datagram), [`handle_timeout`](Self::handle_timeout);
/// - *commands*: [`release`](Self::release), [`confirm`](Self::confirm), [`go`](Self::go),
///   [`abort`](Self::abort), and what the sender is told of this machine:
///   [`identify`](Self::identify), [`set_written`](Self::set_written),
///   [`conclude`](Self::conclude), [`explain`](Self::explain);
/// - *polls*, to be repeated after every input and command until they return `None`:
///   [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event); and after them
///   [`poll_timeout`](Self::poll_timeout) for the time of the next
///   [`handle_timeout`](Self::handle_timeout);
/// - *getters*, at any time.
///
/// A transfer has come to its end when [`Event::Finished`] was polled. Until then the time of
/// [`poll_timeout`](Self::poll_timeout) is never `None`: no state lasts for ever unless the
/// operator's settings say so.
#[derive(Debug)]
pub struct Receiver {
    config: Config,
    state: State,
    /// When to give up waiting for the start; `None` for never.
    start_deadline: Option<Instant>,
    /// Whether the transfer has started.
    started: bool,
    events: Deque<Event, 8>,
    stats: Stats,
    /// The connection request that was asked for by a HELLO or by time.
    connect_to: Option<SocketAddrV4>,
    go: bool,
    /// A sender that is to be told that this receiver leaves it, and looks for another.
    parting: Option<SocketAddrV4>,
    /// Senders that were heard beside this receiver's own.
    others: Told,
    reporter: Reporter,
}

impl Receiver {
    /// A receiver that looks for a sender from `now` on.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            start_deadline: config.start_timeout.map(|timeout| now + timeout),
            started: false,
            state: State::Seeking(Seeking::new(now)),
            events: Deque::new(),
            stats: Stats::default(),
            connect_to: None,
            go: false,
            parting: None,
            others: Told::default(),
            reporter: Reporter::default(),
            config,
        }
    }

    /// Takes a datagram that arrived at the receiver's port, and returns the block of the image
    /// that it brought, if it brought a new one.
    ///
    /// Datagrams from strangers, repeated ones, and ones that make no sense are counted in
    /// [`stats`](Self::stats) and change nothing.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        datagram: &'d [u8],
    ) -> Option<Block<'d>> {
        self.stats.datagrams += 1;
        let Ok(message) = Message::parse(datagram) else {
            self.stats.invalid += 1;
            return None;
        };
        let tag = wire::tag(datagram);
        match &mut self.state {
            State::Seeking(_) => self.find_sender(now, (from, tag), &message),
            State::Connected(session) if session.sender() == from => {
                if let Message::ConnectReply(reply) = &message
                    && !session.is_silent()
                {
                    self.reporter.connect(now, reply.capabilities);
                }
                let (block, step) = session.handle(now, (&message, tag), &mut self.stats);
                session.count_lost(&mut self.stats);
                self.take(now, step);
                return block;
            }
            State::Leaving(leaving) if leaving.sender() == from => match message {
                Message::ReportAck => self.reporter.acknowledge(),
                message => leaving.handle(&message, tag),
            },
            State::Connected(session)
                if session.is_doubtful(now, self.config.sender_timeout)
                    && matches!(message, Message::Hello(_)) =>
            {
                self.state = State::Seeking(Seeking::new(now));
                self.find_sender(now, (from, tag), &message);
            }
            State::Connected(_) | State::Leaving(_) => self.meet_stranger(now, from, &message),
            State::Gone => {}
        }
        None
    }

    /// Does what is due at `now`. Calls that come too early are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.start_due().is_some_and(|deadline| deadline <= now) {
            let refusal = match &self.state {
                State::Seeking(seeking) => seeking.refusal(),
                _ => None,
            };
            return self.fail(now, refusal.unwrap_or(Failure::NotStarted));
        }
        self.reporter.handle_timeout(now);
        match &mut self.state {
            State::Seeking(seeking) if seeking.is_refused(now) => {
                let refusal = seeking.refusal().unwrap_or(Failure::Refused);
                self.end(Err(refusal));
            }
            State::Seeking(seeking) => {
                if let Some(sender) = seeking.ask(now, &self.config) {
                    self.connect_to = Some(sender);
                }
            }
            State::Connected(session) => {
                let step = session.handle_timeout(now, &self.config);
                session.count_lost(&mut self.stats);
                self.take(now, step);
            }
            State::Leaving(leaving) => {
                if let Some(result) = leaving.handle_timeout(now, self.reporter.is_owed()) {
                    self.end(result);
                }
            }
            State::Gone => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next; `None` once the
    /// receiver has ended.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = match &self.state {
            State::Seeking(seeking) => Some(seeking.due()),
            State::Connected(session) => Some(session.due(&self.config)),
            State::Leaving(leaving) => leaving.due(self.reporter.is_owed()),
            State::Gone => return None,
        };
        let others = [self.start_due(), self.reporter.due()];
        others.into_iter().flatten().chain(due).min()
    }

    /// When to give up waiting for the start, if that is still to come.
    fn start_due(&self) -> Option<Instant> {
        self.start_deadline.filter(|_| !self.started)
    }

    /// Writes the next datagram to be sent into `buffer`, which must hold
    /// [`wire::MAX_CONTROL_LEN`] bytes; a shorter one yields `None`.
    #[must_use]
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        if buffer.len() < wire::MAX_CONTROL_LEN {
            return None;
        }
        let report = self.next_report(buffer);
        let (destination, len) = match report {
            Some(report) => report,
            None => {
                let (destination, message) = self.next_message()?;
                (destination, message.emit(buffer).ok()?)
            }
        };
        Some(Transmit { destination, len })
    }

    /// What the caller should know or do next.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Tells that the caller has no more need of stream bytes below `upto`, so that their memory
    /// can take new blocks. Values beyond [`contiguous`](Self::contiguous) count as that.
    pub fn release(&mut self, upto: u64) {
        if let State::Connected(session) = &mut self.state {
            session.release(upto);
        }
    }

    /// Tells that the whole stream is where it belongs, and safe there; so the end may be
    /// acknowledged. Without effect before [`Event::Ended`].
    pub fn confirm(&mut self, now: Instant) {
        if let State::Connected(session) = &mut self.state
            && session.end().is_some()
        {
            self.start_leaving(now, Ok(()));
        }
    }

    /// Tells who this machine is. Senders that take reports are told it as of the next.
    pub fn identify(&mut self, identity: Identity) {
        self.reporter.identify(identity);
    }

    /// Tells how many bytes of the image were written, for the next report.
    pub fn set_written(&mut self, written: u64) {
        self.reporter.set_written(written);
    }

    /// Tells what became of the image, for the last report; to be called before
    /// [`confirm`](Self::confirm).
    pub fn conclude(&mut self, conclusion: Conclusion) {
        self.reporter.set_conclusion(conclusion);
    }

    /// Tells why [`abort`](Self::abort) will be called, or what there is to know of what goes well,
    /// for the last report. The first that is said stays.
    pub fn explain(&mut self, reason: impl core::fmt::Display) {
        self.reporter.explain(reason);
    }

    /// Whether the sender has taken note of the last report.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        self.reporter.is_acknowledged()
    }

    /// Asks the sender to start the transfer now, as soon as there is one.
    pub fn go(&mut self) {
        self.go = true;
    }

    /// Gives the transfer up because of something that only the caller knows, such as a disk that
    /// failed: the sender is told, so that nobody waits for this receiver.
    pub fn abort(&mut self, now: Instant) {
        self.fail(now, Failure::Aborted);
    }

    /// Stream offset up to which every byte has been handed out as a [`Block`].
    #[must_use]
    pub fn contiguous(&self) -> u64 {
        match &self.state {
            State::Connected(session) => session.contiguous(),
            State::Leaving(leaving) => leaving.received(),
            State::Seeking(_) | State::Gone => 0,
        }
    }

    /// What has to be done to the caller's memory for blocks. To be polled until it is `None` after
    /// each [`handle_datagram`](Self::handle_datagram), once its block is in place, and done before
    /// anything else: [`contiguous`](Self::contiguous) counts on it.
    #[must_use]
    pub fn poll_repair(&mut self) -> Option<Repair> {
        let State::Connected(session) = &mut self.state else {
            return None;
        };
        let repair = session.poll_repair();
        self.stats.rebuilt += repair.as_ref().map_or(0, Repair::rebuilt);
        repair
    }

    /// Whether the sender waits for an answer that can't be given before [`release`](Self::release)
    /// has freed more memory: bytes should be passed on now, however few they are.
    #[must_use]
    pub fn is_short_of_room(&self) -> bool {
        match &self.state {
            State::Connected(session) => session.is_short_of_room(),
            State::Seeking(_) | State::Leaving(_) | State::Gone => false,
        }
    }

    /// Whether a slice of the stream is here in part, so that its sender has more to say.
    #[must_use]
    pub fn is_amid_slice(&self) -> bool {
        matches!(&self.state, State::Connected(session) if session.is_amid_slice())
    }

    /// The sender that this receiver is connected to.
    #[must_use]
    pub fn sender(&self) -> Option<SocketAddrV4> {
        match &self.state {
            State::Connected(session) => Some(session.sender()),
            State::Leaving(leaving) => Some(leaving.sender()),
            State::Seeking(_) | State::Gone => None,
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn emit_event(&mut self, event: Event) {
        // A full queue means a caller that does not poll; its loss is a notice, since the last
        // place is kept for the one event that every caller must see.
        let room = self.events.capacity() - self.events.len();
        if room > 1 || matches!(event, Event::Finished(_)) {
            let _ = self.events.push_back(event);
        }
    }

    /// Carries out what the session decided.
    fn take(&mut self, now: Instant, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Ask => self.connect_to = self.sender(),
            Step::Join { group } => self.emit_event(Event::Join { group }),
            Step::Started => {
                self.started = true;
                self.reporter.enter(now, ReportState::RECEIVING);
                self.emit_event(Event::Started);
                // A stream without a byte starts and ends with one and the same message.
                self.progress(now);
            }
            Step::Ended { bytes } => {
                self.reporter.enter(now, ReportState::FINISHING);
                self.emit_event(Event::Ended { bytes });
            }
            Step::Lost => {
                self.reporter.disconnect();
                self.emit_event(Event::Lost);
                self.state = State::Seeking(Seeking::new(now));
            }
            Step::TooLate => self.turn_away(now),
            Step::Joined { slice } => {
                self.emit_event(Event::Joined { slice });
                self.progress(now);
            }
            Step::DataLost { offset } => {
                self.emit_event(Event::DataLost { offset });
                self.progress(now);
            }
            Step::Failed(failure) => self.fail(now, failure),
        }
    }

    /// What follows from what has arrived already.
    fn progress(&mut self, now: Instant) {
        if let State::Connected(session) = &mut self.state {
            let next = session.progress();
            self.take(now, next);
        }
    }

    /// Leaves a transfer that is under way to those who were there in time.
    fn turn_away(&mut self, now: Instant) {
        let Some(sender) = self.sender() else {
            return;
        };
        self.emit_event(Event::TooLate { sender });
        self.reporter.disconnect();
        self.started = false;
        self.parting = Some(sender).filter(|_| !self.config.passive);
        self.state = State::Seeking(Seeking::new(now + seeking::TOO_LATE_WAIT));
    }

    fn fail(&mut self, now: Instant, failure: Failure) {
        self.start_deadline = None;
        match self.state {
            State::Seeking(_) => self.end(Err(failure)),
            State::Connected(_) => self.start_leaving(now, Err(failure)),
            State::Leaving(_) | State::Gone => {}
        }
    }

    fn start_leaving(&mut self, now: Instant, result: Result<(), Failure>) {
        let State::Connected(session) = &self.state else {
            return;
        };
        if session.is_silent() {
            return self.end(result);
        }
        match result {
            // Nobody is there to be told.
            Err(Failure::Silent { .. }) => self.reporter.disconnect(),
            Err(failure) => self.reporter.explain(failure),
            Ok(()) => {}
        }
        self.reporter.conclude(now, result.is_ok());
        self.state = State::Leaving(Leaving::new(now, session, result, self.config.exit_wait));
    }

    fn end(&mut self, result: Result<(), Failure>) {
        self.state = State::Gone;
        self.start_deadline = None;
        self.connect_to = None;
        self.emit_event(Event::Finished(result));
    }

    /// Writes the report that is due, and gives its destination and length. It goes before
    /// everything else, so that a sender that has all it waits for has the last report too.
    fn next_report(&mut self, buffer: &mut [u8]) -> Option<(SocketAddrV4, usize)> {
        let (sender, received) = (self.sender()?, self.contiguous());
        let report = self.reporter.poll(received)?;
        let len = Message::Report(report).emit(buffer).ok()?;
        Some((sender, len))
    }

    fn next_message(&mut self) -> Option<(SocketAddrV4, Message<'static>)> {
        if let Some(sender) = self.parting.take() {
            return Some((sender, Message::Disconnect));
        }
        if let Some(destination) = self.connect_to.take() {
            let request = ConnectReq {
                capabilities: Capabilities::STOCK | Capabilities::REPORTS,
                receive_buffer: self.config.receive_buffer,
            };
            return Some((destination, Message::ConnectReq(request)));
        }
        match &mut self.state {
            State::Connected(session) => {
                let sender = session.sender();
                if session.is_silent() {
                    return None;
                }
                if core::mem::take(&mut self.go) {
                    return Some((sender, Message::Go));
                }
                Some((sender, session.answer()?.into_message()))
            }
            State::Leaving(leaving) => {
                let (message, is_last) = leaving.message()?;
                let sender = leaving.sender();
                if is_last {
                    self.end(Ok(()));
                }
                Some((sender, message))
            }
            State::Seeking(_) | State::Gone => None,
        }
    }
}
