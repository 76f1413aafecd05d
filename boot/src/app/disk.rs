//! The disk that is written.
//!
//! It is opened exclusively, so that no file system driver of the firmware writes something old
//! back over it. That a write is called successful says little, since drivers have been seen to
//! call writes so that their disk had refused: the engine reads everything back.

use core::fmt;

use blake3::Hash;
use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use ironcast_receiver_nostd::disk::Disk;
use ironcast_receiver_nostd::engine::WRITE_SIZE;
use uefi::Status;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::media::block::BlockIO;

use super::disks::DiskInfo;
use super::first_boot::{self, FirstBoot, FirstBootError};
use super::job;
use super::memory::{MemoryError, Pages};
use super::stats;

/// What every GPT header begins with.
const GPT_SIGNATURE: &[u8] = b"EFI PART";

/// A disk that is ours alone and is being written.
#[derive(Debug)]
pub(crate) struct TargetDisk {
    info: DiskInfo,
    sectors: Sectors,
    bytes: u64,
    sector: usize,
    position: u64,
    /// Memory that every driver can use, for what isn't aligned or doesn't fill a sector.
    bounce: Pages,
    /// Whether a copy of an old partition table is at its end.
    has_old_table: bool,
    first_boot: Option<FirstBoot>,
}

/// The disk as the firmware's driver has it.
#[derive(Debug)]
struct Sectors {
    /// `None` while the firmware's other drivers have the disk.
    block_io: Option<ScopedProtocol<BlockIO>>,
    /// Number of the medium that was opened: with it, drivers refuse one that was put in later.
    medium: u32,
    /// What the addresses of memory have to be a multiple of.
    alignment: usize,
}

impl TargetDisk {
    /// Takes the disk away from the firmware's own drivers. Nothing is written yet.
    pub(crate) fn open(info: &DiskInfo) -> Result<Self, DiskError> {
        let sector = info.sector() as usize;
        Ok(Self {
            bounce: Pages::allocate(WRITE_SIZE.max(sector))?,
            bytes: info.bytes(),
            sectors: Sectors::open(info)?,
            info: info.clone(),
            sector,
            position: 0,
            has_old_table: false,
            first_boot: None,
        })
    }

    /// What was known of it when it was opened.
    pub(crate) fn info(&self) -> &DiskInfo {
        &self.info
    }

    /// Has the disk get these files, once it has the image.
    pub(crate) fn set_first_boot(&mut self, first_boot: FirstBoot) {
        self.first_boot = Some(first_boot);
    }

    /// Makes the copy of a GPT at the end of the disk invalid, if there is one: firmware would
    /// restore the old table from it if the transfer broke off, over a disk that has half of its
    /// new contents.
    fn clear_old_table(&mut self) -> Result<(), DiskError> {
        if !core::mem::take(&mut self.has_old_table) {
            return Ok(());
        }
        let last = self.last_sector();
        let block = &mut self.bounce.as_mut_slice()[..self.sector];
        block.fill(0);
        self.sectors.write(last, block)
    }

    /// Writes whole sectors at the position.
    fn write_sectors(&mut self, data: &[u8]) -> Result<usize, DiskError> {
        let whole = data.len().min(WRITE_SIZE) / self.sector * self.sector;
        let data = &data[..whole];
        let block = self.block();
        if self.is_aligned(data) {
            self.sectors.write(block, data)?;
        } else {
            let bounce = &mut self.bounce.as_mut_slice()[..whole];
            bounce.copy_from_slice(data);
            self.sectors.write(block, bounce)?;
        }
        Ok(whole)
    }

    /// Writes a part of the sector that the position is in, which keeps the rest of it.
    fn write_part(&mut self, data: &[u8]) -> Result<usize, DiskError> {
        let block = self.block();
        let start = self.load_sector()?;
        let part = data.len().min(self.sector - start);
        let sector = &mut self.bounce.as_mut_slice()[..self.sector];
        sector[start..start + part].copy_from_slice(&data[..part]);
        self.sectors.write(block, sector)?;
        Ok(part)
    }

