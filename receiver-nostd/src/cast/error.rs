//! Why a cast stream can't be read to its end, in words for who packed or sent it.

use core::fmt;

use ironcast_proto::cast::CastError;

use crate::decode;

/// What is wrong with a cast stream, or with this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// What comes before the chunks is wrong.
    Stream(CastError),
    /// There is not so much memory.
    Memory {
        /// Bytes that were needed at once.
        needed: u64,
    },
    /// A chunk can't be decoded.
    Decode {
        /// Number of the chunk, from 0.
        chunk: u64,
        /// What is wrong with it.
        source: decode::Error,
    },
    /// A chunk decodes to something longer or shorter.
    Length {
        /// Number of the chunk, from 0.
        chunk: u64,
        /// Bytes that it should have.
        expected: u32,
    },
    /// A chunk is not what the table says.
    Hash {
        /// Number of the chunk, from 0.
        chunk: u64,
    },
    /// The stream ended before its last chunk.
    Cut {
        /// Number of the chunk that it ended in; `None` if it ended before the first.
        chunk: Option<u64>,
    },
    /// Something follows the last chunk.
    Trailing,
}

impl From<CastError> for Error {
    fn from(error: CastError) -> Self {
        Self::Stream(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(source) => source.fmt(f),
            Self::Memory { needed } => write!(
                f,
                "it needs {needed} bytes of memory at once, and there are fewer: pack it in chunks \
                 of another size (--chunk)"
            ),
            Self::Decode { chunk, .. } => write!(f, "chunk {chunk} can't be decoded"),
            Self::Length { chunk, expected } => {
                write!(f, "chunk {chunk} does not decode to its {expected} bytes")
            }
            Self::Hash { chunk } => write!(
                f,
                "chunk {chunk} is not what the image's table says: it was damaged or changed"
            ),
            Self::Cut { chunk: None } => f.write_str("it ends before its first chunk"),
            Self::Cut { chunk: Some(chunk) } => write!(f, "it ends before or in chunk {chunk}"),
            Self::Trailing => f.write_str("something follows its last chunk"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Decode { source, .. } => Some(source),
            // Its words are those of what it was made of.
            Self::Stream(_)
            | Self::Memory { .. }
            | Self::Length { .. }
            | Self::Hash { .. }
            | Self::Cut { .. }
            | Self::Trailing => None,
        }
    }
}
