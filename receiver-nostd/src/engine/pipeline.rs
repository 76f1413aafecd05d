//! From the ring to the disk: hash, decode, write, in steps short enough for the network to wait.
//!
//! Every step takes one piece of what is there and says how far the stream is done with. Writes of
//! raw images come straight from the ring, those of decoded ones from the caller's write buffer.

use blake3::{Hash, Hasher};
use ironcast_proto::receiver::Repair;

use super::ring::Ring;
use super::writer::Writer;
use super::{Decompress, Error, Format, Memory, WRITE_SIZE};
use crate::disk::Disk;
use crate::{gzip, image};

/// Most bytes that one step hashes or takes to decode. Pure Rust on firmware's terms (no SIMD) does
/// some 400 MB/s, an emulated CPU 50, so that a step takes less than a millisecond even there.
const PIECE_LEN: u64 = 32 << 10;

/// What writes end at a multiple of where they can't end at one of [`WRITE_SIZE`]: the largest
/// sector.
const ALIGNMENT: u64 = 4096;

/// Decoding's part of the caller's memory.
#[derive(Debug)]
struct Gzip<'m> {
    workspace: &'m mut gzip::Workspace,
    /// Decoded bytes wait here for the disk; of [`WRITE_SIZE`].
    buffer: &'m mut [u8],
    /// How many.
    filled: usize,
    /// Hash of everything that was decoded.
    hasher: Hasher,
}

#[derive(Debug)]
pub(super) struct Pipeline<'m, D> {
    ring: Ring<'m>,
    /// If decompression is on.
    gzip: Option<Gzip<'m>>,
    /// Once the stream's first bytes told.
    format: Option<Format>,
    hasher: Hasher,
    /// Stream offset up to which bytes are hashed.
    hashed: u64,
    /// Stream offset up to which bytes are written or decoded, so that the ring has no need of
    /// them.
    consumed: u64,
    writer: Writer<D>,
    /// Whether the disk had no time for more.
    is_busy: bool,
    /// Whether all bytes were given to the disk.
    is_closing: bool,
    finished: bool,
}

/// How much of the stream is in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Offset up to which every byte has arrived.
    pub(super) upto: u64,
    /// Whether the stream ends there.
    pub(super) is_all: bool,
    /// Whether the sender's next blocks find no room, so that waiting for more would be for ever.
    pub(super) is_pressed: bool,
}

impl Arrived {
    /// How far a step over units of `unit` bytes goes that begins at `from` and has bytes up to
    /// `upto`: to the unit's end, or as far as the stream goes. `None` to wait.
    fn end_of_unit(&self, from: u64, upto: u64, unit: u64) -> Option<u64> {
        let end = (from / unit + 1) * unit;
        if upto >= end {
            Some(end)
        } else if self.is_all && upto == self.upto && upto > from {
            Some(upto)
        } else {
            None
        }
    }
}

impl<'m, D: Disk> Pipeline<'m, D> {
    /// `memory` has been checked.
    pub(super) fn new(decompress: Decompress, memory: Memory<'m>, disk: D) -> Self {
        let Memory {
            ring,
            write_buffer: buffer,
            gzip,
        } = memory;
        let gzip = match decompress {
            Decompress::None => None,
            Decompress::Auto => gzip.map(|workspace| {
                workspace.reset();
                Gzip {
                    workspace,
                    buffer,
                    filled: 0,
                    hasher: Hasher::new(),
                }
            }),
        };
        Self {
            ring: Ring::new(ring),
            format: gzip.is_none().then_some(Format::Raw),
            gzip,
            hasher: Hasher::new(),
            hashed: 0,
            consumed: 0,
            writer: Writer::new(disk),
            is_busy: false,
            is_closing: false,
            finished: false,
        }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.ring.len()
    }

    pub(super) fn put(&mut self, offset: u64, block: &[u8]) {
        self.ring.put(offset, block);
    }

    pub(super) fn repair(&mut self, repair: &Repair) {
        self.ring.repair(repair);
    }