    /// Reads whole sectors at the position.
    fn read_sectors(&mut self, data: &mut [u8]) -> Result<usize, DiskError> {
        let whole = data.len().min(WRITE_SIZE) / self.sector * self.sector;
        let data = &mut data[..whole];
        let block = self.block();
        if self.is_aligned(data) {
            self.sectors.read(block, data)?;
        } else {
            let bounce = &mut self.bounce.as_mut_slice()[..whole];
            self.sectors.read(block, bounce)?;
            data.copy_from_slice(bounce);
        }
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
        let block = self.block();
        let sector = &mut self.bounce.as_mut_slice()[..self.sector];
        self.sectors.read(block, sector)?;
        Ok((self.position % self.sector as u64) as usize)
    }

    /// Whether the driver takes memory that begins where this does.
    fn is_aligned(&self, data: &[u8]) -> bool {
        data.as_ptr().addr().is_multiple_of(self.sectors.alignment)
    }

    /// Whether whole sectors can be read or written that begin at the position.
    fn has_whole_sectors(&self, len: usize) -> bool {
        self.position.is_multiple_of(self.sector as u64) && len >= self.sector
    }

    /// Bytes from the position to the disk's end.
    fn left(&self) -> usize {
        usize::try_from(self.bytes - self.position).unwrap_or(usize::MAX)
    }

    fn last_sector(&self) -> u64 {
        self.bytes / self.sector as u64 - 1
    }

    /// The sector that the position is in.
    fn block(&self) -> u64 {
        self.position / self.sector as u64
    }
}

impl Sectors {
    /// Takes the disk away from the firmware's other drivers, if it is still the one that was
    /// found.
    fn open(info: &DiskInfo) -> Result<Self, DiskError> {
        let block_io = boot::open_protocol_exclusive::<BlockIO>(info.handle())
            .map_err(|error| DiskError::InUse(error.status()))?;
        let media = block_io.media();
        let sectors = media.last_block().checked_add(1);
        let bytes = sectors.and_then(|sectors| sectors.checked_mul(media.block_size().into()));
        let is_same = media.is_media_present()
            && bytes == Some(info.bytes())
            && media.block_size() == info.sector();
        is_same
            .then_some(Self {
                medium: media.media_id(),
                alignment: (media.io_align() as usize).max(1),
                block_io: Some(block_io),
            })
            .ok_or(DiskError::Changed)
    }

    fn read(&mut self, block: u64, data: &mut [u8]) -> Result<(), DiskError> {
        let medium = self.medium;
        let block_io = self.block_io()?;
        stats::DISK
            .time(data.len(), || block_io.read_blocks(medium, block, data))
            .map_err(|error| DiskError::Failed(error.status(), block))
    }

    fn write(&mut self, block: u64, data: &[u8]) -> Result<(), DiskError> {
        let medium = self.medium;
        let block_io = self.block_io()?;
        stats::DISK
            .time(data.len(), || block_io.write_blocks(medium, block, data))
            .map_err(|error| DiskError::Failed(error.status(), block))
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let block_io = self.block_io()?;
        let flushed = stats::DISK.time(0, || block_io.flush_blocks());
        flushed.map_err(|error| DiskError::NotFlushed(error.status()))
    }

    fn block_io(&mut self) -> Result<&mut BlockIO, DiskError> {
        let block_io = self.block_io.as_deref_mut();
        block_io.ok_or(DiskError::InUse(Status::NOT_READY))
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
        self.sectors.flush()
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

    fn prepare(&mut self) -> Result<(), DiskError> {
        let last = self.last_sector();
        let block = &mut self.bounce.as_mut_slice()[..self.sector];
        self.sectors.read(last, block)?;
        self.has_old_table = block.starts_with(GPT_SIGNATURE);
        // From now on what is there is not what the job has brought.
        job::forget().map_err(DiskError::JobRemembered)
    }

    fn complete(&mut self, hash: &Hash) -> Result<&'static str, DiskError> {
        let Some(first_boot) = self.first_boot.take() else {
            return Ok("");
        };
        // The firmware's drivers of partitions and file systems need the disk for themselves.
        self.sectors.block_io = None;
        let written = first_boot.write(&self.info, &hash.to_hex());
        self.sectors = Sectors::open(&self.info)?;
        written.map_err(DiskError::FirstBoot)?;
        self.sectors.flush()?;
        Ok(first_boot::NOTE)
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
    /// The firmware does not forget the job that brought what is on it.
    JobRemembered(Status),
    /// It did not get the files for the first boot.
    FirstBoot(FirstBootError),
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
            Self::JobRemembered(status) => write!(
                f,
                "the firmware can't forget the job that was done here before ({status})"
            ),
            Self::FirstBoot(error) => error.fmt(f),
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
