//! One slice on its way: which of its blocks are to be sent, and who has said what about it.
//!
//! A slice is sent once, then asked about in rounds. Each round's request carries a number, rxmit,
//! and answers repeat it, so that an answer from before a retransmission can be told from one after
//! it (docs/protocol.md, "Session").

use crate::bits::BitSet;
use crate::time::{Duration, Instant};

/// What of a slice is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A data block, and whether it is sent again.
    Data { block: u16, again: bool },
    /// An FEC block, by its number among those of the slice.
    Fec(u16),
}

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
    /// How many FEC blocks it has.
    fec_blocks: u16,
    /// Whether the caller has made them.
    encoded: bool,
    /// Receivers that took part when it was cut: nobody else is asked about it.
    audience: BitSet,
    /// Whether others have yet to be told that they can join before the next slice.
    invites: bool,
    /// When its receivers were asked for the first time.
    asked_at: Option<Instant>,
    /// Since when most of them wait for the others.
    waited_since: Option<Instant>,
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
    /// How many blocks the worst receiver lacked before any was sent again.
    lost: u16,
}

/// What is to be done with a slice.
#[derive(Debug)]
enum Phase {
    /// Blocks from `next` on are to be sent for the first time.
    Sending { next: u16 },
    /// FEC blocks from `next` on are to be sent.
    SendingFec { next: u16 },
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
    pub(super) fn new(
        number: u32,
        base: u64,
        bytes: u32,
        (blocks, fec_blocks): (u16, u16),
        audience: BitSet,
    ) -> Self {
        Self {
            number,
            base,
            bytes,
            blocks,
            fec_blocks,
            encoded: false,
            audience,
            invites: blocks > 0,
            asked_at: None,
            waited_since: None,
            phase: first_phase(blocks, fec_blocks),
            rxmit: 0,
            counted_from: 0,
            fresh: 0,
            ready: BitSet::EMPTY,
            answered: BitSet::EMPTY,
            known: BitSet::EMPTY,
            wanted: BitSet::EMPTY,
            lost: 0,
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
        self.lost > 0
    }

    /// How many blocks the worst receiver lacked before any was sent again.
    pub(super) fn lost(&self) -> u16 {
        self.lost
    }

    /// Receivers that have the whole slice.
    pub(super) fn ready(&self) -> &BitSet {
        &self.ready
    }

    /// Those of `receivers` that the slice was sent to.
    pub(super) fn audience(&self, receivers: &BitSet) -> BitSet {
        self.audience.intersection(receivers)
    }

    /// No longer waits for a receiver, which starts anew with a later slice.
    pub(super) fn release(&mut self, number: u16) {
        self.audience.remove(usize::from(number));
        self.ready.remove(usize::from(number));
    }

    /// Asks these receivers too.
    pub(super) fn widen(&mut self, receivers: &BitSet) {
        self.audience = self.audience.union(receivers);
        self.next_round();
    }

    /// Whether others are to be told now that they can join: when `offset` of its blocks are left
    /// to be sent. True once.
    pub(super) fn take_invitation(&mut self, offset: u16) -> bool {
        let Phase::Sending { next } = self.phase else {
            return false;
        };
        let is_time = self.blocks - next <= offset;
        is_time && core::mem::take(&mut self.invites)
    }

    /// The caller has made its FEC blocks.
    pub(super) fn set_encoded(&mut self) {
        self.encoded = true;
    }

    /// When its receivers were asked for the first time.
    pub(super) fn asked_at(&self) -> Option<Instant> {
        self.asked_at
    }

    /// Since when more than half of its receivers have it and wait for the others, if they do.
    pub(super) fn waited_since(&self) -> Option<Instant> {
        self.waited_since
    }

    /// Notes whether more than half of `receivers` have it now.
    pub(super) fn note_waiting(&mut self, now: Instant, receivers: &BitSet) {
        let audience = self.audience(receivers);
        let have = audience.intersection(&self.ready).len();
        if 2 * have > audience.len() {
            self.waited_since.get_or_insert(now);
        }
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
        matches!(self.phase, Phase::Sending { .. } | Phase::SendingFec { .. })
    }

    /// Whether there is a block of it to be sent now.
    pub(super) fn has_piece(&self) -> bool {
        match self.phase {
            Phase::Sending { .. } | Phase::Resending { .. } => true,
            Phase::SendingFec { .. } => self.encoded,
            Phase::ToAsk | Phase::Asked { .. } => false,
        }
    }

    /// What of it is to be sent next.
    pub(super) fn next_piece(&mut self) -> Option<Piece> {
        match &mut self.phase {
            Phase::Sending { next } => {
                let block = *next;
                *next += 1;
                if *next == self.blocks {
                    self.phase = first_phase(0, self.fec_blocks);
                }
                Some(Piece::Data {
                    block,
                    again: false,
                })
            }
            Phase::SendingFec { .. } if !self.encoded => None,
            Phase::SendingFec { next } => {
                let number = *next;
                *next += 1;
                if *next == self.fec_blocks {
                    self.phase = Phase::ToAsk;
                }
                Some(Piece::Fec(number))
            }
            Phase::Resending { next } => {
                let block = self.wanted.first_from(*next)?;
                *next = block + 1;
                if self.wanted.first_from(*next).is_none() {
                    self.wanted = BitSet::EMPTY;
                    self.next_round();
                    self.fresh = self.rxmit;
                }
                Some(Piece::Data {
                    block: block as u16,
                    again: true,
                })
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
        self.asked_at.get_or_insert(at);
        self.phase = Phase::Asked { at, deadline };
    }

    /// Has everything that is waited for have begun `time` later.
    pub(super) fn postpone(&mut self, time: Duration) {
        let since = [&mut self.asked_at, &mut self.waited_since];
        for instant in since.into_iter().flatten() {
            *instant = *instant + time;
        }
        if let Phase::Asked { at, deadline } = &mut self.phase {
            (*at, *deadline) = (*at + time, *deadline + time);
        }
    }

    /// Begins the whole slice anew: its end was perhaps not heard.
    pub(super) fn repeat(&mut self) {
        self.rxmit = self.rxmit.saturating_add(1);
        self.phase = first_phase(self.blocks, self.fec_blocks);
    }

    /// Until when answers are awaited, if they are.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Asked { deadline, .. } => Some(deadline),
            Phase::Sending { .. }
            | Phase::SendingFec { .. }
            | Phase::Resending { .. }
            | Phase::ToAsk => None,
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
            Phase::Sending { .. } | Phase::SendingFec { .. } | Phase::ToAsk => {
                return Answer::Stale;
            }
        };
        let number = usize::from(number);
        if rxmit < self.fresh || rxmit > self.rxmit || self.ready.contains(number) {
            return Answer::Stale;
        }
        let missing = BitSet::below(usize::from(self.blocks)).difference(received);
        // Nothing is sent again before somebody lacked something.
        if self.fresh == 0 {
            self.lost = self.lost.max(missing.len() as u16);
        }
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

/// What is to be done first with a slice that has so many blocks left to send.
fn first_phase(blocks: u16, fec_blocks: u16) -> Phase {
    match (blocks, fec_blocks) {
        (0, 0) => Phase::ToAsk,
        (0, _) => Phase::SendingFec { next: 0 },
        (_, _) => Phase::Sending { next: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;

    /// A slice of four blocks that was sent and asked about.
    fn asked() -> Slice {
        let mut slice = Slice::new(0, 0, 4000, (4, 0), BitSet::below(3));
        let data = |block| Piece::Data {
            block,
            again: false,
        };
        assert!(core::iter::from_fn(|| slice.next_piece()).eq((0..4).map(data)));
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
        let again = |block| Piece::Data { block, again: true };
        assert!(core::iter::from_fn(|| slice.next_piece()).eq([again(2), again(3)]));
        assert!(slice.is_to_ask());
        assert_eq!(slice.rxmit(), 1);
    }

    #[test]
    fn an_answer_from_before_a_retransmission_is_stale_and_ok_never_is() {
        let mut slice = asked();
        slice.retransmit(0, 0, &BitSet::below(3));
        slice.time_out();
        let _ = slice.next_piece();
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
        let slice = Slice::new(7, 100, 0, (0, 0), BitSet::EMPTY);
        assert!(slice.is_end() && slice.is_to_ask() && !slice.is_unsent());
    }
}
