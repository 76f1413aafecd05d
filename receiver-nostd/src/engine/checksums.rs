//! What a disk was given, and where it differs from that, in memory that does not grow with the
//! image.
//!
//! BLAKE3 is a tree: the hash of an image is made of the hashes of its parts, which it calls
//! chaining values. So one pass over the bytes gives both the image's hash and a table that tells
//! where a disk has something else. Its ranges are of one length, a write at first; when it is
//! full, each two of them become one of twice the length, which needs no byte of them. So any image
//! fits, and a fault is narrowed down to 1/128 of it at the worst.

use core::ops::Range;

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};
use blake3::{Hash, Hasher, OUT_LEN};

use super::WRITE_SIZE;

/// Ranges in the table: with 256 KiB to begin with, images of up to 64 MiB have no longer ones.
const RANGES: usize = 256;

/// Hashes of what was given to a disk, from its start on, of as many ranges as fit into `COUNT`
/// places, which is even.
#[derive(Debug)]
pub(super) struct Checksums<const COUNT: usize = RANGES> {
    /// Those of ranges that are full, but for the last.
    values: [ChainingValue; COUNT],
    full: usize,
    /// Bytes of each range: a write's length and a power of two.
    range: u64,
    /// The last range. It has a byte as soon as there is any, since the last part of a tree is
    /// treated apart.
    current: Hasher,
    /// Bytes in all.
    len: u64,
}

impl<const COUNT: usize> Checksums<COUNT> {
    pub(super) fn new() -> Self {
        Self {
            values: [[0; OUT_LEN]; COUNT],
            full: 0,
            range: WRITE_SIZE as u64,
            current: Hasher::new(),
            len: 0,
        }
    }

    /// Takes in the next bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.len == self.end() {
                self.end_range();
            }
            let (now, rest) = split(bytes, self.end() - self.len);
            self.current.update(now);
            self.len += now.len() as u64;
            bytes = rest;
        }
    }

    /// The hash of all bytes.
    pub(super) fn hash(&self) -> Hash {
        let mut before = self.values.get(..self.full).unwrap_or_default();
        if before.is_empty() {
            return self.current.finalize();
        }
        // What is left of the last range is in whole subtrees, the largest first.
        let mut last = self.current.finalize_non_root();
        loop {
            let size = 1 << before.len().trailing_zeros();
            let (rest, subtree) = before.split_at(before.len().saturating_sub(size));
            let value = value_of(subtree);
            if rest.is_empty() {
                return hazmat::merge_subtrees_root(&value, &last, Mode::Hash);
            }
            last = hazmat::merge_subtrees_non_root(&value, &last, Mode::Hash);
            before = rest;
        }
    }

    /// Where the last range ends.
    fn end(&self) -> u64 {
        (self.full as u64 + 1) * self.range
    }

    fn end_range(&mut self) {
        if let Some(place) = self.values.get_mut(self.full) {
            let range = core::mem::replace(&mut self.current, hasher_from(self.len));
            *place = range.finalize_non_root();
            self.full += 1;
        } else {
            self.halve();
        }
    }

    /// Makes one range of each two. The last is half of one then.
    fn halve(&mut self) {
        self.full = COUNT / 2;
        for place in 0..self.full {
            let pair = self.values.get(2 * place..2 * place + 2);
            let value = value_of(pair.unwrap_or_default());
            if let Some(place) = self.values.get_mut(place) {
                *place = value;
            }
        }
        self.range *= 2;
    }

    /// The range that has the byte at `offset`.
    pub(super) fn range_at(&self, offset: u64) -> Range<u64> {
        let start = offset / self.range * self.range;
        start..(start + self.range).min(self.len)
    }

    /// The chaining value of that range.
    fn value_at(&self, offset: u64) -> ChainingValue {
        let full = self.values.get(..self.full).unwrap_or_default();
        let place = usize::try_from(offset / self.range).unwrap_or(usize::MAX);
        let current = || self.current.finalize_non_root();
        full.get(place).copied().unwrap_or_else(current)
    }
}

/// A disk that is being read back and compared, from its start on.
#[derive(Debug)]
pub(super) struct ReadBack {
    /// Bytes that were taken in.
    position: u64,
    /// Of the range that is being read.
    range: Hasher,
}

impl ReadBack {
    pub(super) fn new() -> Self {
        Self {
            position: 0,
            range: Hasher::new(),
        }
    }

