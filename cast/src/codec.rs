//! How chunks are stored.
//!
//! Each is compressed by itself, and what does not get shorter is stored as it is.

use std::fmt;
use std::io;
use std::str::FromStr;

use ironcast_proto::cast::{Features, Kind};
use zstd::bulk::Compressor;

use crate::lz4;

/// How chunks are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As they are.
    None,
    /// As LZ4 frames.
    Lz4,
    /// As Zstandard frames, at this level.
    Zstd(i32),
}

impl Codec {
    /// The level of Zstandard if none is said: that of its own program.
    const LEVEL: i32 = 3;

    /// What a reader has to know.
    #[must_use]
    pub fn features(self) -> Features {
        Features {
            lz4: self == Self::Lz4,
            zstd: matches!(self, Self::Zstd(_)),
            holes: false,
        }
    }
}

impl FromStr for Codec {
    type Err = ParseCodecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let levels = zstd::compression_level_range();
        match (name, level) {
            ("none", None) => Ok(Self::None),
            ("lz4", None) => Ok(Self::Lz4),
            ("zstd", None) => Ok(Self::Zstd(Self::LEVEL)),
            ("zstd", Some(level)) => {
                let level = level.parse().ok();
                let level = level.filter(|level| (1..=*levels.end()).contains(level));
                level.map(Self::Zstd).ok_or(ParseCodecError)
            }
            _ => Err(ParseCodecError),
        }
    }
}

/// It is no way of storing chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCodecError;

impl fmt::Display for ParseCodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is none of: none, lz4, zstd, zstd:1 to zstd:22")
    }
}

impl std::error::Error for ParseCodecError {}

/// Compresses chunk after chunk, of one thread.
pub(crate) struct Encoder {
    codec: Codec,
    /// If that is the codec.
    zstd: Option<Compressor<'static>>,
}

impl Encoder {
    pub(crate) fn new(codec: Codec) -> io::Result<Self> {
        let zstd = match codec {
            Codec::Zstd(level) => Some(Compressor::new(level)?),
            Codec::None | Codec::Lz4 => None,
        };
        Ok(Self { codec, zstd })
    }

    /// How to store `bytes`, and in how many bytes; those are in `buffer`, unless nothing makes
    /// them shorter. The buffer has room for [as many](Self::room) as needed.
    pub(crate) fn encode(&mut self, bytes: &[u8], buffer: &mut [u8]) -> io::Result<(Kind, usize)> {
        let (kind, stored) = match (self.codec, &mut self.zstd) {
            (Codec::Zstd(_), Some(zstd)) => (Kind::Zstd, zstd.compress_to_buffer(bytes, buffer)?),
            (Codec::Lz4, _) => (Kind::Lz4, lz4::frame(bytes, buffer)?),
            (Codec::None | Codec::Zstd(_), _) => (Kind::Plain, bytes.len()),
        };
        match stored < bytes.len() {
            true => Ok((kind, stored)),
            false => Ok((Kind::Plain, bytes.len())),
        }
    }

    /// Bytes that a buffer needs for chunks of `len` bytes and for what they are stored in.
    pub(crate) fn room(codec: Codec, len: usize) -> usize {
        match codec {
            Codec::None => len,
            Codec::Lz4 => lz4::room(len),
            Codec::Zstd(_) => zstd::zstd_safe::compress_bound(len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_read_as_they_are_written_on_command_lines() {
        let read = |text: &str| text.parse::<Codec>();
        assert_eq!(read("none"), Ok(Codec::None));
        assert_eq!(read("lz4"), Ok(Codec::Lz4));
        assert_eq!(read("zstd"), Ok(Codec::Zstd(3)));
        assert_eq!(read("zstd:19"), Ok(Codec::Zstd(19)));
        for wrong in [
            "", "zst", "zstd:", "zstd:0", "zstd:23", "zstd:-5", "lz4:1", "none:1",
        ] {
            assert_eq!(read(wrong), Err(ParseCodecError), "{wrong}");
        }
    }

    #[test]
    fn what_does_not_get_shorter_stays_as_it_is() {
        let noise: Vec<u8> = (0..5000_u32)
            .flat_map(|number| blake3::hash(&number.to_le_bytes()).as_bytes()[..13].to_vec())
            .collect();
        for (codec, kind) in [(Codec::Lz4, Kind::Lz4), (Codec::Zstd(3), Kind::Zstd)] {
            let mut encoder = Encoder::new(codec).unwrap();
            let mut buffer = vec![0; Encoder::room(codec, 70_000)];
            let stored = encoder.encode(&noise, &mut buffer).unwrap();
            assert_eq!(stored, (Kind::Plain, noise.len()));
            let (found, stored) = encoder.encode(&[7; 70_000], &mut buffer).unwrap();
            assert!(found == kind && stored < 1000, "{found} {stored}");
        }
    }
}
