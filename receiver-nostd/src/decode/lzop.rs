//! What `lzop` makes, one file after the other.
//!
//! Blocks are `lzokay`'s matter, which decodes LZO1X; here is the container around them, as lzop
//! 1.04 writes and takes it. Its numbers have their highest byte first.

use core::fmt;

use adler2::Adler32;
use lzokay::decompress::decompress;

use super::blocks::{Block, Fields, Gather, Output, Steps, check};
use super::{Compression, Decoded, Fault, MAGIC_LEN};

/// Bytes of the longest header: with a filter, and a name of 255 bytes.
const MAX_HEADER: usize = 300;

/// Bytes of a header up to the version that made it.
const VERSION_END: usize = MAGIC_LEN + 2;

/// Bytes of most fields.
const WORD: usize = 4;

/// The most that a block may decode to: what lzop itself allows.
const MAX_BLOCK: u32 = 64 << 20;

/// From this version on a header has the version needed, the level, and longer times.
const VERSION_0_940: u16 = 0x0940;

/// The newest version, since 2010; a file that needs a newer one has something unknown in it.
const NEWEST: u16 = 0x1040;

mod flag {
    pub(super) const ADLER_DECODED: u32 = 0x0001;
    pub(super) const ADLER_STORED: u32 = 0x0002;
    pub(super) const EXTRA: u32 = 0x0040;
    pub(super) const CRC_DECODED: u32 = 0x0100;
    pub(super) const CRC_STORED: u32 = 0x0200;
    pub(super) const FILTER: u32 = 0x0800;
    pub(super) const CRC_HEADER: u32 = 0x1000;
    pub(super) const RESERVED: u32 = 0x000f_c000;
}

pub(super) struct Decoder {
    stage: Stage,
    /// A header, of a file or a block.
    field: Gather<MAX_HEADER>,
    flags: u32,
    sums: Sums,
    block: Block,
    output: Output,
    has_begun: bool,
}

#[derive(Debug)]
enum Stage {
    Header,
    ExtraLen,
    Extra { left: u32, sum: Sum },
    BlockHeader,
    Block { decoded_len: usize },
}

/// A checksum as it grows.
#[derive(Clone, Debug)]
enum Sum {
    Adler(Adler32),
    Crc(crc32fast::Hasher),
}

