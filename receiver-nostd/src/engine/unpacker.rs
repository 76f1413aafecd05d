//! A cast stream that comes from a file or a pipe, on its way to a disk.
//!
//! What becomes of it is what becomes of it in a transfer: it is judged, proved chunk by chunk,
//! written with its start held back, read back, and its table made right for the disk. Only there
//! is no network that has to be served in between.

use alloc::vec;
use alloc::vec::Vec;

use super::options::{CastOptions, Leftover, TableState};
use super::read_back::Proof;
use super::report::Provenance;
use super::unpacking::{Unpacked, Unpacking};
use super::writer::Writer;
use super::{Error, MIN_RING_LEN};
use crate::disk::Disk;

/// Unpacks one cast stream to one disk.
///
/// After [`take`](Self::take) has had all of the stream comes [`close`](Self::close), until the
/// disk is done. After an error of either comes [`clear`](Self::clear), until there is nothing to
/// clear.
#[derive(Debug)]
pub struct Unpacker<'o, D: Disk> {
    unpacking: Unpacking<'o>,
    writer: Writer<D>,
    /// For a write, and for what is read back.
    memory: Vec<u8>,
}

impl<'o, D: Disk> Unpacker<'o, D> {
    /// One of which nothing has come. FOG's header is none of its business.
    ///
    /// # Errors
    /// [`Error::Cast`] if there is no memory for what comes first.
    pub fn new(options: CastOptions<'o>, disk: D) -> Result<Self, Error<D::Error>> {
        Ok(Self {
            unpacking: Unpacking::new(options)?,
            writer: Writer::new(disk, options.disk.unwrap_or_default()),
            memory: vec![0; MIN_RING_LEN],
        })
    }

    /// Does the next step with `input`, the stream's next bytes: takes some of them, or writes what
    /// was taken before. Without input it still may get ahead.
    ///
    /// # Errors
    /// [`Error`] if the stream is wrong or not wanted, or the disk fails.
    pub fn take(&mut self, input: &[u8]) -> Result<Unpacked, Error<D::Error>> {
        if self.unpacking.needs_disk() && !self.writer.is_ready()? {
            return Ok(Unpacked {
                consumed: 0,
                has_moved: true,
            });
        }
        self.unpacking
            .step(input, &mut self.writer, &mut self.memory)
    }

    /// Does the next step of what is left to do when the stream has ended: false if that was the
    /// last, and the image is on the disk.
    ///
    /// # Errors
    /// [`Error`] if the stream must not end there, the disk fails, or has something else than was
    /// written.
    pub fn close(&mut self) -> Result<bool, Error<D::Error>> {
        self.unpacking.finish()?;
        let proof = Proof::Chunks(&self.unpacking);
        self.writer.close(proof, &mut self.memory)?;
        Ok(!self.writer.is_closed())
    }

    /// Makes the next write of those that make the disk useless after a failure; false if none is
    /// left.
    pub fn clear(&mut self) -> bool {
        self.writer.clear(&mut self.memory)
    }

    /// What a failure left on the disk; `None` as long as it is to be cleared.
    #[must_use]
    pub fn leftover(&self) -> Option<&Leftover<Error<D::Error>>> {
        self.writer.leftover()
    }

    /// The image, once it was found to be one that is wanted and fits.
    #[must_use]
    pub fn image(&self) -> Option<Provenance<'_>> {
        let (manifest, signed) = self.unpacking.image()?;
        Some(Provenance { manifest, signed })
    }

    /// Bytes of the image that are done with.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.writer.written()
    }

    /// Whether all of it was read back and found equal.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.writer.is_verified()
    }

    /// What became of the image's GUID partition table.
    #[must_use]
    pub fn table(&self) -> TableState {
        self.writer.table()
    }

    /// Gives the disk back.
    #[must_use]
    pub fn into_disk(self) -> D {
        self.writer.into_disk()
    }
}
