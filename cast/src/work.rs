//! Chunks of an image, read, hashed and compressed by all processors.
//!
//! Memory is used again and again: fresh memory costs the system more than the hash does.

use std::io;
use std::mem;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::thread;

use ironcast_proto::cast::{Chunks, Entry, Kind, STORED_HASH_LEN, hash_of_zeroes, is_zero};

use crate::codec::{Codec, Encoder};
use crate::error::Error;
use crate::order::Order;
use crate::source::Source;
use crate::used::Ranges;

/// An image that is worked on.
#[derive(Debug)]
pub(crate) struct Work<'w> {
    source: &'w Source,
    /// What of it is left out.
    unused: &'w Ranges,
    chunks: Chunks,
    codec: Codec,
    spare: Spare,
    /// Hash of a whole chunk of zeroes: many images have most of them.
    zeroes: [u8; 32],
}

/// A chunk as it is to be written.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    /// Where it ends in the image.
    pub(crate) end: u64,
    /// Memory that begins with what is stored; none if nothing is.
    memory: Vec<u8>,
}

impl Stored {
    /// What is stored.
    pub(crate) fn bytes(&self) -> &[u8] {
        let len = self.entry.stored as usize;
        self.memory.get(..len).unwrap_or_default()
    }
}

/// Pieces of memory that are not in use, all of one length.
#[derive(Debug)]
struct Spare {
    len: usize,
    pieces: Mutex<Vec<Vec<u8>>>,
}

impl Spare {
    fn new(len: usize) -> Self {
        let pieces = Mutex::default();
        Self { len, pieces }
    }

    fn take(&self) -> Vec<u8> {
        let piece = self.pieces().pop();
        piece.unwrap_or_else(|| vec![0; self.len])
    }

    fn give(&self, piece: Vec<u8>) {
        if piece.len() == self.len {
            self.pieces().push(piece);
        }
    }

    fn pieces(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        // Nobody panics while holding it.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a processor works with.
struct Worker {
    encoder: io::Result<Encoder>,
    /// For the chunk.
    bytes: Vec<u8>,
    /// For what it is stored in.
    buffer: Vec<u8>,
}

impl<'w> Work<'w> {
    /// On `source` without what is `unused`, cut into `chunks` that are stored by `codec`.
    pub(crate) fn new(
        source: &'w Source,
        unused: &'w Ranges,
        chunks: Chunks,
        codec: Codec,
    ) -> Self {
        Self {
            source,
            unused,
            chunks,
            codec,
            spare: Spare::new(Encoder::room(codec, chunks.size() as usize)),
            zeroes: hash_of_zeroes(chunks.size()),
        }
    }

    /// Has all processors work on the chunks, and gives them to `take` in order.
    pub(crate) fn in_order(
        &self,
        take: &mut dyn FnMut(&Stored) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let workers = thread::available_parallelism().map_or(1, |count| count.get());
        let order = Order::new(self.chunks.count(), workers);
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| self.work(&order));
            }
            let mut chunks = std::iter::from_fn(|| order.take());
            let result = chunks.try_for_each(|chunk| {
                let chunk = chunk?;
                take(&chunk)?;
                self.spare.give(chunk.memory);
                Ok(())
            });
            order.end();
            result
        })
    }

    fn work(&self, order: &Order<Result<Stored, Error>>) {
        let mut worker = Worker {
            encoder: Encoder::new(self.codec),
            bytes: self.spare.take(),
            buffer: self.spare.take(),
        };
        while let Some(number) = order.next() {
            let start = self.chunks.start(number);
            let range = start..start + u64::from(self.chunks.len(number));
            order.done(number, self.stored(&range, &mut worker));
        }
    }

    /// Reads, hashes and compresses a chunk.
    fn stored(&self, range: &Range<u64>, worker: &mut Worker) -> Result<Stored, Error> {
        let nothing = |kind, hash| Stored {
            entry: entry(kind, hash, &[]),
            end: range.end,
            memory: Vec::new(),
        };
        if self.unused.covers(range) {
            return Ok(nothing(Kind::Hole, [0; 32]));
        }
        // A chunk's length.
        let len = (range.end - range.start) as usize;
        let bytes = worker.bytes.get_mut(..len).unwrap_or_default();
        if !self.source.has_data(range) {
            return Ok(nothing(Kind::Zero, self.zero_hash(len)));
        }
        self.source.read_into(range.start, bytes)?;
        // What is left over there would only make it longer.
        for part in self.unused.within(range) {
            let (from, to) = (part.start - range.start, part.end - range.start);
            if let Some(part) = bytes.get_mut(from as usize..to as usize) {
                part.fill(0);
            }
        }
        if is_zero(bytes) {
            return Ok(nothing(Kind::Zero, self.zero_hash(len)));
        }
        let hash = *blake3::hash(bytes).as_bytes();
        let encoded = match &mut worker.encoder {
            Ok(encoder) => encoder.encode(bytes, &mut worker.buffer),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let (kind, stored) = encoded.map_err(Error::file("compress", self.source.path()))?;
        let memory = match kind {
            Kind::Plain => &mut worker.bytes,
            _ => &mut worker.buffer,
        };
        let memory = mem::replace(memory, self.spare.take());
        let entry = entry(kind, hash, memory.get(..stored).unwrap_or_default());
        Ok(Stored {
            entry,
            end: range.end,
            memory,
        })
    }

    fn zero_hash(&self, len: usize) -> [u8; 32] {
        match len == self.chunks.size() as usize {
            true => self.zeroes,
            // A chunk has 16 MiB at most.
            false => hash_of_zeroes(len as u32),
        }
    }
}

fn entry(kind: Kind, hash: [u8; 32], stored: &[u8]) -> Entry {
    let mut stored_hash = [0; STORED_HASH_LEN];
    if let Kind::Lz4 | Kind::Zstd = kind {
        let whole = blake3::hash(stored);
        stored_hash.copy_from_slice(&whole.as_bytes()[..STORED_HASH_LEN]);
    }
    Entry {
        kind,
        // A chunk has 16 MiB at most.
        stored: stored.len() as u32,
        hash,
        stored_hash,
    }
}
