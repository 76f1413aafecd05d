//! A receiver's dealings with the sender that knows it: from the connection to the last block.
//!
//! It answers what the sender asks (docs/protocol.md, "Session"). The one subtlety is silence: an
//! answer that can't be given yet, because memory is full or the disk is not done, is kept back and
//! given as soon as it can be. RETRANSMIT would claim a loss that is none.

use core::net::{Ipv4Addr, SocketAddrV4};

use heapless::Deque;

use super::window::{Placement, Status, Window};
use super::{Block, Config, Failure, Stats};
use crate::bits::BitSet;
use crate::geometry;
use crate::time::{Duration, Instant};
use crate::wire::{ConnectReply, Data, HelloKind, Message, ReqAck, Retransmit, SliceOk};

/// How often a connected receiver that waits for the start asks whether its sender is still there.
/// Chosen (docs/protocol.md, "Session"): senders give the same answer however often asked.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long after the first block a HELLO may still be one from before it: some networks hold
/// broadcasts back. Chosen (docs/protocol.md, "Rendezvous").
const HELLO_DELAY: Duration = Duration::from_secs(2);

/// So many messages about slices of long ago, and none about others, are no late ones. Chosen
/// (docs/protocol.md, "Rendezvous").
const ANCIENT_LIMIT: u8 = 32;

/// What the machine around the session has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// Send CONNECT_REQ again.
    Ask,
    /// The data will come to a group that was not named before.
    Join {
        group: Ipv4Addr,
    },
    Started,
    Ended {
        bytes: u64,
    },
    /// The sender is gone, and nothing was lost by it.
    Lost,
    Failed(Failure),
}

/// An answer to REQACK.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Ok(u32),
    Retransmit {
        slice: u32,
        rxmit: u32,
        received: BitSet,
    },
}

impl Answer {
    pub(super) fn into_message(self) -> Message<'static> {
        match self {
            Self::Ok(slice) => Message::Ok(SliceOk { slice }),
            Self::Retransmit {
                slice,
                rxmit,
                received,
            } => Message::Retransmit(Retransmit {
                slice,
                rxmit,
                received,
            }),
        }
    }
}

/// A REQACK, as far as its answer needs it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    slice: u32,
    rxmit: u32,
}

#[derive(Debug)]
pub(super) struct Session {
    sender: SocketAddrV4,
    number: u16,
    block_size: u16,
    capacity: u64,
    /// Where the data will come to.
    group: Option<Ipv4Addr>,
    window: Window,
    stage: Stage,
    /// When the sender was heard last.
    heard_at: Instant,
    /// Requests that are to be answered now. Two slices can be in flight, and one more request may
    /// come for a slice of the past.
    to_answer: Deque<Asked, 4>,
    /// The last request that could not be answered when it came.
    kept_back: Option<Asked>,
    /// Messages in a row about slices that the sender can't have in flight any more.
    ancient: u8,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Before the first block. The time is that of the next [`Step::Ask`].
    Waiting { ask_at: Instant },
    Transferring {
        /// When it began.
        since: Instant,
    },
    /// Everything has arrived.
    Ended,
}

impl Session {
    pub(super) fn new(
        now: Instant,
        sender: SocketAddrV4,
        number: u16,
        block_size: u16,
        capacity: u64,
    ) -> Self {
        Self {
            sender,
            number,
            block_size,
            capacity,
            group: None,
            window: Window::new(block_size, capacity),
            stage: Stage::Waiting {
                ask_at: now + KEEPALIVE,
            },
            heard_at: now,
            to_answer: Deque::new(),
            kept_back: None,
            ancient: 0,
        }
    }

    /// Takes in where the data will come to.
    pub(super) fn learn_group(&mut self, address: Ipv4Addr) -> Step {
        if address.is_multicast() && self.group.replace(address) != Some(address) {
            Step::Join { group: address }
        } else {
            Step::Nothing
        }
    }

    pub(super) fn sender(&self) -> SocketAddrV4 {
        self.sender
    }

    pub(super) fn contiguous(&self) -> u64 {
        self.window.contiguous()
    }

