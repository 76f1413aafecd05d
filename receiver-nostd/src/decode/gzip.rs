//! gzip (RFC 1952), decoded into memory that the caller owns.
//!
//! Inflating is `miniz_oxide`'s; here is what lies around it: members one after the other, their
//! headers, and their checksums. Zeros behind the last member are padding, as for gzip(1), which
//! alone among these programs takes them for that.

use core::fmt;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::{Decoded, Fault};

/// What every gzip stream begins with: the two magic bytes, and deflate as the method.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, DEFLATE];

const DEFLATE: u8 = 8;

/// Bytes that the decoded data may refer back to: the buffer for them must hold as many.
pub const WINDOW_LEN: usize = 32 << 10;

/// The decoder's memory, some 11 KiB. It can be used for one stream after the other.
#[derive(Clone)]
pub struct Decoder {
    inflate: DecompressorOxide,
    stage: Stage,
    crc: crc32fast::Hasher,
    /// Decoded bytes of the member, modulo 2^32 as the trailer counts them.
    len: u32,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("stage", &self.stage)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug)]
enum Stage {
    Header(Header),
    Body,
    Trailer {
        bytes: [u8; TRAILER_LEN],
        len: usize,
    },
    /// A member has ended; another may follow.
    Between,
    /// Zeros behind the last member.
    Padding,
}

/// CRC-32 and length.
const TRAILER_LEN: usize = 8;

/// A member's header, of which only the checksum and the flags are of use.
#[derive(Clone, Debug)]
struct Header {
    part: Part,
    /// The flags of the optional parts that have not begun.
    to_come: u8,
    crc: crc32fast::Hasher,
}

/// The parts of a header, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Magic, method, flags, time, two bytes more.
    Fixed {
        at: usize,
    },
    ExtraLen {
        low: Option<u8>,
    },
    Extra {
        left: u16,
    },
    Name,
    Comment,
    Checksum {
        low: Option<u8>,
    },
    Over,
}

mod flag {
    pub(super) const CHECKSUM: u8 = 0x02;
    pub(super) const EXTRA: u8 = 0x04;
    pub(super) const NAME: u8 = 0x08;
    pub(super) const COMMENT: u8 = 0x10;
    pub(super) const RESERVED: u8 = 0xe0;
}

/// The optional parts, in their order.
const PARTS: [(u8, Part); 4] = [
    (flag::EXTRA, Part::ExtraLen { low: None }),
    (flag::NAME, Part::Name),
    (flag::COMMENT, Part::Comment),
    (flag::CHECKSUM, Part::Checksum { low: None }),
];

