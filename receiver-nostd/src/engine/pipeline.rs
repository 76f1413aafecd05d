//! From the ring to the disk: hash, decode, write, prove, in steps short enough for the network to
//! wait.
//!
//! Every step takes one piece of what is there and says how far the stream is done with. Writes of
//! raw images come straight from the ring, those of decoded ones from the caller's write buffer.

use blake3::{Hash, Hasher};
use ironcast_proto::receiver::Repair;

use super::options::{DiskOptions, Leftover, TableState};
use super::ring::Ring;
use super::writer::Writer;
use super::{Decompress, Error, Format, Memory, WRITE_SIZE};
use crate::decode::{self, Compression, Decoder, Fault, MAGIC_LEN, gzip};
use crate::disk::Disk;
use crate::image;

/// Most bytes that one step hashes or takes to decode. Pure Rust on firmware's terms (no SIMD) does
/// some 400 MB/s, an emulated CPU 50, so that a step takes less than a millisecond even there.
const PIECE_LEN: u64 = 32 << 10;

/// What writes end at a multiple of where they can't end at one of [`WRITE_SIZE`]: the largest
/// sector.
const ALIGNMENT: u64 = 4096;

/// A stream that is decoded, or may come to be.
#[derive(Debug)]
struct Decoding<'m> {
    /// The decoder, once it is known which.
    decoder: Option<Decoder<'m>>,
    /// Until then, the memory for one of them.
    gzip: Option<&'m mut gzip::Decoder>,
    /// Decoded bytes wait here for the disk; of [`WRITE_SIZE`].
    buffer: &'m mut [u8],
    /// How many.
    filled: usize,
    /// Hash of everything that was decoded.
    hasher: Hasher,
}

