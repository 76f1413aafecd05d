//! What a dry run writes to: nothing, with the limits of the disk that would have been written.
//!
//! It has no way to the disk, so that no slip elsewhere can write after all.

use embedded_io::{ErrorType, Seek, SeekFrom, Write};
use ironcast_receiver_nostd::disk::Disk;

use super::disk::{DiskError, place_on_disk};

/// A disk that takes everything and keeps nothing.
#[derive(Debug)]
pub(crate) struct DryRun {
    bytes: u64,
    sector: u32,
    position: u64,
}

impl DryRun {
    /// In place of a disk of `bytes` bytes in sectors of `sector`.
    pub(crate) fn new(bytes: u64, sector: u32) -> Self {
        Self {
            bytes,
            sector,
            position: 0,
        }
    }
}

impl ErrorType for DryRun {
    type Error = DiskError;
}

impl Write for DryRun {
    fn write(&mut self, data: &[u8]) -> Result<usize, DiskError> {
        let taken = (data.len() as u64).min(self.bytes - self.position);
        if taken == 0 {
            return Err(DiskError::Full);
        }
        self.position += taken;
        Ok(usize::try_from(taken).unwrap_or(data.len()))
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl Seek for DryRun {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, DiskError> {
        self.position = place_on_disk(to, self.position, self.bytes)?;
        Ok(self.position)
    }
}

impl Disk for DryRun {
    fn capacity(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn sector_size(&self) -> Option<u32> {
        Some(self.sector)
    }

    fn is_dry_run(&self) -> bool {
        true
    }
}
