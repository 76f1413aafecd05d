//! Which bytes of the stream have arrived, and where the next ones belong.
//!
//! A sender keeps at most two slices in flight, and goes to slice n + 2 only when every receiver
//! has slice n. So the books of two slices are all a receiver needs; sizes differ from slice to
//! slice, so each one's place follows from the sum of those before it (docs/protocol.md,
//! "Geometry").

use heapless::Deque;

use super::repair::{Extent, Repair};
use super::slice::{FecPlace, Slice};
use crate::bits::BitSet;
use crate::geometry::{self, MAX_SLICE_BLOCKS};
use crate::wire::Fec;

/// Most repairs that one datagram can make necessary: a stripe, or what is missing of two slices.
const MAX_REPAIRS: usize = 3;

/// What became of a data block that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// New: the first `len` bytes of its payload belong at `offset` of the stream.
    New { offset: u64, len: usize },
    /// Already there.
    Duplicate,
    /// The caller's memory has no room for this slice yet.
    NoRoom,
    /// Its place can't be told, since the size of the slice before it is not known yet.
    Unplaced,
    /// It contradicts itself or what was told before.
    Invalid,
    /// The sender is so far ahead that it must have given this receiver up.
    Abandoned,
    /// The slice is larger than the caller's whole memory.
    TooLarge,
}

/// What is known of a slice that the sender asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Every block is there.
    Complete,
    /// The slice of 0 bytes that ends the stream, and everything before it is there.
    End,
    /// Some blocks are missing; the set holds those that are there.
    Incomplete(BitSet),
    /// Nothing should be said: there is no room for the slice, or its place is not known.
    NotYet,
    /// As [`Placement::Abandoned`].
    Abandoned,
    /// As [`Placement::TooLarge`].
    TooLarge,
}

/// What becomes of a slice that the sender has left behind incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The sender waits for answers: it does not leave a slice behind.
    Answered,
    /// The transfer has failed.
    Fatal,
    /// It is passed over, with zeroes for what is missing.
    Ignored,
}

/// What came of giving up what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It is passed over.
    Over,
    /// The caller's memory has no room for the zeroes yet.
    NotYet,
    /// It can't be passed over.
    Never,
}

/// A receiver that joined late, and has no slice yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    /// It takes any slice that comes.
    Any,
    /// The sender has asked it for this slice, and so waits for it.
    Asked,
}

/// The books of the two slices that can be in flight.
#[derive(Debug)]
pub(super) struct Window {
    block_size: u16,
    /// Bytes of the caller's memory.
    capacity: u64,
    loss: Loss,
    /// Whether the stream begins with whatever slice was the first to be had.
    is_late: bool,
    joining: Option<Joining>,
    /// Stream offset below which the caller's memory is free again.
    released: u64,
    /// Number of the first slice, which is at stream offset 0.
    first: u32,
    /// Number of the oldest incomplete slice.
    number: u32,
    /// Stream offset of that slice.
    base: u64,
    /// Bytes of the largest slice that is complete.
    largest: u32,
    /// The books of slices `number` and `number + 1`.
    slices: [Slice; 2],
    /// What the caller has yet to do to its memory.
    repairs: Deque<Repair, MAX_REPAIRS>,
    /// Bytes that were passed over, as far as they are known.
    lost: u64,
    /// Slices of unknown length that were passed over.
    lost_slices: u32,
}

impl Window {
    pub(super) fn new(block_size: u16, capacity: u64, loss: Loss) -> Self {
        Self {
            block_size,
            capacity,
            loss,
            is_late: false,
            joining: None,
            released: 0,
            first: 0,
            number: 0,
            base: 0,
            largest: 0,
            slices: Default::default(),
            repairs: Deque::new(),
            lost: 0,
            lost_slices: 0,
        }
    }

    /// Lets the stream begin with whatever slice is the first to be complete.
    pub(super) fn join_late(&mut self) {
        self.is_late = true;
        self.joining = Some(Joining::Any);
    }

    /// Whether anything of the stream is known, or its beginning is looked for.
    pub(super) fn has_begun(&self) -> bool {
        self.is_late || self.number > 0 || self.slices[0].is_known()
    }

    /// Whether a slice is here in part.
    pub(super) fn is_amid_slice(&self) -> bool {
        let mut slices = self.slices.iter();
        slices.any(|slice| slice.bytes.is_some_and(|bytes| bytes > 0))
    }