#[derive(Debug)]
pub(super) struct Pipeline<'m, D: Disk> {
    ring: Ring<'m>,
    decompress: Decompress,
    /// If decompression is on.
    decoding: Option<Decoding<'m>>,
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
    /// Whether the last step decoded something.
    has_decoded: bool,
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
    pub(super) fn new(
        decompress: Decompress,
        options: DiskOptions,
        memory: Memory<'m>,
        disk: D,
    ) -> Self {
        let Memory {
            ring,
            write_buffer: buffer,
            gzip,
        } = memory;
        let is_on = decompress != Decompress::None;
        Self {
            ring: Ring::new(ring),
            decompress,
            decoding: is_on.then(|| Decoding {
                decoder: None,
                gzip,
                buffer,
                filled: 0,
                hasher: Hasher::new(),
            }),
            format: (!is_on).then_some(Format::Raw),
            hasher: Hasher::new(),
            hashed: 0,
            consumed: 0,
            writer: Writer::new(disk, options),
            is_busy: false,
            is_closing: false,
            finished: false,
            has_decoded: false,
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

    /// Bytes of the disk that the image was made of, if its table tells.
    pub(super) fn disk_len(&self) -> Option<u64> {
        self.writer.disk_len()
    }

    /// Bytes of the image that were read back.
    pub(super) fn verified(&self) -> u64 {
        self.writer.verified()
    }

    /// Whether everything was read back.
    pub(super) fn is_verified(&self) -> bool {
        self.writer.is_verified()
    }

    /// What became of the image's partition table.
    pub(super) fn table(&self) -> TableState {
        self.writer.table()
    }

    pub(super) fn format(&self) -> Option<Format> {
        self.format
    }

    /// Whether the disk is at work, so that there may be more to do without anything new from the
    /// network.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether all that was written is safe on the disk.
    pub(super) fn is_flushed(&self) -> bool {
        self.writer.is_flushed()
    }

    /// Whether the last step decoded something.
    pub(super) fn has_decoded(&self) -> bool {
        self.has_decoded
    }

    /// Whether the whole image is on the disk, safe and proved.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn hash(&self) -> Hash {
        self.hasher.finalize()
    }

    /// The hash of what is on the disk.
    pub(super) fn disk_hash(&self) -> Hash {
        match (&self.decoding, self.format) {
            (Some(decoding), Some(Format::Compressed(_))) => decoding.hasher.finalize(),
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
        let Some(format) = self.recognize(arrived)? else {
            return Ok(false);
        };
        self.has_decoded = false;
        let is_ready = self.writer.is_ready()?;
        self.is_busy = !is_ready;
        let moved = match format {
            Format::Raw => is_ready && self.write_raw(arrived)?,
            Format::Compressed(_) => is_ready && self.write_decoded()? || self.decode()?,
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
    fn recognize(&mut self, arrived: Arrived) -> Result<Option<Format>, Error<D::Error>> {
        let magic_len = MAGIC_LEN as u64;
        let is_enough = arrived.upto >= magic_len || arrived.is_all;
        if let (None, Some(decoding), true) = (self.format, &mut self.decoding, is_enough) {
            let start = self.ring.piece(0, arrived.upto.min(magic_len));
            let format = format_of(start, self.decompress);
            self.format = Some(
                format
                    .and_then(|format| decoding.begin(format))
                    .map_err(|source| Error::Decode { offset: 0, source })?,
            );
        }
        Ok(self.format)
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
        let Some(decoding) = &mut self.decoding else {
            return Ok(false);
        };
        let end = self.hashed.min(self.consumed + PIECE_LEN);
        let input = self.ring.piece(self.consumed, end);
        let offset = self.consumed;
        let decoded = decoding
            .decode(input)
            .map_err(|source| Error::Decode { offset, source })?;
        self.consumed += decoded.consumed as u64;
        self.has_decoded = decoded.consumed + decoded.produced > 0;
        Ok(self.has_decoded)
    }

    /// Writes what was decoded, if the buffer is full.
    fn write_decoded(&mut self) -> Result<bool, Error<D::Error>> {
        match &mut self.decoding {
            Some(decoding) if decoding.filled >= decoding.buffer.len() => {
                decoding.filled = 0;
                self.writer.write(decoding.buffer)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Makes the next write of those that make the disk useless after a failure; false if none is
    /// left.
    pub(super) fn clear(&mut self) -> bool {
        self.writer.clear(self.ring.memory())
    }

    /// What a failure left on the disk; `None` as long as it is to be cleared.
    pub(super) fn leftover(&self) -> Option<&Leftover<Error<D::Error>>> {
        self.writer.leftover()
    }

    /// Writes what is left, and takes the next step in making it safe; false if that waits for the
    /// disk. The ring's memory is free by then.
    fn finish(&mut self, format: Format) -> Result<bool, Error<D::Error>> {
        let is_first = !core::mem::replace(&mut self.is_closing, true);
        if let (Format::Compressed(_), Some(decoding), true) =
            (format, &mut self.decoding, is_first)
        {
            let offset = self.consumed;
            let rest = decoding
                .finish()
                .map_err(|source| Error::Decode { offset, source })?;
            self.writer.write(rest)?;
        }
        let hash = self.disk_hash();
        let moved = self.writer.close(hash, self.ring.memory())?;
        self.finished = self.writer.is_closed();
        self.is_busy = !moved;
        Ok(moved)
    }
}

impl Decoding<'_> {
    /// Has the decoder for a format, if that needs one.
    fn begin(&mut self, format: Format) -> Result<Format, decode::Error> {
        if let (Format::Compressed(compression), Some(gzip)) = (format, self.gzip.take()) {
            self.decoder = Some(Decoder::new(compression, gzip)?);
        }
        Ok(format)
    }

    /// Decodes from `input` until it is used up or the buffer is full.
    fn decode(&mut self, input: &[u8]) -> Result<decode::Decoded, decode::Error> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(decode::Decoded::default());
        };
        let decoded = decoder.decode(input, self.buffer, self.filled)?;
        let filled = self.filled + decoded.produced;
        self.hasher
            .update(self.buffer.get(self.filled..filled).unwrap_or_default());
        self.filled = filled;
        Ok(decoded)
    }

    /// What is in the buffer, if the stream may end where it is.
    fn finish(&mut self) -> Result<&mut [u8], decode::Error> {
        if let Some(decoder) = &self.decoder {
            decoder.finish()?;
        }
        let filled = core::mem::take(&mut self.filled);
        Ok(self.buffer.get_mut(..filled).unwrap_or_default())
    }
}

/// The format of a stream that begins with `start`, if it is one that is wanted.
fn format_of(start: &[u8], decompress: Decompress) -> Result<Format, decode::Error> {
    match decompress {
        Decompress::None => Ok(Format::Raw),
        Decompress::Auto => Ok(Compression::of(start).map_or(Format::Raw, Format::Compressed)),
        Decompress::Only(compression) if compression.begins_with(start) => {
            Ok(Format::Compressed(compression))
        }
        Decompress::Only(compression) => Err(decode::Error {
            compression,
            fault: Fault::NotThis,
        }),
    }
}
