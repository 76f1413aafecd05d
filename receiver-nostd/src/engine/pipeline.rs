//! From the ring to the disk: decode, write, hash, prove, in steps short enough for the network to
//! wait.
//!
//! What can wait does: nobody needs a hash before the last byte is on the disk, so bytes are hashed
//! when there is nothing else to do, as long as the ring has room to keep them for that.
//! Every step takes one piece of what is there and says how far the stream is done with. Writes of
//! raw images come straight from the ring, those of decoded ones from the caller's write buffer.

use blake3::Hash;
use ironcast_proto::cast::MAGIC;
#[cfg(feature = "alloc")]
use ironcast_proto::cast::{Manifest, Signed};
use ironcast_proto::receiver::Repair;

use super::arrived::{Arrived, PIECE_LEN};
use super::checksums::UNIT_LEN;
use super::decoding::{Decoding, format_of};
use super::hashing::{HashOffload, Hashing};
use super::options::{CastOptions, DiskOptions, Leftover, TableState};
use super::read_back::Proof;
use super::ring::Ring;
#[cfg(feature = "alloc")]
use super::unpacking::Unpacking;
use super::wanted::{FOG_HEADER_LEN, Refusal};
use super::writer::Writer;
use super::{Decompress, Error, Format, Memory, WRITE_SIZE};
use crate::decode::MAGIC_LEN;
use crate::disk::Disk;
use crate::image;

/// What writes end at a multiple of where they can't end at one of [`WRITE_SIZE`]: the largest
/// sector.
const ALIGNMENT: u64 = 4096;

