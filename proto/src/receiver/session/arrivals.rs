//! Blocks that come, and what is given up where nobody sends them again.
//!
//! Apart from the rest of the session since nothing here is answered (docs/protocol.md, "Geometry"
//! and "Async").

use super::{Session, Step};
use crate::receiver::window::{Passed, Placement, Status, Window};
use crate::receiver::{Block, Failure, Stats};
use crate::time::Instant;
use crate::wire::{Data, Fec};

impl Session {
    pub(super) fn data<'d>(
        &mut self,
        data: &Data<'d>,
        stats: &mut Stats,
    ) -> (Option<Block<'d>>, Step) {
        let place = |window: &mut Window| {
            window.place(data.slice, data.slice_bytes, data.block, data.payload.len())
        };
        let entered = self.enter(data.slice, data.slice_bytes, data.payload, place, stats);
        if entered.0.is_some() {
            stats.blocks += 1;
            stats.missing += self.gaps.arrived(data.slice, data.block);
        }
        entered
    }

    pub(super) fn fec<'d>(
        &mut self,
        fec: &Fec<'d>,
        stats: &mut Stats,
    ) -> (Option<Block<'d>>, Step) {
        let place = |window: &mut Window| window.place_fec(fec);
        let entered = self.enter(fec.slice, fec.slice_bytes, fec.payload, place, stats);
        stats.fec_blocks += u64::from(entered.0.is_some());
        entered
    }

    /// Enters a block of either sort by `place`.
    fn enter<'d>(
        &mut self,
        slice: u32,
        slice_bytes: u32,
        payload: &'d [u8],
        place: impl Fn(&mut Window) -> Placement,
        stats: &mut Stats,
    ) -> (Option<Block<'d>>, Step) {
        let mut placement = place(&mut self.window);
        let mut lost = None;
        if placement == Placement::Abandoned {
            match self.data_lost(slice) {
                step @ Step::DataLost { .. } => lost = Some(step),
                step => {
                    stats.no_room += u64::from(step == Step::Nothing);
                    return (None, step);
                }
            }
            placement = place(&mut self.window);
        }
        let mut block = None;
        match placement {
            Placement::New { offset, len } => {
                block = payload.get(..len).map(|payload| Block { offset, payload });
            }
            Placement::Duplicate => stats.duplicates += 1,
            Placement::NoRoom | Placement::Unplaced => stats.no_room += 1,
            Placement::Invalid => stats.invalid += 1,
            Placement::Abandoned => return (None, self.dropped()),
            Placement::TooLarge => return (None, self.too_large(slice_bytes)),
        }
        let step = match (lost, placement) {
            // Whoever takes this goes on to what follows from it.
            (Some(lost), _) => lost,
            (None, Placement::Duplicate | Placement::Invalid) => Step::Nothing,
            (None, _) => self.progress(),
        };
        (block, step)
    }

    /// The end of a stream that nobody asks about.
    pub(super) fn end_without_request(&mut self, fec: &Fec<'_>) -> Step {
        if !self.is_silent() {
            return Step::Nothing;
        }
        match self.window.ask(fec.slice, 0, false) {
            Status::Abandoned => self.data_lost(fec.slice),
            _ => self.progress(),
        }
    }

    /// What was missing at the end has not come.
    pub(super) fn give_up_stragglers(&mut self, now: Instant) -> Step {
        let end = self.window.number().saturating_add(2);
        let step = self.data_lost(end);
        // If there is no room yet it is tried again.
        self.short_since = self.window.is_short_of_end().then_some(now);
        step
    }

    /// Slices before those that are in flight with `slice` can't be had any more.
    pub(super) fn data_lost(&mut self, slice: u32) -> Step {
        let offset = self.contiguous();
        match self.window.pass_over(slice) {
            Passed::Over => Step::DataLost { offset },
            Passed::NotYet => Step::Nothing,
            Passed::Never if self.is_silent() => {
                Step::Failed(Failure::DataLost { received: offset })
            }
            Passed::Never => self.dropped(),
        }
    }
}
