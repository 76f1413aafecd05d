//! A cast stream on its way to the disk: judged before the first write, and then chunk by chunk.
//!
//! A chunk comes out of the reader only when it is proved, and goes to the disk in writes of the
//! usual length, so that the network waits no longer than for any other image. The first chunk is
//! always written, whatever is there: what starts a disk must not be older than the rest of it.

use blake3::Hasher;
use ironcast_proto::cast::{Kind, Manifest, Signed, hash_of_zeroes};

use super::chunks::{Chunks, Content, Known};
use super::options::{CastOptions, Holes, Zeroes};
use super::writer::Writer;
use super::{Error, WRITE_SIZE};
use crate::cast::{self, Chunk, Reader, Step};
use crate::disk::Disk;

#[derive(Debug)]
pub(super) struct Unpacking<'m> {
    options: CastOptions<'m>,
    reader: Reader<'m>,
    /// The chunk that is being put where it belongs.
    piece: Option<Piece>,
    /// Number and hash of the chunk that the disk's end has cut, as far as it goes.
    cut: Option<(u64, [u8; 32])>,
    /// Where the image's GPT ends the room for partitions: behind it is but the table's copy.
    partitions_end: u64,
    /// Whether the manifest was accepted and nobody has been told.
    is_news: bool,
}

/// A chunk, as far as the disk has room for it.
#[derive(Debug)]
struct Piece {
    start: u64,
    len: usize,
    /// Bytes of it that are done with.
    done: usize,
    hash: [u8; 32],
    action: Action,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, which changes from one to the other"
)]
enum Action {
    /// What is there is looked at first: it may be the same.
    Compare(Hasher),
    Write,
    Zero,
    /// What is there stays.
    Leave,
}

/// How far a step got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of input that were used up.
    pub consumed: usize,
    /// Whether it got ahead, be it without input.
    pub has_moved: bool,
}

impl<'m> Unpacking<'m> {
    pub(super) fn new<E>(options: CastOptions<'m>) -> Result<Self, Error<E>> {
        Ok(Self {
            options,
            reader: Reader::new(options.wanted.trusted).map_err(Error::Cast)?,
            piece: None,
            cut: None,
            partitions_end: u64::MAX,
            is_news: false,
        })
    }

    /// The image and who has signed it, once it was accepted.
    pub(super) fn image(&self) -> Option<(Manifest<'_>, Signed)> {
        let is_accepted = self.reader.is_accepted();
        self.reader.manifest().filter(|_| is_accepted)
    }

