//! Reads a cast stream in steps short enough for the network to wait.
//!
//! The caller decides between manifest and table: whether this is the image that it wants, and
//! whether that fits. Only then memory is taken, for the table and for one chunk.

use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

use blake3::Hasher;
use ironcast_proto::cast::{
    Entry, Kind, MAX_CHUNK_SIZE, Manifest, PREAMBLE_LEN, Preamble, PublicKey, STORED_HASH_LEN,
    Signed, Table,
};

use super::error::Error;
use crate::decode::Fault;
use crate::decode::frames::{Frame, Frames};
use crate::gpt::Header;

/// Most bytes that one step copies or decodes to, and hashes.
const PIECE_LEN: usize = 64 << 10;

/// What the caller should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To go on; with more input, if nothing has moved.
    More,
    /// To judge [`Reader::manifest`], and [`Reader::accept`] it.
    Manifest,
    /// To take [`Reader::chunk`], which is whole and right.
    Chunk,
    /// Nothing: all chunks have been given.
    Ended,
}

/// How far a call of [`Reader::take`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of input that were used up.
    pub consumed: usize,
    /// Whether it got ahead, be it without input.
    pub has_moved: bool,
    /// What to do next.
    pub step: Step,
}

/// A chunk that is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'r> {
    /// Its number, from 0.
    pub number: u64,
    /// Where it begins in the image.
    pub start: u64,
    /// Its bytes in the image.
    pub len: u32,
    /// How it was stored.
    pub kind: Kind,
    /// The bytes themselves; none if it is a hole or all zeroes.
    pub bytes: &'r [u8],
}

impl Chunk<'_> {
    /// Whether a disk that gets only `len` bytes of it lacks something of the image: anything but
    /// zeroes and what lies at `free` and behind it (docs/cast-format.md, 3.6). That is for the
    /// copy of a GPT, which is made anew, and `u64::MAX` if there is none.
    #[must_use]
    pub fn is_missed(&self, len: usize, free: u64) -> bool {
        let rest = self.bytes.get(len..).unwrap_or_default();
        let first = rest.iter().position(|&byte| byte != 0);
        first.is_some_and(|first| self.start + ((len + first) as u64) < free)
    }

    /// Where in an image that begins with this chunk the room for partitions of a GPT ends, and
    /// that for its copy begins; `u64::MAX` if there is none.
    #[must_use]
    pub fn partitions_end(&self, sector_size: u32) -> u64 {
        let header = Header::primary(self.bytes, sector_size).ok().flatten();
        header.map_or(u64::MAX, |header| header.partitions_end())
    }
}

/// A cast stream on its way in.
#[derive(Debug)]
pub struct Reader<'k> {
    stage: Stage,
    preamble: Preamble<'k, Vec<u8>>,
    /// Once the manifest was accepted.
    table: Option<Table<Vec<u8>>>,
    /// Memory for a chunk, likewise.
    memory: Vec<u8>,
    /// The chunk that is being read.
    current: Current,
    frames: Frames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preamble,
    /// The caller has to say whether to go on.
    Judgement,
    Table,
    Chunk,
    /// The current chunk was given out.
    Given,
    Ended,
}

/// How far a chunk is.
#[derive(Debug)]
struct Current {
    number: u64,
    start: u64,
    len: u32,
    entry: Entry,
    /// Stored bytes that were taken.
    taken: usize,
    /// Bytes of it that are there.
    filled: usize,
    /// Of those.
    hasher: Hasher,
    /// Of the stored bytes that were taken, if they are a frame.
    stored_hasher: Hasher,
}

impl Current {
    const NONE: Entry = Entry {
        kind: Kind::Hole,
        stored: 0,
        hash: [0; 32],
        stored_hash: [0; STORED_HASH_LEN],
    };

    fn new(number: u64, start: u64, len: u32, entry: Entry) -> Self {
        Self {
            number,
            start,
            len,
            entry,
            taken: 0,
            filled: 0,
            hasher: Hasher::new(),
            stored_hasher: Hasher::new(),
        }
    }

