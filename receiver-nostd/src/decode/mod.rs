//! Decoders of compressed streams that come in pieces of any size.
//!
//! Each format has its file, and all of them the same manner: [`Decoder::decode`] takes some input
//! and makes some output, and [`Decoder::finish`] tells whether the stream ended well. What lies
//! around the compressed data, such as headers and checksums, is read and checked here; the data
//! themselves are decoded by crates (docs/decisions/decoders.md).
//!
//! A stream that is cut off, damaged, or followed by something else is an error and never a short
//! success. Streams of the same format may follow each other, as their own programs allow.
//!
//! gzip needs no heap. The others need blocks or windows of a size that only the stream tells: they
//! are there with the feature `alloc`, take their memory when the stream has asked for it, and fail
//! in words where there is not so much.

mod error;
pub mod gzip;

#[cfg(feature = "alloc")]
mod blocks;
#[cfg(feature = "alloc")]
pub(crate) mod frames;
#[cfg(feature = "alloc")]
mod lz4;
#[cfg(feature = "alloc")]
mod lzop;
#[cfg(feature = "alloc")]
mod zstd;

use core::fmt;

pub use error::{Error, Fault};

/// Bytes at the start of a stream that tell its format: as many as the longest magic has.
pub const MAGIC_LEN: usize = 9;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip (RFC 1952).
    Gzip,
    /// What `lzop` makes.
    Lzop,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Lzop, Self::Lz4, Self::Zstd];

    /// The format of a stream that begins with `start`, of which [`MAGIC_LEN`] bytes are enough;
    /// `None` if it is none of these.
    ///
    /// A frame to be skipped may begin LZ4 as well as Zstandard. It is taken for Zstandard's, whose
    /// `pzstd` makes such streams.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        let by_magic = Self::ALL
            .into_iter()
            .find(|compression| start.starts_with(compression.magic()));
        by_magic.or_else(|| is_skippable(start).then_some(Self::Zstd))
    }

    /// Whether a stream of this format can begin with `start`.
    #[must_use]
    pub fn begins_with(self, start: &[u8]) -> bool {
        let may_skip = matches!(self, Self::Lz4 | Self::Zstd);
        start.starts_with(self.magic()) || may_skip && is_skippable(start)
    }

    /// Its name: that of the program that makes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Lzop => "lzop",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    fn magic(self) -> &'static [u8] {
        match self {
            Self::Gzip => &gzip::MAGIC,
            Self::Lzop => &[0x89, b'L', b'Z', b'O', 0, b'\r', b'\n', 0x1a, b'\n'],
            Self::Lz4 => &[0x04, 0x22, 0x4d, 0x18],
            Self::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a frame begins here that decoders of LZ4 and Zstandard have to pass over.
fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// How far a call of [`Decoder::decode`] got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of input that were used up.
    pub consumed: usize,
    /// Bytes that were added to the output.
    pub produced: usize,
}

/// A decoder of one stream.
#[derive(Debug)]
pub struct Decoder<'m>(Kind<'m>);

#[derive(Debug)]
#[cfg_attr(
    feature = "alloc",
    expect(
        clippy::large_enum_variant,
        reason = "there is one for each transfer, and a box could not say that memory lacks"
    )
)]
enum Kind<'m> {
    Gzip(&'m mut gzip::Decoder),
    #[cfg(feature = "alloc")]
    Lzop(lzop::Decoder),
    #[cfg(feature = "alloc")]
    Lz4(lz4::Decoder),
    #[cfg(feature = "alloc")]
    Zstd(zstd::Decoder),
}

impl<'m> Decoder<'m> {
    /// A decoder at the start of a stream of this format. `gzip` is the memory for that one; the
    /// others take theirs from the heap, when the stream has told how much they need.
    ///
    /// # Errors
    /// [`Fault::NotBuiltIn`] if this program has no such decoder.
    pub fn new(compression: Compression, gzip: &'m mut gzip::Decoder) -> Result<Self, Error> {
        match compression {
            Compression::Gzip => {
                gzip.reset();
                Ok(Self(Kind::Gzip(gzip)))
            }
            #[cfg(feature = "alloc")]
            Compression::Lzop => Ok(Self(Kind::Lzop(lzop::Decoder::new()))),
            #[cfg(feature = "alloc")]
            Compression::Lz4 => Ok(Self(Kind::Lz4(lz4::Decoder::new()))),
            #[cfg(feature = "alloc")]
            Compression::Zstd => Ok(Self(Kind::Zstd(zstd::Decoder::new(zstd::MAX_WINDOW)))),
            #[cfg(not(feature = "alloc"))]
            Compression::Lzop | Compression::Lz4 | Compression::Zstd => Err(Error {
                compression,
                fault: Fault::NotBuiltIn,
            }),
        }
    }

    /// Decodes from `input` into `buffer` behind its first `filled` bytes, until either is used up.
    ///
    /// `buffer` must keep what it holds from call to call, since data refer back to it, and have a
    /// length that is a power of two, [`gzip::WINDOW_LEN`] at least. When it is full, take its
    /// bytes and go on with `filled` 0. No call produces more than `buffer` has room for, whatever
    /// the input. With room it gets ahead if there is input; without input it still may, if what
    /// came before makes more than there was room for.
    ///
    /// # Errors
    /// What is wrong with the stream; [`Fault::Data`] also for a buffer of a wrong length. The
    /// decoder is of no use after that.
    pub fn decode(
        &mut self,
        input: &[u8],
        buffer: &mut [u8],
        filled: usize,
    ) -> Result<Decoded, Error> {
        let decoded = match &mut self.0 {
            Kind::Gzip(decoder) => decoder.decode(input, buffer, filled),
            #[cfg(feature = "alloc")]
            Kind::Lzop(decoder) => blocks::decode(decoder, input, buffer, filled),
            #[cfg(feature = "alloc")]
            Kind::Lz4(decoder) => blocks::decode(decoder, input, buffer, filled),
            #[cfg(feature = "alloc")]
            Kind::Zstd(decoder) => blocks::decode(decoder, input, buffer, filled),
        };
        decoded.map_err(|fault| self.error(fault))
    }

    /// To be called when the stream has ended, and [`decode`](Self::decode) produces nothing more:
    /// whether it ended well.
    ///
    /// # Errors
    /// [`Fault::Truncated`] if something is missing.
    pub fn finish(&self) -> Result<(), Error> {
        let is_whole = match &self.0 {
            Kind::Gzip(decoder) => decoder.is_whole(),
            #[cfg(feature = "alloc")]
            Kind::Lzop(decoder) => decoder.is_whole(),
            #[cfg(feature = "alloc")]
            Kind::Lz4(decoder) => decoder.is_whole(),
            #[cfg(feature = "alloc")]
            Kind::Zstd(decoder) => decoder.is_whole(),
        };
        match is_whole {
            true => Ok(()),
            false => Err(self.error(Fault::Truncated)),
        }
    }

    fn error(&self, fault: Fault) -> Error {
        let compression = match &self.0 {
            Kind::Gzip(_) => Compression::Gzip,
            #[cfg(feature = "alloc")]
            Kind::Lzop(_) => Compression::Lzop,
            #[cfg(feature = "alloc")]
            Kind::Lz4(_) => Compression::Lz4,
            #[cfg(feature = "alloc")]
            Kind::Zstd(_) => Compression::Zstd,
        };
        Error { compression, fault }
    }
}