    pub(super) fn end(&self) -> Option<u64> {
        self.window.end()
    }

    /// The slice of a request that waits for its answer.
    pub(super) fn asked(&self) -> Option<u32> {
        self.kept_back
            .or(self.to_answer.back().copied())
            .map(|asked| asked.slice)
    }

    /// When [`Self::handle_timeout`] has something to do next.
    pub(super) fn due(&self, config: &Config) -> Instant {
        let silent = self.heard_at + config.sender_timeout;
        match self.stage {
            Stage::Waiting { ask_at } => silent.min(ask_at),
            Stage::Transferring { .. } | Stage::Ended => silent,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, config: &Config) -> Step {
        let silent = self.heard_at + config.sender_timeout <= now;
        match &mut self.stage {
            Stage::Waiting { .. } if silent => Step::Lost,
            Stage::Waiting { ask_at } if *ask_at <= now => {
                *ask_at = now + KEEPALIVE;
                Step::Ask
            }
            // Once everything has arrived the sender is not needed any more.
            Stage::Transferring { .. } if silent => Step::Failed(Failure::Silent {
                waited: now - self.heard_at,
                received: self.contiguous(),
            }),
            Stage::Ended if silent => {
                self.heard_at = now;
                Step::Nothing
            }
            Stage::Waiting { .. } | Stage::Transferring { .. } | Stage::Ended => Step::Nothing,
        }
    }

    /// Takes a message of the sender.
    pub(super) fn handle<'d>(
        &mut self,
        now: Instant,
        message: &Message<'d>,
        stats: &mut Stats,
    ) -> (Option<Block<'d>>, Step) {
        self.heard_at = now;
        if self.is_restarted(now, message) {
            let received = self.contiguous();
            return (None, Step::Failed(Failure::Restarted { received }));
        }
        match message {
            // Blocks of this transfer there are no more.
            Message::Data(_) if self.stage == Stage::Ended => (None, Step::Nothing),
            Message::Data(data) => self.data(data, stats),
            Message::ReqAck(request) => (None, self.request(request, stats)),
            Message::Hello(_) if self.is_waiting() => (None, Step::Ask),
            Message::ConnectReply(reply) if self.is_waiting() => (None, self.reconnect(reply)),
            Message::Hello(_) | Message::ConnectReply(_) | Message::Fec(_) => (None, Step::Nothing),
            _ => {
                stats.foreign += 1;
                (None, Step::Nothing)
            }
        }
    }

    /// Whether the sender waits for an answer that needs more of the caller's memory.
    pub(super) fn is_short_of_room(&self) -> bool {
        self.kept_back
            .is_some_and(|asked| self.window.lacks_room(asked.slice))
    }

    /// Notes that the caller's memory below `upto` is free, and takes up a request that waited for
    /// it.
    pub(super) fn release(&mut self, upto: u64) {
        self.window.release(upto);
        if let Some(asked) = self.kept_back
            && matches!(
                self.window.status(asked.slice),
                Status::Incomplete(_) | Status::Complete
            )
        {
            self.kept_back = None;
            let _ = self.to_answer.push_back(asked);
        }
    }