    /// The frame that it is stored as, if it is one.
    fn frame(&self) -> Option<Frame> {
        match self.entry.kind {
            Kind::Lz4 => Some(Frame::Lz4),
            Kind::Zstd => Some(Frame::Zstd),
            Kind::Hole | Kind::Zero | Kind::Plain => None,
        }
    }
}

impl<'k> Reader<'k> {
    /// One of which nothing has arrived. If there are `trusted` keys, one of them has to have
    /// signed the image.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn new(trusted: &'k [PublicKey]) -> Result<Self, Error> {
        let memory = zeroes(PREAMBLE_LEN as u64)?;
        Ok(Self {
            stage: Stage::Preamble,
            preamble: Preamble::new(memory, trusted)?,
            table: None,
            memory: Vec::new(),
            current: Current::new(0, 0, 0, Current::NONE),
            frames: Frames::new(MAX_CHUNK_SIZE.into()),
        })
    }

    /// The manifest and who has signed it, once it [is there](Step::Manifest).
    #[must_use]
    pub fn manifest(&self) -> Option<(Manifest<'_>, Signed)> {
        self.preamble.manifest()
    }

    /// Whether the manifest [was accepted](Self::accept).
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.table.is_some()
    }

    /// Goes on to the table: the manifest is that of an image that is wanted here, and fits.
    /// Without effect at any other time.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is too little for the table and a chunk.
    pub fn accept(&mut self) -> Result<(), Error> {
        let Some((manifest, _)) = self.preamble.manifest() else {
            return Ok(());
        };
        if self.stage != Stage::Judgement {
            return Ok(());
        }
        let chunk = u64::from(manifest.chunk_size).min(manifest.size);
        self.table = Some(Table::new(&manifest, zeroes(manifest.table_len())?)?);
        self.memory = zeroes(chunk)?;
        self.stage = Stage::Table;
        Ok(())
    }

    /// Takes some of `input`, the stream's next bytes. Without input it still may get ahead.
    ///
    /// # Errors
    /// [`Error`]. The reader is of no use after that.
    pub fn take(&mut self, input: &[u8]) -> Result<Taken, Error> {
        let before = (self.stage, self.current.number, self.current.filled);
        let mut consumed = 0;
        match self.stage {
            Stage::Preamble => {
                consumed = self.preamble.push(input)?;
                if self.preamble.is_complete() {
                    self.stage = Stage::Judgement;
                }
            }
            Stage::Table => {
                let table = self.table.as_mut();
                consumed = table.map_or(Ok(0), |table| table.push(input))?;
                if self.table.as_ref().is_some_and(Table::is_complete) {
                    self.begin(0);
                }
            }
            Stage::Given => self.begin(self.current.number + 1),
            Stage::Chunk => consumed = self.take_chunk(input)?,
            Stage::Ended if !input.is_empty() => return Err(Error::Trailing),
            Stage::Judgement | Stage::Ended => {}
        }
        let step = match self.stage {
            Stage::Judgement => Step::Manifest,
            Stage::Given => Step::Chunk,
            Stage::Ended => Step::Ended,
            Stage::Preamble | Stage::Table | Stage::Chunk => Step::More,
        };
        let after = (self.stage, self.current.number, self.current.filled);
        Ok(Taken {
            consumed,
            has_moved: consumed > 0 || after != before,
            step,
        })
    }

    /// The chunk that is [whole](Step::Chunk), until the next call of [`take`](Self::take).
    #[must_use]
    pub fn chunk(&self) -> Option<Chunk<'_>> {
        let current = &self.current;
        (self.stage == Stage::Given).then_some(Chunk {
            number: current.number,
            start: current.start,
            len: current.len,
            kind: current.entry.kind,
            bytes: self.memory.get(..current.filled)?,
        })
    }

    /// The table, once all of it is there: for proving a disk by it.
    #[must_use]
    pub fn table(&self) -> Option<&Table<Vec<u8>>> {
        self.table.as_ref().filter(|table| table.is_complete())
    }

    /// To be called when the stream has ended: whether it ended well.
    ///
    /// # Errors
    /// [`Error::Cut`].
    pub fn finish(&self) -> Result<(), Error> {
        match self.stage {
            Stage::Ended => Ok(()),
            Stage::Preamble | Stage::Judgement | Stage::Table => Err(Error::Cut { chunk: None }),
            Stage::Chunk | Stage::Given => Err(Error::Cut {
                chunk: Some(self.current.number),
            }),
        }
    }

    /// Begins a chunk, if there is one of this number.
    fn begin(&mut self, number: u64) {
        let found = self.table.as_ref().and_then(|table| {
            let entry = table.entry(number)?;
            Some((table.chunks(), entry))
        });
        self.stage = match found {
            Some((chunks, entry)) => {
                let (start, len) = (chunks.start(number), chunks.len(number));
                self.current = Current::new(number, start, len, entry);
                match entry.kind {
                    Kind::Hole | Kind::Zero => Stage::Given,
                    Kind::Plain | Kind::Lz4 | Kind::Zstd => Stage::Chunk,
                }
            }
            None => Stage::Ended,
        };
    }

    /// Takes some of the current chunk, and gives it out if that was the last of it.
    fn take_chunk(&mut self, input: &[u8]) -> Result<usize, Error> {
        let current = &mut self.current;
        let (chunk, expected) = (current.number, current.len);
        let left = current.entry.stored as usize - current.taken;
        let input = input.get(..left).unwrap_or(input);
        let end = self.memory.len().min(current.filled + PIECE_LEN);
        let room = self.memory.get_mut(current.filled..end).unwrap_or_default();
        let (consumed, produced) = match current.frame() {
            Some(frame) => {
                let decoded = self.frames.decode(frame, input, room);
                let decoded = decoded.map_err(|source| Error::Decode { chunk, source })?;
                let stored = input.get(..decoded.consumed).unwrap_or_default();
                current.stored_hasher.update(stored);
                (decoded.consumed, decoded.produced)
            }
            None => {
                let len = input.len().min(room.len());
                room[..len].copy_from_slice(&input[..len]);
                (len, len)
            }
        };
        let new = current.filled..current.filled + produced;
        current
            .hasher
            .update(self.memory.get(new).unwrap_or_default());
        current.taken += consumed;
        current.filled += produced;
        if current.filled > expected as usize {
            return Err(Error::Length { chunk, expected });
        }
        let is_stuck = consumed == 0 && produced == 0 && (left == 0 || !input.is_empty());
        if is_stuck || current.taken == current.entry.stored as usize && produced == 0 {
            self.end_chunk()?;
        }
        Ok(consumed)
    }

    /// Nothing more comes of the current chunk: it is whole and right, or an error.
    fn end_chunk(&mut self) -> Result<(), Error> {
        let current = &self.current;
        let (chunk, expected) = (current.number, current.len);
        let is_taken = current.taken == current.entry.stored as usize;
        let frame = current.frame();
        let broken = frame.filter(|&frame| is_taken && !self.frames.is_whole(frame));
        if let Some(frame) = broken {
            let source = frame.error(Fault::Truncated);
            return Err(Error::Decode { chunk, source });
        }
        if !is_taken || current.filled != expected as usize {
            return Err(Error::Length { chunk, expected });
        }
        let stored = current.stored_hasher.finalize();
        let is_stored =
            frame.is_none() || stored.as_bytes().starts_with(&current.entry.stored_hash);
        if !is_stored || current.hasher.finalize() != current.entry.hash {
            return Err(Error::Hash { chunk });
        }
        self.stage = Stage::Given;
        Ok(())
    }
}

/// So many zero bytes. A system that has such memory at hand gives it when it is written to: what a
/// stream says that it needs is not taken before it comes.
fn zeroes(len: u64) -> Result<Vec<u8>, Error> {
    let lacking = Error::Memory { needed: len };
    let len = usize::try_from(len).map_err(|_| lacking)?;
    let mut probe: Vec<u8> = Vec::new();
    probe.try_reserve_exact(len).map_err(|_| lacking)?;
    // It must not be left out as something that nobody uses.
    drop(black_box(probe));
    Ok(vec![0; len])
}
