//! The firmware's disks, and the one that is written.
//!
//! Only whole disks count; partitions are the image's own business. The one that is written is
//! opened exclusively, so that no file system driver of the firmware writes something old back over
//! it. What was written is read back at once and compared: drivers have been seen to call writes
//! successful that their disk had refused.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use embedded_io::{ErrorKind, ErrorType, Seek, SeekFrom, Write};
use ironcast_receiver_nostd::disk::Disk;
use ironcast_receiver_nostd::engine::WRITE_SIZE;
use ironcast_receiver_nostd::settings::DiskKind;
use ironcast_receiver_nostd::target::Candidate;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::device_path::{DeviceSubType, DeviceType};
use uefi::proto::media::block::BlockIO;
use uefi::{Handle, Status};

use super::firmware::{self, Path};
use super::memory::{MemoryError, Pages};

/// What every GPT header begins with.
const GPT_SIGNATURE: &[u8] = b"EFI PART";

/// Bytes of the smallest sector that disks have. iPXE hangs something smaller at network cards,
/// which only looks like a disk.
const SMALLEST_SECTOR: u32 = 512;

/// A disk that the firmware knows.
#[derive(Clone, Debug)]
pub(crate) struct DiskInfo {
    handle: Handle,
    path: Path,
    /// Its device path, in the firmware's text form.
    path_text: String,
    /// How it is attached.
    kind: DiskKind,
    /// Its place among those of its kind, in the order of device paths: the same as long as no disk
    /// is added or moved.
    index: u16,
    /// Whether it is built in and stays so.
    fixed: bool,
    /// Bytes that it holds.
    bytes: u64,
    /// Bytes of a sector.
    sector: u32,
    removable: bool,
    read_only: bool,
    boot_medium: bool,
}

impl DiskInfo {
    /// The name that it is called by in settings: its kind and number.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.kind, self.index)
    }

    /// What the choice of the target goes by.
    pub(crate) fn candidate(&self) -> Candidate<'_> {
        Candidate {
            kind: self.kind,
            index: self.index,
            path: &self.path_text,
            fixed: self.fixed,
            read_only: self.read_only,
            boot_medium: self.boot_medium,
        }
    }

    /// Its handle, for the firmware's drivers.
    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    /// Its place in the machine.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for DiskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, sector) = (self.bytes, self.sector);
        let (size, unit) = match bytes {
            0..10_000_000_000 => (bytes / 1_000_000, "MB"),
            _ => (bytes / 1_000_000_000, "GB"),
        };
        let (kind, index) = (self.kind, self.index);
        write!(
            f,
            "{kind}{index}: {bytes} bytes ({size} {unit}), sectors of {sector}"
        )?;
        let marks = [
            (self.removable, "removable"),
            (self.read_only, "read-only"),
            (self.boot_medium, "booted from"),
        ];
        for (_, mark) in marks.iter().filter(|(applies, _)| *applies) {
            write!(f, ", {mark}")?;
        }
        write!(f, ", {}", self.path_text)
    }
}

/// The machine's disks that have a medium, in the order of their places.
pub(crate) fn find(boot_device: &Path) -> Vec<DiskInfo> {
    let mut disks: Vec<DiskInfo> = firmware::handles_of::<BlockIO>()
        .into_iter()
        .filter_map(|handle| look_at(handle, boot_device))
        .collect();
    disks.sort_by(|a, b| a.path.cmp(&b.path));
    for place in 0..disks.len() {
        let kind = disks[place].kind;
        let before = disks[..place]
            .iter()
            .filter(|disk| disk.kind == kind)
            .count();
        disks[place].index = u16::try_from(before).unwrap_or(u16::MAX);
    }
    disks
}

fn look_at(handle: Handle, boot_device: &Path) -> Option<DiskInfo> {
    let block_io = firmware::open_shared::<BlockIO>(handle)?;
    let media = block_io.media();
    if media.is_logical_partition()
        || !media.is_media_present()
        || media.block_size() < SMALLEST_SECTOR
    {
        return None;
    }
    let path = Path::of(handle);
    let (kind, built_in) = kind_of(&path);
    let sectors = media.last_block().checked_add(1)?;
    Some(DiskInfo {
        handle,
        path_text: firmware::path_text(handle),
        kind,
        index: 0,
        fixed: built_in && !media.is_removable_media(),
        bytes: sectors.checked_mul(u64::from(media.block_size()))?,
        sector: media.block_size(),
        removable: media.is_removable_media(),
        read_only: media.is_read_only(),
        boot_medium: boot_device.leads_through(&path),
        path,
    })
}

/// How a disk is attached, by the last step of its path that tells, and whether that is inside of
/// the machine.
fn kind_of(path: &Path) -> (DiskKind, bool) {
    let kinds = || path.nodes().iter().rev().map(|node| node.kind);
    // A disk that hangs directly at the PCI bus is a paravirtual one.
    let pci = (DeviceType::HARDWARE, DeviceSubType::HARDWARE_PCI);
    if kinds().next() == Some(pci) {
        return (DiskKind::Virtio, true);
    }
    let ram_disk = (DeviceType::MEDIA, DeviceSubType::MEDIA_RAM_DISK);
    if kinds().any(|kind| kind == ram_disk) {
        return (DiskKind::Other, false);
    }
    kinds()
        .filter(|(major, _)| *major == DeviceType::MESSAGING)
        .find_map(|(_, minor)| messaging_kind(minor))
        .unwrap_or((DiskKind::Other, true))
}

