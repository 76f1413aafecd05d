//! A receiver's dealings with the sender that knows it: from the connection to the last block.
//!
//! It answers what the sender asks (docs/protocol.md, "Session"). The one subtlety is silence: an
//! answer that can't be given yet, because memory is full or the disk is not done, is kept back and
//! given as soon as it can be. RETRANSMIT would claim a loss that is none. So that nobody takes
//! such a receiver for dead, it repeats its last OK meanwhile.
//!
//! A receiver without a number is one that only listens: it says nothing at all.

mod arrivals;

use core::net::{Ipv4Addr, SocketAddrV4};

use super::answers::{Answer, Answers, Asked};
use super::gaps::Gaps;
use super::late::{Arrival, Late};
use super::origin::Origin;
use super::repair::Repair;
use super::window::{Loss, Status, Window};
use super::{Block, Config, Failure, Stats};
use crate::geometry;
use crate::time::{Duration, Instant};
use crate::wire::{ConnectReply, Message, ReqAck};

/// Between two questions whether the sender is still there, before the start; half of
/// [`Config::sender_timeout`] if that is less. Chosen (docs/protocol.md, "Rendezvous").
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long after the end was heard of what is missing may still come. Chosen (docs/protocol.md,
/// "Async"): nobody sends it again, but packets overtake each other.
const STRAGGLERS: Duration = Duration::from_millis(500);

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
    /// The transfer is under way, and this receiver does not want to join it.
    TooLate,
    /// The stream begins with this slice.
    Joined {
        slice: u32,
    },
    /// Bytes were passed over that nobody will send again.
    DataLost {
        offset: u64,
    },
    Failed(Failure),
}

#[derive(Debug)]
pub(super) struct Session {
    sender: SocketAddrV4,
    /// This receiver's number; `None` if it only listens.
    number: Option<u16>,
    origin: Origin,
    block_size: u16,
    gaps: Gaps,
    capacity: u64,
    /// Time between two [`Step::Ask`].
    keepalive: Duration,
    late: Late,
    /// Whether the caller knows what it begins with.
    has_told_join: bool,
    /// Since when the end is known, and not all that comes before it, without a way to ask for it.
    short_since: Option<Instant>,
    /// Where the data will come to.
    group: Option<Ipv4Addr>,
    window: Window,
    stage: Stage,
    /// When the sender was heard last.
    heard_at: Instant,
    answers: Answers,
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
    Ended {
        /// When that was.
        since: Instant,
    },
}

impl Session {
    /// With a sender that knows this receiver by a number, or, if that is `None`, doesn't know it,
    /// and has `tag` in its messages.
    pub(super) fn new(
        now: Instant,
        (sender, tag): (SocketAddrV4, u16),
        number: Option<u16>,
        block_size: u16,
        config: &Config,
    ) -> Self {
        let loss = match (number, config.ignore_lost_data) {
            (Some(_), _) => Loss::Answered,
            (None, false) => Loss::Fatal,
            (None, true) => Loss::Ignored,
        };
        let keepalive = KEEPALIVE.min(config.sender_timeout / 2);
        Self {
            sender,
            number,
            origin: Origin::new(tag),
            block_size,
            gaps: Gaps::default(),
            capacity: config.capacity,
            keepalive,
            late: Late::new(config.late_join),
            short_since: None,
            group: None,
            window: Window::new(block_size, config.capacity, loss),
            stage: Stage::Waiting {
                ask_at: now + keepalive,
            },
            heard_at: now,
            answers: Answers::new(),
            has_told_join: false,
        }
    }