    /// Stream offset below which the ring's memory is free.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    pub(super) fn written(&self) -> u64 {
        self.writer.written()
    }

    pub(super) fn format(&self) -> Option<Format> {
        self.format
    }

    /// Whether the disk is at work, so that there may be more to do without anything new from the
    /// network.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether the whole image is on the disk and safe.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn hash(&self) -> Hash {
        self.hasher.finalize()
    }

    /// The hash of what is on the disk.
    pub(super) fn disk_hash(&self) -> Hash {
        match (&self.gzip, self.format) {
            (Some(gzip), Some(Format::Gzip)) => gzip.hasher.finalize(),
            _ => self.hash(),
        }
    }

    pub(super) fn disk(&mut self) -> &mut D {
        self.writer.disk()
    }

    pub(super) fn into_disk(self) -> D {
        self.writer.into_disk()
    }

    /// Does the next piece of work, writing first since that frees memory; false if there was none.
    pub(super) fn step(&mut self, arrived: Arrived) -> Result<bool, Error<D::Error>> {
        if self.finished {
            return Ok(false);
        }
        let Some(format) = self.recognize(arrived) else {
            return Ok(false);
        };
        let is_ready = self.writer.is_ready()?;
        self.is_busy = !is_ready;
        let moved = match format {
            Format::Raw => is_ready && self.write_raw(arrived)?,
            Format::Gzip => is_ready && self.write_decoded()? || self.decode()?,
        };
        if moved || self.hash_piece(arrived) {
            return Ok(true);
        }
        if arrived.is_all && self.consumed == arrived.upto && is_ready {
            return self.finish(format);
        }
        Ok(false)
    }

    /// Tells the format by the stream's first bytes, as soon as there are enough.
    fn recognize(&mut self, arrived: Arrived) -> Option<Format> {
        let magic_len = gzip::MAGIC.len() as u64;
        if self.format.is_none() && (arrived.upto >= magic_len || arrived.is_all) {
            let start = self.ring.piece(0, arrived.upto.min(magic_len));
            self.format = Some(match start == gzip::MAGIC {
                true => Format::Gzip,
                false => Format::Raw,
            });
        }
        self.format
    }

    /// Larger pieces hash faster, so there is no use in taking each block at once.
    fn hash_piece(&mut self, arrived: Arrived) -> bool {
        let end = arrived
            .end_of_unit(self.hashed, arrived.upto, PIECE_LEN)
            .or_else(|| arrived.is_pressed.then_some(arrived.upto));
        let piece = self.ring.piece(self.hashed, end.unwrap_or(self.hashed));
        self.hasher.update(piece);
        self.hashed += piece.len() as u64;
        !piece.is_empty()
    }

    fn write_raw(&mut self, arrived: Arrived) -> Result<bool, Error<D::Error>> {
        let end = arrived
            .end_of_unit(self.consumed, self.hashed, WRITE_SIZE as u64)
            .or_else(|| self.end_under_pressure(arrived));
        let Some(end) = end else {
            return Ok(false);
        };
        let bytes = self.ring.piece_mut(self.consumed, end);
        let len = bytes.len() as u64;
        self.writer.write(bytes)?;
        self.consumed += len;
        Ok(len > 0)
    }

    /// How far a write goes that must not wait for its last bytes, once there is nothing else to
    /// do. The first one waits until the image has shown what disk it needs.
    fn end_under_pressure(&self, arrived: Arrived) -> Option<u64> {
        let end = self.hashed / ALIGNMENT * ALIGNMENT;
        let is_last = arrived.is_pressed && self.hashed == arrived.upto;
        let is_use = end > self.consumed && end >= image::START_LEN as u64;
        (is_last && is_use).then_some(end)
    }

    fn decode(&mut self) -> Result<bool, Error<D::Error>> {
        let Some(gzip) = &mut self.gzip else {
            return Ok(false);
        };
        let end = self.hashed.min(self.consumed + PIECE_LEN);
        let input = self.ring.piece(self.consumed, end);
        let decoded = gzip
            .workspace
            .decode(input, gzip.buffer, gzip.filled)
            .map_err(|source| Error::Gzip {
                offset: self.consumed,
                source,
            })?;
        let filled = gzip.filled + decoded.produced;
        gzip.hasher
            .update(gzip.buffer.get(gzip.filled..filled).unwrap_or_default());
        gzip.filled = filled;
        self.consumed += decoded.consumed as u64;
        Ok(decoded.consumed + decoded.produced > 0)
    }

    /// Writes what was decoded, if the buffer is full.
    fn write_decoded(&mut self) -> Result<bool, Error<D::Error>> {
        match &mut self.gzip {
            Some(gzip) if gzip.filled >= gzip.buffer.len() => {
                gzip.filled = 0;
                self.writer.write(gzip.buffer)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Writes what is left, and makes it safe; false if that goes on.
    fn finish(&mut self, format: Format) -> Result<bool, Error<D::Error>> {
        let is_first = !core::mem::replace(&mut self.is_closing, true);
        if let (Format::Gzip, Some(gzip), true) = (format, &mut self.gzip, is_first) {
            gzip.workspace.finish().map_err(|source| Error::Gzip {
                offset: self.consumed,
                source,
            })?;
            let rest = gzip.buffer.get_mut(..gzip.filled).unwrap_or_default();
            self.writer.write(rest)?;
            gzip.filled = 0;
        }
        self.finished = self.writer.finish()?;
        self.is_busy = !self.finished;
        Ok(self.finished)
    }
}
