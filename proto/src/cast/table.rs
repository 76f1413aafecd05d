//! The table: how each chunk is stored, and what it hashes to.
//!
//! It is as long as the image has chunks, so that its memory is the caller's. Each entry is checked
//! when it arrives, and all of them by their hash before any is given out.

use core::fmt;

use blake3::Hasher;

use super::error::CastError;
use super::manifest::{Chunks, Features, Manifest};

/// Bytes of an entry.
pub const ENTRY_LEN: usize = 52;

/// Bytes of the hash of what is stored.
pub const STORED_HASH_LEN: usize = 16;

/// Bits of an entry's first word that have the stored length.
const LENGTH_BITS: u32 = 28;

/// How a chunk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not at all: whatever is there may stay.
    Hole,
    /// Not at all: all its bytes are 0.
    Zero,
    /// As it is.
    Plain,
    /// As one LZ4 frame.
    Lz4,
    /// As one Zstandard frame.
    Zstd,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Hole, Self::Zero, Self::Plain, Self::Lz4, Self::Zstd];

    /// Whether the manifest has to name it, and does not.
    fn is_unnamed(self, features: Features) -> bool {
        match self {
            Self::Zero | Self::Plain => false,
            Self::Hole => !features.holes,
            Self::Lz4 => !features.lz4,
            Self::Zstd => !features.zstd,
        }
    }

    /// Whether a chunk of `len` bytes can be stored so in `stored` bytes.
    fn fits(self, len: u32, stored: u32) -> bool {
        match self {
            Self::Hole | Self::Zero => stored == 0,
            Self::Plain => stored == len,
            Self::Lz4 | Self::Zstd => stored > 0 && stored < len,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hole => "hole",
            Self::Zero => "zero",
            Self::Plain => "plain",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// How a chunk is stored, and its hash (docs/cast-format.md, 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How it is stored.
    pub kind: Kind,
    /// In how many bytes: below 2^28.
    pub stored: u32,
    /// BLAKE3 of its bytes as they belong on the disk; 0 for a hole.
    pub hash: [u8; 32],
    /// The first bytes of the BLAKE3 of what is stored, if that is a frame; else 0.
    pub stored_hash: [u8; STORED_HASH_LEN],
}

impl Entry {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let word = (self.kind as u32) << LENGTH_BITS | self.stored & low_bits();
        let mut bytes = [0; ENTRY_LEN];
        bytes[..4].copy_from_slice(&word.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.hash);
        bytes[36..].copy_from_slice(&self.stored_hash);
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// The kind, if that is not known.
    pub fn decode(bytes: &[u8; ENTRY_LEN]) -> Result<Self, u8> {
        let [w0, w1, w2, w3, hashes @ ..] = bytes;
        let word = u32::from_le_bytes([*w0, *w1, *w2, *w3]);
        let kind = (word >> LENGTH_BITS) as u8;
        Ok(Self {
            kind: *Kind::ALL.get(usize::from(kind)).ok_or(kind)?,
            stored: word & low_bits(),
            hash: first(hashes),
            stored_hash: first(&hashes[32..]),
        })
    }
}

/// The first `N` of the bytes, of which there are as many.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

const fn low_bits() -> u32 {
    (1 << LENGTH_BITS) - 1
}

/// What a table has to agree with.
#[derive(Clone, Copy, Debug)]
struct Image {
    features: Features,
    chunks: Chunks,
    root: [u8; 32],
    stored: u64,
}

/// A table on its way in, and then as a whole (docs/cast-format.md, 5), in memory `M`.
#[derive(Debug)]
pub struct Table<M> {
    image: Image,
    memory: M,
    filled: usize,
    /// Entries that have been checked.
    checked: u64,
    hasher: Hasher,
    /// What they are stored in together.
    stored: u64,
    /// Hash of a whole chunk of zeroes, once there was one.
    zeroes: Option<[u8; 32]>,
    is_complete: bool,
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> Table<M> {
    /// The table of an image, in memory of exactly [its length](Manifest::table_len).
    ///
    /// # Errors
    /// [`CastError::Memory`].
    pub fn new(manifest: &Manifest<'_>, memory: M) -> Result<Self, CastError> {
        let needed = manifest.table_len();
        if memory.as_ref().len() as u64 != needed {
            return Err(CastError::Memory { needed });
        }
        Ok(Self {
            image: Image {
                features: manifest.features,
                chunks: manifest.chunks(),
                root: manifest.root,
                stored: manifest.stored,
            },
            memory,
            filled: 0,
            checked: 0,
            hasher: Hasher::new(),
            stored: 0,
            zeroes: None,
            is_complete: false,
        })
    }

    /// Takes the next bytes of the stream; how many of them it took, which are fewer only if it
    /// [is complete](Self::is_complete) then.
    ///
    /// # Errors
    /// [`CastError`], as soon as it shows.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, CastError> {
        let memory = self.memory.as_mut();
        let room = memory.get_mut(self.filled..).unwrap_or_default();
        let taken = room.len().min(bytes.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        while let Some(&entry) = self.entry_bytes(self.checked)
            && self.filled as u64 >= (self.checked + 1) * ENTRY_LEN as u64
        {
            let chunk = self.checked;
            let entry = Entry::decode(&entry).map_err(|kind| CastError::Kind { chunk, kind })?;
            self.check(chunk, &entry)?;
            self.checked += 1;
        }
        self.hasher.update(&bytes[..taken]);
        if self.checked == self.image.chunks.count() && !self.is_complete {
            self.finish()?;
        }
        Ok(taken)
    }

    fn check(&mut self, chunk: u64, entry: &Entry) -> Result<(), CastError> {
        let Entry {
            kind,
            stored,
            hash,
            stored_hash,
        } = *entry;
        let len = self.image.chunks.len(chunk);
        if kind.is_unnamed(self.image.features) {
            return Err(CastError::Unnamed { chunk, kind });
        }
        if !kind.fits(len, stored) {
            return Err(CastError::StoredLength {
                chunk,
                kind,
                stored,
            });
        }
        let is_right = match kind {
            Kind::Hole => hash == [0; 32],
            Kind::Zero => hash == self.hash_of_zeroes(len),
            Kind::Plain | Kind::Lz4 | Kind::Zstd => true,
        };
        let is_frame = matches!(kind, Kind::Lz4 | Kind::Zstd);
        if !is_right || !is_frame && stored_hash != [0; STORED_HASH_LEN] {
            return Err(CastError::IdleHash { chunk });
        }
        self.stored += u64::from(stored);
        Ok(())
    }

    fn hash_of_zeroes(&mut self, len: u32) -> [u8; 32] {
        if len < self.image.chunks.size() {
            return hash_of_zeroes(len);
        }
        *self.zeroes.get_or_insert_with(|| hash_of_zeroes(len))
    }

    fn finish(&mut self) -> Result<(), CastError> {
        if self.stored != self.image.stored {
            return Err(CastError::StoredTotal {
                table: self.stored,
                manifest: self.image.stored,
            });
        }
        if *self.hasher.finalize().as_bytes() != self.image.root {
            return Err(CastError::Root);
        }
        self.is_complete = true;
        Ok(())
    }

    /// How the image is cut into chunks.
    #[must_use]
    pub fn chunks(&self) -> Chunks {
        self.image.chunks
    }

    /// Whether all of it is there, and right.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The entry of a chunk; `None` if there is no such chunk, or the table is not
    /// [complete](Self::is_complete).
    #[must_use]
    pub fn entry(&self, chunk: u64) -> Option<Entry> {
        let bytes = self.entry_bytes(chunk).filter(|_| self.is_complete)?;
        Entry::decode(bytes).ok()
    }

    fn entry_bytes(&self, chunk: u64) -> Option<&[u8; ENTRY_LEN]> {
        let start = usize::try_from(chunk).ok()?.checked_mul(ENTRY_LEN)?;
        self.memory.as_ref().get(start..)?.first_chunk()
    }
}

/// Whether all bytes are 0: many at a time, since images have many.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    let is_zero = |word: &[u8; 64]| word.iter().fold(0, |all, byte| all | byte) == 0;
    words.iter().all(is_zero) && rest.iter().all(|&byte| byte == 0)
}

/// BLAKE3 of `len` zero bytes.
#[must_use]
pub fn hash_of_zeroes(len: u32) -> [u8; 32] {
    const PIECE: [u8; 4096] = [0; 4096];
    let mut hasher = Hasher::new();
    let mut left = len as usize;
    while left > 0 {
        let piece = left.min(PIECE.len());
        hasher.update(&PIECE[..piece]);
        left -= piece;
    }
    *hasher.finalize().as_bytes()
}

/// What a table that is being made comes to: what the manifest has to say of it.
#[derive(Clone, Debug, Default)]
pub struct TableMaker {
    hasher: Hasher,
    features: Features,
    stored: u64,
}

impl TableMaker {
    /// Takes the next chunk's entry; the bytes of it.
    pub fn push(&mut self, entry: &Entry) -> [u8; ENTRY_LEN] {
        match entry.kind {
            Kind::Zero | Kind::Plain => {}
            Kind::Hole => self.features.holes = true,
            Kind::Lz4 => self.features.lz4 = true,
            Kind::Zstd => self.features.zstd = true,
        }
        self.stored += u64::from(entry.stored);
        let bytes = entry.encode();
        self.hasher.update(&bytes);
        bytes
    }

    /// What a reader has to know.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }

    /// Bytes of all stored chunks together.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// BLAKE3 of the table.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_are_found_wherever_something_else_is() {
        assert!(is_zero(&[]) && is_zero(&[0; 130]));
        for place in [0, 63, 64, 127, 128, 129] {
            let mut bytes = [0; 130];
            bytes[place] = 1;
            assert!(!is_zero(&bytes), "{place}");
        }
    }
}
