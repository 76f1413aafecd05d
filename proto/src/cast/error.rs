//! What is wrong with a cast stream.
//!
//! Each says what and where, so that whoever packed the image can mend it; none needs a heap.

use core::fmt;

use super::head::VERSION;
use super::signature::KeyNumber;
use super::table::Kind;

/// A name out of a stream, cut to what there is room for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl Word {
    const MAX_LEN: usize = 40;

    /// Its beginning, if it is longer than 40 bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let len = (0..=text.len().min(Self::MAX_LEN))
            .rev()
            .find(|&len| text.is_char_boundary(len))
            .unwrap_or(0);
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        // 40 at most.
        let len = len as u8;
        Self { bytes, len }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len));
        // It was made of whole characters.
        core::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().escape_debug().fmt(f)
    }
}

/// What is wrong with a manifest (docs/cast-format.md, 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// From this byte of it on it is no CBOR as the format wants it.
    Malformed(usize),
    /// This key comes behind a greater one, or twice.
    Order(u64),
    /// This key is missing.
    Missing(u64),
    /// Bytes follow the map.
    Trailing,
    /// More features than a manifest may name.
    ManyFeatures,
    /// A reader must know this feature, and this one does not.
    Feature(Word),
    /// The value of this key is not in its range.
    Range(u64),
    /// There is no room to write it.
    TooLong,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(at) => write!(f, "the manifest is malformed at its byte {at}"),
            Self::Order(key) => write!(f, "key {key} of the manifest is not in its place"),
            Self::Missing(key) => write!(f, "the manifest lacks key {key}"),
            Self::Trailing => f.write_str("the manifest goes on behind its end"),
            Self::ManyFeatures => f.write_str("the manifest names too many features"),
            Self::Feature(name) => write!(
                f,
                "the image needs a reader that knows \"{name}\": take a newer one, or pack it \
                 without"
            ),
            Self::Range(key) => write!(f, "key {key} of the manifest has an impossible value"),
            Self::TooLong => f.write_str("the manifest is too long"),
        }
    }
}

impl core::error::Error for ManifestError {}

/// Why a stream can't be read as a cast stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastError {
    /// It does not begin like one.
    Magic,
    /// It is of another version.
    Version(u16),
    /// A word that has to be 0 is this.
    Reserved(u16),
    /// The manifest can't be of so many bytes.
    ManifestLength(u32),
    /// The manifest is wrong.
    Manifest(ManifestError),
    /// It claims to be signed by a trusted key, and is not: it was changed.
    BadSignature(KeyNumber),
    /// No trusted key has signed it.
    NotTrusted {
        /// How many others have.
        others: u16,
    },
    /// A chunk is of a kind that is not known.
    Kind {
        /// Number of the chunk, from 0.
        chunk: u64,
        /// The kind.
        kind: u8,
    },
    /// A chunk of this kind can't be stored in so many bytes.
    StoredLength {
        /// Number of the chunk, from 0.
        chunk: u64,
        /// How it is stored.
        kind: Kind,
        /// Bytes of it.
        stored: u32,
    },
    /// A chunk is of a kind that the manifest does not name among the features.
    Unnamed {
        /// Number of the chunk, from 0.
        chunk: u64,
        /// How it is stored.
        kind: Kind,
    },
    /// A chunk has a hash of something that it does not have, or that is all zeroes, and that hash
    /// is another.
    IdleHash {
        /// Number of the chunk, from 0.
        chunk: u64,
    },
    /// The stored lengths add up to something else than the manifest says.
    StoredTotal {
        /// What they add up to.
        table: u64,
        /// What the manifest says.
        manifest: u64,
    },
    /// The table is not the one that the manifest is about.
    Root,
    /// The caller's memory is not of the length that is needed.
    Memory {
        /// Bytes that are needed.
        needed: u64,
    },
}

impl From<ManifestError> for CastError {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

impl fmt::Display for CastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("it is no cast stream"),
            Self::Version(version) => write!(
                f,
                "it is a cast stream of version {version}, and only {VERSION} can be read: take a \
                 newer receiver, or pack it for an older one"
            ),
            Self::Reserved(word) => write!(f, "its head has {word:#06x} where 0 should be"),
            Self::ManifestLength(len) => write!(f, "its manifest can't be of {len} bytes"),
            Self::Manifest(error) => error.fmt(f),
            Self::BadSignature(key) => write!(
                f,
                "the signature by key {key} is not good: the image was changed after it was signed"
            ),
            Self::NotTrusted { others: 0 } => f.write_str(
                "the image is not signed, and here only images that a trusted key has signed are \
                 taken: pack it with --sign",
            ),
            Self::NotTrusted { others } => write!(
                f,
                "none of its {others} signatures is by a key that is trusted here"
            ),
            Self::Kind { chunk, kind } => {
                write!(f, "chunk {chunk} is of kind {kind}, which is not known")
            }
            Self::StoredLength {
                chunk,
                kind,
                stored,
            } => write!(
                f,
                "chunk {chunk} can't be stored as {kind} in {stored} bytes"
            ),
            Self::Unnamed { chunk, kind } => write!(
                f,
                "chunk {chunk} is stored as {kind}, which the manifest does not name"
            ),
            Self::IdleHash { chunk } => write!(
                f,
                "chunk {chunk} has a hash that can't be: of zeroes, or of what is not there"
            ),
            Self::StoredTotal { table, manifest } => write!(
                f,
                "its chunks come to {table} bytes, and the manifest says {manifest}"
            ),
            Self::Root => f.write_str("its table of chunks is not the one that its manifest is of"),
            Self::Memory { needed } => write!(f, "it needs {needed} bytes of memory"),
        }
    }
}

impl core::error::Error for CastError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_between_characters_and_shown_without_control_characters() {
        assert_eq!(Word::new("zstd").as_str(), "zstd");
        let long = "äöüäöüäöüäöüäöüäöüäöüäöü";
        assert_eq!(Word::new(long).as_str(), &long[..40]);
        assert_eq!(Word::new(&long[2..]).as_str().len(), 40);
        let odd = "x€€€€€€€€€€€€€€";
        assert_eq!(Word::new(odd).as_str(), &odd[..40]);
        assert_eq!(format_of(Word::new("a\x1b[2J\"")), "a\\u{1b}[2J\\\"");
    }

    fn format_of(word: Word) -> heapless::String<64> {
        let mut text = heapless::String::new();
        fmt::Write::write_fmt(&mut text, format_args!("{word}")).unwrap();
        text
    }
}