    /// Whether the stream's first slice was found late.
    pub(super) fn has_joined(&self) -> bool {
        self.is_late && self.joining.is_none()
    }

    /// Number of the oldest incomplete slice.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Whether the stream's first slice is still to be found.
    pub(super) fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    /// Number of the slice that the stream begins with.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// Bytes that were passed over, as far as it is known how many they were.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Slices of unknown length that were passed over.
    pub(super) fn lost_slices(&self) -> u32 {
        self.lost_slices
    }

    /// Whether the stream does not begin with the sender's first slice.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Stream offset up to which every byte has arrived.
    pub(super) fn contiguous(&self) -> u64 {
        match self.joining {
            Some(_) => self.base,
            None => self.base + self.slices[0].contiguous(self.block_size),
        }
    }

    /// Length of the whole stream, once everything has arrived.
    pub(super) fn end(&self) -> Option<u64> {
        (self.slices[0].bytes == Some(0)).then_some(self.base)
    }

    /// Whether the end is known, but not all that comes before it.
    pub(super) fn is_short_of_end(&self) -> bool {
        self.slices[1].bytes == Some(0)
    }

    /// Frees the caller's memory below stream offset `upto`.
    pub(super) fn release(&mut self, upto: u64) {
        self.released = self.released.max(upto.min(self.contiguous()));
    }

    /// What the caller has to do to its memory next.
    pub(super) fn poll_repair(&mut self) -> Option<Repair> {
        self.repairs.pop_front()
    }

    /// Enters a data block of `len` payload bytes, and tells where it belongs.
    pub(super) fn place(&mut self, slice: u32, bytes: u32, block: u16, len: usize) -> Placement {
        let wanted = geometry::block_len(bytes, self.block_size, block) as usize;
        let is_possible = wanted > 0 && len >= wanted && self.is_slice_len(bytes);
        let (index, base) = match self.find_place(slice, bytes, is_possible) {
            Ok(found) => found,
            Err(placement) => return placement,
        };
        if !self.slices[index].insert(block) {
            return Placement::Duplicate;
        }
        self.taken(index, base, block)
    }

    /// Enters an FEC block of `len` payload bytes, and tells where it can stand in for a data
    /// block.
    pub(super) fn place_fec(&mut self, fec: &Fec<'_>) -> Placement {
        let bytes = fec.slice_bytes;
        let is_possible =
            fec.payload.len() >= usize::from(self.block_size) && self.is_slice_len(bytes);
        let (index, base) = match self.find_place(fec.slice, bytes, is_possible) {
            Ok(found) => found,
            Err(placement) => return placement,
        };
        match self.slices[index].insert_fec(fec.stripes, fec.block, self.block_size) {
            FecPlace::Block(block) => self.taken(index, base, block),
            FecPlace::Spare => Placement::Duplicate,
            FecPlace::Invalid => Placement::Invalid,
        }
    }

    /// Takes in what REQACK tells of a slice, and says what to answer. `asked` tells whether this
    /// receiver is among those who are to answer.
    pub(super) fn ask(&mut self, slice: u32, bytes: u32, asked: bool) -> Status {
        if self.is_slice_len(bytes) {
            self.meet(slice, asked);
        }
        let index = match self.index(slice) {
            Index::Past => return self.past_status(slice),
            Index::InFlight(index) => index,
            Index::TooEarly if self.loss == Loss::Answered => return Status::NotYet,
            Index::TooEarly | Index::Abandoned => return Status::Abandoned,
        };
        if !self.is_slice_len(bytes) || !self.slices[index].learn(bytes) {
            return Status::NotYet;
        }
        self.status(slice)
    }

    /// Gives up what is missing of the slices that can't be in flight any more when `slice` is, or
    /// of the oldest if it is.
    pub(super) fn pass_over(&mut self, slice: u32) -> Passed {
        if self.loss != Loss::Ignored {
            return Passed::Never;
        }
        loop {
            let is_any_known = self.slices.iter().any(Slice::is_known);
            if !is_any_known {
                let passed = slice.saturating_sub(self.number);
                self.lost_slices = self.lost_slices.saturating_add(passed);
                self.number = self.number.max(slice);
            } else if !self.pass_over_oldest() {
                return Passed::NotYet;
            }
            if matches!(self.index(slice), Index::Past | Index::InFlight(_)) {
                return Passed::Over;
            }
        }
    }

