//! The books of one slice: which of its blocks are there, and where FEC blocks stand in for them.
//!
//! FEC blocks get no memory of their own. One that arrives while its stripe lacks a data block is
//! put in that block's place; if the data block comes after all, it takes the place, and the stripe
//! is as near to its end as before. When every place of a stripe is taken, the stripe can be
//! rebuilt where it lies (docs/protocol.md, "FEC code").

use super::repair::{Extent, Repair, Stripe};
use crate::bits::BitSet;
use crate::fec::MAX_STRIPE;
use crate::geometry::{self, MAX_SLICE_BLOCKS};

/// In [`Slice::rows`]: no FEC block is in this place.
const NONE: u8 = u8::MAX;

/// The books of one slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    /// Its length, once any message told it.
    pub(super) bytes: Option<u32>,
    received: BitSet,
    /// Blocks received without a gap from the first on.
    prefix: u16,
    /// Into how many stripes the blocks are dealt; 0 until an FEC block told it.
    stripes: u16,
    /// For each block the row of the FEC block that is in its place, or [`NONE`].
    rows: [u8; MAX_SLICE_BLOCKS as usize],
}

impl Default for Slice {
    fn default() -> Self {
        Self {
            bytes: None,
            received: BitSet::EMPTY,
            prefix: 0,
            stripes: 0,
            rows: [NONE; MAX_SLICE_BLOCKS as usize],
        }
    }
}

/// Where an FEC block belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FecPlace {
    /// In the place of this block.
    Block(u16),
    /// Nowhere: its stripe lacks nothing that it could stand in for, or it is there already.
    Spare,
    /// It contradicts itself or what was told before.
    Invalid,
}

impl Slice {
    /// Takes the length in; false if it contradicts an earlier one.
    pub(super) fn learn(&mut self, bytes: u32) -> bool {
        *self.bytes.get_or_insert(bytes) == bytes
    }

    /// Blocks whose data are there.
    pub(super) fn received(&self) -> &BitSet {
        &self.received
    }

    /// Bytes that are there without a gap from the first on.
    pub(super) fn contiguous(&self, block_size: u16) -> u64 {
        let blocks = u64::from(self.prefix) * u64::from(block_size);
        blocks.min(self.bytes.map_or(0, u64::from))
    }

    /// Whether all of its data are there.
    pub(super) fn is_complete(&self, block_size: u16) -> bool {
        self.bytes.is_some_and(|bytes| {
            bytes > 0 && u32::from(self.prefix) >= geometry::blocks_in(bytes, block_size)
        })
    }

    /// Whether anything was heard of it.
    pub(super) fn is_known(&self) -> bool {
        self.bytes.is_some()
    }

    /// Notes a data block; false if it was there.
    pub(super) fn insert(&mut self, block: u16) -> bool {
        let new = self.received.insert(usize::from(block));
        if let Some(row) = self.rows.get_mut(usize::from(block)) {
            *row = NONE;
        }
        while self.received.contains(usize::from(self.prefix)) {
            self.prefix += 1;
        }
        new
    }

    /// Notes an FEC block, which has this number among those of the slice, and finds a place.
    pub(super) fn insert_fec(&mut self, stripes: u16, number: u16, block_size: u16) -> FecPlace {
        let is_possible = stripes > 0 && (self.stripes == 0 || self.stripes == stripes);
        if !is_possible || number / stripes >= MAX_STRIPE {
            return FecPlace::Invalid;
        }
        self.stripes = stripes;
        let (row, stripe) = ((number / stripes) as u8, number % stripes);
        let mut place = None;
        let mut columns = 0;
        for block in self.stripe(stripe, block_size) {
            columns += 1;
            match self.rows.get(usize::from(block)) {
                Some(&there) if there == row => return FecPlace::Spare,
                Some(&NONE) if !self.received.contains(usize::from(block)) => {
                    place = place.or(Some(block));
                }
                _ => {}
            }
        }
        if columns > MAX_STRIPE {
            return FecPlace::Invalid;
        }
        match place.and_then(|block| Some((block, self.rows.get_mut(usize::from(block))?))) {
            Some((block, place)) => {
                *place = row;
                FecPlace::Block(block)
            }
            None => FecPlace::Spare,
        }
    }

    /// The work that completes the stripe of a block, if each of its places is taken, and some by
    /// FEC blocks. Counts it as done.
    pub(super) fn rebuild(&mut self, block: u16, slice: Extent) -> Option<Repair> {
        let stripe = block.checked_rem(self.stripes)?;
        let mut taken = Stripe::new(slice, self.stripes, stripe);
        let mut by_fec = false;
        for block in self.stripe(stripe, slice.block_size) {
            let row = self.rows.get(usize::from(block)).copied()?;
            if row == NONE && !self.received.contains(usize::from(block)) {
                return None;
            }
            by_fec |= row != NONE;
            taken.push((row != NONE).then_some(row));
        }
        if !by_fec {
            return None;
        }
        for block in self.stripe(stripe, slice.block_size) {
            self.insert(block);
        }
        Some(Repair::rebuild(taken))
    }

    /// The blocks of a stripe, in the order of its columns.
    fn stripe(&self, stripe: u16, block_size: u16) -> impl Iterator<Item = u16> + use<> {
        let blocks = geometry::blocks_in(self.bytes.unwrap_or(0), block_size) as u16;
        (stripe..blocks).step_by(usize::from(self.stripes.max(1)))
    }
}
