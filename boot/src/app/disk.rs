//! The disk that is written.
//!
//! It is opened exclusively, so that no file system driver of the firmware writes something old
//! back over it. That a write is called successful says little, since drivers have been seen to
//! call writes so that their disk had refused: the engine reads everything back.

use core::fmt;

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use ironcast_receiver_nostd::disk::Disk;
use ironcast_receiver_nostd::engine::WRITE_SIZE;
use uefi::Status;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::media::block::BlockIO;

use super::disks::DiskInfo;
use super::memory::{MemoryError, Pages};

/// What every GPT header begins with.
const GPT_SIGNATURE: &[u8] = b"EFI PART";

/// A disk that is ours alone and is being written.
#[derive(Debug)]
pub(crate) struct TargetDisk {
    block_io: ScopedProtocol<BlockIO>,
    /// Number of the medium that was opened: with it, drivers refuse one that was put in later.
    medium: u32,
    bytes: u64,
    sector: usize,
    alignment: usize,
    position: u64,
    /// Memory that every driver can use, for what isn't aligned or doesn't fill a sector.
    bounce: Pages,
    /// Whether the old partition table's copy at the end has been looked for.
    cleared: bool,
}

impl TargetDisk {
    /// Takes the disk away from the firmware's own drivers. Nothing is written yet.
    pub(crate) fn open(info: &DiskInfo) -> Result<Self, DiskError> {
        let block_io = boot::open_protocol_exclusive::<BlockIO>(info.handle())
            .map_err(|error| DiskError::InUse(error.status()))?;
        let media = block_io.media();
        let sector = media.block_size() as usize;
        let bytes = (media.last_block() + 1) * u64::from(media.block_size());
        if !media.is_media_present() || bytes != info.bytes() || media.block_size() != info.sector()
        {
            return Err(DiskError::Changed);
        }
        Ok(Self {
            alignment: (media.io_align() as usize).max(1),
            bounce: Pages::allocate(WRITE_SIZE.max(sector))?,
            medium: media.media_id(),
            block_io,
            bytes,
            sector,
            position: 0,
            cleared: false,
        })
    }

    /// Invalidates the copy of a GPT at the end of the disk: firmware would restore the old table
    /// from it if the transfer broke off, over a disk that has half of its new contents.
    fn clear_old_table(&mut self) -> Result<(), DiskError> {
        if core::mem::replace(&mut self.cleared, true) {
            return Ok(());
        }
        let (id, last) = (self.medium, self.bytes / self.sector as u64 - 1);
        let block = &mut self.bounce.as_mut_slice()[..self.sector];
        let at = |error: uefi::Error| DiskError::Failed(error.status(), last);
        self.block_io.read_blocks(id, last, block).map_err(at)?;
        if !block.starts_with(GPT_SIGNATURE) {
            return Ok(());
        }
        block.fill(0);
        self.block_io.write_blocks(id, last, block).map_err(at)
    }

    /// Writes whole sectors at the position.
    fn write_sectors(&mut self, data: &[u8]) -> Result<usize, DiskError> {
        let whole = data.len().min(WRITE_SIZE) / self.sector * self.sector;
        let data = &data[..whole];
        let (id, block) = (self.medium, self.block());
        let written = if self.is_aligned(data) {
            self.block_io.write_blocks(id, block, data)
        } else {
            let bounce = &mut self.bounce.as_mut_slice()[..whole];
            bounce.copy_from_slice(data);
            self.block_io.write_blocks(id, block, bounce)
        };
        written.map_err(|error| DiskError::Failed(error.status(), block))?;
        Ok(whole)
    }

    /// Writes a part of the sector that the position is in, which keeps the rest of it.
    fn write_part(&mut self, data: &[u8]) -> Result<usize, DiskError> {
        let (id, block) = (self.medium, self.block());
        let start = self.load_sector()?;
        let part = data.len().min(self.sector - start);
        let sector = &mut self.bounce.as_mut_slice()[..self.sector];
        sector[start..start + part].copy_from_slice(&data[..part]);
        self.block_io
            .write_blocks(id, block, sector)
            .map_err(|error| DiskError::Failed(error.status(), block))?;
        Ok(part)
    }

    /// Reads whole sectors at the position.
    fn read_sectors(&mut self, data: &mut [u8]) -> Result<usize, DiskError> {
        let whole = data.len().min(WRITE_SIZE) / self.sector * self.sector;
        let data = &mut data[..whole];
        let (id, block) = (self.medium, self.block());
        let read = if self.is_aligned(data) {
            self.block_io.read_blocks(id, block, data)
        } else {
            let bounce = &mut self.bounce.as_mut_slice()[..whole];
            let read = self.block_io.read_blocks(id, block, bounce);
            data.copy_from_slice(bounce);
            read
        };
        read.map_err(|error| DiskError::Failed(error.status(), block))?;
        Ok(whole)
    }

