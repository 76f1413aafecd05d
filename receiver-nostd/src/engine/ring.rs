//! The memory between network and disk: stream offset `o` is at `o` modulo its length.
//!
//! Blocks come in any order and go out in the stream's. Who keeps the window of offsets that are in
//! use no larger than the ring is the receiver machine; here nothing is checked but the ends.

use ironcast_proto::receiver::Repair;

/// The caller's memory for blocks. Its length is not 0.
#[derive(Debug)]
pub(super) struct Ring<'m> {
    memory: &'m mut [u8],
}

impl<'m> Ring<'m> {
    pub(super) fn new(memory: &'m mut [u8]) -> Self {
        Self { memory }
    }

    pub(super) fn len(&self) -> u64 {
        self.memory.len() as u64
    }

    /// Copies a block to its place. What would go round the ring more than once is left out.
    pub(super) fn put(&mut self, offset: u64, block: &[u8]) {
        let place = self.place(offset);
        let (first, second) = block.split_at(block.len().min(self.memory.len() - place));
        for (place, part) in [(place, first), (0, second)] {
            if let Some(target) = self.memory.get_mut(place..place + part.len()) {
                target.copy_from_slice(part);
            }
        }
    }

    pub(super) fn repair(&mut self, repair: &Repair) {
        repair.apply(self.memory);
    }

    /// The bytes from one stream offset to another, or as many of them as lie in one piece.
    pub(super) fn piece(&self, from: u64, to: u64) -> &[u8] {
        let range = self.range(from, to);
        self.memory.get(range).unwrap_or_default()
    }

    /// As [`piece`](Self::piece), to be changed.
    pub(super) fn piece_mut(&mut self, from: u64, to: u64) -> &mut [u8] {
        let range = self.range(from, to);
        self.memory.get_mut(range).unwrap_or_default()
    }

    /// All of the memory, once no block in it is needed any more.
    pub(super) fn memory(&mut self) -> &mut [u8] {
        self.memory
    }

    fn range(&self, from: u64, to: u64) -> core::ops::Range<usize> {
        let place = self.place(from);
        let room = (self.memory.len() - place) as u64;
        // No more than `room`, which is a `usize`.
        let len = to.saturating_sub(from).min(room) as usize;
        place..place + len
    }

    fn place(&self, offset: u64) -> usize {
        // Less than the length, which is a `usize`.
        (offset % self.len().max(1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_can_lie_across_the_end() {
        let mut memory = [0; 8];
        let mut ring = Ring::new(&mut memory);
        ring.put(14, &[1, 2, 3]);
        assert_eq!(ring.piece(14, 17), [1, 2]);
        assert_eq!(ring.piece(16, 17), [3]);
        assert_eq!(ring.piece(17, 17), []);
        assert_eq!(ring.piece(17, 3), []);
    }

    #[test]
    fn no_offset_and_no_length_panics() {
        let mut memory = [0; 4];
        let mut ring = Ring::new(&mut memory);
        ring.put(u64::MAX, &[1, 2]);
        assert_eq!(ring.piece(u64::MAX, u64::MAX), []);
        ring.put(1, &[9; 100]);
        let mut nothing = Ring::new(&mut []);
        nothing.put(3, &[1]);
        assert_eq!(nothing.piece(0, 9), []);
    }
}
