//! gzip (RFC 1952) in a stream of any number of pieces, decoded into memory that the caller owns.
//!
//! Inflating is `miniz_oxide`'s; here is what lies around it: members one after the other, their
//! headers, and their checksums. A stream that is cut off, damaged, or followed by something else
//! is an error and never a short success. Zeros behind the last member are padding, as for gzip(1).

use core::fmt;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// What every gzip stream begins with: the two magic bytes, and deflate as the method.
pub const MAGIC: [u8; 3] = [0x1f, 0x8b, DEFLATE];

const DEFLATE: u8 = 8;

/// Bytes that the decoded data may refer back to: the buffer given to the engine must hold as many.
pub const WINDOW_LEN: usize = 32 << 10;

/// The decoder's memory, some 11 KiB. It can be used for one stream after the other.
#[derive(Clone)]
pub struct Workspace {
    inflate: DecompressorOxide,
    stage: Stage,
    crc: crc32fast::Hasher,
    /// Decoded bytes of the member, modulo 2^32 as the trailer counts them.
    len: u32,
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace")
            .field("stage", &self.stage)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

/// How far a call of [`Workspace::decode`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of input that were used up.
    pub consumed: usize,
    /// Bytes that were added to the output.
    pub produced: usize,
}

/// What is wrong with a gzip stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It was not made by deflate, but by the method of this number.
    Method(u8),
    /// The header has flags that no version of gzip defines.
    Flags(u8),
    /// The header's own checksum is not that of its bytes.
    HeaderChecksum,
    /// The compressed data make no sense.
    Data,
    /// The decoded data have another checksum than was recorded.
    Checksum {
        /// The CRC-32 in the stream.
        expected: u32,
        /// The CRC-32 of what was decoded.
        got: u32,
    },
    /// The decoded data have another length than was recorded.
    Length {
        /// The length in the stream, modulo 2^32.
        expected: u32,
        /// The length of what was decoded, modulo 2^32.
        got: u32,
    },
    /// Something that is neither gzip nor zeros follows.
    Garbage,
    /// The stream ended before its last member did.
    Truncated,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "gzip method {method} is not known, only 8 is"),
            Self::Flags(flags) => write!(f, "gzip header has unknown flags {flags:#04x}"),
            Self::HeaderChecksum => f.write_str("gzip header is damaged"),
            Self::Data => f.write_str("gzip data are damaged"),
            Self::Checksum { expected, got } => write!(
                f,
                "gzip data are damaged: their CRC-32 is {got:08x} and should be {expected:08x}"
            ),
            Self::Length { expected, got } => write!(
                f,
                "gzip data are damaged: their length is {got} and should be {expected} (modulo \
                 2^32)"
            ),
            Self::Garbage => f.write_str("something that is not gzip follows the gzip data"),
            Self::Truncated => f.write_str("gzip data are cut off"),
        }
    }
}

impl core::error::Error for Error {}

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

impl Workspace {
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
    pub fn reset(&mut self) {
        self.inflate.init();
        self.stage = Stage::Header(Header::new());
        self.start_data();
    }

    /// Decodes from `input` into `buffer` behind its first `filled` bytes, until either is used up.
    ///
    /// `buffer` must keep what it holds from call to call, since data refer back to it, and have a
    /// length that is a power of two, [`WINDOW_LEN`] at least. When it is full, take its bytes and
    /// go on with `filled` 0. No call produces more than `buffer` has room for, whatever the input.
    ///
    /// # Errors
    /// What is wrong with the stream; [`Error::Data`] also for a buffer of a wrong length. The
    /// decoder is of no use after that.
    pub fn decode(
        &mut self,
        input: &[u8],
        buffer: &mut [u8],
        filled: usize,
    ) -> Result<Decoded, Error> {
        let mut decoded = Decoded {
            consumed: 0,
            produced: 0,
        };
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

    /// To be called when the stream has ended: whether it ended well.
    ///
    /// # Errors
    /// [`Error::Truncated`] if a member is not complete.
    pub fn finish(&self) -> Result<(), Error> {
        match self.stage {
            Stage::Between | Stage::Padding => Ok(()),
            Stage::Header(_) | Stage::Body | Stage::Trailer { .. } => Err(Error::Truncated),
        }
    }

    fn start_data(&mut self) {
        self.inflate.init();
        self.crc.reset();
        self.len = 0;
    }

    fn inflate(&mut self, input: &[u8], buffer: &mut [u8], at: usize) -> Result<Decoded, Error> {
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
            _ => return Err(Error::Data),
        }
        Ok(Decoded { consumed, produced })
    }

    /// Takes a byte of what lies around the compressed data.
    fn take(&mut self, byte: u8) -> Result<(), Error> {
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
            Stage::Padding => return Err(Error::Garbage),
            // `decode` hands the body to `inflate`.
            Stage::Body => {}
        }
        Ok(())
    }

    fn check(&self, trailer: [u8; TRAILER_LEN]) -> Result<(), Error> {
        let [c0, c1, c2, c3, l0, l1, l2, l3] = trailer;
        let expected = u32::from_le_bytes([c0, c1, c2, c3]);
        let got = self.crc.clone().finalize();
        if expected != got {
            return Err(Error::Checksum { expected, got });
        }
        let expected = u32::from_le_bytes([l0, l1, l2, l3]);
        if expected != self.len {
            let got = self.len;
            return Err(Error::Length { expected, got });
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
    fn take(&mut self, byte: u8) -> Result<Part, Error> {
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
                    return Err(Error::HeaderChecksum);
                }
                Part::Over
            }
            Part::Over => Part::Over,
        };
        Ok(self.part)
    }

    fn check_fixed(&mut self, at: usize, byte: u8) -> Result<(), Error> {
        match at {
            fixed::METHOD if byte != DEFLATE => Err(Error::Method(byte)),
            fixed::FLAGS if byte & flag::RESERVED != 0 => Err(Error::Flags(byte)),
            fixed::FLAGS => {
                self.to_come = byte;
                Ok(())
            }
            _ if MAGIC.get(at).is_some_and(|&magic| magic != byte) => Err(Error::Garbage),
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