    /// Lets the stream begin with the first slice that can be had whole.
    pub(super) fn join_late(&mut self) {
        self.window.join_late();
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

    /// Whether it only listens.
    pub(super) fn is_silent(&self) -> bool {
        self.number.is_none()
    }

    /// Whether a sender that only has to be listened to was not heard for `timeout`, and has not
    /// begun: it may be gone, or say no more before it begins.
    pub(super) fn is_doubtful(&self, now: Instant, timeout: Duration) -> bool {
        self.is_silent() && self.is_waiting() && now.since(self.heard_at) >= timeout
    }

    /// Notes in `stats` what was passed over.
    pub(super) fn count_lost(&self, stats: &mut Stats) {
        stats.lost_bytes = self.window.lost();
        stats.lost_slices = self.window.lost_slices();
    }

    /// What the sender's messages of this transfer have in them.
    pub(super) fn tag(&self) -> u16 {
        self.origin.tag()
    }

    pub(super) fn poll_repair(&mut self) -> Option<Repair> {
        self.window.poll_repair()
    }

    /// The slice of a request that waits for its answer.
    pub(super) fn asked(&self) -> Option<u32> {
        self.answers.awaited()
    }

    /// When [`Self::handle_timeout`] has something to do next.
    pub(super) fn due(&self, config: &Config) -> Instant {
        let silent = self.heard_at + config.sender_timeout;
        let due = match self.stage {
            Stage::Waiting { ask_at } if self.is_silent() => ask_at,
            Stage::Waiting { ask_at } => silent.min(ask_at),
            Stage::Transferring { .. } => silent,
            Stage::Ended { since } => since + config.finish_timeout,
        };
        let stragglers = self.short_since.map(|since| since + STRAGGLERS);
        [stragglers, self.answers.due()]
            .into_iter()
            .flatten()
            .fold(due, Ord::min)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, config: &Config) -> Step {
        self.answers.handle_timeout(now);
        let is_late = |since: Instant| since + STRAGGLERS <= now;
        if self.short_since.is_some_and(is_late) {
            return self.give_up_stragglers(now);
        }
        let silent = self.heard_at + config.sender_timeout <= now;
        match &mut self.stage {
            Stage::Waiting { ask_at } if self.number.is_none() => {
                *ask_at = now + self.keepalive;
                Step::Nothing
            }
            Stage::Waiting { .. } if silent => Step::Lost,
            Stage::Waiting { ask_at } if *ask_at <= now => {
                *ask_at = now + self.keepalive;
                Step::Ask
            }
            Stage::Transferring { .. } if silent => Step::Failed(Failure::Silent {
                waited: now - self.heard_at,
                received: self.contiguous(),
            }),
            // Once everything has arrived the sender is not needed any more.
            Stage::Ended { since } if *since + config.finish_timeout <= now => {
                let waited = now - *since;
                Step::Failed(Failure::NotFinished { waited })
            }
            Stage::Waiting { .. } | Stage::Transferring { .. } | Stage::Ended { .. } => {
                Step::Nothing
            }
        }
    }

    /// Takes a message of the sender, with its tag.
    pub(super) fn handle<'d>(
        &mut self,
        now: Instant,
        (message, tag): (&Message<'d>, u16),
        stats: &mut Stats,
    ) -> (Option<Block<'d>>, Step) {
        if self.is_restarted(now, message, tag) {
            return (None, self.restarted());
        }
        if tag != self.tag() && !self.is_greeting(message) {
            // Of a transfer before this one, or after it.
            stats.foreign += 1;
            return (None, Step::Nothing);
        }
        self.heard_at = now;
        if let Some(step) = self.come_late(now, message) {
            return (None, step);
        }
        let result = match message {
            // Blocks of this transfer there are no more.
            Message::Data(_) | Message::Fec(_) if self.is_over() => (None, Step::Nothing),
            Message::Data(data) => self.data(data, stats),
            Message::Fec(fec) if fec.slice_bytes == 0 => (None, self.end_without_request(fec)),
            Message::Fec(fec) => self.fec(fec, stats),
            Message::ReqAck(request) => (None, self.request(now, request, stats)),
            Message::Hello(_) if self.is_waiting() && !self.is_silent() => (None, Step::Ask),
            Message::ConnectReply(reply) if self.is_waiting() && !self.is_silent() => {
                (None, self.reconnect(reply, tag))
            }
            Message::Hello(_) | Message::ConnectReply(_) => (None, Step::Nothing),
            _ => {
                stats.foreign += 1;
                (None, Step::Nothing)
            }
        };
        let is_short = self.is_silent() && self.window.is_short_of_end();
        self.short_since = is_short.then_some(self.short_since.unwrap_or(now));
        result
    }

    /// Whether the sender waits for an answer that needs more of the caller's memory.
    pub(super) fn is_short_of_room(&self) -> bool {
        self.answers
            .kept_back()
            .is_some_and(|asked| self.window.lacks_room(asked.slice))
    }

    /// Whether a slice is here in part.
    pub(super) fn is_amid_slice(&self) -> bool {
        self.window.is_amid_slice()
    }

    /// Notes that the caller's memory below `upto` is free, and takes up a request that waited for
    /// it.
    pub(super) fn release(&mut self, upto: u64) {
        self.window.release(upto);
        self.answers.resume(&self.window);
    }

    /// The next answer to be sent.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        self.answers.next(self.heard_at, &self.window)
    }

    fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }

    /// Whether everything has arrived.
    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Ended { .. })
    }

    /// Whether a message may begin a transfer, while this one has not begun.
    fn is_greeting(&self, message: &Message<'_>) -> bool {
        let greets = matches!(message, Message::Hello(_) | Message::ConnectReply(_));
        greets && self.is_waiting()
    }

    /// Deals with a transfer that was under way before this receiver came: the step to take, if
    /// there is nothing else to be done with the message.
    fn come_late(&mut self, now: Instant, message: &Message<'_>) -> Option<Step> {
        match self.late.meet(now, message, &self.window, self.number) {
            Arrival::InTime => None,
            Arrival::Join => {
                self.window.join_late();
                Some(Step::Nothing)
            }
            Arrival::Wait => Some(Step::Nothing),
            Arrival::TooLate => Some(Step::TooLate),
            Arrival::Hopeless => Some(self.dropped()),
        }
    }

    /// Whether a message shows that the sender has begun another transfer.
    fn is_restarted(&mut self, now: Instant, message: &Message<'_>, tag: u16) -> bool {
        let Stage::Transferring { since } = self.stage else {
            return false;
        };
        let window = &self.window;
        self.origin.is_over((message, tag), (since, now), |slice| {
            window.is_ancient(slice)
        })
    }

    fn request(&mut self, now: Instant, request: &ReqAck, stats: &mut Stats) -> Step {
        let asked = Asked {
            slice: request.slice,
            rxmit: request.rxmit,
        };
        let is_asked = self
            .number
            .is_some_and(|number| !request.ready.contains(usize::from(number)));
        let status = self
            .window
            .ask(request.slice, request.slice_bytes, is_asked);
        if self.is_over() && !matches!(status, Status::End | Status::Complete) {
            return Step::Nothing;
        }
        match status {
            Status::Abandoned if self.is_silent() => return self.data_lost(request.slice),
            // The sender counts on a slice that was never acknowledged: it means another one.
            Status::Incomplete(_) if !is_asked && self.is_counted_on() => return self.restarted(),
            _ if !is_asked => {}
            Status::Complete | Status::Incomplete(_) => self.answers.queue(asked),
            Status::End | Status::NotYet => self.answers.keep_back(now, asked),
            Status::Abandoned => return self.dropped(),
            Status::TooLarge => return self.too_large(request.slice_bytes),
        }
        if is_asked && matches!(status, Status::Incomplete(_)) {
            let blocks = geometry::blocks_in(request.slice_bytes, self.block_size);
            stats.retransmits += 1;
            stats.missing += self.gaps.sent(request.slice, blocks);
        }
        self.progress()
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
            Stage::Transferring { .. } if self.window.end().is_some() => self.ended(),
            Stage::Transferring { .. } if !self.has_told_join && self.window.has_joined() => {
                self.has_told_join = true;
                Step::Joined {
                    slice: self.window.first(),
                }
            }
            Stage::Transferring { .. } | Stage::Ended { .. } => Step::Nothing,
        }
    }

    /// Whether a sender that shows this receiver as ready has heard it say so: one that came late
    /// is shown so at slices from before.
    fn is_counted_on(&self) -> bool {
        !self.is_silent() && !self.window.is_late()
    }

    fn ended(&mut self) -> Step {
        if self.window.is_joining() {
            return Step::Failed(Failure::JoinedTooLate);
        }
        self.stage = Stage::Ended {
            since: self.heard_at,
        };
        Step::Ended {
            bytes: self.contiguous(),
        }
    }

    /// The sender answers again: it was asked twice, or it was restarted.
    fn reconnect(&mut self, reply: &ConnectReply, tag: u16) -> Step {
        let Ok(number) = u16::try_from(reply.receiver) else {
            return Step::Failed(Failure::Refused);
        };
        let Ok(block_size) = geometry::check_block_size(reply.block_size) else {
            return Step::Failed(Failure::BlockSize(reply.block_size));
        };
        if block_size != self.block_size {
            self.block_size = block_size;
            self.window = Window::new(block_size, self.capacity, Loss::Answered);
        }
        self.number = Some(number);
        self.origin = Origin::new(tag);
        self.learn_group(reply.data_address)
    }

    fn restarted(&self) -> Step {
        Step::Failed(Failure::Restarted {
            received: self.contiguous(),
        })
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
