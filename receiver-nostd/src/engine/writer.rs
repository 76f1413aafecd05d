//! Writes to the disk in order, within its limits, and makes it bootable last.
//!
//! The first bytes of a disk are what firmware looks for. Until everything else is safe and proved
//! there are zeros in their place, so that a transfer that breaks off leaves a disk that does not
//! start, and not one that starts half a system.

use super::Error;
use super::clearing::Clearing;
use super::closing::Closing;
use super::device::Device;
#[cfg(feature = "alloc")]
use super::options::Gpt;
use super::options::{DiskOptions, Guids, Leftover, OnFailure, TableState};
use super::read_back::{Given, Proof};
use crate::disk::Disk;
use crate::gpt::Header;
use crate::image;

#[derive(Debug)]
pub(super) struct Writer<D: Disk> {
    device: Device<D>,
    options: DiskOptions,
    given: Given,
    /// Bytes of the disk that the image was made of, if its GPT told.
    disk_len: Option<u64>,
    /// Bytes of the image, if it says so itself, and so has said what disk it is for.
    image_len: Option<u64>,
    /// Where the last write began.
    last: u64,
    closing: Closing,
    clearing: Clearing<D::Error>,
    /// What came of clearing the disk.
    cleared: Option<Leftover<Error<D::Error>>>,
}

impl<D: Disk> Writer<D> {
    pub(super) fn new(disk: D, options: DiskOptions) -> Self {
        Self {
            device: Device::new(disk),
            options,
            given: Given {
                len: 0,
                start: None,
            },
            disk_len: None,
            image_len: None,
            last: 0,
            closing: Closing::new(options),
            clearing: Clearing::new(),
            cleared: None,
        }
    }

    pub(super) fn disk(&mut self) -> &mut D {
        self.device.disk()
    }

    pub(super) fn into_disk(self) -> D {
        self.device.into_disk()
    }

    /// Bytes of the image that were taken.
    pub(super) fn written(&self) -> u64 {
        self.given.len
    }

    /// Bytes of the disk that the image was made of, if its GPT told.
    pub(super) fn disk_len(&self) -> Option<u64> {
        self.disk_len
    }

    /// Bytes of the image that were read back.
    pub(super) fn verified(&self) -> u64 {
        self.closing.verified()
    }

    /// Whether everything was read back.
    pub(super) fn is_verified(&self) -> bool {
        self.closing.is_verified()
    }

    /// Whether all that was written before the end is safe on the disk.
    pub(super) fn is_flushed(&self) -> bool {
        self.closing.is_flushed()
    }

    /// What became of the image's partition table.
    pub(super) fn table(&self) -> TableState {
        self.closing.table()
    }

    /// Begins with an image of `len` bytes that was found to be for this disk. `options` are for
    /// such images, if they are other ones.
    #[cfg(feature = "alloc")]
    pub(super) fn begin_image(
        &mut self,
        len: u64,
        options: Option<DiskOptions>,
    ) -> Result<(), Error<D::Error>> {
        self.image_len = Some(len);
        self.disk_len = Some(len);
        if let Some(options) = options {
            self.options = options;
            self.closing = Closing::new(options);
        }
        match self.is_cut() && self.options.gpt == Gpt::Keep {
            true => Err(Error::Table(None)),
            false => Ok(()),
        }
    }

    /// Has nothing read back at the end.
    pub(super) fn leave_unproved(&mut self) {
        self.options.verify = false;
        self.closing = Closing::new(self.options);
    }

    /// Whether the disk ends before the image does.
    fn is_cut(&self) -> bool {
        let (image, capacity) = (self.image_len, self.device.capacity());
        image
            .zip(capacity)
            .is_some_and(|(image, disk)| disk < image)
    }

    /// Bytes that the disk holds, if that is known.
    #[cfg(feature = "alloc")]
    pub(super) fn capacity(&self) -> Option<u64> {
        self.device.capacity()
    }

    /// Bytes of a sector of the disk, if it has any.
    #[cfg(feature = "alloc")]
    pub(super) fn sector_size(&self) -> Option<u32> {
        self.device.sector_size()
    }

    /// Whether what is not written stays what it was, and doesn't become nothing.
    #[cfg(feature = "alloc")]
    pub(super) fn keeps_what_is_there(&self) -> bool {
        self.device.capacity().is_some()
    }

    #[cfg(feature = "alloc")]
    pub(super) fn can_be_read(&mut self) -> bool {
        self.device.can_be_read()
    }