mod fixed {
    pub(super) const METHOD: usize = 2;
    pub(super) const FLAGS: usize = 3;
    pub(super) const LAST: usize = 9;
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inflate: DecompressorOxide::new(),
            stage: Stage::Header(Header::new()),
            crc: crc32fast::Hasher::new(),
            len: 0,
        }
    }

    /// Goes back to the start of a stream.
    pub(super) fn reset(&mut self) {
        self.inflate.init();
        self.stage = Stage::Header(Header::new());
        self.start_data();
    }

    /// As [`Decoder::decode`](super::Decoder::decode).
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        buffer: &mut [u8],
        filled: usize,
    ) -> Result<Decoded, Fault> {
        let mut decoded = Decoded::default();
        while let Some((&byte, _)) = input.get(decoded.consumed..).and_then(<[u8]>::split_first) {
            if matches!(self.stage, Stage::Body) {
                let rest = input.get(decoded.consumed..).unwrap_or_default();
                let step = self.inflate(rest, buffer, filled + decoded.produced)?;
                decoded.consumed += step.consumed;
                decoded.produced += step.produced;
                if filled + decoded.produced >= buffer.len() {
                    break;
                }
            } else {
                self.take(byte)?;
                decoded.consumed += 1;
            }
        }
        Ok(decoded)
    }

    /// Whether the stream may end here.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.stage, Stage::Between | Stage::Padding)
    }

    fn start_data(&mut self) {
        self.inflate.init();
        self.crc.reset();
        self.len = 0;
    }

    fn inflate(&mut self, input: &[u8], buffer: &mut [u8], at: usize) -> Result<Decoded, Fault> {
        let (status, consumed, produced) = decompress(
            &mut self.inflate,
            input,
            buffer,
            at,
            TINFL_FLAG_HAS_MORE_INPUT,
        );
        self.crc
            .update(buffer.get(at..at + produced).unwrap_or_default());
        // The count is modulo 2^32, so the cut is meant.
        self.len = self.len.wrapping_add(produced as u32);
        match status {
            TINFLStatus::Done => {
                self.stage = Stage::Trailer {
                    bytes: [0; TRAILER_LEN],
                    len: 0,
                };
            }
            TINFLStatus::NeedsMoreInput if consumed == input.len() => {}
            TINFLStatus::HasMoreOutput if at + produced >= buffer.len() => {}
            _ => return Err(Fault::Data),
        }
        Ok(Decoded { consumed, produced })
    }

    /// Takes a byte of what lies around the compressed data.
    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        match &mut self.stage {
            Stage::Header(header) => {
                if header.take(byte)? == Part::Over {
                    self.start_data();
                    self.stage = Stage::Body;
                }
            }
            Stage::Trailer { bytes, len } => {
                if let Some(place) = bytes.get_mut(*len) {
                    *place = byte;
                }
                *len += 1;
                if *len == TRAILER_LEN {
                    let bytes = *bytes;
                    self.check(bytes)?;
                    self.stage = Stage::Between;
                }
            }
            Stage::Between if byte != 0 => {
                let mut header = Header::new();
                header.take(byte)?;
                self.stage = Stage::Header(header);
            }
            Stage::Between => self.stage = Stage::Padding,
            Stage::Padding if byte == 0 => {}
            Stage::Padding => return Err(Fault::Garbage),
            // `decode` hands the body to `inflate`.
            Stage::Body => {}
        }
        Ok(())
    }

    fn check(&self, trailer: [u8; TRAILER_LEN]) -> Result<(), Fault> {
        let [c0, c1, c2, c3, l0, l1, l2, l3] = trailer;
        let expected = u32::from_le_bytes([c0, c1, c2, c3]);
        let got = self.crc.clone().finalize();
        if expected != got {
            return Err(Fault::Checksum { expected, got });
        }
        let expected = u32::from_le_bytes([l0, l1, l2, l3]);
        if expected != self.len {
            return Err(Fault::Length {
                expected: expected.into(),
                got: self.len.into(),
            });
        }
        Ok(())
    }
}

impl Header {
    fn new() -> Self {
        Self {
            part: Part::Fixed { at: 0 },
            to_come: 0,
            crc: crc32fast::Hasher::new(),
        }
    }

    /// Takes the next byte, and says which part comes after it.
    fn take(&mut self, byte: u8) -> Result<Part, Fault> {
        let checked = self.crc.clone();
        self.crc.update(&[byte]);
        self.part = match self.part {
            Part::Fixed { at } => {
                self.check_fixed(at, byte)?;
                match at {
                    fixed::LAST => self.next(),
                    _ => Part::Fixed { at: at + 1 },
                }
            }
            Part::ExtraLen { low: None } => Part::ExtraLen { low: Some(byte) },
            Part::ExtraLen { low: Some(low) } => match u16::from_le_bytes([low, byte]) {
                0 => self.next(),
                left => Part::Extra { left },
            },
            Part::Extra { left: 0 | 1 } => self.next(),
            Part::Extra { left } => Part::Extra { left: left - 1 },
            text @ (Part::Name | Part::Comment) => match byte {
                0 => self.next(),
                _ => text,
            },
            Part::Checksum { low: None } => {
                // What the checksum covers ends before it.
                self.crc = checked;
                Part::Checksum { low: Some(byte) }
            }
            Part::Checksum { low: Some(low) } => {
                // The lower half of the CRC-32, so the cut is meant.
                if u16::from_le_bytes([low, byte]) != checked.finalize() as u16 {
                    return Err(Fault::HeaderChecksum);
                }
                Part::Over
            }
            Part::Over => Part::Over,
        };
        Ok(self.part)
    }

    fn check_fixed(&mut self, at: usize, byte: u8) -> Result<(), Fault> {
        match at {
            fixed::METHOD if byte != DEFLATE => Err(Fault::Unknown {
                field: "a method",
                value: byte.into(),
            }),
            fixed::FLAGS if byte & flag::RESERVED != 0 => Err(Fault::Unknown {
                field: "flags",
                value: byte.into(),
            }),
            fixed::FLAGS => {
                self.to_come = byte;
                Ok(())
            }
            _ if MAGIC.get(at).is_some_and(|&magic| magic != byte) => Err(Fault::Garbage),
            _ => Ok(()),
        }
    }

    /// The next part that this header has.
    fn next(&mut self) -> Part {
        for (flag, part) in PARTS {
            if self.to_come & flag != 0 {
                self.to_come &= !flag;
                return part;
            }
        }
        Part::Over
    }
}