fn messaging_kind(minor: DeviceSubType) -> Option<(DiskKind, bool)> {
    Some(match minor {
        DeviceSubType::MESSAGING_NVME_NAMESPACE => (DiskKind::Nvme, true),
        DeviceSubType::MESSAGING_SATA => (DiskKind::Sata, true),
        DeviceSubType::MESSAGING_SCSI
        | DeviceSubType::MESSAGING_SCSI_SAS_EX
        | DeviceSubType::MESSAGING_UFS => (DiskKind::Scsi, true),
        DeviceSubType::MESSAGING_EMMC => (DiskKind::Mmc, true),
        DeviceSubType::MESSAGING_SD => (DiskKind::Mmc, false),
        DeviceSubType::MESSAGING_USB
        | DeviceSubType::MESSAGING_USB_WWID
        | DeviceSubType::MESSAGING_USB_CLASS => (DiskKind::Usb, false),
        DeviceSubType::MESSAGING_ATAPI => (DiskKind::Other, true),
        DeviceSubType::MESSAGING_ISCSI => (DiskKind::Other, false),
        _ => return None,
    })
}

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
    /// Memory that every driver can read, for what isn't aligned or doesn't fill a sector.
    bounce: Pages,
    /// What is read back.
    check: Pages,
    /// Whether the old partition table's copy at the end has been looked for.
    cleared: bool,
}

impl TargetDisk {
    /// Takes the disk away from the firmware's own drivers. Nothing is written yet.
    pub(crate) fn open(info: &DiskInfo) -> Result<Self, DiskError> {
        let block_io = boot::open_protocol_exclusive::<BlockIO>(info.handle)
            .map_err(|error| DiskError::InUse(error.status()))?;
        let media = block_io.media();
        let sector = media.block_size() as usize;
        let bytes = (media.last_block() + 1) * u64::from(media.block_size());
        if !media.is_media_present() || bytes != info.bytes || media.block_size() != info.sector {
            return Err(DiskError::Changed);
        }
        Ok(Self {
            alignment: (media.io_align() as usize).max(1),
            bounce: Pages::allocate(WRITE_SIZE.max(sector))?,
            check: Pages::allocate(WRITE_SIZE.max(sector))?,
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

    /// Writes whole sectors at the position, and checks them.
    fn write_sectors(&mut self, data: &[u8]) -> Result<usize, DiskError> {
        let whole = data.len().min(WRITE_SIZE) / self.sector * self.sector;
        let data = &data[..whole];
        let (id, block) = (self.medium, self.block());
        let written = if data.as_ptr().addr().is_multiple_of(self.alignment) {
            self.block_io.write_blocks(id, block, data)
        } else {
            let bounce = &mut self.bounce.as_mut_slice()[..whole];
            bounce.copy_from_slice(data);
            self.block_io.write_blocks(id, block, bounce)
        };
        written.map_err(|error| DiskError::Failed(error.status(), block))?;
        self.compare(data)?;
        Ok(whole)
    }

    /// Writes a part of the sector that the position is in, which keeps the rest of it, and checks
    /// it.
    fn write_part(&mut self, data: &[u8]) -> Result<usize, DiskError> {
        let (id, block) = (self.medium, self.block());
        let start = (self.position % self.sector as u64) as usize;
        let part = data.len().min(self.sector - start);
        let mut sector = alloc::vec![0; self.sector];
        self.read(block, self.sector)?;
        sector.copy_from_slice(&self.check.as_slice()[..self.sector]);
        sector[start..start + part].copy_from_slice(&data[..part]);
        let bounce = &mut self.bounce.as_mut_slice()[..self.sector];
        bounce.copy_from_slice(&sector);
        self.block_io
            .write_blocks(id, block, bounce)
            .map_err(|error| DiskError::Failed(error.status(), block))?;
        self.compare(&sector)?;
        Ok(part)
    }

    /// Makes sure that the sectors at the position have these contents.
    fn compare(&mut self, data: &[u8]) -> Result<(), DiskError> {
        let (block, sector) = (self.block(), self.sector);
        self.read(block, data.len())?;
        let check = &self.check.as_slice()[..data.len()];
        if check == data {
            return Ok(());
        }
        let mut sectors = data.chunks(sector).zip(check.chunks(sector));
        let same = sectors.position(|(data, check)| data != check).unwrap_or(0);
        Err(DiskError::Differs(block + same as u64))
    }

    /// Reads sectors from `block` on.
    fn read(&mut self, block: u64, bytes: usize) -> Result<(), DiskError> {
        let check = &mut self.check.as_mut_slice()[..bytes];
        self.block_io
            .read_blocks(self.medium, block, check)
            .map_err(|error| DiskError::Failed(error.status(), block))
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
        let left = usize::try_from(self.bytes - self.position).unwrap_or(usize::MAX);
        let data = &data[..data.len().min(left)];
        if data.is_empty() {
            return Err(DiskError::Full);
        }
        self.clear_old_table()?;
        let at_sector = self.position.is_multiple_of(self.sector as u64);
        let written = if at_sector && data.len() >= self.sector {
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

impl Seek for TargetDisk {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, DiskError> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position
            .filter(|&position| position <= self.bytes)
            .ok_or(DiskError::Full)?;
        Ok(self.position)
    }
}

impl Disk for TargetDisk {
    fn capacity(&self) -> Option<u64> {
        Some(self.bytes)
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
    /// It keeps something else at a sector than what was written there.
    Differs(u64),
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
            Self::Failed(status, sector) => {
                write!(f, "its driver reports {status} at sector {sector}")
            }
            Self::Differs(sector) => {
                write!(
                    f,
                    "what is read back at sector {sector} isn't what was written"
                )
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
