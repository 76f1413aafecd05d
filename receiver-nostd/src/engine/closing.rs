//! What is left to do when every byte was given to the disk: prove them, then let the disk start.
//!
//! In this order: flush; read everything back; make the partition table right for the disk; write
//! the start that was held back; flush; read that back. So a disk that starts has been proved, and
//! one that lost its power before has zeros where a machine looks first. It goes in steps of one
//! read or write, so that the network is served in between.

use super::checksums::{Checksums, ReadBack};
use super::device::Device;
use super::options::{DiskOptions, TableState};
use super::ring::Ring;
use super::table::Fitting;
use super::{Error, WRITE_SIZE};
use crate::disk::Disk;
use crate::image::START_LEN;

/// What was given to the disk.
#[derive(Debug)]
pub(super) struct Given {
    /// How many bytes.
    pub(super) len: u64,
    /// The first of them, if they are not on the disk yet.
    pub(super) start: Option<[u8; START_LEN]>,
}

/// What tells whether the disk has what it was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof<'p> {
    pub(super) sums: &'p Checksums,
    /// Where the last of its bytes are, the same as on the disk; `None` if they are not kept.
    pub(super) ring: Option<&'p Ring<'p>>,
}

#[derive(Debug)]
pub(super) struct Closing {
    options: DiskOptions,
    stage: Stage,
    table: TableState,
    /// Bytes that were read back.
    verified: u64,
    is_verified: bool,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "without a heap the largest state sets the size"
)]
enum Stage {
    Flush,
    ReadBack(ReadBack),
    /// The table is looked at, and what is not to be done about it is left out.
    Look,
    Fit(Fitting),
    Start,
    StartFlush,
    StartCheck,
    Done,
}

impl Closing {
    pub(super) fn new(options: DiskOptions) -> Self {
        Self {
            options,
            stage: Stage::Flush,
            table: TableState::None,
            verified: 0,
            is_verified: false,
        }
    }

    /// Whether everything will be read back.
    pub(super) fn reads_back<D: Disk>(&self, device: &mut Device<D>) -> bool {
        self.options.verify && device.can_be_read()
    }

    /// What became of the partition table.
    pub(super) fn table(&self) -> TableState {
        self.table
    }

    /// Bytes that were read back so far.
    pub(super) fn verified(&self) -> u64 {
        self.verified
    }

    /// Whether all that is on the disk was proved.
    pub(super) fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// Whether what was given to the disk is safe on it.
    pub(super) fn is_flushed(&self) -> bool {
        !matches!(self.stage, Stage::Flush)
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Whether the next step reads back.
    pub(super) fn is_reading_back(&self) -> bool {
        matches!(self.stage, Stage::ReadBack(_))
    }

    /// Does the next step; false if the disk has no time for it. After the flush `proof` has to be
    /// that of all that was given to the disk.
    pub(super) fn step<D: Disk>(
        &mut self,
        device: &mut Device<D>,
        given: &mut Given,
        proof: Proof<'_>,
        scratch: &mut [u8],
    ) -> Result<bool, Error<D::Error>> {
        if !device.is_ready(0, given.len)? {
            return Ok(false);
        }
        let next = match &mut self.stage {
            Stage::Flush => match device.flush(given.len)? {
                true if self.reads_back(device) => Stage::ReadBack(ReadBack::new()),
                true => Stage::Look,
                false => return Ok(false),
            },
            Stage::ReadBack(back) => {
                if read_back(back, device, given, proof, scratch)? {
                    self.verified = back.position();
                    return Ok(true);
                }
                self.is_verified = true;
                Stage::Look
            }
            Stage::Look => match &given.start {
                // There is no table to be looked at again.
                Some(_) if device.is_dry_run() => Stage::Start,
                Some(start) => {
                    let options = &self.options;
                    Stage::Fit(Fitting::new(device, options, start, given.len, scratch)?)
                }
                None => Stage::Done,
            },
            Stage::Fit(Fitting::Done(table)) => {
                self.table = *table;
                Stage::Start
            }
            Stage::Fit(fitting) => {
                if let Some(start) = &mut given.start {
                    fitting.advance(device, start, scratch)?;
                }
                return Ok(true);
            }
            Stage::Start => {
                if let Some(start) = &given.start {
                    device.write(0, start)?;
                }
                Stage::StartFlush
            }
            Stage::StartFlush => match device.flush(START_LEN as u64)? {
                true if self.is_verified => Stage::StartCheck,
                true => Stage::Done,
                false => return Ok(false),
            },
            Stage::StartCheck => {
                if let Some(start) = &given.start {
                    device.compare(0, start, scratch)?;
                }
                Stage::Done
            }
            Stage::Done => return Ok(false),
        };
        self.stage = next;
        Ok(true)
    }
}

/// Reads the next piece back; false if there is none. Where the start was held back there are zeros
/// so far, and its bytes in memory count.
fn read_back<D: Disk>(
    back: &mut ReadBack,
    device: &mut Device<D>,
    given: &Given,
    proof: Proof<'_>,
    scratch: &mut [u8],
) -> Result<bool, Error<D::Error>> {
    let left = given.len - back.position();
    // No more than `WRITE_SIZE`, which is a `usize`.
    let len = left.min(WRITE_SIZE as u64) as usize;
    let piece = scratch.get_mut(..len).unwrap_or_default();
    if piece.is_empty() {
        return Ok(false);
    }
    device.read(back.position(), piece)?;
    if let (Some(start), 0) = (&given.start, back.position())
        && let Some(place) = piece.first_chunk_mut()
    {
        *place = *start;
    }
    let Proof { sums, ring } = proof;
    let position = back.position();
    // All of a range is there, or nothing of it counts.
    let is_kept = |ring: &&Ring<'_>| sums.range_at(position).start + ring.len() >= given.len;
    let compared = match ring.filter(is_kept) {
        Some(ring) => {
            let end = position + piece.len() as u64;
            back.compare(sums, piece, ring.piece(position, end))
        }
        None => back.update(sums, piece),
    };
    compared.map_err(|range| Error::Differs {
        start: range.start,
        end: range.end,
    })?;
    Ok(true)
}
