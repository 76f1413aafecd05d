//! The slices in flight: cutting them, sending them in turn, and asking about the oldest.
//!
//! At most two slices are in flight. The older one is asked about; the younger is sent meanwhile, and
//! waits whenever the older has something to send (docs/protocol.md, "Session").

use core::net::SocketAddrV4;

use heapless::Deque;

use super::config::{Config, Duplex};
use super::roster::Roster;
use super::size::SliceSize;
use super::slice::{Answer, Slice};
use super::wait::AnswerWait;
use super::{Standing, Stats, Transmit, emit};
use crate::bits::BitSet;
use crate::geometry;
use crate::time::Instant;
use crate::wire::{Data, Message, ReqAck};

/// Most slices in flight, as stock receivers have room for.
const IN_FLIGHT: usize = 2;

#[derive(Debug)]
pub(super) struct Transfer {
    block_size: u16,
    duplex: Duplex,
    retries_until_drop: u32,
    /// Where data and requests go.
    destination: SocketAddrV4,
    /// The slices in flight, oldest first.
    slices: Deque<Slice, IN_FLIGHT>,
    /// The number of the slice that is cut next, and its offset in the stream.
    next_number: u32,
    next_base: u64,
    /// Whether the slice that ends the stream was cut.
    ended: bool,
    size: SliceSize,
    wait: AnswerWait,
}

impl Transfer {
    pub(super) fn new(config: &Config, destination: SocketAddrV4) -> Self {
        Self {
            block_size: config.block_size,
            duplex: config.duplex,
            retries_until_drop: config.retries_until_drop,
            destination,
            slices: Deque::new(),
            next_number: 0,
            next_base: 0,
            ended: false,
            size: SliceSize::new(config.duplex, config.slice_blocks),
            wait: AnswerWait::new(),
        }
    }

    /// Stream offset of the oldest slice in flight.
    pub(super) fn needed_from(&self) -> u64 {
        self.slices
            .front()
            .map_or(self.next_base, |slice| slice.base)
    }

    /// When answers are overdue.
    pub(super) fn due(&self) -> Option<Instant> {
        self.slices.front()?.deadline()
    }

    /// The receivers that the oldest slice waits for.
    pub(super) fn awaited(&self, roster: &Roster) -> BitSet {
        let ready = self
            .slices
            .front()
            .map_or(BitSet::EMPTY, |slice| *slice.ready());
        roster.connected().difference(&ready)
    }

    /// Cuts the next slice if there is room for one in flight and the stream, known up to `supplied`,
    /// has bytes for it; `complete` tells that it ends there.
    pub(super) fn cut(&mut self, supplied: u64, complete: bool) {
        let room = match self.duplex {
            Duplex::Full => self.slices.len() < IN_FLIGHT,
            Duplex::Half => self.slices.is_empty(),
        };
        let unsent = self.slices.back().is_some_and(Slice::is_unsent);
        if self.ended || !room || unsent {
            return;
        }
        let Some(bytes) = self.next_len(supplied, complete) else {
            return;
        };
        let blocks = geometry::blocks_in(bytes, self.block_size) as u16;
        let slice = Slice::new(self.next_number, self.next_base, bytes, blocks);
        if self.slices.push_back(slice).is_ok() {
            self.next_number = self.next_number.wrapping_add(1);
            self.next_base += u64::from(bytes);
            self.ended = bytes == 0;
        }
    }

    /// The length of the next slice: whole blocks, or the one block that is left and is shorter, or
    /// nothing at the end. `None` if that can't be told yet.
    fn next_len(&self, supplied: u64, complete: bool) -> Option<u32> {
        let block = u64::from(self.block_size);
        let full = block * u64::from(self.size.blocks());
        let left = supplied.saturating_sub(self.next_base);
        let len = match left {
            _ if left >= full => full,
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
        stats: &mut Stats,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let destination = self.destination;
        let front = self.slices.front_mut()?;
        if front.is_to_ask() {
            front.asked(now, now + self.wait.duration());
            stats.requests += 1;
            let request = ReqAck {
                slice: front.number,
                slice_bytes: front.bytes,
                rxmit: front.rxmit(),
                ready: *front.ready(),
            };
            return emit(destination, &Message::ReqAck(request), buffer);
        }
        let (slice, block, again) = self.slices.iter_mut().find_map(|slice| {
            let (block, again) = slice.next_block()?;
            Some((slice, block, again))
        })?;
        stats.blocks += 1;
        stats.retransmitted += u64::from(again);
        let header = Data {
            slice: slice.number,
            block,
            slice_bytes: slice.bytes,
            payload: &[],
        };
        let start = slice.base + u64::from(block) * u64::from(self.block_size);
        let len = geometry::block_len(slice.bytes, self.block_size, block);
        let mut transmit = emit(destination, &Message::Data(header), buffer)?;
        transmit.payload = start..start + u64::from(len);
        Some(transmit)
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
        let answer = match message {
            Message::Ok(ok) => self.find(ok.slice).map(|slice| {
                if slice.is_end() {
                    roster.set(number, Standing::Completed);
                }
                slice.ok(number)
            }),
            Message::Retransmit(retransmit) => self
                .find(retransmit.slice)
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
        let Some(front) = self.slices.front_mut() else {
            return;
        };
        if front.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if front.rxmit() >= self.retries_until_drop {
            roster.drop_all_but(front.ready());
        }
        if !front.time_out() {
            self.wait.unanswered();
        }
    }

    /// Moves on past slices that everyone has; true if the transfer is over.
    pub(super) fn settle(&mut self, roster: &Roster) -> bool {
        let receivers = roster.connected();
        while let Some(front) = self.slices.front_mut() {
            if front.is_unsent() || !receivers.is_subset(front.ready()) {
                front.resend_if_all_answered(receivers);
                return receivers.is_empty();
            }
            self.size.learn(front.blocks(), front.is_lossy());
            if front.is_end() {
                return true;
            }
            self.slices.pop_front();
        }
        receivers.is_empty()
    }

    fn find(&mut self, number: u32) -> Option<&mut Slice> {
        self.slices.iter_mut().find(|slice| slice.number == number)
    }
}
