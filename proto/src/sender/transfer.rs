//! The slices in flight: cutting them, sending them in turn, and asking about the oldest.
//!
//! At most two slices are in flight. The older one is asked about; the younger is sent meanwhile,
//! and waits whenever the older has something to send (docs/protocol.md, "Session"). Without a way
//! back nobody is asked, and a slice is done with when it is sent (docs/protocol.md, "Async").

use core::net::SocketAddrV4;

use heapless::Deque;

use super::config::{Config, Duplex};
use super::pace::Pace;
use super::patience::Patience;
use super::rate::{RateFinder, Settled};
use super::roster::Roster;
use super::size::SliceSize;
use super::slice::{Answer, Piece, Slice};
use super::wait::AnswerWait;
use super::{Encode, FecBlock, Stats, Transmit, emit};
use crate::bits::{self, BitSet};
use crate::fec::Layout;
use crate::geometry;
use crate::time::{Duration, Instant};
use crate::wire::{Data, Fec, Hello, Message, ReqAck};

/// Most slices in flight, as stock receivers have room for.
const IN_FLIGHT: usize = 2;

/// How late the sender may be with a request before it counts as having stood still. Chosen: more
/// than what a busy machine is late.
const PAUSE: Duration = Duration::from_secs(1);

/// Slices of fewer blocks are not followed before all receivers have answered: such a slice can be
/// lost as a whole, request and all. Chosen.
const SHORT_SLICE: u16 = 16;

/// How long the sender is silent while it waits for more of the image. Chosen (docs/protocol.md,
/// "Waits"): receivers give a silent sender up after a minute.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How often the end is said if nobody is to answer, and how far apart. Chosen.
const LAST_WORDS: u32 = 5;
const LAST_WORDS_INTERVAL: Duration = Duration::from_millis(100);

/// Whom a transfer speaks to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    /// Where data and requests go.
    pub(super) data: SocketAddrV4,
    /// Where those are who may join, and what they are told.
    pub(super) invitation: (SocketAddrV4, Hello),
}

#[derive(Debug)]
pub(super) struct Transfer {
    block_size: u16,
    duplex: Duplex,
    fec: Option<Layout>,
    asynchronous: bool,
    /// How many blocks before the end of a slice others are told that they can join.
    streaming: Option<u16>,
    patience: Patience,
    addresses: Addresses,
    /// The slices in flight, oldest first.
    slices: Deque<Slice, IN_FLIGHT>,
    /// Slices whose FEC blocks the caller has yet to be asked for.
    to_encode: Deque<Encode, IN_FLIGHT>,
    /// The number of the slice that is cut next, and its offset in the stream.
    next_number: u32,
    next_base: u64,
    /// Whether the slice that ends the stream was cut.
    ended: bool,
    /// Whether everything was said that is to be said without a way back.
    finished: bool,
    /// The request for the last slice that everyone has, such that nobody is to answer it.
    last: Option<ReqAck>,
    /// Whether blocks of that slice were lost on their way.
    last_was_lossy: bool,
    /// When anything was sent last.
    spoke_at: Instant,
    size: SliceSize,
    wait: AnswerWait,
    pace: Pace,
    rate: RateFinder,
}

impl Transfer {
    pub(super) fn new(config: &Config, addresses: Addresses) -> Self {
        Self {
            block_size: config.block_size,
            duplex: config.duplex,
            fec: config.fec,
            asynchronous: config.asynchronous,
            streaming: config.streaming,
            patience: Patience::new(config),
            addresses,
            slices: Deque::new(),
            to_encode: Deque::new(),
            next_number: 0,
            next_base: 0,
            ended: false,
            finished: false,
            last: None,
            last_was_lossy: false,
            spoke_at: Instant::ZERO,
            size: SliceSize::new(config),
            wait: AnswerWait::new(config.drop_after),
            pace: Pace::new(config.max_bitrate),
            rate: RateFinder::new(),
        }
    }

    /// Stream offset of the oldest slice in flight.
    pub(super) fn needed_from(&self) -> u64 {
        self.slices
            .front()
            .map_or(self.next_base, |slice| slice.base)
    }

    /// When answers are overdue, the receivers have to hear something again, or the rate allows for
    /// more.
    pub(super) fn due(&self) -> Option<Instant> {
        let answers = match self.slices.front() {
            Some(front) => front.deadline(),
            None => self.last.map(|_| self.spoke_at + KEEPALIVE),
        };
        let is_waiting = self.slices.iter().any(Slice::has_piece);
        let pace = self.pace.due().filter(|_| is_waiting);
        [answers, pace].into_iter().flatten().min()
    }

