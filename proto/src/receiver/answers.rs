//! The answers that a receiver owes its sender, and the sign of life that it gives instead.
//!
//! An answer that can't be given yet is kept back, and nothing else said: RETRANSMIT would claim a
//! loss that is none. Senders drop those who are silent for long, so meanwhile the last OK is said
//! again, which changes nothing at any sender (docs/protocol.md, "Back-pressure").

use heapless::Deque;

use super::window::{Status, Window};
use crate::bits::BitSet;
use crate::time::{Duration, Instant};
use crate::wire::{Message, Retransmit, SliceOk};

/// How often a receiver that owes an answer shows that it is alive. Chosen (docs/protocol.md,
/// "Back-pressure"): well within the time after which senders drop the silent.
const SIGN_OF_LIFE: Duration = Duration::from_millis(250);

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
pub(super) struct Asked {
    pub(super) slice: u32,
    pub(super) rxmit: u32,
}

#[derive(Debug)]
pub(super) struct Answers {
    /// Requests that are to be answered now. Two slices can be in flight, and one more request may
    /// come for a slice of the past.
    queue: Deque<Asked, 4>,
    /// The last request that could not be answered when it came.
    kept_back: Option<Asked>,
    /// The last slice that was acknowledged.
    last_ok: Option<u32>,
    /// When to say that again, while an answer is kept back.
    sign_at: Instant,
    sign: bool,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            queue: Deque::new(),
            kept_back: None,
            last_ok: None,
            sign_at: Instant::ZERO,
            sign: false,
        }
    }

    /// Puts a request in line to be answered; a later one for the same slice replaces it.
    pub(super) fn queue(&mut self, asked: Asked) {
        let same = |other: &&mut Asked| other.slice == asked.slice;
        if let Some(earlier) = self.queue.iter_mut().find(same) {
            *earlier = asked;
        } else if self.queue.push_back(asked).is_err() {
            // The sender will ask again for what is passed over here.
            self.queue.pop_front();
            let _ = self.queue.push_back(asked);
        }
    }

    /// Keeps a request until it can be answered.
    pub(super) fn keep_back(&mut self, now: Instant, asked: Asked) {
        if self.kept_back.replace(asked).is_none() {
            self.sign_at = now + SIGN_OF_LIFE;
        }
    }

    /// The request that is kept back.
    pub(super) fn kept_back(&self) -> Option<Asked> {
        self.kept_back
    }

    /// The slice of a request that waits for its answer.
    pub(super) fn awaited(&self) -> Option<u32> {
        self.kept_back
            .or(self.queue.back().copied())
            .map(|asked| asked.slice)
    }

    /// Takes up the request that was kept back, if it can be answered now.
    pub(super) fn resume(&mut self, window: &Window) {
        if let Some(asked) = self.kept_back
            && matches!(
                window.status(asked.slice),
                Status::Incomplete(_) | Status::Complete
            )
        {
            self.kept_back = None;
            self.queue(asked);
        }
    }

    /// The next answer to be sent.
    pub(super) fn next(&mut self, now: Instant, window: &Window) -> Option<Answer> {
        while let Some(asked) = self.queue.pop_front() {
            let Asked { slice, rxmit } = asked;
            match window.status(slice) {
                Status::Complete => {
                    self.last_ok = self.last_ok.max(Some(slice));
                    return Some(Answer::Ok(slice));
                }
                Status::Incomplete(received) => {
                    return Some(Answer::Retransmit {
                        slice,
                        rxmit,
                        received,
                    });
                }
                Status::End | Status::NotYet => self.keep_back(now, asked),
                Status::Abandoned | Status::TooLarge => {}
            }
        }
        let sign = core::mem::take(&mut self.sign);
        self.last_ok.filter(|_| sign).map(Answer::Ok)
    }

    /// When the next sign of life is due; `None` if the sender waits for nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        let owes = self.kept_back.is_some() && self.last_ok.is_some();
        owes.then_some(self.sign_at)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.sign_at = now + SIGN_OF_LIFE;
            self.sign = true;
        }
    }
}