/// What a block's header says that its checksums are.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    adler_decoded: Option<u32>,
    crc_decoded: Option<u32>,
    adler_stored: Option<u32>,
    crc_stored: Option<u32>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("stage", &self.stage)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Header,
            field: Gather::new(),
            flags: 0,
            sums: Sums::default(),
            block: Block::default(),
            output: Output::new(0),
            has_begun: false,
        }
    }

    /// Whether the stream may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.has_begun && matches!(self.stage, Stage::Header) && self.field.bytes().is_empty()
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn take(&mut self, input: &[u8]) -> Result<usize, Fault> {
        match &mut self.stage {
            Stage::Header => self.take_header(input),
            Stage::ExtraLen => self.take_extra_len(input),
            Stage::Extra { left: 0, sum } => {
                let got = sum.value();
                self.take_extra_sum(input, got)
            }
            Stage::Extra { left, sum } => {
                let count = (*left as usize).min(input.len());
                sum.update(input.get(..count).unwrap_or_default());
                // No more than `left`, which is a `u32`.
                *left -= count as u32;
                Ok(count)
            }
            Stage::BlockHeader => self.take_block_header(input),
            &mut Stage::Block { decoded_len } => {
                let count = self.block.fill(input);
                self.decode_block(decoded_len)?;
                Ok(count)
            }
        }
    }

    fn take_header(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let wanted = header_len(self.field.bytes());
        let count = self.field.fill(input, wanted);
        let header = self.field.bytes();
        if header.len() < wanted {
            return Ok(count);
        }
        if header.len() == MAGIC_LEN && !Compression::Lzop.begins_with(header) {
            return Err(match self.has_begun {
                true => Fault::Garbage,
                false => Fault::NotThis,
            });
        }
        if header_len(header) == header.len() {
            self.flags = checked_flags(header)?;
            self.has_begun = true;
            self.stage = match self.has(flag::EXTRA) {
                true => Stage::ExtraLen,
                false => Stage::BlockHeader,
            };
            self.field.clear();
        }
        Ok(count)
    }

    fn take_extra_len(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let count = self.field.fill(input, WORD);
        let bytes = self.field.bytes();
        if bytes.len() == WORD {
            let mut sum = Sum::new(self.flags);
            sum.update(bytes);
            let left = u32::from_be_bytes(Fields(bytes).next());
            self.field.clear();
            self.stage = Stage::Extra { left, sum };
        }
        Ok(count)
    }

    fn take_extra_sum(&mut self, input: &[u8], got: u32) -> Result<usize, Fault> {
        let count = self.field.fill(input, WORD);
        let bytes = self.field.bytes();
        if bytes.len() == WORD {
            if u32::from_be_bytes(Fields(bytes).next()) != got {
                return Err(Fault::HeaderChecksum);
            }
            self.field.clear();
            self.stage = Stage::BlockHeader;
        }
        Ok(count)
    }

    fn take_block_header(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let wanted = self.block_header_len();
        let count = self.field.fill(input, wanted);
        if self.field.bytes().len() < wanted || self.block_header_len() > wanted {
            return Ok(count);
        }
        let mut fields = Fields(self.field.bytes());
        let mut next = || u32::from_be_bytes(fields.next());
        let decoded_len = next();
        if decoded_len == 0 {
            self.stage = Stage::Header;
        } else {
            let len = next();
            if decoded_len > MAX_BLOCK {
                return Err(Fault::TooMuchMemory {
                    needed: decoded_len.into(),
                    limit: MAX_BLOCK.into(),
                });
            }
            if len == 0 || len > decoded_len {
                return Err(Fault::Data);
            }
            let mut sum = |flag, is_there| (is_there && self.flags & flag != 0).then(&mut next);
            let is_compressed = len < decoded_len;
            self.sums = Sums {
                adler_decoded: sum(flag::ADLER_DECODED, true),
                crc_decoded: sum(flag::CRC_DECODED, true),
                adler_stored: sum(flag::ADLER_STORED, is_compressed),
                crc_stored: sum(flag::CRC_STORED, is_compressed),
            };
            self.block.begin(len as usize)?;
            let decoded_len = decoded_len as usize;
            self.stage = Stage::Block { decoded_len };
        }
        self.field.clear();
        Ok(count)
    }

    /// How long the block's header is, as far as its first bytes tell.
    fn block_header_len(&self) -> usize {
        let bytes = self.field.bytes();
        let mut fields = Fields(bytes);
        let (decoded_len, len): ([u8; WORD], [u8; WORD]) = (fields.next(), fields.next());
        if bytes.len() < WORD || decoded_len == [0; WORD] {
            return WORD;
        }
        if bytes.len() < 2 * WORD {
            return 2 * WORD;
        }
        let mut sums = self.flags & (flag::ADLER_DECODED | flag::CRC_DECODED);
        if len != decoded_len {
            sums |= self.flags & (flag::ADLER_STORED | flag::CRC_STORED);
        }
        (2 + sums.count_ones() as usize) * WORD
    }

    /// Decodes the block, if all of it is there.
    fn decode_block(&mut self, decoded_len: usize) -> Result<(), Fault> {
        let Some(data) = self.block.whole() else {
            return Ok(());
        };
        check_sums(data, self.sums.adler_stored, self.sums.crc_stored)?;
        let (_, room) = self.output.room(decoded_len)?;
        if data.len() == decoded_len {
            room.copy_from_slice(data);
        } else if decompress(data, room) != Ok(decoded_len) {
            return Err(Fault::Data);
        }
        check_sums(room, self.sums.adler_decoded, self.sums.crc_decoded)?;
        self.output.put(decoded_len);
        self.stage = Stage::BlockHeader;
        Ok(())
    }
}