    /// The next answer to be sent.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        while let Some(asked) = self.to_answer.pop_front() {
            match self.window.status(asked.slice) {
                Status::Complete => return Some(Answer::Ok(asked.slice)),
                Status::Incomplete(received) => {
                    let Asked { slice, rxmit } = asked;
                    return Some(Answer::Retransmit {
                        slice,
                        rxmit,
                        received,
                    });
                }
                Status::End | Status::NotYet => self.kept_back = Some(asked),
                Status::Abandoned | Status::TooLarge => {}
            }
        }
        None
    }

    fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }

    /// Whether a message shows that the sender has begun another transfer, be it of the same image:
    /// its blocks must not be mixed with those of this one.
    fn is_restarted(&mut self, now: Instant, message: &Message<'_>) -> bool {
        let Stage::Transferring { since } = self.stage else {
            return false;
        };
        let slice = match message {
            Message::Hello(hello) => {
                return hello.kind != HelloKind::Streaming && now.since(since) >= HELLO_DELAY;
            }
            Message::Data(data) => data.slice,
            Message::ReqAck(request) => request.slice,
            _ => return false,
        };
        self.ancient = match self.window.is_ancient(slice) {
            true => self.ancient.saturating_add(1),
            false => 0,
        };
        self.ancient >= ANCIENT_LIMIT
    }

    fn data<'d>(&mut self, data: &Data<'d>, stats: &mut Stats) -> (Option<Block<'d>>, Step) {
        let Data {
            slice,
            block,
            slice_bytes,
            payload,
        } = *data;
        match self.window.place(slice, slice_bytes, block, payload.len()) {
            Placement::New { offset, len } => {
                stats.blocks += 1;
                (
                    Some(Block {
                        offset,
                        payload: &payload[..len],
                    }),
                    self.progress(),
                )
            }
            Placement::Duplicate => {
                stats.duplicates += 1;
                (None, Step::Nothing)
            }
            Placement::NoRoom | Placement::Unplaced => {
                stats.no_room += 1;
                (None, self.progress())
            }
            Placement::Invalid => {
                stats.invalid += 1;
                (None, Step::Nothing)
            }
            Placement::Abandoned => (None, self.dropped()),
            Placement::TooLarge => (None, self.too_large(slice_bytes)),
        }
    }

    fn request(&mut self, request: &ReqAck, stats: &mut Stats) -> Step {
        let asked = Asked {
            slice: request.slice,
            rxmit: request.rxmit,
        };
        let status = self.window.ask(request.slice, request.slice_bytes);
        let is_over = self.stage == Stage::Ended;
        if is_over && !matches!(status, Status::End | Status::Complete) {
            return Step::Nothing;
        }
        if !request.ready.contains(usize::from(self.number)) {
            match status {
                Status::Complete | Status::Incomplete(_) => self.queue(asked),
                Status::End | Status::NotYet => self.kept_back = Some(asked),
                Status::Abandoned => return self.dropped(),
                Status::TooLarge => return self.too_large(request.slice_bytes),
            }
            stats.retransmits += u64::from(matches!(status, Status::Incomplete(_)));
        }
        self.progress()
    }

    /// Puts a request in line to be answered; a later one for the same slice replaces it.
    fn queue(&mut self, asked: Asked) {
        if let Some(earlier) = self
            .to_answer
            .iter_mut()
            .find(|other| other.slice == asked.slice)
        {
            *earlier = asked;
        } else if self.to_answer.push_back(asked).is_err() {
            // The sender will ask again for what is passed over here.
            self.to_answer.pop_front();
            let _ = self.to_answer.push_back(asked);
        }
    }

    /// Moves the stage on after something arrived.
    pub(super) fn progress(&mut self) -> Step {
        match self.stage {
            Stage::Waiting { .. } => {
                self.stage = Stage::Transferring {
                    since: self.heard_at,
                };
                Step::Started
            }
            Stage::Transferring { .. } => match self.window.end() {
                Some(bytes) => {
                    self.stage = Stage::Ended;
                    Step::Ended { bytes }
                }
                None => Step::Nothing,
            },
            Stage::Ended => Step::Nothing,
        }
    }

    /// The sender answers again: it was asked twice, or it was restarted.
    fn reconnect(&mut self, reply: &ConnectReply) -> Step {
        let Ok(number) = u16::try_from(reply.receiver) else {
            return Step::Failed(Failure::Refused);
        };
        let Ok(block_size) = geometry::check_block_size(reply.block_size) else {
            return Step::Failed(Failure::BlockSize(reply.block_size));
        };
        if block_size != self.block_size {
            self.block_size = block_size;
            self.window = Window::new(block_size, self.capacity);
        }
        self.number = number;
        self.learn_group(reply.data_address)
    }

    fn dropped(&self) -> Step {
        Step::Failed(Failure::Dropped {
            received: self.contiguous(),
        })
    }

    fn too_large(&self, slice: u32) -> Step {
        Step::Failed(Failure::SliceTooLarge {
            slice,
            capacity: self.capacity,
        })
    }
}