#[derive(Debug)]
pub(super) struct Pipeline<'m, D: Disk> {
    ring: Ring<'m>,
    decompress: Decompress,
    cast_options: CastOptions<'m>,
    /// If the stream is a cast stream.
    #[cfg(feature = "alloc")]
    unpacking: Option<Unpacking<'m>>,
    /// If decompression is on.
    decoding: Option<Decoding<'m>>,
    /// Once the stream's first bytes told.
    format: Option<Format>,
    /// Of what the disk is given.
    hashing: Hashing<'m>,
    /// Stream offset up to which bytes are hashed.
    hashed: u64,
    /// Stream offset up to which bytes are written or decoded.
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
            cast_options: CastOptions::default(),
            #[cfg(feature = "alloc")]
            unpacking: None,
            decoding: is_on.then(|| Decoding::new(buffer, gzip)),
            format: (!is_on).then_some(Format::Raw),
            hashing: Hashing::new(),
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

    /// Has streams held to these options. What only a cast stream says has to be looked for.
    pub(super) fn set_cast_options(&mut self, options: CastOptions<'m>) {
        self.cast_options = options;
        if options.wanted.is_particular() || options.wanted.fog_name.is_some() {
            self.format = None;
        }
    }

    /// The image that a cast stream is of and who has signed it, once that was accepted.
    #[cfg(feature = "alloc")]
    pub(super) fn image(&self) -> Option<(Manifest<'_>, Signed)> {
        self.unpacking.as_ref()?.image()
    }

    /// Whether there is such an image since the last call.
    pub(super) fn take_news(&mut self) -> bool {
        #[cfg(feature = "alloc")]
        if let Some(unpacking) = &mut self.unpacking {
            return unpacking.take_news();
        }
        false
    }

    /// Has `offload` hash what it takes.
    pub(super) fn set_offload(&mut self, offload: &'m mut dyn HashOffload) {
        self.hashing.set_offload(offload);
    }

    pub(super) fn put(&mut self, offset: u64, block: &[u8]) {
        self.ring.put(offset, block);
    }

    pub(super) fn repair(&mut self, repair: &Repair) {
        self.ring.repair(repair);
    }

    /// Stream offset up to which bytes are written or decoded.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Stream offset below which the ring's memory is free.
    pub(super) fn released(&self) -> u64 {
        self.consumed.min(self.hashed)
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

    /// The hash of the stream as it was sent.
    pub(super) fn hash(&self) -> Hash {
        match (&self.decoding, self.format) {
            (Some(decoding), Some(Format::Compressed(_))) => decoding.hasher.finalize(),
            _ => self.hashing.sums().hash(),
        }
    }

    /// The hash of what the disk was given, or the root of the image.
    pub(super) fn disk_hash(&self) -> Hash {
        #[cfg(feature = "alloc")]
        if let Some((manifest, _)) = self.image() {
            return Hash::from_bytes(manifest.root);
        }
        self.hashing.sums().hash()
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
            Format::Compressed(_) => {
                self.hash_decoded(UNIT_LEN)
                    || is_ready && self.write_decoded()?
                    || self.decode(arrived)?
            }
            #[cfg(feature = "alloc")]
            Format::Cast => self.unpack(arrived, is_ready)?,
            #[cfg(not(feature = "alloc"))]
            Format::Cast => false,
        };
        if moved {
            return Ok(true);
        }
        if arrived.is_all && self.consumed == arrived.upto && is_ready {
            return self.finish(format, arrived);
        }
        if arrived.is_busy && !self.must_hash(arrived) && !self.hashing.has_help() {
            // Whether the network leaves time for it is seen the next time.
            return Ok(arrived.upto >= self.hashed + PIECE_LEN);
        }
        Ok(self.hash_piece(arrived) || self.hashing.is_waiting())
    }

    /// Whether hashing must not wait any longer: most of the ring waits for it already.
    fn must_hash(&self, arrived: Arrived) -> bool {
        let waiting = arrived.upto - self.hashed;
        arrived.is_pressed || arrived.is_all || waiting > self.capacity() / 4 * 3
    }

    /// Tells the format by the stream's first bytes, as soon as there are enough.
    fn recognize(&mut self, arrived: Arrived) -> Result<Option<Format>, Error<D::Error>> {
        let wanted = self.cast_options.wanted;
        let header_len = wanted.fog_name.map_or(0, |_| FOG_HEADER_LEN);
        let end = header_len + MAGIC_LEN as u64;
        let is_enough = arrived.upto >= end || arrived.is_all;
        if self.format.is_some() || !is_enough {
            return Ok(self.format);
        }
        let header = self.ring.piece(0, arrived.upto.min(header_len));
        wanted.judge_fog(header).map_err(Error::Refused)?;
        let start = self.ring.piece(header_len, arrived.upto.min(end));
        let format = match &mut self.decoding {
            Some(decoding) => format_of(start, self.decompress)
                .and_then(|format| decoding.begin(format))
                .map_err(|source| Error::Decode { offset: 0, source })?,
            None => Format::Raw,
        };
        match format {
            Format::Cast => self.begin_cast()?,
            _ if wanted.is_particular() => {
                let signed = !wanted.trusted.is_empty();
                return Err(Error::Refused(Refusal::Anonymous { signed }));
            }
            // What is hashed is not what the disk is given.
            Format::Raw if header_len > 0 => self.writer.leave_unproved(),
            _ => {}
        }
        self.consumed = header_len;
        self.format = Some(format);
        Ok(self.format)
    }

    /// Without a heap there is no memory for its table.
    fn begin_cast(&mut self) -> Result<(), Error<D::Error>> {
        #[cfg(feature = "alloc")]
        return Unpacking::new(self.cast_options).map(|new| self.unpacking = Some(new));
        #[cfg(not(feature = "alloc"))]
        Err(Error::Refused(Refusal::NotBuiltIn))
    }

    /// Does the next step with a cast stream.
    #[cfg(feature = "alloc")]
    fn unpack(&mut self, arrived: Arrived, is_ready: bool) -> Result<bool, Error<D::Error>> {
        let (Some(unpacking), Some(decoding)) = (&mut self.unpacking, &mut self.decoding) else {
            return Ok(false);
        };
        if unpacking.needs_disk() && !is_ready {
            return Ok(false);
        }
        let end = arrived.end_of_piece(self.consumed);
        let input = self.ring.piece(self.consumed, end);
        let step = unpacking.step(input, &mut self.writer, decoding.buffer)?;
        self.consumed += step.consumed as u64;
        self.has_decoded = step.consumed > 0;
        Ok(step.has_moved)
    }

    /// Whether the hash lacks bytes, or values of some. A piece that has to wait at one moment for
    /// values that are all there at the next is still to be hashed.
    fn is_to_hash(&mut self, arrived: Arrived) -> bool {
        self.hashed < arrived.upto || self.hashing.is_waiting()
    }

    /// Larger pieces hash faster, so there is no use in taking each block at once.
    fn hash_piece(&mut self, arrived: Arrived) -> bool {
        let piece = self
            .ring
            .piece(self.hashed, arrived.end_of_piece(self.hashed));
        match (&mut self.decoding, self.format) {
            (Some(decoding), Some(Format::Compressed(_))) => {
                decoding.hasher.update(piece);
            }
            _ if !self.hashing.update(piece) => return false,
            _ => {}
        }
        self.hashed += piece.len() as u64;
        !piece.is_empty()
    }

    fn write_raw(&mut self, arrived: Arrived) -> Result<bool, Error<D::Error>> {
        let end = arrived
            .end_of_unit(self.consumed, WRITE_SIZE as u64)
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
        let end = arrived.upto / ALIGNMENT * ALIGNMENT;
        let is_last = arrived.is_pressed && self.hashed == arrived.upto;
        let is_use = end > self.consumed && end >= image::START_LEN as u64;
        (is_last && is_use).then_some(end)
    }

    /// Hashes a unit of what was decoded, if so many bytes of it are there.
    fn hash_decoded(&mut self, least: usize) -> bool {
        let Some(decoding) = &mut self.decoding else {
            return false;
        };
        let end = decoding.filled.min(decoding.hashed + UNIT_LEN);
        let piece = decoding.buffer.get(decoding.hashed..end);
        let piece = piece.filter(|piece| piece.len() >= least);
        match piece {
            Some(piece) if self.hashing.update(piece) => {
                decoding.hashed = end;
                true
            }
            _ => false,
        }
    }

    fn decode(&mut self, arrived: Arrived) -> Result<bool, Error<D::Error>> {
        let Some(decoding) = &mut self.decoding else {
            return Ok(false);
        };
        let end = arrived.end_of_piece(self.consumed);
        let input = self.ring.piece(self.consumed, end);
        let offset = self.consumed;
        let decoded = decoding
            .decode(input)
            .map_err(|source| Error::Decode { offset, source })?;
        self.consumed += decoded.consumed as u64;
        self.has_decoded = decoded.consumed + decoded.produced > 0;
        Ok(self.has_decoded)
    }

    /// Writes what was decoded, if the buffer is full and hashed.
    fn write_decoded(&mut self) -> Result<bool, Error<D::Error>> {
        match &mut self.decoding {
            Some(decoding) if decoding.hashed >= decoding.buffer.len() => {
                decoding.filled = 0;
                decoding.hashed = 0;
                demand_no_cast(self.decompress, &self.writer, decoding.buffer)?;
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

    /// Writes what is left, and takes the next step in making it safe and in proving it; false if
    /// that waits for the disk. Hashing comes in between, at the latest when all is safe: then the
    /// ring's memory is free.
    fn finish(&mut self, format: Format, arrived: Arrived) -> Result<bool, Error<D::Error>> {
        let is_raw = format == Format::Raw;
        let decoded = self.decoding.as_ref().filter(|_| !is_raw);
        if decoded.is_some_and(|decoding| decoding.hashed < decoding.filled) {
            self.hash_decoded(1);
            return Ok(true);
        }
        let is_first = !core::mem::replace(&mut self.is_closing, true);
        if is_first {
            self.end_stream(format)?;
        }
        if self.writer.is_flushed() && self.is_to_hash(arrived) {
            self.hash_piece(arrived);
            return Ok(true);
        }
        let sums = self.hashing.sums();
        let moved = match (&mut self.decoding, format) {
            #[cfg(feature = "alloc")]
            (_, Format::Cast) => {
                let Some(unpacking) = &self.unpacking else {
                    return Ok(false);
                };
                let proof = Proof::Chunks(unpacking);
                self.writer.close(proof, self.ring.memory())?
            }
            // What arrived is still there, and to compare with it is faster than to hash.
            (Some(decoding), Format::Raw) if self.writer.is_reading_back() => {
                let ring = Some(&self.ring);
                self.writer
                    .close(Proof::Sums { sums, ring }, decoding.buffer)?
            }
            _ => {
                let proof = Proof::Sums { sums, ring: None };
                self.writer.close(proof, self.ring.memory())?
            }
        };
        let moved = moved || self.hash_piece(arrived);
        self.finished = self.writer.is_closed();
        self.is_busy = !moved;
        Ok(moved)
    }

    /// Sees whether the stream may end where it does, and writes what was left for that.
    fn end_stream(&mut self, format: Format) -> Result<(), Error<D::Error>> {
        match (format, &mut self.decoding) {
            (Format::Compressed(_), Some(decoding)) => {
                let offset = self.consumed;
                let rest = decoding
                    .finish()
                    .map_err(|source| Error::Decode { offset, source })?;
                demand_no_cast(self.decompress, &self.writer, rest)?;
                self.writer.write(rest)
            }
            #[cfg(feature = "alloc")]
            (Format::Cast, _) => self.unpacking.as_ref().map_or(Ok(()), Unpacking::finish),
            _ => Ok(()),
        }
    }
}

/// Whoever has streams unpacked that are cast streams does not want one on the disk for an image
/// since it was compressed once more.
fn demand_no_cast<D: Disk>(
    decompress: Decompress,
    writer: &Writer<D>,
    decoded: &[u8],
) -> Result<(), Error<D::Error>> {
    let is_cast = writer.written() == 0 && decoded.starts_with(&MAGIC);
    match is_cast && decompress == Decompress::Auto {
        true => Err(Error::Refused(Refusal::Wrapped)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::convert::Infallible;
    use std::vec;
    use std::vec::Vec;

    use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};

    use super::*;
    use crate::engine::hashing::HashOffload;
    use crate::engine::{UnitValue, unit_value};

    const WRITE: u64 = WRITE_SIZE as u64;
    const LEN: usize = 8 * WRITE_SIZE;

    /// A disk of memory, which has space for an image of [`LEN`].
    struct TestDisk {
        bytes: Vec<u8>,
        position: usize,
    }

    impl ErrorType for TestDisk {
        type Error = Infallible;
    }

    impl Write for TestDisk {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            self.bytes[self.position..][..bytes.len()].copy_from_slice(bytes);
            self.position += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    impl Read for TestDisk {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
            buffer.copy_from_slice(&self.bytes[self.position..][..buffer.len()]);
            self.position += buffer.len();
            Ok(buffer.len())
        }
    }

    impl Seek for TestDisk {
        fn seek(&mut self, to: SeekFrom) -> Result<u64, Infallible> {
            let SeekFrom::Start(position) = to else {
                unreachable!("the engine counts from the start");
            };
            self.position = usize::try_from(position).unwrap();
            Ok(position)
        }
    }

    impl Disk for TestDisk {
        fn capacity(&self) -> Option<u64> {
            Some(LEN as u64)
        }

        fn reader(&mut self) -> Option<&mut dyn Read<Error = Infallible>> {
            Some(self)
        }
    }

    /// No two parts of it are alike.
    fn image() -> Vec<u8> {
        (0..LEN as u32)
            .map(|i| (i.wrapping_mul(0x9e37_79b1) >> 24) as u8)
            .collect()
    }

    /// A pipeline of raw images over a ring that has the whole image.
    fn pipeline(ring: &mut Vec<u8>) -> Pipeline<'_, TestDisk> {
        let memory = Memory {
            ring,
            write_buffer: &mut [],
            gzip: None,
        };
        let disk = TestDisk {
            bytes: vec![7; LEN],
            position: 0,
        };
        Pipeline::new(Decompress::None, DiskOptions::default(), memory, disk)
    }

    fn arrived(upto: u64, is_busy: bool) -> Arrived {
        Arrived {
            upto,
            is_all: upto == LEN as u64,
            is_pressed: false,
            is_busy,
        }
    }

    /// Takes steps until there is nothing more to do but to look at the network again.
    fn steps(pipeline: &mut Pipeline<'_, TestDisk>, arrived: Arrived) {
        let state = |pipeline: &Pipeline<'_, TestDisk>| (pipeline.consumed, pipeline.hashed);
        loop {
            let before = state(pipeline);
            pipeline.step(arrived).unwrap();
            if before == state(pipeline) {
                return;
            }
        }
    }

    #[test]
    fn hashing_waits_for_the_network_as_long_as_most_of_the_ring_is_not_full_of_it() {
        let mut ring = image();
        let mut pipeline = pipeline(&mut ring);
        steps(&mut pipeline, arrived(6 * WRITE, true));
        assert_eq!((pipeline.consumed, pipeline.hashed), (6 * WRITE, 0));
        assert!(
            pipeline.step(arrived(6 * WRITE, true)).unwrap(),
            "come back"
        );
        assert_eq!(pipeline.released(), 0);
        // One piece more is too much.
        steps(&mut pipeline, arrived(6 * WRITE + PIECE_LEN, true));
        assert_eq!(pipeline.hashed, PIECE_LEN);
        assert_eq!(pipeline.released(), PIECE_LEN);
        // The network is quiet.
        steps(&mut pipeline, arrived(6 * WRITE + PIECE_LEN, false));
        assert_eq!(pipeline.hashed, 6 * WRITE + PIECE_LEN);
        assert_eq!(pipeline.released(), 6 * WRITE);
    }

    #[test]
    fn all_is_safe_before_what_is_left_is_hashed() {
        let image = image();
        let mut ring = image.clone();
        let mut pipeline = pipeline(&mut ring);
        steps(&mut pipeline, arrived(2 * WRITE, true));
        steps(&mut pipeline, arrived(7 * WRITE, true));
        let hashed = pipeline.hashed;
        let all = arrived(LEN as u64, false);
        while !pipeline.is_flushed() {
            assert_eq!(pipeline.hashed, hashed);
            assert!(pipeline.step(all).unwrap());
        }
        let start = image::START_LEN;
        assert_eq!(pipeline.disk().bytes[..start], [0; image::START_LEN]);
        assert!(pipeline.disk().bytes[start..] == image[start..]);
        while !pipeline.is_finished() {
            assert!(pipeline.step(all).unwrap());
        }
        assert!(pipeline.disk().bytes == image && pipeline.is_verified());
        assert_eq!(pipeline.hash(), blake3::hash(&image));
    }

    /// Takes one unit at a time, and gives its value at every question of so many.
    #[derive(Debug)]
    struct Slow {
        value: Option<UnitValue>,
        questions: u32,
        every: u32,
    }

    impl HashOffload for Slow {
        fn has_room(&self) -> bool {
            self.value.is_none()
        }

        fn submit(&mut self, offset: u64, unit: &[u8]) -> bool {
            let is_free = self.has_room();
            if is_free {
                self.value = Some(unit_value(offset, unit));
            }
            is_free
        }

        fn poll(&mut self) -> Option<UnitValue> {
            self.questions += 1;
            let is_there = self.questions.is_multiple_of(self.every);
            is_there.then(|| self.value.take()).flatten()
        }
    }

    #[test]
    fn a_value_that_comes_at_any_moment_is_no_word_of_bytes_that_are_not_hashed_yet() {
        let image = image();
        for every in 1..20 {
            // The ring has the second half, and what is read back goes over it.
            let mut ring = image[..LEN / 2].to_vec();
            let mut slow = Slow {
                value: None,
                questions: 0,
                every,
            };
            let mut pipeline = pipeline(&mut ring);
            pipeline.set_offload(&mut slow);
            while pipeline.released() < (LEN / 2) as u64 {
                pipeline.step(arrived(LEN as u64 / 2, false)).unwrap();
            }
            pipeline.put(LEN as u64 / 2, &image[LEN / 2..]);
            while !pipeline.is_finished() {
                pipeline.step(arrived(LEN as u64, false)).unwrap();
            }
            assert!(pipeline.disk().bytes == image && pipeline.is_verified());
            assert_eq!(pipeline.hash(), blake3::hash(&image), "every {every}");
        }
    }
}