    /// The receivers that the oldest slice waits for.
    pub(super) fn awaited(&self, roster: &Roster) -> BitSet {
        self.slices.front().map_or(BitSet::EMPTY, |slice| {
            slice.audience(roster.connected()).difference(slice.ready())
        })
    }

    /// The next slice whose FEC blocks are to be made.
    pub(super) fn poll_encode(&mut self) -> Option<Encode> {
        self.to_encode.pop_front()
    }

    /// The FEC blocks of a slice are made.
    pub(super) fn encoded(&mut self, slice: u32) {
        if let Some(slice) = find(&mut self.slices, slice) {
            slice.set_encoded();
        }
    }

    /// A receiver begins anew with the next slice.
    pub(super) fn release_receiver(&mut self, number: u16) {
        for slice in &mut self.slices {
            slice.release(number);
        }
    }

    /// Cuts the next slice if there is room for one in flight and the stream, known up to
    /// `supplied`, has bytes for it; `complete` tells that it ends there.
    pub(super) fn cut(&mut self, supplied: u64, complete: bool, roster: &Roster) {
        let room = match self.duplex {
            Duplex::Full => self.slices.len() < IN_FLIGHT,
            Duplex::Half => self.slices.is_empty(),
        };
        let unsent = self.slices.back().is_some_and(Slice::is_unsent);
        if self.ended || !room || unsent || !self.last_is_known(roster) {
            return;
        }
        self.size.fit_buffers(roster.least_receive_buffer());
        let Some(bytes) = self.next_len(supplied, complete) else {
            return;
        };
        let blocks = geometry::blocks_in(bytes, self.block_size) as u16;
        // With a way back the end needs no redundancy: it is asked about.
        let layout = self.fec.filter(|_| bytes > 0 || self.asynchronous);
        let fec_blocks = layout.map_or(0, |layout| layout.fec_blocks());
        let audience = match self.asynchronous {
            true => BitSet::EMPTY,
            false => *roster.connected(),
        };
        let slice = Slice::new(
            self.next_number,
            self.next_base,
            bytes,
            (blocks, fec_blocks),
            audience,
        );
        if self.slices.push_back(slice).is_err() {
            return;
        }
        let range = self.next_base..self.next_base + u64::from(bytes);
        if fec_blocks > 0 {
            let _ = self.to_encode.push_back(Encode {
                slice: self.next_number,
                range: range.clone(),
            });
        }
        self.next_number = self.next_number.wrapping_add(1);
        self.next_base = range.end;
        self.ended = bytes == 0;
    }

    /// Whether the last slice may be followed by another. A stock receiver gives up if it hears of
    /// a slice before it has heard anything of the one before (docs/protocol.md, "Geometry"). That
    /// happens to short slices, to the first one while receivers still join the group, and to one
    /// that was sent while a receiver's socket was still full of the slice before. Receivers of
    /// ours let the next slice go then, which costs less than to wait after each loss.
    fn last_is_known(&self, roster: &Roster) -> bool {
        let Some(last) = self.slices.back() else {
            return true;
        };
        let was_full = self.last_was_lossy && !roster.are_all_ours();
        let at_risk = last.number == 0 || last.blocks() < SHORT_SLICE || was_full;
        !at_risk || last.audience(roster.connected()).is_subset(last.known())
    }

    /// The length of the next slice: whole blocks, or the one block that is left and is shorter, or
    /// nothing at the end. `None` if that can't be told yet.
    fn next_len(&self, supplied: u64, complete: bool) -> Option<u32> {
        let block = u64::from(self.block_size);
        let full = block * u64::from(self.size.blocks());
        let enough = block * u64::from(self.size.enough_blocks());
        let left = supplied.saturating_sub(self.next_base);
        let len = match left {
            _ if left >= full => full,
            // The image's source is slower than the network: it is not to wait for it in vain.
            _ if !complete && left >= enough && self.slices.is_empty() => left / block * block,
            _ if !complete => return None,
            _ if left >= block => left / block * block,
            _ => left,
        };
        u32::try_from(len).ok()
    }

    /// The next datagram: what the oldest slice needs goes before the younger one's blocks.
    pub(super) fn poll_transmit(
        &mut self,
        now: Instant,
        roster: &Roster,
        stats: &mut Stats,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let transmit = match self.slices.is_empty() {
            true => self.keep_alive(now, buffer),
            false => self.next_transmit(now, roster, stats, buffer),
        };
        if transmit.is_some() {
            self.spoke_at = now;
        }
        transmit
    }

