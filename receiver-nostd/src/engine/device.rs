//! A disk by offsets, whose errors say which bytes of it they are about.

use core::ops::Range;

use embedded_io::SeekFrom;

use super::Error;
use crate::disk::Disk;

#[derive(Debug)]
pub(super) struct Device<D> {
    disk: D,
    /// Where the disk reads or writes next; `None` if that isn't known after an error.
    position: Option<u64>,
    /// Whether a write was tried, of a disk that keeps any: it may not be what it was.
    is_touched: bool,
}

impl<D: Disk> Device<D> {
    pub(super) fn new(disk: D) -> Self {
        Self {
            disk,
            position: Some(0),
            is_touched: false,
        }
    }

    pub(super) fn disk(&mut self) -> &mut D {
        &mut self.disk
    }

    pub(super) fn into_disk(self) -> D {
        self.disk
    }

    pub(super) fn capacity(&self) -> Option<u64> {
        self.disk.capacity()
    }

    pub(super) fn sector_size(&self) -> Option<u32> {
        self.disk.sector_size()
    }

    pub(super) fn holds_back_start(&self) -> bool {
        self.disk.holds_back_start()
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.disk.is_dry_run()
    }

    pub(super) fn is_touched(&self) -> bool {
        self.is_touched
    }

    pub(super) fn can_be_read(&mut self) -> bool {
        self.disk.reader().is_some()
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn write(&mut self, offset: u64, mut bytes: &[u8]) -> Result<(), Error<D::Error>> {
        self.seek(offset)?;
        let mut start = offset;
        while !bytes.is_empty() {
            self.touch()?;
            self.position = None;
            let end = start + bytes.len() as u64;
            let taken =
                self.disk
                    .write(bytes)
                    .map_err(|source| Error::Write { start, end, source })?;
            bytes = match bytes.get(taken..) {
                Some(rest) if taken > 0 => rest,
                _ => return Err(Error::Stuck { start, end }),
            };
            start += taken as u64;
            self.position = Some(start);
        }
        Ok(())
    }

    /// Has `len` bytes at `offset` read as zero, if the disk has a shorter way to that than to be
    /// written zeroes; false if not.
    #[cfg(feature = "alloc")]
    pub(super) fn write_zeroes(&mut self, offset: u64, len: u64) -> Result<bool, Error<D::Error>> {
        self.touch()?;
        let (start, end) = (offset, offset.saturating_add(len));
        let done = self.disk.write_zeroes(offset, len);
        done.map_err(|source| Error::Write { start, end, source })
    }

    /// Whether the medium itself says that these bytes are zero.
    pub(super) fn is_blank(&mut self, range: &Range<u64>) -> bool {
        self.position = None;
        self.disk.is_blank(range.start, range.end - range.start)
    }

    /// To be called before a write.
    fn touch(&mut self) -> Result<(), Error<D::Error>> {
        if !self.is_touched && !self.disk.is_dry_run() {
            self.disk.prepare().map_err(Error::Prepare)?;
            self.is_touched = true;
        }
        Ok(())
    }

    /// Fills all of `buffer` from `offset` on.
    pub(super) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Error<D::Error>> {
        self.seek(offset)?;
        let mut start = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            self.position = None;
            let end = start + rest.len() as u64;
            let read = match self.disk.reader() {
                Some(reader) => reader.read(rest),
                None => Ok(0),
            };
            let given = read.map_err(|source| Error::Read { start, end, source })?;
            rest = match rest.get_mut(given..) {
                Some(rest) if given > 0 => rest,
                _ => return Err(Error::Short { start, end }),
            };
            start += given as u64;
            self.position = Some(start);
        }
        Ok(())
    }

    /// Writes all of `bytes` at `offset`, makes that safe, and reads it back into `check`, if that
    /// is wanted, to compare it.
    pub(super) fn store(
        &mut self,
        offset: u64,
        bytes: &[u8],
        check: Option<&mut [u8]>,
    ) -> Result<(), Error<D::Error>> {
        self.write(offset, bytes)?;
        let written = offset + bytes.len() as u64;
        let flushed = self.disk.flush();
        flushed.map_err(|source| Error::Flush { written, source })?;
        check.map_or(Ok(()), |check| self.compare(offset, bytes, check))
    }

    /// Reads as many bytes at `offset` into `check` as there are in `bytes`, and compares them.
    pub(super) fn compare(
        &mut self,
        offset: u64,
        bytes: &[u8],
        check: &mut [u8],
    ) -> Result<(), Error<D::Error>> {
        let check = check.get_mut(..bytes.len()).unwrap_or_default();
        self.read(offset, check)?;
        let mut pairs = bytes.iter().zip(check.iter());
        let Some(first) = pairs.position(|(ours, theirs)| ours != theirs) else {
            // Of a buffer that is too small nothing was compared.
            let is_whole = check.len() == bytes.len();
            let end = offset + bytes.len() as u64;
            return is_whole
                .then_some(())
                .ok_or(Error::Short { start: offset, end });
        };
        let mut pairs = bytes.iter().zip(check.iter());
        let last = pairs.rposition(|(ours, theirs)| ours != theirs);
        Err(Error::Differs {
            start: offset + first as u64,
            end: offset + last.unwrap_or(first) as u64 + 1,
        })
    }

    /// Whether the disk takes a write or a read now. An error is that of an earlier write; unless
    /// the disk knows better, of the bytes from `start` to `end`, which were written last.
    pub(super) fn is_ready(&mut self, start: u64, end: u64) -> Result<bool, Error<D::Error>> {
        let is_ready = self.disk.is_ready();
        is_ready.map_err(|source| Error::Write {
            start: match self.disk.unwritten() {
                0 => start,
                unwritten => end.saturating_sub(unwritten),
            },
            end,
            source,
        })
    }

    /// Makes the first `written` bytes safe; false if that goes on.
    pub(super) fn flush(&mut self, written: u64) -> Result<bool, Error<D::Error>> {
        self.disk
            .poll_flush()
            .map_err(|source| Error::Flush { written, source })
    }

    /// Has the disk tell what went wrong before, which nobody asks for any more, so that it is not
    /// taken for what comes next.
    pub(super) fn forget_errors(&mut self) {
        // A write and a flush may have failed.
        let _ = self.disk.flush().or_else(|_| self.disk.flush());
    }

    /// Goes to `offset`, unless the disk is there already.
    fn seek(&mut self, offset: u64) -> Result<(), Error<D::Error>> {
        if self.position == Some(offset) {
            return Ok(());
        }
        self.position = None;
        self.disk
            .seek(SeekFrom::Start(offset))
            .map_err(|source| Error::Seek { offset, source })?;
        self.position = Some(offset);
        Ok(())
    }
}
