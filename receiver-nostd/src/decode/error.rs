//! What can be wrong with a compressed stream, in words for the person who sent it.

use core::fmt;

use super::Compression;

/// Why a stream could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What it was taken for.
    pub compression: Compression,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a compressed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not begin as it should.
    NotThis,
    /// This program was built without the decoder.
    NotBuiltIn,
    /// A header has a value in it that no known version of the format defines.
    Unknown {
        /// What the value is of, such as "flags" or "a method".
        field: &'static str,
        /// The value.
        value: u32,
    },
    /// It can't be decoded without this, which is not there.
    Unsupported(
        /// Such as "a dictionary".
        &'static str,
    ),
    /// It needs more memory at once than there is.
    Memory {
        /// Bytes of memory.
        needed: u64,
    },
    /// It needs more memory than is given to any stream.
    TooMuchMemory {
        /// Bytes of memory.
        needed: u64,
        /// The most that a stream may need.
        limit: u64,
    },
    /// A header's checksum is not that of its bytes.
    HeaderChecksum,
    /// The compressed data make no sense.
    Data,
    /// The data have another checksum than was recorded.
    Checksum {
        /// The checksum in the stream.
        expected: u32,
        /// The checksum of what was found.
        got: u32,
    },
    /// The decoded data have another length than was recorded.
    Length {
        /// The length in the stream; of gzip, modulo 2^32.
        expected: u64,
        /// The length of what was decoded, likewise.
        got: u64,
    },
    /// Something else follows.
    Garbage,
    /// The stream ended too early.
    Truncated,
}

impl Error {
    /// What to do about it, for who sent the stream or has to do with who did.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match (self.fault, self.compression) {
            (Fault::NotThis, _) => "say what is sent, or decompress=auto",
            (Fault::Unsupported(_), _) => "compress the image without that",
            (Fault::NotBuiltIn, _) => "send the image as it is, or by gzip",
            (Fault::Memory { .. } | Fault::TooMuchMemory { .. }, Compression::Zstd) => {
                "compress the image by zstd -19 or less, without --long, or use a machine with \
                 more memory"
            }
            (Fault::Memory { .. } | Fault::TooMuchMemory { .. }, _) => {
                "compress the image in smaller blocks, or use a machine with more memory"
            }
            (_, Compression::Gzip) => {
                "check the image by gzip -t, or take it as it is by decompress=none"
            }
            (_, Compression::Lzop) => {
                "check the image by lzop -t, or take it as it is by decompress=none"
            }
            (_, Compression::Lz4) => {
                "check the image by lz4 -t, or take it as it is by decompress=none"
            }
            (_, Compression::Zstd) => {
                "check the image by zstd -t, or take it as it is by decompress=none"
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.compression;
        match self.fault {
            Fault::NotThis => write!(f, "what was sent is not {name}, which was asked for"),
            Fault::NotBuiltIn => {
                write!(
                    f,
                    "the image is compressed by {name}, which this program was built without"
                )
            }
            Fault::Unknown { field, value } => {
                write!(f, "{name} header has {field} that nobody knows: {value:#x}")
            }
            Fault::Unsupported(what) => {
                write!(f, "{name} data need {what}, which is not supported")
            }
            Fault::Memory { needed } => write!(
                f,
                "{name} data need {} MiB of memory to be decoded, and there is less",
                mebibytes(needed)
            ),
            Fault::TooMuchMemory { needed, limit } => write!(
                f,
                "{name} data need {} MiB of memory to be decoded, and no more than {} are given",
                mebibytes(needed),
                mebibytes(limit)
            ),
            Fault::HeaderChecksum => write!(f, "{name} header is damaged"),
            Fault::Data => write!(f, "{name} data are damaged"),
            Fault::Checksum { expected, got } => write!(
                f,
                "{name} data are damaged: their checksum is {got:08x} and should be {expected:08x}"
            ),
            Fault::Length { expected, got } => {
                write!(
                    f,
                    "{name} data are damaged: their length is {got} and should be {expected}"
                )?;
                match name {
                    Compression::Gzip => f.write_str(" (modulo 2^32)"),
                    _ => Ok(()),
                }
            }
            Fault::Garbage => write!(f, "something that is not {name} follows the {name} data"),
            Fault::Truncated => write!(f, "{name} data are cut off"),
        }
    }
}

impl core::error::Error for Error {}

/// Bytes in MiB, rounded up.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