    /// Without a way back: is done with a slice that was sent, and repeats the end.
    pub(super) fn retire(&mut self, now: Instant) {
        if !self.asynchronous {
            return;
        }
        let Some(front) = self.slices.front_mut() else {
            return;
        };
        if !front.is_end() && front.is_to_ask() {
            self.slices.pop_front();
        } else if front.is_end() && front.is_to_ask() && self.fec.is_some() {
            // Its FEC blocks were all that there is to be said.
            front.asked(now, now + LAST_WORDS_INTERVAL);
        } else if front.deadline().is_some_and(|deadline| deadline <= now) {
            front.repeat();
            self.finished = front.rxmit() >= LAST_WORDS;
        }
    }

    /// Says that the sender is still there, though the image's source has nothing more yet.
    fn keep_alive(&self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        let last = self.last.filter(|_| self.spoke_at + KEEPALIVE <= now)?;
        emit(self.addresses.data, &Message::ReqAck(last), buffer)
    }

    fn next_transmit(
        &mut self,
        now: Instant,
        roster: &Roster,
        stats: &mut Stats,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        if self.finished {
            return None;
        }
        let front = self.slices.front_mut()?;
        if front.is_to_ask() {
            let wait = match self.asynchronous {
                true => LAST_WORDS_INTERVAL,
                false => self.wait.duration(),
            };
            front.asked(now, now + wait);
            self.patience.ask(now);
            stats.requests += 1;
            let request = ReqAck {
                slice: front.number,
                slice_bytes: front.bytes,
                rxmit: front.rxmit(),
                ready: ready_set(front, roster, self.asynchronous),
            };
            return emit(self.addresses.data, &Message::ReqAck(request), buffer);
        }
        if !self.pace.is_due(now) {
            return None;
        }
        if let Some(invitation) = self.invite(buffer) {
            return Some(invitation);
        }
        let transmit = self.next_block(stats, buffer)?;
        let len = transmit.size(self.block_size);
        self.pace.sent(now, len);
        self.rate.sent(len);
        Some(transmit)
    }

    /// Tells others that they can join, shortly before the next slice begins.
    fn invite(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let offset = self.streaming?;
        let is_time = |slice: &mut Slice| slice.take_invitation(offset);
        if !self.slices.iter_mut().any(is_time) {
            return None;
        }
        let (destination, hello) = self.addresses.invitation;
        emit(destination, &Message::Hello(hello), buffer)
    }

    fn next_block(&mut self, stats: &mut Stats, buffer: &mut [u8]) -> Option<Transmit> {
        let (slice, piece) = self.slices.iter_mut().find_map(|slice| {
            let piece = slice.next_piece()?;
            Some((slice, piece))
        })?;
        let (number, bytes) = (slice.number, slice.bytes);
        match piece {
            Piece::Data { block, again } => {
                stats.blocks += 1;
                stats.retransmitted += u64::from(again);
                let header = Data {
                    slice: number,
                    block,
                    slice_bytes: bytes,
                    payload: &[],
                };
                let start = slice.base + u64::from(block) * u64::from(self.block_size);
                let len = geometry::block_len(bytes, self.block_size, block);
                let mut transmit = emit(self.addresses.data, &Message::Data(header), buffer)?;
                transmit.payload = start..start + u64::from(len);
                Some(transmit)
            }
            Piece::Fec(block) => {
                stats.fec_blocks += 1;
                let stripes = self.fec?.stripes();
                let header = Fec {
                    stripes,
                    slice: number,
                    block,
                    slice_bytes: bytes,
                    payload: &[],
                };
                let mut transmit = emit(self.addresses.data, &Message::Fec(header), buffer)?;
                transmit.fec = Some(FecBlock {
                    slice: number,
                    stripe: block % stripes,
                    row: block / stripes,
                });
                Some(transmit)
            }
        }
    }

    /// Has the time not count in which the sender itself did nothing, though it had to: it was
    /// stopped, or the whole machine was. Answers may have come meanwhile, and are taken only now.
    fn excuse_pause(&mut self, now: Instant, roster: &mut Roster) {
        let front = self.slices.front_mut().filter(|_| !self.asynchronous);
        let Some(front) = front else {
            return;
        };
        let late = front.deadline().map(|deadline| now.since(deadline));
        if let Some(late) = late.filter(|&late| late > PAUSE) {
            front.postpone(late);
            roster.postpone(now, late);
        }
    }