    /// Whether [`image`](Self::image) is new.
    pub(super) fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.is_news)
    }

    /// Whether the next step needs the disk.
    pub(super) fn needs_disk(&self) -> bool {
        self.piece.is_some()
    }

    /// Does the next step with `input`, the stream's next bytes. `buffer` is memory for a write.
    pub(super) fn step<D: Disk>(
        &mut self,
        input: &[u8],
        writer: &mut Writer<D>,
        buffer: &mut [u8],
    ) -> Result<Unpacked, Error<D::Error>> {
        if self.piece.is_some() {
            self.put(writer, buffer)?;
            return Ok(Unpacked {
                consumed: 0,
                has_moved: true,
            });
        }
        let taken = self.reader.take(input).map_err(Error::Cast)?;
        match taken.step {
            Step::Manifest => self.judge(writer)?,
            Step::Chunk => self.begin(writer)?,
            Step::More | Step::Ended => {}
        }
        Ok(Unpacked {
            consumed: taken.consumed,
            has_moved: taken.has_moved,
        })
    }

    /// Whether the stream ended where it may.
    pub(super) fn finish<E>(&self) -> Result<(), Error<E>> {
        self.reader.finish().map_err(Error::Cast)
    }

    fn judge<D: Disk>(&mut self, writer: &mut Writer<D>) -> Result<(), Error<D::Error>> {
        let Some((manifest, _)) = self.reader.manifest() else {
            return Ok(());
        };
        let (capacity, sector_size) = (writer.capacity(), writer.sector_size());
        let verdict = self.options.wanted.judge(&manifest, capacity, sector_size);
        verdict.map_err(Error::Refused)?;
        writer.begin_image(manifest.size, self.options.disk)?;
        self.reader.accept().map_err(Error::Cast)?;
        self.is_news = true;
        Ok(())
    }

    /// Begins with the chunk that the reader has, unless all of it lies behind the disk's end.
    fn begin<D: Disk>(&mut self, writer: &mut Writer<D>) -> Result<(), Error<D::Error>> {
        let Some(chunk) = self.reader.chunk() else {
            return Ok(());
        };
        if chunk.number == 0 {
            let about = self.reader.manifest();
            let end = about.map(|(about, _)| chunk.partitions_end(about.sector_size));
            self.partitions_end = end.unwrap_or(u64::MAX);
        }
        let room = writer
            .capacity()
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(chunk.start));
        // No more than the chunk's, which is a `u32`.
        let len = room.min(chunk.len.into()) as usize;
        let is_missed = chunk.is_missed(len, self.partitions_end);
        if let (true, Some(capacity)) = (is_missed, writer.capacity()) {
            return Err(Error::Full { capacity });
        }
        if len == 0 {
            return Ok(());
        }
        let entry = self
            .reader
            .table()
            .and_then(|table| table.entry(chunk.number));
        let mut hash = entry.map_or([0; 32], |entry| entry.hash);
        if len < chunk.len as usize {
            hash = hash_of_part(&chunk, len);
            self.cut = Some((chunk.number, hash));
        }
        self.piece = Some(Piece {
            start: chunk.start,
            len,
            done: 0,
            hash,
            action: self.action(&chunk, writer),
        });
        Ok(())
    }

    fn action<D: Disk>(&self, chunk: &Chunk<'_>, writer: &mut Writer<D>) -> Action {
        let is_first = chunk.number == 0;
        let may_stay = !is_first && writer.keeps_what_is_there();
        match chunk.kind {
            Kind::Hole if may_stay && self.options.holes == Holes::Keep => Action::Leave,
            Kind::Zero if may_stay && self.options.zero == Zeroes::Skip => Action::Leave,
            Kind::Zero | Kind::Plain | Kind::Lz4 | Kind::Zstd
                if may_stay && self.options.delta && writer.can_be_read() =>
            {
                Action::Compare(Hasher::new())
            }
            Kind::Hole | Kind::Zero => Action::Zero,
            Kind::Plain | Kind::Lz4 | Kind::Zstd => Action::Write,
        }
    }

    /// Does the next part of the chunk that is under way.
    fn put<D: Disk>(
        &mut self,
        writer: &mut Writer<D>,
        buffer: &mut [u8],
    ) -> Result<(), Error<D::Error>> {
        let Some(piece) = &mut self.piece else {
            return Ok(());
        };
        let len = (piece.len - piece.done).min(WRITE_SIZE).min(buffer.len());
        let buffer = &mut buffer[..len];
        match &mut piece.action {
            Action::Compare(hasher) => {
                let is_read = match writer.read(piece.start + piece.done as u64, buffer) {
                    // It may yet be written, and can be read then. What became of earlier writes
                    // was asked before this step.
                    Err(Error::Read { .. } | Error::Short { .. }) => false,
                    read => read.map(|()| true)?,
                };
                if is_read {
                    hasher.update(buffer);
                    piece.done += len;
                    if piece.done < piece.len {
                        return Ok(());
                    }
                }
                if is_read && hasher.finalize() == piece.hash {
                    writer.skip(piece.len as u64);
                } else {
                    piece.done = 0;
                    let bytes = self.reader.chunk().map_or(&[][..], |chunk| chunk.bytes);
                    piece.action = match bytes {
                        [] => Action::Zero,
                        _ => Action::Write,
                    };
                }
            }
            Action::Write => {
                let chunk = self.reader.chunk();
                let range = piece.done..piece.done + len;
                let bytes = chunk.and_then(|chunk| chunk.bytes.get(range));
                let gone = cast::Error::Cut { chunk: None };
                let bytes = bytes.ok_or(Error::Cast(gone))?;
                match piece.start + piece.done as u64 {
                    0 => {
                        buffer.copy_from_slice(bytes);
                        writer.write(buffer)?;
                    }
                    _ => writer.append(bytes)?,
                }
                piece.done += len;
            }
            Action::Zero => {
                let left = (piece.len - piece.done) as u64;
                piece.done += writer.write_zeroes(left, buffer)?;
            }
            Action::Leave => {
                writer.skip(piece.len as u64);
                piece.done = piece.len;
            }
        }
        if piece.done == piece.len {
            self.piece = None;
        }
        Ok(())
    }
}

/// The hash of the first `len` bytes of a chunk.
fn hash_of_part(chunk: &Chunk<'_>, len: usize) -> [u8; 32] {
    match chunk.kind {
        // As long as a chunk at the most.
        Kind::Hole | Kind::Zero => hash_of_zeroes(len as u32),
        Kind::Plain | Kind::Lz4 | Kind::Zstd => {
            *blake3::hash(chunk.bytes.get(..len).unwrap_or_default()).as_bytes()
        }
    }
}

impl Chunks for Unpacking<'_> {
    fn at(&self, offset: u64) -> Option<Known> {
        let table = self.reader.table()?;
        let chunks = table.chunks();
        let number = offset / u64::from(chunks.size());
        let entry = table.entry(number)?;
        let start = chunks.start(number);
        let content = match (entry.kind, self.options.holes, self.cut) {
            (Kind::Hole, Holes::Keep, _) => Content::Any,
            (Kind::Hole, Holes::Zero, _) | (Kind::Zero, ..) => Content::Zeroes,
            (_, _, Some((cut, hash))) if cut == number => Content::Hash(hash),
            _ => Content::Hash(entry.hash),
        };
        Some(Known {
            number,
            range: start..start + u64::from(chunks.len(number)),
            content,
        })
    }
}
