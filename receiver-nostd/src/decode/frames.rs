//! LZ4 and Zstandard frames of a known length each, one after the other.
//!
//! What a frame decodes to goes to memory that is as long, so that nothing has to be taken out of
//! it in between, and a frame that lies about its length shows at its end.

use super::{Compression, Decoded, Error, Fault, blocks, lz4, zstd};

/// What a frame is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Lz4,
    Zstd,
}

impl Frame {
    /// That it has this fault.
    pub(crate) fn error(self, fault: Fault) -> Error {
        let compression = match self {
            Self::Lz4 => Compression::Lz4,
            Self::Zstd => Compression::Zstd,
        };
        Error { compression, fault }
    }
}

/// Decoders of both, each of which is at the start of a frame or in one.
#[derive(Debug)]
pub(crate) struct Frames {
    lz4: lz4::Decoder,
    zstd: zstd::Decoder,
}

impl Frames {
    /// Zstandard's windows may have `limit` bytes at most.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            lz4: lz4::Decoder::new(),
            zstd: zstd::Decoder::new(limit),
        }
    }

    /// Decodes from `input` to `room`, until either is used up. With room it gets ahead if there is
    /// input; without input it still may.
    pub(crate) fn decode(
        &mut self,
        frame: Frame,
        input: &[u8],
        room: &mut [u8],
    ) -> Result<Decoded, Error> {
        let decoded = match frame {
            Frame::Lz4 => blocks::decode(&mut self.lz4, input, room, 0),
            Frame::Zstd => blocks::decode(&mut self.zstd, input, room, 0),
        };
        decoded.map_err(|fault| frame.error(fault))
    }

    /// Whether the last frame of this kind has ended.
    pub(crate) fn is_whole(&self, frame: Frame) -> bool {
        match frame {
            Frame::Lz4 => self.lz4.is_whole(),
            Frame::Zstd => self.zstd.is_whole(),
        }
    }
}
