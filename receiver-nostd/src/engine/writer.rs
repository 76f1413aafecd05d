//! Writes to the disk in order, within its limits, and makes it bootable last.
//!
//! The first bytes of a disk are what firmware looks for. Until everything else is safe there are
//! zeros in their place, so that a transfer that breaks off leaves a disk that does not start, and
//! not one that starts half a system.

use embedded_io::SeekFrom;

use super::Error;
use crate::disk::Disk;
use crate::image;

/// Bytes that are held back: boot sector, GPT header of disks with sectors of 512 or 4096 bytes.
const START_LEN: usize = image::START_LEN;

#[derive(Debug)]
pub(super) struct Writer<D> {
    disk: D,
    /// Bytes of the image that are on the disk, or held back.
    position: u64,
    /// Where the last write began.
    last: u64,
    start: Start,
}

/// Where the image's first bytes are.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "without a heap the largest state sets the size"
)]
enum Start {
    /// Wherever the image goes: nothing was written yet, or it needs no care.
    OnDisk,
    HeldBack([u8; START_LEN]),
}

impl<D: Disk> Writer<D> {
    pub(super) fn new(disk: D) -> Self {
        Self {
            disk,
            position: 0,
            last: 0,
            start: Start::OnDisk,
        }
    }

    pub(super) fn disk(&mut self) -> &mut D {
        &mut self.disk
    }

    pub(super) fn into_disk(self) -> D {
        self.disk
    }

    /// Bytes of the image that were taken.
    pub(super) fn written(&self) -> u64 {
        self.position
    }

    /// Writes the image's next bytes. If they are its first ones they may be overwritten here.
    pub(super) fn write(&mut self, bytes: &mut [u8]) -> Result<(), Error<D::Error>> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.position == 0 {
            self.check_size(bytes)?;
        }
        if let Some(capacity) = self.disk.capacity()
            && bytes.len() as u64 > capacity.saturating_sub(self.position)
        {
            return Err(Error::Full { capacity });
        }
        if self.position == 0 {
            self.hold_back(bytes);
        }
        self.write_all(bytes)
    }

    /// Whether the disk takes a write now.
    pub(super) fn is_ready(&mut self) -> Result<bool, Error<D::Error>> {
        let (start, end) = (self.last, self.position);
        self.disk
            .is_ready()
            .map_err(|source| Error::Write { start, end, source })
    }

    /// Makes everything safe, and the disk bootable; false if that goes on.
    pub(super) fn finish(&mut self) -> Result<bool, Error<D::Error>> {
        if !self.is_ready()? || !self.flush()? {
            return Ok(false);
        }
        let Start::HeldBack(start) = core::mem::replace(&mut self.start, Start::OnDisk) else {
            return Ok(true);
        };
        let written = core::mem::replace(&mut self.position, 0);
        self.disk
            .seek(SeekFrom::Start(0))
            .map_err(|source| Error::Seek { offset: 0, source })?;
        self.write_all(&start)?;
        self.position = written;
        self.flush()
    }

    fn check_size(&self, start: &[u8]) -> Result<(), Error<D::Error>> {
        match (self.disk.capacity(), image::needed(start, None)) {
            (Some(capacity), Some(needed)) if needed.bytes > capacity => {
                Err(Error::TooSmall { needed, capacity })
            }
            _ => Ok(()),
        }
    }

    /// An image that is shorter than what would be held back is written as it comes.
    fn hold_back(&mut self, bytes: &mut [u8]) {
        if self.disk.holds_back_start()
            && let Some(start) = bytes.first_chunk_mut()
        {
            self.start = Start::HeldBack(*start);
            start.fill(0);
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Error<D::Error>> {
        self.last = self.position;
        while !bytes.is_empty() {
            let start = self.position;
            let end = start + bytes.len() as u64;
            let taken =
                self.disk
                    .write(bytes)
                    .map_err(|source| Error::Write { start, end, source })?;
            bytes = match bytes.get(taken..) {
                Some(rest) if taken > 0 => rest,
                _ => return Err(Error::Stuck { start, end }),
            };
            self.position += taken as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<bool, Error<D::Error>> {
        let written = self.position;
        self.disk
            .poll_flush()
            .map_err(|source| Error::Flush { written, source })
    }
}