    /// Bytes that were taken in.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Takes in the next bytes, which have to be `expected`. Only from the start of a range on, and
    /// then to its end.
    ///
    /// # Errors
    /// Their range, if they are not.
    pub(super) fn compare<const COUNT: usize>(
        &mut self,
        given: &Checksums<COUNT>,
        bytes: &[u8],
        expected: &[u8],
    ) -> Result<(), Range<u64>> {
        if bytes != expected {
            return Err(given.range_at(self.position));
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Takes in the next bytes. They are proved when their range has ended, or all bytes that were
    /// given to the disk.
    ///
    /// # Errors
    /// The first range that is not the one that was given to the disk.
    pub(super) fn update<const COUNT: usize>(
        &mut self,
        given: &Checksums<COUNT>,
        mut bytes: &[u8],
    ) -> Result<(), Range<u64>> {
        while !bytes.is_empty() && self.position < given.len {
            let whole = given.range_at(self.position);
            if self.position == whole.start {
                self.range = hasher_from(whole.start);
            }
            let (now, rest) = split(bytes, whole.end - self.position);
            self.range.update(now);
            bytes = rest;
            self.position += now.len() as u64;
            let is_whole = self.position == whole.end;
            if is_whole && self.range.finalize_non_root() != given.value_at(whole.start) {
                return Err(whole);
            }
        }
        Ok(())
    }
}

/// A hasher for the part of a tree that begins at byte `start`, a multiple of a range.
fn hasher_from(start: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(start);
    hasher
}

/// The chaining value of parts that make up a whole subtree: their number is a power of two.
fn value_of(parts: &[ChainingValue]) -> ChainingValue {
    match parts {
        [] => [0; OUT_LEN],
        [part] => *part,
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            hazmat::merge_subtrees_non_root(&value_of(left), &value_of(right), Mode::Hash)
        }
    }
}

/// The first `at` bytes, or all, and the rest.
fn split(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    bytes.split_at(at.min(bytes.len()))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    /// Reads back what has one bit changed, in pieces of odd sizes.
    fn found(given: &Checksums<8>, image: &[u8], flip: Option<usize>) -> Result<(), Range<u64>> {
        let mut disk = image.to_vec();
        if let Some(at) = flip {
            disk[at] ^= 4;
        }
        let mut back = ReadBack::new();
        for piece in disk.chunks(100_003) {
            back.update(given, piece)?;
        }
        assert_eq!(back.position(), image.len() as u64);
        Ok(())
    }

    #[test]
    fn a_wrong_bit_is_found_in_its_write() {
        let image = bytes(3 * WRITE_SIZE + 77);
        let mut given = Checksums::new();
        for piece in image.chunks(99_999) {
            given.update(piece);
        }
        assert_eq!(found(&given, &image, None), Ok(()));
        let write = WRITE_SIZE as u64;
        for (at, range) in [
            (0, 0..write),
            (WRITE_SIZE - 1, 0..write),
            (WRITE_SIZE, write..2 * write),
            (3 * WRITE_SIZE + 76, 3 * write..3 * write + 77),
        ] {
            assert_eq!(found(&given, &image, Some(at)), Err(range), "byte {at}");
        }
    }

    #[test]
    fn the_hash_of_all_is_that_of_blake3() {
        let image = bytes(24 * WRITE_SIZE);
        let write = WRITE_SIZE;
        let lens = (0..24).map(|count| count * write);
        for len in lens.flat_map(|len| [len, len + 1, len + write - 1]) {
            let mut given = Checksums::<8>::new();
            for piece in image[..len].chunks(150_001) {
                given.update(piece);
            }
            assert_eq!(given.hash(), blake3::hash(&image[..len]), "{len} bytes");
        }
    }

    /// The table is full twice: first with ranges of a write, then with those of two.
    #[test]
    fn a_large_image_has_longer_ranges() {
        const COUNT: usize = 8;
        let piece = bytes(WRITE_SIZE);
        let count = 2 * COUNT + 3;
        let mut given = Checksums::<COUNT>::new();
        (0..count).for_each(|_| given.update(&piece));
        assert_eq!(given.range, 4 * WRITE_SIZE as u64);
        let wrong = vec![7; WRITE_SIZE];
        for at in [None, Some(0), Some(5), Some(COUNT), Some(2 * COUNT + 2)] {
            let mut back = ReadBack::new();
            let mut result = Ok(());
            for number in 0..count {
                let part = if at == Some(number) { &wrong } else { &piece };
                result = result.and_then(|()| back.update(&given, part));
            }
            let range = |at: usize| given.range_at((at * WRITE_SIZE) as u64);
            assert_eq!(result, at.map_or(Ok(()), |at| Err(range(at))), "{at:?}");
        }
    }
}
