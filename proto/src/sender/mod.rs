//! The sending end of a transfer, as a machine without sockets, clock or heap.
//!
//! It gathers receivers, sends the image slice by slice, asks after each who lacks what, and sends
//! that again. It does not hold the image: a message that carries image bytes names their place in
//! the stream, and the caller puts them behind the header (docs/protocol.md, "Session").

mod admission;
mod config;
mod encode;
mod event;
mod invitations;
mod pace;
mod patience;
mod rate;
mod reports;
mod roster;
mod size;
mod slice;
mod start;
mod transfer;
mod wait;

use core::net::SocketAddrV4;
use core::ops::Range;

pub use config::{Addressing, Config, Duplex, SliceBlocks, StartRules, data_group};
pub use encode::{Encode, FecBlock};
pub use event::{Event, Outcome, Standing, Stats};
pub use reports::Reported;

use crate::bits::BitSet;
use crate::geometry::MAX_RECEIVERS;
use crate::time::Instant;
use crate::told::Told;
use crate::wire::{self, Capabilities, Hello, HelloKind, Message};
use invitations::Invitations;
use reports::{COLLECTING_TIME, Reports};
use roster::Roster;
use start::Waiting;
use transfer::{Addresses, Transfer};

/// A datagram to be sent: bytes from the buffer that [`Sender::poll_transmit`] was given, and
/// behind them bytes of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to; from the sender's port, [`Config::port_base`] + 1.
    pub destination: SocketAddrV4,
    /// How many bytes of the buffer.
    pub len: usize,
    /// Stream offsets of the image bytes that follow; empty for messages without any. Never below
    /// [`Sender::needed_from`], nor past what [`Sender::supply`] told.
    pub payload: Range<u64>,
    /// The FEC block that follows, of a block size of bytes; `None` for all messages but FEC.
    pub fec: Option<FecBlock>,
}

impl Transmit {
    /// Bytes of the whole datagram.
    fn size(&self, block_size: u16) -> usize {
        let fec = self.fec.map_or(0, |_| usize::from(block_size));
        self.len + (self.payload.end - self.payload.start) as usize + fec
    }
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "without a heap the largest state sets the size"
)]
enum State {
    Waiting(Waiting),
    Transferring(Transfer),
    /// The transfer is over; some receivers have yet to say how it ended for them.
    Collecting {
        outcome: Outcome,
        until: Instant,
    },
    Finished(Outcome),
}

/// The sending end of one transfer.
///
/// Calls are of four kinds:
/// - *input*: [`handle_datagram`](Self::handle_datagram), [`handle_timeout`](Self::handle_timeout);
/// - *commands*: [`supply`](Self::supply), [`start`](Self::start);
/// - *polls*, to be repeated after every input and command until they return `None`:
///   [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event); and after them
///   [`poll_timeout`](Self::poll_timeout) for the time of the next
///   [`handle_timeout`](Self::handle_timeout);
/// - *getters*, at any time.
///
/// A transfer has come to its end when [`Event::Finished`] was polled. It is large (some 80 KiB,
/// for 1024 receivers): put it in a `Box` or a `static`.
#[derive(Debug)]
pub struct Sender {
    config: Config,
    roster: Roster,
    state: State,
    /// Numbers of the receivers whose CONNECT_REQ is to be answered.
    to_greet: BitSet,
    /// When those who were never heard in the transfer are greeted again.
    greet_again_at: Option<Instant>,
    /// One that is to be told that there is no place; more of them ask again.
    to_refuse: Option<SocketAddrV4>,
    /// Those who come during a streaming transfer.
    invitations: Invitations,
    reports: Reports,
    /// The end of the stream as far as the caller has it.
    supplied: u64,
    /// Whether the stream ends there.
    complete: bool,
    /// One whose refusal the caller has yet to be told.
    refused: Option<SocketAddrV4>,
    /// Those of whose refusal it was told.
    told_refused: Told,
    started: Option<u16>,
    /// Receivers that had left when the transfer started.
    absent: u16,
    finished: Option<Outcome>,
    stats: Stats,
}

