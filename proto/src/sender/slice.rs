//! One slice on its way: which of its blocks are to be sent, and who has said what about it.
//!
//! A slice is sent once, then asked about in rounds. Each round's request carries a number, rxmit,
//! and answers repeat it, so that an answer from before a retransmission can be told from one after
//! it (docs/protocol.md, "Session").

use crate::bits::BitSet;
use crate::time::Instant;

/// A slice that is being sent or asked about.
#[derive(Debug)]
pub(super) struct Slice {
    /// Its number.
    pub(super) number: u32,
    /// Its first byte's offset in the stream.
    pub(super) base: u64,
    /// Its bytes; 0 for the one that ends the stream.
    pub(super) bytes: u32,
    blocks: u16,
    phase: Phase,
    /// Number of the current round.
    rxmit: u32,
    /// The round that repetitions are counted from.
    counted_from: u32,
    /// The first round after the last retransmission: answers from before it say nothing any more.
    fresh: u32,
    /// Receivers that have the whole slice.
    ready: BitSet,
    /// Receivers that answered this round.
    answered: BitSet,
    /// Receivers that answered any round, and so know of the slice.
    known: BitSet,
    /// Blocks that some receiver lacks.
    wanted: BitSet,
    /// Whether any block was lost on its way to any receiver.
    lossy: bool,
}

/// What is to be done with a slice.
#[derive(Debug)]
enum Phase {
    /// Blocks from `next` on are to be sent for the first time.
    Sending { next: u16 },
    /// The blocks wanted, from number `next` on, are to be sent again.
    Resending { next: usize },
    /// The receivers are to be asked.
    ToAsk,
    /// They have been asked.
    Asked { at: Instant, deadline: Instant },
}

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It answers the request that was made at this time.
    Timely(Instant),
    /// It counts, but there is no telling which request it answers.
    Counted,
    /// It came too late to count.
    Stale,
}

impl Slice {
    pub(super) fn new(number: u32, base: u64, bytes: u32, blocks: u16) -> Self {
        Self {
            number,
            base,
            bytes,
            blocks,
            phase: if blocks == 0 {
                Phase::ToAsk
            } else {
                Phase::Sending { next: 0 }
            },
            rxmit: 0,
            counted_from: 0,
            fresh: 0,
            ready: BitSet::EMPTY,
            answered: BitSet::EMPTY,
            known: BitSet::EMPTY,
            wanted: BitSet::EMPTY,
            lossy: false,
        }
    }

    /// Whether it ends the stream.
    pub(super) fn is_end(&self) -> bool {
        self.bytes == 0
    }

    /// How many blocks it has.
    pub(super) fn blocks(&self) -> u16 {
        self.blocks
    }

    /// Whether any block was lost on its way to any receiver.
    pub(super) fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// Receivers that have the whole slice.
    pub(super) fn ready(&self) -> &BitSet {
        &self.ready
    }

    /// Receivers that have answered about it.
    pub(super) fn known(&self) -> &BitSet {
        &self.known
    }

    /// Number of the current round.
    pub(super) fn rxmit(&self) -> u32 {
        self.rxmit
    }

    /// Of `receivers`, those who need not be dropped when the request was repeated `limit` times;
    /// `None` before that. If some did answer and still lack blocks, only they have used up their
    /// rounds: fast ones, in which those whose disks are busy had no time to answer.
    pub(super) fn kept_at_limit(&mut self, receivers: &BitSet, limit: u32) -> Option<BitSet> {
        if self.rxmit - self.counted_from < limit {
            return None;
        }
        let missing = receivers.difference(&self.ready);
        let silent = missing.difference(&self.known);
        if silent == missing {
            return Some(self.ready);
        }
        self.counted_from = self.rxmit;
        Some(self.ready.union(&silent))
    }

