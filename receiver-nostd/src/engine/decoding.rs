//! A stream that is decoded on its way to the disk, and how its first bytes tell which.

use blake3::Hasher;
use ironcast_proto::cast;

use super::{Decompress, Format};
use crate::decode::{self, Compression, Decoder, Fault, gzip};

/// A stream that is decoded, or may come to be.
#[derive(Debug)]
pub(super) struct Decoding<'m> {
    /// The decoder, once it is known which.
    pub(super) decoder: Option<Decoder<'m>>,
    /// Until then, the memory for one of them.
    pub(super) gzip: Option<&'m mut gzip::Decoder>,
    /// Decoded bytes wait here for the disk; of [`WRITE_SIZE`].
    pub(super) buffer: &'m mut [u8],
    /// How many.
    pub(super) filled: usize,
    /// How many of them are hashed.
    pub(super) hashed: usize,
    /// Hash of the stream as it was sent, if that is not what the disk is given.
    pub(super) hasher: Hasher,
}

impl<'m> Decoding<'m> {
    /// One of which nothing has come, with a buffer for a write and memory for a decoder.
    pub(super) fn new(buffer: &'m mut [u8], gzip: Option<&'m mut gzip::Decoder>) -> Self {
        Self {
            decoder: None,
            gzip,
            buffer,
            filled: 0,
            hashed: 0,
            hasher: Hasher::new(),
        }
    }
}

impl Decoding<'_> {
    /// Has the decoder for a format, if that needs one.
    pub(super) fn begin(&mut self, format: Format) -> Result<Format, decode::Error> {
        if let (Format::Compressed(compression), Some(gzip)) = (format, self.gzip.take()) {
            self.decoder = Some(Decoder::new(compression, gzip)?);
        }
        Ok(format)
    }

    /// Decodes from `input` until it is used up or the buffer is full.
    pub(super) fn decode(&mut self, input: &[u8]) -> Result<decode::Decoded, decode::Error> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(decode::Decoded::default());
        };
        let decoded = decoder.decode(input, self.buffer, self.filled)?;
        self.filled += decoded.produced;
        Ok(decoded)
    }

    /// What is in the buffer, if the stream may end where it is.
    pub(super) fn finish(&mut self) -> Result<&mut [u8], decode::Error> {
        if let Some(decoder) = &self.decoder {
            decoder.finish()?;
        }
        self.hashed = 0;
        let filled = core::mem::take(&mut self.filled);
        Ok(self.buffer.get_mut(..filled).unwrap_or_default())
    }
}

/// The format of a stream that begins with `start`, if it is one that is wanted.
pub(super) fn format_of(start: &[u8], decompress: Decompress) -> Result<Format, decode::Error> {
    match decompress {
        Decompress::None => Ok(Format::Raw),
        Decompress::Auto | Decompress::Cast if start.starts_with(&cast::MAGIC) => Ok(Format::Cast),
        Decompress::Cast => Ok(Format::Raw),
        Decompress::Auto => Ok(Compression::of(start).map_or(Format::Raw, Format::Compressed)),
        Decompress::Only(compression) if compression.begins_with(start) => {
            Ok(Format::Compressed(compression))
        }
        Decompress::Only(compression) => Err(decode::Error {
            compression,
            fault: Fault::NotThis,
        }),
    }
}