    /// Takes OK or RETRANSMIT from a receiver that takes part.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        number: u16,
        message: &Message<'_>,
        roster: &mut Roster,
        stats: &mut Stats,
    ) {
        self.excuse_pause(now, roster);
        let answer = match message {
            Message::Ok(ok) => find(&mut self.slices, ok.slice).map(|slice| {
                if slice.is_end() {
                    roster.complete(number);
                }
                self.patience.hear(now, number, slice, roster);
                let answer = slice.ok(number);
                slice.note_waiting(now, roster.connected());
                answer
            }),
            Message::Retransmit(retransmit) => find(&mut self.slices, retransmit.slice)
                .map(|slice| slice.retransmit(number, retransmit.rxmit, &retransmit.received)),
            _ => None,
        };
        match answer {
            Some(Answer::Timely(asked)) => self.wait.answered(now, asked),
            Some(Answer::Counted) => self.wait.alive(),
            Some(Answer::Stale) | None => stats.stale += 1,
        }
    }

    /// Repeats what was not answered in time, and drops those who never answer.
    pub(super) fn handle_timeout(&mut self, now: Instant, roster: &mut Roster) {
        self.excuse_pause(now, roster);
        let Some(front) = self.slices.front_mut() else {
            return;
        };
        let is_overdue = front.deadline().is_some_and(|deadline| deadline <= now);
        if self.asynchronous || !is_overdue {
            return;
        }
        self.patience.drop_late(now, front, roster);
        if !front.time_out() {
            self.wait.unanswered();
        }
    }

    /// Moves on past slices that everyone has; true if the transfer is over.
    pub(super) fn settle(&mut self, now: Instant, roster: &Roster) -> bool {
        if self.asynchronous {
            return self.finished;
        }
        let receivers = roster.connected();
        while let Some(front) = self.slices.front_mut() {
            let audience = front.audience(receivers);
            if front.is_unsent() || !audience.is_subset(front.ready()) {
                front.resend_if_all_answered(&audience);
                return receivers.is_empty();
            }
            self.size.learn(front.blocks(), front.is_lossy());
            if front.is_end() && (audience == *receivers) {
                return true;
            }
            if front.is_end() {
                // Those who came last have nothing to wait for but the end.
                front.widen(receivers);
                return false;
            }
            self.last = Some(ReqAck {
                slice: front.number,
                slice_bytes: front.bytes,
                rxmit: front.rxmit(),
                ready: BitSet::below(bits::CAPACITY),
            });
            self.last_was_lossy = front.is_lossy();
            let settled = Settled {
                number: front.number,
                blocks: front.blocks(),
                lost: front.lost(),
            };
            self.rate
                .learn(now, settled, self.block_size, self.next_number);
            self.pace.limit(self.rate.limit());
            self.slices.pop_front();
        }
        receivers.is_empty()
    }
}

/// The slice of this number, if it is in flight.
fn find(slices: &mut Deque<Slice, IN_FLIGHT>, number: u32) -> Option<&mut Slice> {
    slices.iter_mut().find(|slice| slice.number == number)
}