impl Steps for Decoder {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Decoded, Fault> {
        let mut decoded = Decoded::default();
        match self.output.is_empty() {
            true => decoded.consumed = self.take(input)?,
            false => decoded.produced = self.output.drain(room).len(),
        }
        Ok(decoded)
    }
}

impl Sum {
    /// Of what a header with these flags has after it.
    fn new(flags: u32) -> Self {
        match flags & flag::CRC_HEADER {
            0 => Self::Adler(Adler32::new()),
            _ => Self::Crc(crc32fast::Hasher::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Adler(sum) => sum.write_slice(bytes),
            Self::Crc(sum) => sum.update(bytes),
        }
    }

    fn value(&self) -> u32 {
        match self {
            Self::Adler(sum) => sum.checksum(),
            Self::Crc(sum) => sum.clone().finalize(),
        }
    }
}

fn check_sums(bytes: &[u8], adler: Option<u32>, crc: Option<u32>) -> Result<(), Fault> {
    if let Some(expected) = adler {
        check(expected, adler2::adler32_slice(bytes))?;
    }
    if let Some(expected) = crc {
        check(expected, crc32fast::hash(bytes))?;
    }
    Ok(())
}

/// Where a header has its flags.
fn flags_at(version: u16) -> usize {
    match version >= VERSION_0_940 {
        // Versions of the library and needed, method, level.
        true => VERSION_END + 6,
        // Version of the library, method.
        false => VERSION_END + 3,
    }
}

/// How long a file's header is, as far as its first bytes tell.
fn header_len(header: &[u8]) -> usize {
    if header.len() < MAGIC_LEN {
        return MAGIC_LEN;
    }
    let mut fields = Fields(header.get(MAGIC_LEN..).unwrap_or_default());
    let version = u16::from_be_bytes(fields.next());
    if header.len() < VERSION_END {
        return VERSION_END;
    }
    let flags_at = flags_at(version);
    let mut fields = Fields(header.get(flags_at..).unwrap_or_default());
    if header.len() < flags_at + WORD {
        return flags_at + WORD;
    }
    let flags = u32::from_be_bytes(fields.next());
    let filter = usize::from(flags & flag::FILTER != 0) * WORD;
    // The mode, and the time's lower half; the higher one is in newer headers only.
    let mode_and_time = 2 * WORD + usize::from(version >= VERSION_0_940) * WORD;
    let name_at = flags_at + WORD + filter + mode_and_time;
    match header.get(name_at) {
        Some(&len) => name_at + 1 + usize::from(len) + WORD,
        None => name_at + 1,
    }
}

/// The flags of a header, if it is in order.
fn checked_flags(header: &[u8]) -> Result<u32, Fault> {
    let rest = header.get(MAGIC_LEN..).unwrap_or_default();
    let Some((covered, &checksum)) = rest.split_last_chunk() else {
        return Err(Fault::Data);
    };
    let mut fields = Fields(rest);
    let version = u16::from_be_bytes(fields.next());
    let mut after = Fields(header.get(flags_at(version)..).unwrap_or_default());
    let flags = u32::from_be_bytes(after.next());
    let mut sum = Sum::new(flags);
    sum.update(covered);
    if sum.value() != u32::from_be_bytes(checksum) {
        return Err(Fault::HeaderChecksum);
    }
    let _library: [u8; 2] = fields.next();
    let needed = match version >= VERSION_0_940 {
        true => u16::from_be_bytes(fields.next()),
        false => version,
    };
    let [method] = fields.next();
    if needed > NEWEST {
        return Err(unknown("a version", needed.into()));
    }
    if !(1..=3).contains(&method) {
        return Err(unknown("a method", method.into()));
    }
    if flags & flag::RESERVED != 0 {
        return Err(unknown("flags", flags));
    }
    match flags & flag::FILTER {
        0 => Ok(flags),
        _ => Err(Fault::Unsupported("a filter")),
    }
}

fn unknown(field: &'static str, value: u32) -> Fault {
    Fault::Unknown { field, value }
}
