//! LZ4 frames, one after the other, with frames to be skipped among them.
//!
//! The blocks are `lz4_flex`'s matter; here are the frames around them, after the description of
//! the LZ4 frame format, version 1.6: headers, checksums of headers, blocks and contents, and
//! blocks that refer back to those before. The older legacy format is another one.

use core::fmt;
use core::hash::Hasher as _;

use lz4_flex::block::decompress_into_with_dict;
use twox_hash::XxHash32;

use super::blocks::{Block, Fields, Gather, Output, Steps, check};
use super::{Compression, Decoded, Fault, is_skippable};

/// How far blocks refer back at most.
const HISTORY: usize = 64 << 10;

/// Bytes of a magic; of a size of a block, and of a checksum.
const WORD: usize = 4;

/// Bytes of a header up to its flags, and what tells the size of blocks.
const FLAGS_END: usize = WORD + 2;

/// Bytes of the longest header: length and dictionary, and its checksum.
const MAX_HEADER: usize = FLAGS_END + 8 + WORD + 1;

/// In a block's size: it is as it was before compression.
const STORED: u32 = 1 << 31;

mod flag {
    /// The version, which is 1, and one reserved bit below.
    pub(super) const VERSION: u8 = 0b1100_0010;
    pub(super) const VERSION_1: u8 = 0b0100_0000;
    pub(super) const INDEPENDENT: u8 = 0b0010_0000;
    pub(super) const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
    pub(super) const LENGTH: u8 = 0b0000_1000;
    pub(super) const CHECKSUM: u8 = 0b0000_0100;
    pub(super) const DICTIONARY: u8 = 0b0000_0001;
}

pub(super) struct Decoder {
    stage: Stage,
    /// A header, a size, or a checksum.
    field: Gather<MAX_HEADER>,
    frame: Frame,
    block: Block,
    output: Output,
    /// Of what has gone out of the frame.
    checksum: XxHash32,
    len: u64,
    /// Whether there was a frame.
    has_begun: bool,
}