    /// Reads what the disk has at `offset`.
    #[cfg(feature = "alloc")]
    pub(super) fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), Error<D::Error>> {
        self.device.read(offset, to)
    }

    /// Leaves the next bytes as they are on the disk. Not the first.
    #[cfg(feature = "alloc")]
    pub(super) fn skip(&mut self, len: u64) {
        self.given.len += len;
    }

    /// Writes some of the image's next `len` bytes, which are all zeroes, with the help of
    /// `buffer`; how many of them.
    #[cfg(feature = "alloc")]
    pub(super) fn write_zeroes(
        &mut self,
        len: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Error<D::Error>> {
        let is_first = self.given.len == 0;
        if !is_first && self.device.write_zeroes(self.given.len, len)? {
            self.last = self.given.len;
            self.given.len += len;
            // A part of a chunk.
            return Ok(len as usize);
        }
        buffer.fill(0);
        self.write(buffer).map(|()| buffer.len())
    }

    /// Writes the image's next bytes. They are only lent: afterwards they are what they were.
    pub(super) fn write(&mut self, bytes: &mut [u8]) -> Result<(), Error<D::Error>> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.given.len > 0 {
            return self.append(bytes);
        }
        self.check_disk(bytes)?;
        self.check_room(bytes)?;
        self.hold_back(bytes);
        self.append(bytes)?;
        if let (Some(start), Some(place)) = (&self.given.start, bytes.first_chunk_mut()) {
            *place = *start;
        }
        Ok(())
    }

    /// Writes the image's next bytes. Not the first, of which some are held back.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error<D::Error>> {
        self.check_room(bytes)?;
        self.last = self.given.len;
        self.device.write(self.last, bytes)?;
        self.given.len += bytes.len() as u64;
        Ok(())
    }

    fn check_room(&self, bytes: &[u8]) -> Result<(), Error<D::Error>> {
        match self.device.capacity() {
            Some(capacity) if bytes.len() as u64 > capacity.saturating_sub(self.given.len) => {
                Err(Error::Full { capacity })
            }
            _ => Ok(()),
        }
    }

    /// Whether the disk takes a write now.
    pub(super) fn is_ready(&mut self) -> Result<bool, Error<D::Error>> {
        self.device.is_ready(self.last, self.given.len)
    }

    /// Does the next step of what is left to do when all bytes were written: makes them safe,
    /// proves them, and makes the disk bootable. False if the disk has no time for it, or nothing
    /// is left. Once they are [safe](Self::is_flushed), `proof` has to be that of all of them.
    pub(super) fn close(
        &mut self,
        proof: Proof<'_>,
        scratch: &mut [u8],
    ) -> Result<bool, Error<D::Error>> {
        if self.given.len == 0 && !self.options.may_be_empty {
            return Err(Error::Empty);
        }
        let moved = self
            .closing
            .step(&mut self.device, &mut self.given, proof, scratch)?;
        match self.closing.table() {
            // Its second copy is where this disk has nothing.
            TableState::Kept(odd) if self.is_cut() => Err(Error::Table(odd)),
            _ => Ok(moved),
        }
    }

    /// Whether the next step of [`close`](Self::close) reads back.
    pub(super) fn is_reading_back(&self) -> bool {
        self.closing.is_reading_back()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_done()
    }

    /// Makes the next write of those that make the disk useless after a failure; false if none is
    /// left.
    pub(super) fn clear(&mut self, scratch: &mut [u8]) -> bool {
        let (None, Some(capacity)) = (self.leftover(), self.device.capacity()) else {
            return false;
        };
        let verify = self.options.verify;
        self.cleared = self
            .clearing
            .step(&mut self.device, capacity, verify, scratch);
        true
    }

    /// What a failure left on the disk; `None` as long as it is to be cleared.
    pub(super) fn leftover(&self) -> Option<&Leftover<Error<D::Error>>> {
        let is_cleared = self.options.on_failure == OnFailure::Clear;
        match (self.device.is_touched(), self.device.capacity()) {
            (false, _) => Some(&Leftover::Untouched),
            (true, Some(_)) if is_cleared => self.cleared.as_ref(),
            (true, _) => Some(&Leftover::Part),
        }
    }

    /// Whether the disk is one for an image that begins with `start`.
    fn check_disk(&mut self, start: &[u8]) -> Result<(), Error<D::Error>> {
        let disk = self.device.sector_size();
        let needed = image::needed(start, disk);
        // An MBR tells of its partitions only, not of the disk.
        let of_gpt = needed.filter(|needed| needed.table == image::Table::Gpt);
        let disk_len = of_gpt.map(|needed| needed.bytes);
        self.disk_len = self.image_len.or(disk_len);
        if let (Some(needed), None) = (needed, self.image_len) {
            if let (Some(image), Some(disk)) = (needed.sector_size, disk)
                && image != disk
            {
                return Err(Error::SectorSize { image, disk });
            }
            if let Some(capacity) = self.device.capacity()
                && needed.bytes > capacity
            {
                return Err(Error::TooSmall { needed, capacity });
            }
        }
        match self.options.guids {
            Guids::New { .. } => self.check_table(start),
            Guids::Keep => Ok(()),
        }
    }

    /// Whether the table at an image's start can be given new GUIDs, as far as its header tells.
    fn check_table(&self, start: &[u8]) -> Result<(), Error<D::Error>> {
        let header = self
            .device
            .sector_size()
            .map_or(Ok(None), |size| Header::primary(start, size));
        let fitted = header.and_then(|header| match (header, self.device.capacity()) {
            (Some(header), Some(capacity)) => header.fitted_to(capacity).map(Some),
            _ => Ok(None),
        });
        match fitted {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Error::Guids(None)),
            Err(odd) => Err(Error::Guids(Some(odd))),
        }
    }

    /// An image that is shorter than what would be held back is written as it comes.
    fn hold_back(&mut self, bytes: &mut [u8]) {
        if self.device.holds_back_start()
            && let Some(start) = bytes.first_chunk_mut()
        {
            self.given.start = Some(*start);
            start.fill(0);
        }
    }
}