    /// Puts zeroes where the oldest slice's missing blocks would be; false without room for them.
    fn pass_over_oldest(&mut self) -> bool {
        let has_room = matches!(self.room(0), Room::At(_)) && !self.repairs.is_full();
        if !has_room {
            return false;
        }
        let extent = self.extent(0, self.base);
        let received = *self.slices[0].received();
        let _ = self.repairs.push_back(Repair::zero(extent, received));
        let is_unknown = u32::from(!self.slices[0].is_known());
        self.lost_slices = self.lost_slices.saturating_add(is_unknown);
        let blocks = geometry::blocks_in(extent.bytes, self.block_size) as u16;
        self.lost += (0..blocks)
            .filter(|&block| !received.contains(usize::from(block)))
            .map(|block| u64::from(geometry::block_len(extent.bytes, self.block_size, block)))
            .sum::<u64>();
        self.next_slice();
        self.advance();
        true
    }

    /// Whether a slice in flight waits for the caller's memory.
    pub(super) fn lacks_room(&self, slice: u32) -> bool {
        match self.index(slice) {
            Index::InFlight(index) => matches!(self.room(index), Room::NotYet),
            Index::Past | Index::TooEarly | Index::Abandoned => false,
        }
    }

    /// Whether a slice is older than any that a sender can have in flight, given what has arrived.
    pub(super) fn is_ancient(&self, slice: u32) -> bool {
        self.number.saturating_sub(slice) > self.slices.len() as u32
    }

    /// What is known of a slice that was asked about before.
    pub(super) fn status(&self, slice: u32) -> Status {
        let index = match self.index(slice) {
            Index::Past => return self.past_status(slice),
            Index::InFlight(index) => index,
            Index::TooEarly => return Status::NotYet,
            Index::Abandoned => return Status::Abandoned,
        };
        let slice = &self.slices[index];
        if slice.bytes == Some(0) {
            return if index == 0 {
                Status::End
            } else {
                Status::NotYet
            };
        }
        if slice.is_complete(self.block_size) {
            return Status::Complete;
        }
        match self.room(index) {
            Room::At(_) => Status::Incomplete(*slice.received()),
            Room::NotYet | Room::Unplaced => Status::NotYet,
            Room::Never => Status::TooLarge,
        }
    }

    /// Where a slice of which a block has come lies: its place in the window, and in the stream.
    fn find_place(
        &mut self,
        slice: u32,
        bytes: u32,
        is_possible: bool,
    ) -> Result<(usize, u64), Placement> {
        if is_possible {
            self.meet(slice, false);
        }
        let index = match self.index(slice) {
            Index::Past => return Err(Placement::Duplicate),
            Index::InFlight(index) => index,
            Index::TooEarly if self.loss == Loss::Answered => return Err(Placement::NoRoom),
            Index::TooEarly | Index::Abandoned => return Err(Placement::Abandoned),
        };
        if !is_possible || !self.slices[index].learn(bytes) {
            return Err(Placement::Invalid);
        }
        match self.room(index) {
            // A caller who leaves repairs undone gets nothing that may need another.
            Room::At(_) if self.repairs.is_full() => Err(Placement::NoRoom),
            Room::At(base) => Ok((index, base)),
            Room::NotYet => Err(Placement::NoRoom),
            Room::Unplaced => Err(Placement::Unplaced),
            Room::Never => Err(Placement::TooLarge),
        }
    }

    /// The place of a block has been filled; so perhaps its stripe, its slice and the next.
    fn taken(&mut self, index: usize, base: u64, block: u16) -> Placement {
        let extent = self.extent(index, base);
        if let Some(repair) = self.slices[index].rebuild(block, extent) {
            let _ = self.repairs.push_back(repair);
        }
        self.advance();
        Placement::New {
            offset: base + u64::from(block) * u64::from(self.block_size),
            len: geometry::block_len(extent.bytes, self.block_size, block) as usize,
        }
    }

    /// Before the first slice is found, a newer one takes the place of an older one, unless the
    /// sender waits for that.
    fn meet(&mut self, slice: u32, asked: bool) {
        let Some(joining) = self.joining else {
            return;
        };
        let ahead = slice.saturating_sub(self.number);
        let is_abandoned = ahead > self.slices.len() as u32;
        let is_lost = ahead >= self.slices.len() as u32 && self.loss != Loss::Answered;
        let is_first = !self.slices[0].is_known();
        if is_first || is_abandoned || is_lost || (joining == Joining::Any && ahead > 0) {
            self.number = slice;
            self.slices = Default::default();
            self.joining = Some(Joining::Any);
        }
        if asked && slice == self.number {
            self.joining = Some(Joining::Asked);
        }
    }

