//! What has to be done to the caller's memory for blocks, before it holds the image.
//!
//! The machine keeps no block, so it can't rebuild one: it says which places of the caller's memory
//! hold what, and the caller lets the code over its memory (docs/protocol.md, "FEC code").

use core::ops::Range;

use heapless::Vec;

use crate::bits::BitSet;
use crate::fec::{self, Column, MAX_STRIPE};
use crate::geometry;

/// In [`Stripe::rows`]: the place holds its data.
const DATA: u8 = u8::MAX;

/// A piece of work on the caller's memory for blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair(Work);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Work {
    Rebuild(Stripe),
    Zero { slice: Extent, received: BitSet },
}

/// Where a slice lies in the stream, and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Stream offset of its first byte.
    pub(super) base: u64,
    /// Its length.
    pub(super) bytes: u32,
    pub(super) block_size: u16,
}

impl Extent {
    fn blocks(&self) -> u16 {
        geometry::blocks_in(self.bytes, self.block_size) as u16
    }

    fn offset(&self, block: u16) -> u64 {
        self.base + u64::from(block) * u64::from(self.block_size)
    }

    /// Bytes of a block.
    fn len(&self, block: u16) -> usize {
        geometry::block_len(self.bytes, self.block_size, block) as usize
    }
}

/// A stripe each of whose places holds either its data block or an FEC block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stripe {
    slice: Extent,
    /// How many stripes the slice has, and which of them this is.
    stripes: u16,
    stripe: u16,
    /// For each column the row of the FEC block that lies in its place, or [`DATA`].
    rows: Vec<u8, { MAX_STRIPE as usize }>,
}

impl Stripe {
    /// A stripe all of whose places hold their data so far.
    pub(super) fn new(slice: Extent, stripes: u16, stripe: u16) -> Self {
        Self {
            slice,
            stripes,
            stripe,
            rows: Vec::new(),
        }
    }

    /// Adds the next column, and what is in its place: the FEC block of a row, or its data.
    pub(super) fn push(&mut self, row: Option<u8>) {
        let _ = self.rows.push(row.unwrap_or(DATA));
    }

    fn block(&self, column: usize) -> u16 {
        self.stripe + self.stripes * column as u16
    }

    /// Rebuilds what is missing. The bytes of a block are independent of each other, so it can go
    /// by ranges of them: from each range on, blocks that are shorter count as zeroes, and a block
    /// that goes round the end of `ring` goes on at its start.
    fn rebuild(&self, ring: &mut [u8]) {
        let size = usize::from(self.slice.block_size);
        let shortest = self.slice.len(self.slice.blocks().saturating_sub(1));
        let mut cuts = [0, shortest, self.wrap(ring.len()), size];
        cuts.sort_unstable();
        for cut in cuts.windows(2) {
            let (from, to) = (cut[0], cut[1]);
            if from == to {
                continue;
            }
            let columns: Vec<Column, { MAX_STRIPE as usize }> = (0..self.rows.len())
                .map(|column| self.column(column, from, ring.len()))
                .collect();
            // The window made sure of what the code asks for: different rows, all inside the ring.
            let rebuilt = fec::rebuild(ring, to - from, &columns);
            debug_assert!(rebuilt.is_ok(), "{rebuilt:?}");
        }
    }

    /// How many bytes of the block that goes round the ring's end lie before it; 0 if none does.
    fn wrap(&self, ring_len: usize) -> usize {
        (0..self.rows.len())
            .map(|column| {
                let block = self.block(column);
                let before = ring_len - place(self.slice.offset(block), ring_len);
                if before < self.slice.len(block) {
                    before
                } else {
                    0
                }
            })
            .max()
            .unwrap_or(0)
    }

    fn column(&self, column: usize, from: usize, ring_len: usize) -> Column {
        let block = self.block(column);
        if self.slice.len(block) <= from {
            return Column::Zero;
        }
        let at = place(self.slice.offset(block) + from as u64, ring_len);
        match self.rows[column] {
            DATA => Column::Data { at },
            row => Column::Fec {
                at,
                row: u16::from(row),
            },
        }
    }
}

impl Repair {
    pub(super) fn rebuild(stripe: Stripe) -> Self {
        Self(Work::Rebuild(stripe))
    }

    /// Zeroes in the place of the blocks that are not in `received`.
    pub(super) fn zero(slice: Extent, received: BitSet) -> Self {
        Self(Work::Zero { slice, received })
    }

    /// How many blocks it rebuilds.
    pub(super) fn rebuilt(&self) -> u64 {
        match &self.0 {
            Work::Rebuild(stripe) => stripe.rows.iter().filter(|&&row| row != DATA).count() as u64,
            Work::Zero { .. } => 0,
        }
    }

    /// Does it to `ring`, the memory for blocks, in which stream offset `o` is at `o` modulo its
    /// length. That has to be [`Config::capacity`](super::Config::capacity).
    pub fn apply(&self, ring: &mut [u8]) {
        if ring.is_empty() {
            return;
        }
        match &self.0 {
            Work::Rebuild(stripe) => stripe.rebuild(ring),
            Work::Zero { slice, received } => {
                for block in 0..slice.blocks() {
                    if !received.contains(usize::from(block)) {
                        zero(ring, slice.offset(block), slice.len(block));
                    }
                }
            }
        }
    }
}

fn place(offset: u64, ring_len: usize) -> usize {
    // Less than the ring's length, which is a `usize`.
    (offset % ring_len as u64) as usize
}

fn zero(ring: &mut [u8], offset: u64, len: usize) {
    let start = place(offset, ring.len());
    let before = len.min(ring.len() - start);
    for range in [start..start + before, 0..len - before] {
        fill(ring, range);
    }
}

fn fill(ring: &mut [u8], range: Range<usize>) {
    if let Some(place) = ring.get_mut(range) {
        place.fill(0);
    }
}
