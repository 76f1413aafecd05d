//! Reading back a disk that was given an image in chunks whose hashes are known.
//!
//! It goes on after a chunk that is wrong, so that the error can name all of them: whether one
//! place of a disk is bad, or everything since a cable was pulled, is what its owner wants to know.

use core::fmt;
use core::ops::Range;

use blake3::Hasher;
use ironcast_proto::cast::is_zero;

/// Those that the disk was given.
pub(super) trait Chunks: fmt::Debug {
    /// The one that has the byte at `offset` of the image.
    fn at(&self, offset: u64) -> Option<Known>;
}

/// What is known of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) number: u64,
    /// Where it is in the image.
    pub(super) range: Range<u64>,
    pub(super) content: Content,
}

/// What is known of a chunk's bytes, as far as they are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "alloc", test)),
    expect(dead_code, reason = "who has chunks has a heap for their table")
)]
pub(super) enum Content {
    /// They may be any.
    Any,
    Zeroes,
    /// Their BLAKE3.
    Hash([u8; 32]),
}

/// Chunks of a disk that are not what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BadChunks {
    /// Numbers of the first ones.
    named: [u64; Self::NAMED],
    count: u64,
}

impl BadChunks {
    /// How many are named.
    const NAMED: usize = 8;

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Numbers of the first of them, from 0: of eight at the most.
    #[must_use]
    pub fn named(&self) -> &[u64] {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        &self.named[..count.min(Self::NAMED)]
    }

    fn push(&mut self, number: u64) {
        let place = usize::try_from(self.count).ok();
        if let Some(place) = place.and_then(|place| self.named.get_mut(place)) {
            *place = number;
        }
        self.count += 1;
    }
}

impl fmt::Display for BadChunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.named();
        f.write_str(if self.count == 1 { "chunk" } else { "chunks" })?;
        for (place, number) in named.iter().enumerate() {
            f.write_str(if place == 0 { " " } else { ", " })?;
            write!(f, "{number}")?;
        }
        match self.count - named.len() as u64 {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A disk that is being read back, from its start on.
#[derive(Debug)]
pub(super) struct ChunkReadBack {
    position: u64,
    /// The chunk that is being read.
    chunk: Option<Known>,
    hasher: Hasher,
    /// Whether all that was read of it is zero.
    is_zero: bool,
    bad: BadChunks,
}

impl ChunkReadBack {
    pub(super) fn new() -> Self {
        Self {
            position: 0,
            chunk: None,
            hasher: Hasher::new(),
            is_zero: true,
            bad: BadChunks::default(),
        }
    }

    /// Bytes that are done with.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Those that were found to be wrong.
    pub(super) fn bad(&self) -> BadChunks {
        self.bad
    }

    /// What to read next, of `len` bytes in all and no more than `most` at once; `None` if nothing
    /// is left. Chunks that may be anything are passed over.
    pub(super) fn next(&mut self, chunks: &dyn Chunks, len: u64, most: u64) -> Option<Range<u64>> {
        while self.position < len {
            let position = self.position;
            let known = match &self.chunk {
                Some(known) if known.range.contains(&position) => known,
                _ => {
                    self.hasher = Hasher::new();
                    self.is_zero = true;
                    self.chunk.insert(chunks.at(position)?)
                }
            };
            let end = known.range.end.min(len);
            if known.content != Content::Any {
                return Some(position..end.min(position + most));
            }
            self.position = end;
        }
        None
    }

    /// Where the chunk is whose bytes are next, if all of them have to be zero and none was taken.
    pub(super) fn zeroes(&self, len: u64) -> Option<Range<u64>> {
        let known = self.chunk.as_ref()?;
        let is_new = known.content == Content::Zeroes && known.range.start == self.position;
        is_new.then(|| known.range.start..known.range.end.min(len))
    }

    /// Goes on behind a chunk that is right.
    pub(super) fn pass(&mut self, range: &Range<u64>) {
        self.position = range.end;
    }

    /// Takes in what [`next`](Self::next) asked for, of `len` bytes in all.
    pub(super) fn take(&mut self, bytes: &[u8], len: u64) {
        let Some(known) = &self.chunk else {
            return;
        };
        self.position += bytes.len() as u64;
        let is_whole = self.position >= known.range.end.min(len);
        let is_right = match known.content {
            Content::Any => true,
            Content::Zeroes => {
                self.is_zero &= is_zero(bytes);
                self.is_zero
            }
            Content::Hash(hash) => {
                self.hasher.update(bytes);
                is_whole && self.hasher.finalize() == hash
            }
        };
        if is_whole && !is_right {
            self.bad.push(known.number);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const CHUNK: u64 = 100;

    /// An image in chunks of which each third is a hole.
    #[derive(Debug)]
    struct Image(Vec<u8>);

    impl Chunks for Image {
        fn at(&self, offset: u64) -> Option<Known> {
            let number = offset / CHUNK;
            let range = number * CHUNK..(number + 1) * CHUNK;
            let bytes = range.start as usize..self.0.len().min(range.end as usize);
            let bytes = self.0.get(bytes)?;
            let content = match number % 3 {
                2 => Content::Any,
                _ if is_zero(bytes) => Content::Zeroes,
                _ => Content::Hash(*blake3::hash(bytes).as_bytes()),
            };
            Some(Known {
                number,
                range,
                content,
            })
        }
    }

    fn bad(image: &Image, disk: &[u8]) -> BadChunks {
        let mut back = ChunkReadBack::new();
        let len = disk.len() as u64;
        while let Some(range) = back.next(image, len, 30) {
            assert!(range.end - range.start <= 30);
            back.take(&disk[range.start as usize..range.end as usize], len);
        }
        assert_eq!(back.position(), len);
        back.bad()
    }

    #[test]
    fn every_wrong_chunk_is_named_and_holes_may_be_anything() {
        let mut image = Image((0..950_u32).map(|byte| (byte / 3) as u8).collect());
        image.0[400..500].fill(0);
        let mut disk = image.0.clone();
        disk[200..300].fill(7);
        assert_eq!(bad(&image, &disk), BadChunks::default());
        disk[199] ^= 1;
        assert_eq!(bad(&image, &disk).to_string(), "chunk 1");
        disk[949] ^= 1;
        disk[300] ^= 1;
        disk[411] ^= 1;
        let found = bad(&image, &disk);
        assert_eq!(found.to_string(), "chunks 1, 3, 4, 9");
        assert_eq!((found.count(), found.named()), (4, &[1, 3, 4, 9][..]));
    }

    #[test]
    fn of_many_wrong_chunks_the_first_are_named() {
        let image = Image(vec![1; 2000]);
        let found = bad(&image, &[2; 2000]);
        let words = "chunks 0, 1, 3, 4, 6, 7, 9, 10 and 6 more";
        assert_eq!(found.to_string(), words);
    }
}