    fn extent(&self, index: usize, base: u64) -> Extent {
        Extent {
            base,
            bytes: self.slices[index].bytes.unwrap_or(0),
            block_size: self.block_size,
        }
    }

    fn is_slice_len(&self, bytes: u32) -> bool {
        geometry::blocks_in(bytes, self.block_size) <= u32::from(MAX_SLICE_BLOCKS)
    }

    fn index(&self, slice: u32) -> Index {
        match slice.checked_sub(self.number) {
            None => Index::Past,
            Some(0) => Index::InFlight(0),
            Some(1) => Index::InFlight(1),
            Some(2) => Index::TooEarly,
            Some(_) => Index::Abandoned,
        }
    }

    /// Where the slice in flight starts, if the caller's memory has room for all of it.
    fn room(&self, index: usize) -> Room {
        let base = match (index, self.slices[0].bytes) {
            (0, _) => self.base,
            (_, Some(first)) => self.base + u64::from(first),
            (_, None) => return Room::Unplaced,
        };
        let bytes = self.slices[index].bytes.map_or(0, u64::from);
        if bytes > self.capacity {
            Room::Never
        } else if base + bytes > self.released.saturating_add(self.capacity) {
            Room::NotYet
        } else {
            Room::At(base)
        }
    }

    /// What to say of a slice that is complete. OK to it is leave to send the two after it: it is
    /// given only when there is room for those of them that have not come, if room can be made at
    /// all.
    fn past_status(&self, slice: u32) -> Status {
        let largest = u64::from(self.largest);
        let to_come = slice.saturating_add(3).saturating_sub(self.number);
        let is_ample = self.capacity >= 4 * largest;
        let end = self.base + u64::from(to_come) * largest;
        if to_come > 0 && is_ample && end > self.released.saturating_add(self.capacity) {
            Status::NotYet
        } else {
            Status::Complete
        }
    }

    /// Moves on past the slices that are complete.
    fn advance(&mut self) {
        while self.slices[0].is_complete(self.block_size) {
            self.largest = self.largest.max(self.slices[0].bytes.unwrap_or(0));
            self.next_slice();
        }
    }

    fn next_slice(&mut self) {
        if self.joining.take().is_some() {
            self.first = self.number;
        }
        self.base += self.slices[0].bytes.map_or(0, u64::from);
        self.number = self.number.saturating_add(1);
        self.slices = [self.slices[1], Slice::default()];
    }
}

/// Where a slice number stands to the window.
enum Index {
    Past,
    InFlight(usize),
    /// One further than a sender that still counts on this receiver can be.
    TooEarly,
    Abandoned,
}

/// Whether the caller's memory takes a slice.
enum Room {
    /// It does, and this is the slice's stream offset.
    At(u64),
    NotYet,
    Unplaced,
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u16 = 8;

    fn window(capacity: u64) -> Window {
        Window::new(BLOCK, capacity, Loss::Answered)
    }

    #[test]
    fn slices_of_any_size_follow_each_other() {
        let mut window = window(1000);
        assert_eq!(
            window.place(0, 12, 1, 4),
            Placement::New { offset: 8, len: 4 }
        );
        assert_eq!(window.contiguous(), 0);
        assert_eq!(
            window.place(1, 8, 0, 8),
            Placement::New { offset: 12, len: 8 }
        );
        assert_eq!(
            window.place(0, 12, 0, 8),
            Placement::New { offset: 0, len: 8 }
        );
        assert_eq!(
            window.contiguous(),
            20,
            "slice 1 was complete before slice 0"
        );
        assert_eq!(
            window.place(2, 3, 0, 3),
            Placement::New { offset: 20, len: 3 }
        );
        assert_eq!(window.ask(3, 0, true), Status::End);
        assert_eq!(window.end(), Some(23));
    }

    #[test]
    fn a_block_counts_once_and_old_slices_are_complete() {
        let mut window = window(1000);
        window.place(0, 16, 0, 8);
        assert_eq!(window.place(0, 16, 0, 8), Placement::Duplicate);
        assert_eq!(window.status(0), Status::Incomplete(BitSet::below(1)));
        window.place(0, 16, 1, 8);
        assert_eq!(window.place(0, 16, 1, 8), Placement::Duplicate);
        assert_eq!(window.ask(0, 16, true), Status::Complete);
    }

