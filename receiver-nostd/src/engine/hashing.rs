//! The hash of what the disk is given, made here or by somebody beside.
//!
//! Hashing is the slowest thing that is done with every byte, and the only one that can be done
//! elsewhere without a disk or a network. Whoever does it gets copies of whole units and gives back
//! values, in their order, so that nothing is shared with the engine.

use core::fmt;

use super::checksums::{Checksums, UNIT_LEN, UnitValue};

/// Somebody who hashes beside the engine, such as a second processor.
pub trait HashOffload: fmt::Debug {
    /// Whether there is room for a unit now.
    fn has_room(&self) -> bool;

    /// Takes a copy of the unit that begins at byte `offset` of its stream, [`UNIT_LEN`] bytes,
    /// whose [`unit_value`](super::unit_value) is wanted. False if there is no room for it now, or
    /// never: then nothing was taken.
    fn submit(&mut self, offset: u64, unit: &[u8]) -> bool;

    /// The value of the first unit that was taken and not told of yet; `None` if it is not there
    /// yet. It comes within seconds, whatever happens.
    fn poll(&mut self) -> Option<UnitValue>;
}

#[derive(Debug)]
pub(super) struct Hashing<'m> {
    sums: Checksums,
    offload: Option<&'m mut dyn HashOffload>,
    /// Units whose values are not here yet.
    waiting: u64,
}

impl<'m> Hashing<'m> {
    pub(super) fn new() -> Self {
        Self {
            sums: Checksums::new(),
            offload: None,
            waiting: 0,
        }
    }

    /// Has `offload` hash from now on what it takes.
    pub(super) fn set_offload(&mut self, offload: &'m mut dyn HashOffload) {
        self.offload = Some(offload);
    }

    /// Whether whole units are hashed by somebody else right now.
    pub(super) fn has_help(&self) -> bool {
        self.offload
            .as_ref()
            .is_some_and(|offload| offload.has_room())
    }

    /// Takes in the next bytes, which need not be kept then; false if they have to wait.
    pub(super) fn update(&mut self, bytes: &[u8]) -> bool {
        let is_waiting = self.is_waiting();
        let len = self.sums.len() + self.waiting * UNIT_LEN as u64;
        // A tree of a single unit is another one.
        let is_unit = bytes.len() == UNIT_LEN && len > 0 && len.is_multiple_of(UNIT_LEN as u64);
        if let (true, Some(offload)) = (is_unit, &mut self.offload)
            && offload.submit(len, bytes)
        {
            self.waiting += 1;
            return true;
        }
        if !is_waiting {
            self.sums.update(bytes);
        }
        !is_waiting
    }

    /// Whether values of units that were taken are still to come.
    pub(super) fn is_waiting(&mut self) -> bool {
        if let Some(offload) = &mut self.offload {
            while self.waiting > 0
                && let Some(value) = offload.poll()
            {
                self.sums.push(value);
                self.waiting -= 1;
            }
        }
        self.waiting > 0
    }

    /// Those of all bytes, once nothing is [waited for](Self::is_waiting).
    pub(super) fn sums(&self) -> &Checksums {
        &self.sums
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::VecDeque;
    use std::vec::Vec;

    use super::*;
    use crate::engine::unit_value;

    /// Takes two units at most, and gives a value at every third question.
    #[derive(Debug, Default)]
    struct Slow {
        values: VecDeque<UnitValue>,
        questions: u32,
        taken: u32,
    }

    impl HashOffload for Slow {
        fn has_room(&self) -> bool {
            self.values.len() < 2
        }

        fn submit(&mut self, offset: u64, unit: &[u8]) -> bool {
            assert_eq!(unit.len(), UNIT_LEN);
            if self.has_room() {
                self.values.push_back(unit_value(offset, unit));
                self.taken += 1;
                return true;
            }
            false
        }

        fn poll(&mut self) -> Option<UnitValue> {
            self.questions += 1;
            let is_there = self.questions.is_multiple_of(3);
            is_there.then(|| self.values.pop_front()).flatten()
        }
    }

    #[test]
    fn whoever_hashes_it_is_the_same_hash() {
        for len in [
            0,
            1,
            UNIT_LEN,
            UNIT_LEN + 1,
            20 * UNIT_LEN,
            21 * UNIT_LEN - 5,
        ] {
            let bytes: Vec<u8> = (0..len).map(|i| ((i * 7) >> 3) as u8).collect();
            let mut slow = Slow::default();
            let mut hashing = Hashing::new();
            hashing.set_offload(&mut slow);
            let mut waits = 0;
            for piece in bytes.chunks(UNIT_LEN) {
                while !hashing.update(piece) {
                    waits += 1;
                }
            }
            while hashing.is_waiting() {}
            assert_eq!(hashing.sums().hash(), blake3::hash(&bytes), "{len} bytes");
            let units = (len / UNIT_LEN).saturating_sub(1);
            assert!(waits > 0 || units < 2, "{len} bytes");
            assert_eq!(slow.taken as usize, units, "all but the first");
        }
    }
}