    /// Whether blocks of it have yet to be sent for the first time.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self.phase, Phase::Sending { .. })
    }

    /// The next block to be sent, and whether it is sent again.
    pub(super) fn next_block(&mut self) -> Option<(u16, bool)> {
        match &mut self.phase {
            Phase::Sending { next } => {
                let block = *next;
                *next += 1;
                if *next == self.blocks {
                    self.phase = Phase::ToAsk;
                }
                Some((block, false))
            }
            Phase::Resending { next } => {
                let block = self.wanted.first_from(*next)?;
                *next = block + 1;
                if self.wanted.first_from(*next).is_none() {
                    self.wanted = BitSet::EMPTY;
                    self.next_round();
                    self.fresh = self.rxmit;
                }
                Some((block as u16, true))
            }
            Phase::ToAsk | Phase::Asked { .. } => None,
        }
    }

    /// Whether a request is to be sent now.
    pub(super) fn is_to_ask(&self) -> bool {
        matches!(self.phase, Phase::ToAsk)
    }

    /// Notes that the request was sent, and until when answers are awaited.
    pub(super) fn asked(&mut self, at: Instant, deadline: Instant) {
        self.phase = Phase::Asked { at, deadline };
    }

    /// Until when answers are awaited, if they are.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Asked { deadline, .. } => Some(deadline),
            Phase::Sending { .. } | Phase::Resending { .. } | Phase::ToAsk => None,
        }
    }

    /// Receiver `number` has the whole slice.
    pub(super) fn ok(&mut self, number: u16) -> Answer {
        self.ready.insert(usize::from(number));
        self.answered.insert(usize::from(number));
        self.known.insert(usize::from(number));
        match self.phase {
            // OK carries no rxmit, so only the first round tells what it answers.
            Phase::Asked { at, .. } if self.rxmit == 0 => Answer::Timely(at),
            _ => Answer::Counted,
        }
    }

    /// Receiver `number` lacks the blocks that are not in `received`.
    pub(super) fn retransmit(&mut self, number: u16, rxmit: u32, received: &BitSet) -> Answer {
        let timely = match self.phase {
            Phase::Asked { at, .. } => Some(at).filter(|_| rxmit == self.rxmit),
            Phase::Resending { .. } => None,
            Phase::Sending { .. } | Phase::ToAsk => return Answer::Stale,
        };
        let number = usize::from(number);
        if rxmit < self.fresh || rxmit > self.rxmit || self.ready.contains(number) {
            return Answer::Stale;
        }
        let missing = BitSet::below(usize::from(self.blocks)).difference(received);
        self.lossy |= !missing.is_empty();
        self.wanted = self.wanted.union(&missing);
        self.answered.insert(number);
        self.known.insert(number);
        timely.map_or(Answer::Counted, Answer::Timely)
    }

    /// Sends again what is wanted as soon as all of `receivers` have answered; true if it does so.
    pub(super) fn resend_if_all_answered(&mut self, receivers: &BitSet) -> bool {
        let Phase::Asked { .. } = self.phase else {
            return false;
        };
        if self.wanted.is_empty() || !receivers.is_subset(&self.answered.union(&self.ready)) {
            return false;
        }
        self.phase = Phase::Resending { next: 0 };
        true
    }

    /// The wait for answers is over: sends again what those who answered want, or asks again. False
    /// if nobody had answered since the last request.
    pub(super) fn time_out(&mut self) -> bool {
        let answered = !self.answered.is_subset(&self.ready) || !self.wanted.is_empty();
        if self.wanted.is_empty() {
            self.next_round();
        } else {
            self.phase = Phase::Resending { next: 0 };
        }
        answered
    }

    fn next_round(&mut self) {
        self.rxmit = self.rxmit.saturating_add(1);
        self.answered = BitSet::EMPTY;
        self.phase = Phase::ToAsk;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;

    /// A slice of four blocks that was sent and asked about.
    fn asked() -> Slice {
        let mut slice = Slice::new(0, 0, 4000, 4);
        assert!(core::iter::from_fn(|| slice.next_block()).eq((0..4).map(|block| (block, false))));
        slice.asked(NOW, NOW);
        slice
    }

    #[test]
    fn the_union_of_what_is_missing_is_sent_once_when_all_have_answered() {
        let mut slice = asked();
        let receivers = BitSet::below(3);
        slice.retransmit(0, 0, &BitSet::below(3));
        slice.retransmit(1, 0, &BitSet::below(2));
        assert!(
            !slice.resend_if_all_answered(&receivers),
            "receiver 2 has not answered"
        );
        slice.ok(2);
        assert!(slice.resend_if_all_answered(&receivers));
        assert!(core::iter::from_fn(|| slice.next_block()).eq([(2, true), (3, true)]));
        assert!(slice.is_to_ask());
        assert_eq!(slice.rxmit(), 1);
    }

    #[test]
    fn an_answer_from_before_a_retransmission_is_stale_and_ok_never_is() {
        let mut slice = asked();
        slice.retransmit(0, 0, &BitSet::below(3));
        slice.time_out();
        let _ = slice.next_block();
        slice.asked(NOW, NOW);
        assert_eq!(slice.retransmit(1, 0, &BitSet::EMPTY), Answer::Stale);
        assert_eq!(slice.ok(1), Answer::Counted);
        assert!(slice.ready().contains(1));
    }

    #[test]
    fn an_answer_to_an_earlier_request_counts_if_nothing_was_sent_since() {
        let mut slice = asked();
        slice.time_out();
        slice.asked(NOW, NOW);
        assert_eq!(slice.rxmit(), 1);
        assert_eq!(slice.retransmit(0, 0, &BitSet::below(3)), Answer::Counted);
        assert_eq!(
            slice.retransmit(0, 2, &BitSet::below(3)),
            Answer::Stale,
            "not asked yet"
        );
        assert!(slice.resend_if_all_answered(&BitSet::below(1)));
    }

    #[test]
    fn bits_past_the_end_and_a_complete_map_want_nothing() {
        let mut slice = asked();
        slice.retransmit(0, 0, &BitSet::below(4));
        assert!(!slice.resend_if_all_answered(&BitSet::below(1)));
        assert!(!slice.is_lossy());
        slice.time_out();
        assert!(slice.is_to_ask());
    }

    #[test]
    fn rounds_used_up_by_those_who_answer_are_no_fault_of_the_silent() {
        let mut slice = asked();
        let mut receivers = BitSet::below(3);
        slice.ok(0);
        for _ in 0..5 {
            assert_eq!(slice.kept_at_limit(&receivers, 5), None);
            slice.asked(NOW, NOW);
            slice.retransmit(1, slice.rxmit(), &BitSet::below(4));
            slice.time_out();
        }
        receivers.remove(1);
        assert_eq!(slice.kept_at_limit(&BitSet::below(3), 5), Some(receivers));
        for _ in 0..5 {
            assert_eq!(slice.kept_at_limit(&receivers, 5), None);
            slice.time_out();
        }
        assert_eq!(slice.kept_at_limit(&receivers, 5), Some(BitSet::below(1)));
    }

    #[test]
    fn the_end_has_nothing_to_send() {
        let slice = Slice::new(7, 100, 0, 0);
        assert!(slice.is_end() && slice.is_to_ask() && !slice.is_unsent());
    }
}