#[derive(Debug)]
enum Stage {
    Header,
    /// In a frame that is to be skipped, of which so many bytes are left.
    Skip(u32),
    BlockSize,
    Block {
        is_stored: bool,
    },
    Checksum,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    flags: u8,
    /// Most bytes of a block, before and after it was compressed.
    max_block: usize,
    len: Option<u64>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("stage", &self.stage)
            .field("frame", &self.frame)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Header,
            field: Gather::new(),
            frame: Frame::default(),
            block: Block::default(),
            output: Output::new(HISTORY),
            checksum: XxHash32::with_seed(0),
            len: 0,
            has_begun: false,
        }
    }

    /// Whether the stream may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.has_begun && matches!(self.stage, Stage::Header) && self.field.bytes().is_empty()
    }

    fn take(&mut self, input: &[u8]) -> Result<usize, Fault> {
        match self.stage {
            Stage::Header => self.take_header(input),
            Stage::Skip(left) => {
                let count = (left as usize).min(input.len());
                // No more than `left`, which is a `u32`.
                self.skip(left - count as u32);
                Ok(count)
            }
            Stage::BlockSize => self.take_block_size(input),
            Stage::Block { is_stored } => {
                let count = self.block.fill(input);
                self.decode_block(is_stored)?;
                Ok(count)
            }
            Stage::Checksum => self.take_checksum(input),
        }
    }

    fn take_header(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let wanted = self.header_len();
        let count = self.field.fill(input, wanted);
        if self.field.bytes().len() < wanted {
            return Ok(count);
        }
        let header = self.field.bytes();
        if header.len() == WORD && !Compression::Lz4.begins_with(header) {
            return Err(match self.has_begun {
                true => Fault::Garbage,
                false => Fault::NotThis,
            });
        }
        if self.header_len() == header.len() {
            self.has_begun = true;
            match is_skippable(header) {
                true => {
                    let mut fields = Fields(header);
                    let _magic: [u8; WORD] = fields.next();
                    let len = u32::from_le_bytes(fields.next());
                    self.skip(len);
                }
                false => self.begin_frame()?,
            }
            self.field.clear();
        }
        Ok(count)
    }

    /// How long the header is, as far as its first bytes tell.
    fn header_len(&self) -> usize {
        let header = self.field.bytes();
        if header.len() < WORD {
            return WORD;
        }
        if is_skippable(header) {
            return 2 * WORD;
        }
        match header.get(WORD) {
            Some(flags) if header.len() >= FLAGS_END => {
                let len = usize::from(flags & flag::LENGTH != 0) * 8;
                let dictionary = usize::from(flags & flag::DICTIONARY != 0) * WORD;
                FLAGS_END + len + dictionary + 1
            }
            _ => FLAGS_END,
        }
    }

    fn begin_frame(&mut self) -> Result<(), Fault> {
        let mut fields = Fields(self.field.bytes());
        let _magic: [u8; WORD] = fields.next();
        let Some((&checksum, covered)) = fields.0.split_last() else {
            return Err(Fault::Data);
        };
        // The second byte of the hash, so the cut is meant.
        if (XxHash32::oneshot(0, covered) >> 8) as u8 != checksum {
            return Err(Fault::HeaderChecksum);
        }
        let [flags, size] = fields.next();
        if flags & flag::VERSION != flag::VERSION_1 {
            return Err(unknown("flags", flags));
        }
        let max_block = match size {
            0x40 => 64 << 10,
            0x50 => 256 << 10,
            0x60 => 1 << 20,
            0x70 => 4 << 20,
            _ => return Err(unknown("a block size", size)),
        };
        if flags & flag::DICTIONARY != 0 {
            return Err(Fault::Unsupported("a dictionary"));
        }
        let has_len = flags & flag::LENGTH != 0;
        self.frame = Frame {
            flags,
            max_block,
            len: has_len.then(|| u64::from_le_bytes(fields.next())),
        };
        self.checksum = XxHash32::with_seed(0);
        self.len = 0;
        self.output.forget();
        self.stage = Stage::BlockSize;
        Ok(())
    }

    fn skip(&mut self, left: u32) {
        self.stage = match left {
            0 => Stage::Header,
            left => Stage::Skip(left),
        };
    }

    fn take_block_size(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let count = self.field.fill(input, WORD);
        if self.field.bytes().len() < WORD {
            return Ok(count);
        }
        let size = u32::from_le_bytes(Fields(self.field.bytes()).next());
        self.field.clear();
        if size == 0 {
            self.end_blocks()?;
            return Ok(count);
        }
        let len = (size & !STORED) as usize;
        if len == 0 || len > self.frame.max_block {
            return Err(Fault::Data);
        }
        let checksum = usize::from(self.frame.flags & flag::BLOCK_CHECKSUMS != 0) * WORD;
        self.block.begin(len + checksum)?;
        self.stage = Stage::Block {
            is_stored: size & STORED != 0,
        };
        Ok(count)
    }

    /// Decodes the block, if all of it is there.
    fn decode_block(&mut self, is_stored: bool) -> Result<(), Fault> {
        let Some(mut data) = self.block.whole() else {
            return Ok(());
        };
        if self.frame.flags & flag::BLOCK_CHECKSUMS != 0 {
            let (content, &checksum) = data.split_last_chunk().ok_or(Fault::Data)?;
            check(u32::from_le_bytes(checksum), XxHash32::oneshot(0, content))?;
            data = content;
        }
        if self.frame.flags & flag::INDEPENDENT != 0 {
            self.output.forget();
        }
        let (history, room) = self.output.room(self.frame.max_block)?;
        let len = if is_stored {
            let room = room.get_mut(..data.len()).ok_or(Fault::Data)?;
            room.copy_from_slice(data);
            data.len()
        } else {
            decompress_into_with_dict(data, room, history).map_err(|_| Fault::Data)?
        };
        self.output.put(len);
        self.stage = Stage::BlockSize;
        Ok(())
    }

    /// All output has gone out, or the end of the blocks would not have been taken.
    fn end_blocks(&mut self) -> Result<(), Fault> {
        if let Some(expected) = self.frame.len.filter(|&len| len != self.len) {
            let got = self.len;
            return Err(Fault::Length { expected, got });
        }
        self.stage = match self.frame.flags & flag::CHECKSUM {
            0 => Stage::Header,
            _ => Stage::Checksum,
        };
        Ok(())
    }

    fn take_checksum(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let count = self.field.fill(input, WORD);
        if self.field.bytes().len() == WORD {
            let expected = u32::from_le_bytes(Fields(self.field.bytes()).next());
            check(expected, self.checksum.finish_32())?;
            self.field.clear();
            self.stage = Stage::Header;
        }
        Ok(count)
    }
}

impl Steps for Decoder {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Decoded, Fault> {
        let mut decoded = Decoded::default();
        if self.output.is_empty() {
            decoded.consumed = self.take(input)?;
        } else {
            let bytes = self.output.drain(room);
            if self.frame.flags & flag::CHECKSUM != 0 {
                self.checksum.write(bytes);
            }
            self.len += bytes.len() as u64;
            decoded.produced = bytes.len();
        }
        Ok(decoded)
    }
}

fn unknown(field: &'static str, value: u8) -> Fault {
    let value = value.into();
    Fault::Unknown { field, value }
}
