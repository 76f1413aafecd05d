//! What the decoders of formats in blocks share: bytes that are gathered until there are enough,
//! memory for blocks, and the way of working in steps.
//!
//! Memory for a block is taken when the stream says how long it is, and where the system has not so
//! much, that is an error like any other.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Decoded, Fault};

/// A decoder that works in steps.
pub(super) trait Steps {
    /// Takes some of `input`, or fills some of `room`. Neither means that there is nothing to do
    /// before there is more of one of them.
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Decoded, Fault>;
}

/// As [`Decoder::decode`](super::Decoder::decode).
pub(super) fn decode(
    decoder: &mut impl Steps,
    input: &[u8],
    buffer: &mut [u8],
    filled: usize,
) -> Result<Decoded, Fault> {
    let mut sum = Decoded::default();
    loop {
        let rest = input.get(sum.consumed..).unwrap_or_default();
        let room = buffer.get_mut(filled + sum.produced..).unwrap_or_default();
        let step = decoder.step(rest, room)?;
        if step == Decoded::default() {
            return Ok(sum);
        }
        sum.consumed += step.consumed;
        sum.produced += step.produced;
    }
}

/// A few bytes, `N` at most, that make sense only together.
#[derive(Debug)]
pub(super) struct Gather<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Gather<N> {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Takes what is missing to `wanted` bytes from the start of `input`, or all of that; gives how
    /// many bytes it took.
    pub(super) fn fill(&mut self, input: &[u8], wanted: usize) -> usize {
        let room = self.bytes.get_mut(self.len..wanted).unwrap_or_default();
        let count = room.len().min(input.len());
        for (place, &byte) in room.iter_mut().zip(input) {
            *place = byte;
        }
        self.len += count;
        count
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }
}

/// Reads the fields of a header one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl Fields<'_> {
    /// The next `N` bytes; zeros in the place of what is not there.
    pub(super) fn next<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((&bytes, rest)) => {
                self.0 = rest;
                bytes
            }
            None => [0; N],
        }
    }
}

/// A block as it is in the stream, until all of it is there.
#[derive(Debug, Default)]
pub(super) struct Block {
    bytes: Vec<u8>,
    wanted: usize,
}

impl Block {
    /// Begins a block of `len` bytes.
    pub(super) fn begin(&mut self, len: usize) -> Result<(), Fault> {
        self.bytes.clear();
        self.wanted = len;
        reserve(&mut self.bytes, len)
    }

    /// Takes what is missing from the start of `input`; gives how many bytes it took.
    pub(super) fn fill(&mut self, input: &[u8]) -> usize {
        let count = input.len().min(self.wanted - self.bytes.len());
        self.bytes
            .extend_from_slice(input.get(..count).unwrap_or_default());
        count
    }

    /// All of it, if all is there.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (self.bytes.len() == self.wanted).then_some(&self.bytes)
    }
}

/// A decoded block on its way out, and before it what the next one may refer back to.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// Where blocks are put: before it is room for older bytes.
    start: usize,
    /// How many older bytes there are.
    known: usize,
    /// How long the block is.
    len: usize,
    /// What of it has not gone out.
    pending: Range<usize>,
}

impl Output {
    /// Memory that keeps `history` bytes for the next block.
    pub(super) fn new(history: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: history,
            known: 0,
            len: 0,
            pending: 0..0,
        }
    }

    /// Forgets what was decoded before.
    pub(super) fn forget(&mut self) {
        self.known = 0;
        self.len = 0;
    }

    /// What was decoded last, and room for a block of `len` bytes behind it. All of the block
    /// before must have gone out.
    pub(super) fn room(&mut self, len: usize) -> Result<(&[u8], &mut [u8]), Fault> {
        let needed = self.start + len;
        if self.bytes.len() < needed {
            let more = needed - self.bytes.len();
            reserve(&mut self.bytes, more)?;
            self.bytes.resize(needed, 0);
        }
        let end = self.start + self.len;
        let known = self.start.min(self.known + self.len);
        self.bytes.copy_within(end - known..end, self.start - known);
        self.known = known;
        self.len = 0;
        let (before, behind) = self.bytes.split_at_mut(self.start);
        let (_, before) = before.split_at(self.start - known);
        Ok((before, behind.get_mut(..len).unwrap_or_default()))
    }

    /// Says that `len` bytes were put into the room.
    pub(super) fn put(&mut self, len: usize) {
        self.len = len;
        self.pending = self.start..self.start + len;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Moves as much as fits into `room`, and gives what that was.
    pub(super) fn drain<'r>(&mut self, room: &'r mut [u8]) -> &'r [u8] {
        let count = self.pending.len().min(room.len());
        let from = self.pending.start;
        let (place, _) = room.split_at_mut(count);
        if let Some(bytes) = self.bytes.get(from..from + count) {
            place.copy_from_slice(bytes);
        }
        self.pending.start += count;
        place
    }
}

/// Sees to it that `more` bytes fit into `memory`.
pub(super) fn reserve(memory: &mut Vec<u8>, more: usize) -> Result<(), Fault> {
    memory.try_reserve_exact(more).map_err(|_| Fault::Memory {
        needed: (memory.len() + more) as u64,
    })
}

/// Compares a checksum of the stream with that of what was found.
pub(super) fn check(expected: u32, got: u32) -> Result<(), Fault> {
    match expected == got {
        true => Ok(()),
        false => Err(Fault::Checksum { expected, got }),
    }
}
