//! What is left to do when every byte was given to the disk: prove them, then let the disk start.
//!
//! In this order: flush; read everything back; make the partition table right for the disk; write
//! the start that was held back; flush; read that back. So a disk that starts has been proved, and
//! one that lost its power before has zeros where a machine looks first. It goes in steps of one
//! read or write, so that the network is served in between.

use super::Error;
use super::device::Device;
use super::options::{DiskOptions, TableState};
use super::read_back::{Given, Proof, ReadBack};
use super::table::Fitting;
use crate::disk::Disk;
use crate::image::START_LEN;

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
                true if self.reads_back(device) => Stage::ReadBack(ReadBack::new(proof)),
                true => Stage::Look,
                false => return Ok(false),
            },
            Stage::ReadBack(back) => {
                let more = back.advance(device, given, proof, scratch)?;
                self.verified = back.position();
                if more {
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
