//! Where a disk differs from what was given to it, in memory that does not grow with the image.
//!
//! BLAKE3 over all of it proves that nothing differs, but does not tell where something does. So
//! there is a table of CRC-32s beside, one for each range of the image. The ranges are of one
//! length, a write at first. When the table is full each two of them become one of twice the
//! length, which CRC-32 can do without the bytes; so any image fits, and a fault is narrowed down
//! to a thousandth of it at the worst.

use core::ops::Range;

use blake3::Hash;
use crc32fast::Hasher;

use super::WRITE_SIZE;

/// Ranges in the table: with 256 KiB to begin with, images of up to 256 MiB have no longer ones.
const RANGES: usize = 1024;

/// Checksums of what was given to a disk, from its start on, of as many ranges as fit into `COUNT`
/// places, which is even.
#[derive(Debug)]
pub(super) struct Checksums<const COUNT: usize = RANGES> {
    /// Those of ranges that are full.
    sums: [u32; COUNT],
    full: usize,
    /// Bytes of each range.
    range: u64,
    /// That of the range that is being filled.
    current: Hasher,
    /// Bytes in all.
    len: u64,
}

impl<const COUNT: usize> Checksums<COUNT> {
    pub(super) fn new() -> Self {
        Self {
            sums: [0; COUNT],
            full: 0,
            range: WRITE_SIZE as u64,
            current: Hasher::new(),
            len: 0,
        }
    }

    /// Takes in the next bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = self.full as u64 * self.range + self.range;
            let (now, rest) = split(bytes, end - self.len);
            self.current.update(now);
            self.len += now.len() as u64;
            bytes = rest;
            if self.len == end {
                self.end_range();
            }
        }
    }

    fn end_range(&mut self) {
        if let Some(place) = self.sums.get_mut(self.full) {
            let range = core::mem::replace(&mut self.current, Hasher::new());
            *place = range.finalize();
            self.full += 1;
        } else {
            self.halve();
        }
    }

    /// Makes one range of each two. The one that is being filled is half of one then.
    fn halve(&mut self) {
        self.full = COUNT / 2;
        for place in 0..self.full {
            let pair = self.sums.get(2 * place..2 * place + 2);
            let Some(&[first, second]) = pair else {
                continue;
            };
            let mut both = Hasher::new_with_initial_len(first, self.range);
            both.combine(&Hasher::new_with_initial_len(second, self.range));
            if let Some(sum) = self.sums.get_mut(place) {
                *sum = both.finalize();
            }
        }
        self.range *= 2;
    }

    /// The range that has the byte at `offset`.
    fn range_at(&self, offset: u64) -> Range<u64> {
        let start = offset / self.range * self.range;
        start..(start + self.range).min(self.len)
    }

    fn sum_at(&self, offset: u64) -> u32 {
        let full = self.sums.get(..self.full).unwrap_or_default();
        let place = usize::try_from(offset / self.range).unwrap_or(usize::MAX);
        let current = || self.current.clone().finalize();
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
    /// Of everything.
    hasher: blake3::Hasher,
}

impl ReadBack {
    pub(super) fn new() -> Self {
        Self {
            position: 0,
            range: Hasher::new(),
            hasher: blake3::Hasher::new(),
        }
    }

    /// Bytes that were taken in.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// The first range that is not the one that was given to the disk.
    pub(super) fn update<const COUNT: usize>(
        &mut self,
        given: &Checksums<COUNT>,
        mut bytes: &[u8],
    ) -> Result<(), Range<u64>> {
        self.hasher.update(bytes);
        while !bytes.is_empty() && self.position < given.len {
            let whole = given.range_at(self.position);
            let (now, rest) = split(bytes, whole.end - self.position);
            self.range.update(now);
            bytes = rest;
            let expected = given.sum_at(self.position);
            self.position += now.len() as u64;
            if self.position == whole.end {
                let range = core::mem::replace(&mut self.range, Hasher::new());
                if range.finalize() != expected {
                    return Err(whole);
                }
            }
        }
        Ok(())
    }

    /// Compares everything.
    ///
    /// # Errors
    /// All of it, if it is not what has the hash `given`.
    pub(super) fn finish(&self, given: Hash) -> Result<(), Range<u64>> {
        match self.hasher.finalize() == given {
            true => Ok(()),
            false => Err(0..self.position),
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
        back.finish(blake3::hash(image))
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
    fn what_the_checksums_miss_the_hash_does_not() {
        let image = bytes(1000);
        let mut given = Checksums::<8>::new();
        given.update(&image);
        let mut back = ReadBack::new();
        back.update(&given, &image).unwrap();
        assert_eq!(back.finish(blake3::hash(b"else")), Err(0..1000));
        let nothing = ReadBack::new();
        assert_eq!(nothing.finish(blake3::hash(&[])), Ok(()));
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