impl Sender {
    /// A sender that says HELLO at `now`.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let limit = match config.addressing {
            Addressing::PointToPoint => 1,
            Addressing::Automatic | Addressing::Multicast | Addressing::Broadcast => MAX_RECEIVERS,
        };
        Self {
            roster: Roster::new(limit),
            state: State::Waiting(Waiting::new(config.start, config.asynchronous, now)),
            to_greet: BitSet::EMPTY,
            greet_again_at: None,
            to_refuse: None,
            invitations: Invitations::default(),
            reports: Reports::default(),
            supplied: 0,
            complete: false,
            refused: None,
            told_refused: Told::default(),
            started: None,
            absent: 0,
            finished: None,
            stats: Stats::default(),
            config,
        }
    }

    /// Takes a datagram that arrived at the sender's port, and returns the report that it brought,
    /// if it brought one.
    ///
    /// Messages that make no sense, all but CONNECT_REQ and REPORT from those who are not
    /// connected, and whatever comes after the end, are counted in [`stats`](Self::stats) and
    /// change nothing.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        datagram: &'d [u8],
    ) -> Option<Reported<'d>> {
        let over = matches!(self.state, State::Finished(_));
        let message = Message::parse(datagram).ok().filter(|_| !over);
        let mut reported = None;
        match message {
            Some(Message::ConnectReq(request)) => self.greet(now, from, &request),
            Some(Message::Report(report)) if !self.config.asynchronous => {
                reported = self.reports.take(&self.roster, from, report);
                self.stats.ignored += u64::from(reported.is_none());
            }
            Some(message) => self.hear(now, from, &message),
            None => self.stats.ignored += 1,
        }
        self.settle(now);
        reported
    }

    /// Takes a message that only receivers which take part may send.
    fn hear(&mut self, now: Instant, from: SocketAddrV4, message: &Message<'_>) {
        let Some(number) = self.roster.connected_number(from) else {
            self.stats.ignored += 1;
            return;
        };
        let is_answer = matches!(message, Message::Ok(_) | Message::Retransmit(_));
        self.roster.hear(now, number, is_answer);
        match message {
            Message::Go => self.start(),
            Message::Disconnect => self.part(now, number),
            Message::Ok(_) | Message::Retransmit(_) => {
                if let State::Transferring(transfer) = &mut self.state {
                    transfer.answer(now, number, message, &mut self.roster, &mut self.stats);
                }
            }
            _ => self.stats.ignored += 1,
        }
    }

    /// Does what is due at `now`. Calls that come too early are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Waiting(waiting) => {
                if waiting.is_to_start(now) {
                    self.start();
                }
            }
            State::Transferring(transfer) => {
                transfer.handle_timeout(now, &mut self.roster);
                self.greet_again(now);
                self.settle(now);
            }
            State::Collecting { .. } => self.settle(now),
            State::Finished(_) => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`poll_transmit`](Self::poll_transmit) has
    /// something to do next; `None` while only others can move things: the caller, the operator, or
    /// a receiver that is yet to come.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(waiting) => Some(waiting.due()),
            State::Transferring(transfer) => transfer.due(),
            State::Collecting { until, .. } => Some(*until),
            State::Finished(_) => None,
        }
    }

    /// Writes the next datagram to be sent into `buffer`, which must hold [`wire::MAX_CONTROL_LEN`]
    /// bytes; a shorter one yields `None`. The image bytes of the result are the caller's to add.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        if buffer.len() < wire::MAX_CONTROL_LEN {
            return None;
        }
        let transmit = self.next_transmit(now, buffer)?;
        wire::set_tag(buffer, self.config.tag);
        Some(transmit)
    }

    fn next_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        if let Some(address) = self.invitations.poll() {
            let hello = Message::Hello(self.hello(HelloKind::Streaming));
            return emit(address, &hello, buffer);
        }
        if let Some((address, reply)) = self.next_reply() {
            return emit(address, &reply, buffer);
        }
        match &mut self.state {
            State::Waiting(waiting) => {
                if waiting.take_hello(now) {
                    let hello = Message::Hello(self.hello(HelloKind::Classic));
                    return emit(self.hello_address(), &hello, buffer);
                }
                if !waiting.is_to_start(now) {
                    return None;
                }
                self.start();
                self.next_transmit(now, buffer)
            }
            State::Transferring(transfer) => {
                transfer.retire(now);
                transfer.cut(self.supplied, self.complete, &self.roster);
                let transmit = transfer.poll_transmit(now, &self.roster, &mut self.stats, buffer);
                if transmit.is_none() {
                    self.settle(now);
                }
                transmit
            }
            State::Collecting { .. } => {
                self.settle(now);
                None
            }
            State::Finished(_) => None,
        }
    }

    /// What the caller should know next.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(address) = self.refused.take() {
            return Some(Event::Refused { address });
        }
        if let Some(event) = self.roster.poll_event() {
            return Some(event);
        }
        if let Some(receivers) = self.started.take() {
            return Some(Event::Started { receivers });
        }
        self.finished.take().map(Event::Finished)
    }

    /// Tells that the stream's bytes up to offset `upto` can be sent, and whether it ends there.
    /// Neither can be taken back.
    pub fn supply(&mut self, upto: u64, complete: bool) {
        if !self.complete {
            self.supplied = self.supplied.max(upto);
            self.complete = complete;
        }
    }

    /// Starts the transfer, if any receiver is connected, or need not be, and it has not started.
    pub fn start(&mut self) {
        let State::Waiting(_) = self.state else {
            return;
        };
        let receivers = self.roster.count(Standing::Connected);
        if receivers == 0 && !self.config.asynchronous {
            return;
        }
        self.started = Some(receivers);
        self.absent = self.roster.count(Standing::Left);
        let addresses = Addresses {
            data: self.data_address(),
            invitation: (self.hello_address(), self.hello(HelloKind::Streaming)),
        };
        self.state = State::Transferring(Transfer::new(&self.config, addresses));
    }

    /// The next slice whose FEC blocks are to be made; each is told once. They are not asked for
    /// before [`encoded`](Self::encoded).
    #[must_use]
    pub fn poll_encode(&mut self) -> Option<Encode> {
        match &mut self.state {
            State::Transferring(transfer) => transfer.poll_encode(),
            State::Waiting(_) | State::Collecting { .. } | State::Finished(_) => None,
        }
    }

    /// Tells that the FEC blocks of a slice are made.
    pub fn encoded(&mut self, slice: u32) {
        if let State::Transferring(transfer) = &mut self.state {
            transfer.encoded(slice);
        }
    }

    /// Stream offset below which no byte will be needed any more.
    #[must_use]
    pub fn needed_from(&self) -> u64 {
        match &self.state {
            State::Waiting(_) => 0,
            State::Transferring(transfer) => transfer.needed_from(),
            State::Collecting { .. } | State::Finished(_) => u64::MAX,
        }
    }

    /// Stream bytes that every receiver which still takes part has acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        match &self.state {
            State::Waiting(_) => 0,
            State::Transferring(transfer) => transfer.needed_from(),
            State::Collecting { outcome, .. } | State::Finished(outcome) => outcome.bytes,
        }
    }

    /// How many receivers take part.
    #[must_use]
    pub fn receivers(&self) -> u16 {
        self.roster.count(Standing::Connected)
    }

    /// The receivers that the transfer waits for, by number and address.
    pub fn awaited(&self) -> impl Iterator<Item = (u16, SocketAddrV4)> + '_ {
        let awaited = match &self.state {
            State::Transferring(transfer) => transfer.awaited(&self.roster),
            State::Waiting(_) | State::Collecting { .. } | State::Finished(_) => BitSet::EMPTY,
        };
        (0..MAX_RECEIVERS)
            .filter(move |&number| awaited.contains(usize::from(number)))
            .filter_map(|number| Some((number, self.roster.address(usize::from(number))?)))
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn part(&mut self, now: Instant, number: u16) {
        self.roster.set(number, Standing::Left);
        if let State::Waiting(waiting) = &mut self.state {
            waiting.connected(now, self.roster.count(Standing::Connected));
        }
    }

    /// Moves the transfer on as far as the answers so far allow.
    fn settle(&mut self, now: Instant) {
        if let State::Transferring(transfer) = &mut self.state
            && transfer.settle(now, &self.roster)
        {
            let bytes = transfer.needed_from();
            self.state = State::Collecting {
                outcome: self.outcome(bytes),
                until: now + COLLECTING_TIME,
            };
        }
        if let State::Collecting { outcome, until } = self.state
            && (until <= now || self.reports.are_settled(&self.roster))
        {
            self.finished = Some(outcome);
            self.state = State::Finished(outcome);
        }
    }

    fn outcome(&self, bytes: u64) -> Outcome {
        let left = self.roster.count(Standing::Left);
        let gone = [
            Standing::Dropped,
            Standing::Stalled,
            Standing::Silent,
            Standing::Restarted,
        ];
        let gone: u16 = gone
            .map(|standing| self.roster.count(standing))
            .iter()
            .sum();
        Outcome {
            completed: self.roster.count(Standing::Completed),
            partial: self.roster.count(Standing::Partial),
            lost: left.saturating_sub(self.absent + self.roster.passers_by()) + gone,
            bytes,
        }
    }

    fn data_address(&self) -> SocketAddrV4 {
        let config = &self.config;
        let is_closed = !config.asynchronous && config.streaming.is_none();
        let only = (self.roster.count(Standing::Connected) == 1 && is_closed)
            .then(|| {
                self.roster
                    .connected()
                    .first_from(0)
                    .and_then(|n| self.roster.address(n))
            })
            .flatten();
        let address = match (config.addressing, only) {
            (Addressing::Automatic | Addressing::PointToPoint, Some(only)) => *only.ip(),
            (Addressing::Broadcast, _) => config.control_address,
            (_, _) => config.data_address,
        };
        SocketAddrV4::new(address, config.port_base)
    }

    fn hello_address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.config.control_address, self.config.port_base)
    }

    /// The data address that is made known before the transfer starts.
    fn announced_address(&self) -> core::net::Ipv4Addr {
        match self.config.addressing {
            Addressing::Broadcast => self.config.control_address,
            _ => self.config.data_address,
        }
    }

    fn hello(&self, kind: HelloKind) -> Hello {
        let reports = match self.config.asynchronous {
            true => Capabilities::default(),
            false => Capabilities::REPORTS,
        };
        Hello {
            kind,
            capabilities: self.capabilities() | reports,
            data_address: self.announced_address(),
            block_size: self.config.block_size,
        }
    }

    fn capabilities(&self) -> Capabilities {
        match self.config.asynchronous {
            true => Capabilities::STOCK | Capabilities::ASYNC,
            false => Capabilities::STOCK,
        }
    }
}

fn emit(destination: SocketAddrV4, message: &Message<'_>, buffer: &mut [u8]) -> Option<Transmit> {
    let len = message.emit(buffer).ok()?;
    Some(Transmit {
        destination,
        len,
        payload: 0..0,
        fec: None,
    })
}