    #[test]
    fn lies_are_not_entered() {
        let mut window = window(1 << 20);
        window.place(0, 16, 0, 8);
        for (bytes, block, len) in [
            (24, 1, 8),       // another length than before
            (16, 2, 8),       // a block past the end
            (16, 1, 7),       // fewer bytes than the block has
            (8 * 1025, 1, 8), // more blocks than a slice can have
            (u32::MAX, 1, 8),
            (0, 0, 8),
        ] {
            assert_eq!(window.place(0, bytes, block, len), Placement::Invalid);
        }
        assert_eq!(window.ask(0, 24, true), Status::NotYet);
        assert_eq!(window.status(0), Status::Incomplete(BitSet::below(1)));
    }

    #[test]
    fn a_slice_without_room_is_neither_taken_nor_asked_for() {
        let mut window = window(20);
        window.place(0, 16, 0, 8);
        assert_eq!(window.place(1, 8, 0, 8), Placement::NoRoom);
        assert_eq!(window.ask(1, 8, true), Status::NotYet);
        window.release(8);
        assert_eq!(
            window.place(1, 8, 0, 8),
            Placement::New { offset: 16, len: 8 }
        );
        assert_eq!(
            window.place(0, 16, 1, 8),
            Placement::New { offset: 8, len: 8 }
        );
        assert_eq!(window.ask(2, 24, true), Status::TooLarge);
    }

    #[test]
    fn ok_is_leave_for_two_more_slices_and_waits_for_their_room() {
        let mut window = window(32);
        for slice in 0..4 {
            window.place(slice, 8, 0, 8);
        }
        assert_eq!(window.status(1), Status::Complete, "2 and 3 have come");
        assert_eq!(window.status(2), Status::NotYet, "4 has not");
        window.release(8);
        assert_eq!(window.status(2), Status::Complete);
        assert_eq!(window.status(3), Status::NotYet, "nor have 4 and 5");
        window.release(16);
        assert_eq!(window.status(3), Status::Complete);
    }

    #[test]
    fn release_never_passes_what_has_arrived() {
        let mut window = window(16);
        window.place(0, 16, 1, 8);
        window.release(u64::MAX);
        assert_eq!(window.released, 0);
        assert_eq!(window.place(1, 8, 0, 8), Placement::NoRoom);
    }

    #[test]
    fn a_slice_after_one_of_unknown_size_waits() {
        let mut window = window(1000);
        assert_eq!(window.place(1, 8, 0, 8), Placement::Unplaced);
        assert_eq!(window.ask(1, 8, true), Status::NotYet);
        assert_eq!(window.ask(0, 16, true), Status::Incomplete(BitSet::EMPTY));
        assert_eq!(
            window.place(1, 8, 0, 8),
            Placement::New { offset: 16, len: 8 }
        );
    }

    #[test]
    fn a_sender_three_slices_ahead_has_given_this_receiver_up() {
        let mut window = window(1000);
        assert_eq!(window.place(2, 8, 0, 8), Placement::NoRoom);
        assert_eq!(window.place(3, 8, 0, 8), Placement::Abandoned);
        assert_eq!(window.ask(u32::MAX, 8, true), Status::Abandoned);
    }

    #[test]
    fn p6_any_number_of_slices_can_be_passed_over() {
        let mut window = Window::new(BLOCK, 1000, Loss::Ignored);
        assert_eq!(window.pass_over(5), Passed::Over);
        assert_eq!(window.lost_slices(), 5);
        assert!(matches!(window.place(5, 8, 0, 8), Placement::New { .. }));
        // The next one is known by a block, the one after it not.
        assert!(matches!(window.place(6, 16, 0, 8), Placement::New { .. }));
        assert_eq!(window.pass_over(u32::MAX), Passed::Over);
        assert_eq!(window.pass_over(u32::MAX), Passed::Over);
        assert_eq!(window.lost_slices(), u32::MAX - 2);
        assert_eq!(window.lost(), 8);
    }

    #[test]
    fn the_end_waits_for_the_slice_before_it() {
        let mut window = window(1000);
        window.place(0, 16, 0, 8);
        assert_eq!(window.ask(1, 0, true), Status::NotYet);
        assert_eq!(window.end(), None);
        window.place(0, 16, 1, 8);
        assert_eq!(window.end(), Some(16));
    }
}