/// Who need not answer for a slice.
fn ready_set(slice: &Slice, roster: &Roster, asynchronous: bool) -> BitSet {
    if asynchronous {
        // A receiver that could connect passes over an end at which it counts as ready, and waits
        // for another for ever.
        return BitSet::EMPTY;
    }
    // Those who came after the slice was cut are not to answer.
    let receivers = roster.connected();
    let others = receivers.difference(&slice.audience(receivers));
    slice.ready().union(&others)
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::wire::{Capabilities, ConnectReq, HelloKind, MAX_CONTROL_LEN, Retransmit, SliceOk};

    const NOW: Instant = Instant::ZERO;
    const BLOCK: u64 = 1456;

    /// Sends all that can be sent, and gives the number of the youngest slice in flight.
    fn youngest(transfer: &mut Transfer, supplied: u64, roster: &Roster) -> u32 {
        let mut buffer = [0; MAX_CONTROL_LEN];
        loop {
            transfer.cut(supplied, true, roster);
            let sent = transfer.poll_transmit(NOW, roster, &mut Stats::default(), &mut buffer);
            if sent.is_none() {
                return transfer.slices.back().unwrap().number;
            }
        }
    }

    fn transfer_to(receivers: u16, config: &Config) -> (Transfer, Roster) {
        transfer_to_those_with(Capabilities::STOCK, receivers, config)
    }

    fn transfer_to_those_with(
        capabilities: Capabilities,
        receivers: u16,
        config: &Config,
    ) -> (Transfer, Roster) {
        let request = ConnectReq {
            capabilities,
            receive_buffer: 0,
        };
        let nobody = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let mut roster = Roster::new(receivers);
        for port in 1..=receivers {
            roster.admit(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), request);
        }
        let hello = Hello {
            kind: HelloKind::Streaming,
            capabilities: Capabilities::STOCK,
            data_address: Ipv4Addr::UNSPECIFIED,
            block_size: 1456,
        };
        let addresses = Addresses {
            data: nobody,
            invitation: (nobody, hello),
        };
        (Transfer::new(config, addresses), roster)
    }

    #[test]
    fn an_asynchronous_end_is_for_those_who_could_connect_too() {
        let config = Config {
            asynchronous: true,
            ..Config::default()
        };
        let (mut transfer, roster) = transfer_to(3, &config);
        let mut buffer = [0; MAX_CONTROL_LEN];
        let end = (0..10).find_map(|_| {
            transfer.retire(NOW);
            transfer.cut(BLOCK, true, &roster);
            let sent = transfer.poll_transmit(NOW, &roster, &mut Stats::default(), &mut buffer);
            match Message::parse(&buffer[..sent?.len]) {
                Ok(Message::ReqAck(end)) if end.slice_bytes == 0 => Some(end),
                _ => None,
            }
        });
        let end = end.expect("an end");
        assert!(end.ready.is_empty(), "they would wait for another");
    }

    #[test]
    fn a_slice_sent_while_the_one_before_lost_blocks_is_not_followed_before_all_know_of_it() {
        let (mut transfer, mut roster) = transfer_to(1, &Config::default());
        let supplied = 5 * 112 * BLOCK;
        let mut hear = |transfer: &mut Transfer, message| {
            transfer.answer(NOW, 0, &message, &mut roster, &mut Stats::default());
            transfer.settle(NOW, &roster);
            youngest(transfer, supplied, &roster)
        };
        let ok = |slice| Message::Ok(SliceOk { slice });
        let lacking = |slice| {
            Message::Retransmit(Retransmit {
                slice,
                rxmit: 0,
                received: BitSet::below(90),
            })
        };
        assert_eq!(hear(&mut transfer, ok(7)), 0);
        assert_eq!(hear(&mut transfer, ok(0)), 2);
        assert_eq!(hear(&mut transfer, lacking(1)), 2);
        assert_eq!(
            hear(&mut transfer, ok(1)),
            2,
            "nothing of slice 2 may have come"
        );
        assert_eq!(hear(&mut transfer, lacking(2)), 3, "it was heard of");
        hear(&mut transfer, ok(2));
        hear(&mut transfer, ok(3));
        assert_eq!(
            hear(&mut transfer, ok(4)),
            5,
            "slice 4 came after one without loss"
        );
    }

    #[test]
    fn receivers_of_ours_are_not_waited_for_after_each_loss() {
        let ours = Capabilities::STOCK | Capabilities::REPORTS;
        let (mut transfer, mut roster) = transfer_to_those_with(ours, 1, &Config::default());
        let lacking = Message::Retransmit(Retransmit {
            slice: 1,
            rxmit: 0,
            received: BitSet::below(90),
        });
        let ok = |slice| Message::Ok(SliceOk { slice });
        for (message, last) in [(ok(7), 0), (ok(0), 2), (lacking, 2), (ok(1), 3)] {
            transfer.answer(NOW, 0, &message, &mut roster, &mut Stats::default());
            transfer.settle(NOW, &roster);
            assert_eq!(youngest(&mut transfer, 5 * 112 * BLOCK, &roster), last);
        }
    }

    #[test]
    fn first_and_short_slices_are_not_followed_before_all_know_of_them() {
        let (mut transfer, mut roster) = transfer_to(2, &Config::default());
        // Slices 0 to 2 of 112 blocks, slice 3 of 15, and the end.
        let supplied = (3 * 112 + 15) * BLOCK;
        let mut ok = |transfer: &mut Transfer, number, slice| {
            let message = Message::Ok(SliceOk { slice });
            let mut stats = Stats::default();
            transfer.answer(NOW, number, &message, &mut roster, &mut stats);
            transfer.settle(NOW, &roster);
            youngest(transfer, supplied, &roster)
        };
        assert_eq!(ok(&mut transfer, 0, 7), 0);
        assert_eq!(ok(&mut transfer, 0, 0), 0, "receiver 1 may not have joined");
        assert_eq!(ok(&mut transfer, 1, 0), 2, "slices 1 and 2 are long");
        ok(&mut transfer, 0, 1);
        assert_eq!(ok(&mut transfer, 1, 1), 3);
        ok(&mut transfer, 0, 2);
        assert_eq!(
            ok(&mut transfer, 1, 2),
            3,
            "nobody has answered for slice 3"
        );
        assert_eq!(ok(&mut transfer, 0, 3), 3);
        assert_eq!(ok(&mut transfer, 1, 3), 4);
    }
}
