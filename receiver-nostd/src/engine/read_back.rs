//! Reading everything back that was given to the disk, a piece at a time.
//!
//! What tells whether it is right is either what was noted when it was given, or what the image
//! says of itself, chunk by chunk.

use super::checksums::{self, Checksums};
use super::chunks::{ChunkReadBack, Chunks};
use super::device::Device;
use super::ring::Ring;
use super::{Error, WRITE_SIZE};
use crate::disk::Disk;
use crate::image::START_LEN;

/// What was given to the disk.
#[derive(Debug)]
pub(super) struct Given {
    /// How many bytes.
    pub(super) len: u64,
    /// The first of them, if they are not on the disk yet.
    pub(super) start: Option<[u8; START_LEN]>,
}

/// What tells whether the disk has what it was given.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "alloc"),
    expect(dead_code, reason = "who has chunks has a heap for their table")
)]
pub(super) enum Proof<'p> {
    /// Hashes of all that it was given.
    Sums {
        sums: &'p Checksums,
        /// Where the last of its bytes are, the same as on the disk; `None` if they are not kept.
        ring: Option<&'p Ring<'p>>,
    },
    /// Hashes of the image's own.
    Chunks(&'p dyn Chunks),
}

/// How far it is.
#[derive(Debug)]
pub(super) enum ReadBack {
    Sums(checksums::ReadBack),
    Chunks(ChunkReadBack),
}

impl ReadBack {
    /// At the start of what `proof` is of.
    pub(super) fn new(proof: Proof<'_>) -> Self {
        match proof {
            Proof::Sums { .. } => Self::Sums(checksums::ReadBack::new()),
            Proof::Chunks(_) => Self::Chunks(ChunkReadBack::new()),
        }
    }

    /// Bytes that are done with.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::Sums(back) => back.position(),
            Self::Chunks(back) => back.position(),
        }
    }

    /// Reads the next piece back; false if there is none, and all were right. `proof` is of the
    /// same kind all along.
    pub(super) fn advance<D: Disk>(
        &mut self,
        device: &mut Device<D>,
        given: &Given,
        proof: Proof<'_>,
        scratch: &mut [u8],
    ) -> Result<bool, Error<D::Error>> {
        match (self, proof) {
            (Self::Sums(back), Proof::Sums { sums, ring }) => {
                read_back(back, device, given, (sums, ring), scratch)
            }
            (Self::Chunks(back), Proof::Chunks(chunks)) => {
                read_back_chunks(back, device, given, chunks, scratch)
            }
            // What is not proved by what it was begun with is not proved.
            (back, _) => Err(not_known(back.position(), given)),
        }
    }
}

/// Reads a piece back. Where the start was held back there are zeros so far, and its bytes in
/// memory count.
fn read_given<D: Disk>(
    device: &mut Device<D>,
    given: &Given,
    position: u64,
    piece: &mut [u8],
) -> Result<(), Error<D::Error>> {
    device.read(position, piece)?;
    if let (Some(start), 0) = (&given.start, position)
        && let Some(place) = piece.first_chunk_mut()
    {
        *place = *start;
    }
    Ok(())
}

fn not_known<E>(position: u64, given: &Given) -> Error<E> {
    Error::Short {
        start: position,
        end: given.len,
    }
}

/// Reads the next piece of a chunk back; false if there is none, and all were right.
fn read_back_chunks<D: Disk>(
    back: &mut ChunkReadBack,
    device: &mut Device<D>,
    given: &Given,
    chunks: &dyn Chunks,
    scratch: &mut [u8],
) -> Result<bool, Error<D::Error>> {
    let Some(range) = back.next(chunks, given.len, WRITE_SIZE as u64) else {
        return match back.bad() {
            bad if bad.count() > 0 => Err(Error::Chunks(bad)),
            _ if back.position() < given.len => Err(not_known(back.position(), given)),
            _ => Ok(false),
        };
    };
    if let Some(zeroes) = back.zeroes(given.len)
        && device.is_blank(&zeroes)
    {
        back.pass(&zeroes);
        return Ok(true);
    }
    // No more than `WRITE_SIZE`, which is a `usize`.
    let len = (range.end - range.start) as usize;
    let piece = scratch.get_mut(..len).unwrap_or_default();
    if piece.is_empty() {
        return Err(not_known(range.start, given));
    }
    read_given(device, given, range.start, piece)?;
    back.take(piece, given.len);
    Ok(true)
}

/// Reads the next piece back; false if there is none.
fn read_back<D: Disk>(
    back: &mut checksums::ReadBack,
    device: &mut Device<D>,
    given: &Given,
    (sums, ring): (&Checksums, Option<&Ring<'_>>),
    scratch: &mut [u8],
) -> Result<bool, Error<D::Error>> {
    let left = given.len - back.position();
    // No more than `WRITE_SIZE`, which is a `usize`.
    let len = left.min(WRITE_SIZE as u64) as usize;
    let piece = scratch.get_mut(..len).unwrap_or_default();
    if piece.is_empty() {
        return Ok(false);
    }
    let position = back.position();
    read_given(device, given, position, piece)?;
    // All of a range is there, or nothing of it counts.
    let is_kept = |ring: &&Ring<'_>| sums.range_at(position).start + ring.len() >= given.len;
    let compared = match ring.filter(is_kept) {
        Some(ring) => {
            let end = position + piece.len() as u64;
            back.compare(sums, piece, ring.piece(position, end))
        }
        None => back.update(sums, piece),
    };
    compared.map_err(|range| Error::Differs {
        start: range.start,
        end: range.end,
    })?;
    Ok(true)
}