    /// Reads a part of the sector that the position is in.
    fn read_part(&mut self, data: &mut [u8]) -> Result<usize, DiskError> {
        let start = self.load_sector()?;
        let part = data.len().min(self.sector - start);
        data[..part].copy_from_slice(&self.bounce.as_slice()[start..start + part]);
        Ok(part)
    }

    /// Reads the sector that the position is in into `bounce`; where in it the position is.
    fn load_sector(&mut self) -> Result<usize, DiskError> {
        let (id, block) = (self.medium, self.block());
        let sector = &mut self.bounce.as_mut_slice()[..self.sector];
        self.block_io
            .read_blocks(id, block, sector)
            .map_err(|error| DiskError::Failed(error.status(), block))?;
        Ok((self.position % self.sector as u64) as usize)
    }

    /// Whether the driver takes memory that begins where this does.
    fn is_aligned(&self, data: &[u8]) -> bool {
        data.as_ptr().addr().is_multiple_of(self.alignment)
    }

    /// Whether whole sectors can be read or written that begin at the position.
    fn has_whole_sectors(&self, len: usize) -> bool {
        self.position.is_multiple_of(self.sector as u64) && len >= self.sector
    }

    /// Bytes from the position to the disk's end.
    fn left(&self) -> usize {
        usize::try_from(self.bytes - self.position).unwrap_or(usize::MAX)
    }

    /// The sector that the position is in.
    fn block(&self) -> u64 {
        self.position / self.sector as u64
    }
}

impl ErrorType for TargetDisk {
    type Error = DiskError;
}

impl Write for TargetDisk {
    fn write(&mut self, data: &[u8]) -> Result<usize, DiskError> {
        let data = &data[..data.len().min(self.left())];
        if data.is_empty() {
            return Err(DiskError::Full);
        }
        self.clear_old_table()?;
        let written = if self.has_whole_sectors(data.len()) {
            self.write_sectors(data)?
        } else {
            self.write_part(data)?
        };
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let flushed = self.block_io.flush_blocks();
        flushed.map_err(|error| DiskError::NotFlushed(error.status()))
    }
}

impl Read for TargetDisk {
    fn read(&mut self, data: &mut [u8]) -> Result<usize, DiskError> {
        let len = data.len().min(self.left());
        let data = &mut data[..len];
        let read = if data.is_empty() {
            0
        } else if self.has_whole_sectors(len) {
            self.read_sectors(data)?
        } else {
            self.read_part(data)?
        };
        self.position += read as u64;
        Ok(read)
    }
}

/// Where `to` leads from `position` on a disk of so many bytes, its end included.
pub(crate) fn place_on_disk(to: SeekFrom, position: u64, bytes: u64) -> Result<u64, DiskError> {
    let place = match to {
        SeekFrom::Start(place) => Some(place),
        SeekFrom::End(offset) => bytes.checked_add_signed(offset),
        SeekFrom::Current(offset) => position.checked_add_signed(offset),
    };
    place.filter(|&place| place <= bytes).ok_or(DiskError::Full)
}

impl Seek for TargetDisk {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, DiskError> {
        self.position = place_on_disk(to, self.position, self.bytes)?;
        Ok(self.position)
    }
}

impl Disk for TargetDisk {
    fn capacity(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn sector_size(&self) -> Option<u32> {
        u32::try_from(self.sector).ok()
    }

    fn reader(&mut self) -> Option<&mut dyn Read<Error = DiskError>> {
        Some(self)
    }
}

/// Why a disk can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskError {
    /// The firmware does not give it away.
    InUse(Status),
    /// It is another one than was found before.
    Changed,
    /// There is no memory for its sectors.
    Memory(MemoryError),
    /// It refused to read or write at a sector.
    Failed(Status, u64),
    /// It could not make sure that what was written is kept.
    NotFlushed(Status),
    /// It ends here.
    Full,
}

impl From<MemoryError> for DiskError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(status) => write!(f, "the firmware does not give it away ({status})"),
            Self::Changed => f.write_str("its medium was changed a moment ago"),
            Self::Memory(error) => error.fmt(f),
            Self::Failed(status @ (Status::NO_MEDIA | Status::MEDIA_CHANGED), _) => {
                write!(f, "its medium was taken out or changed ({status})")
            }
            Self::Failed(status, sector) => {
                write!(f, "its driver reports {status} at sector {sector}")
            }
            Self::NotFlushed(status) => {
                write!(f, "its driver could not empty the disk's cache ({status})")
            }
            Self::Full => f.write_str("it is full"),
        }
    }
}

impl core::error::Error for DiskError {}

impl embedded_io::Error for DiskError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Full => ErrorKind::OutOfMemory,
            _ => ErrorKind::Other,
        }
    }
}
