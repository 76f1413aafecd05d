//! Zstandard frames (RFC 8878), one after the other, with frames to be skipped among them.
//!
//! The blocks are `ruzstd`'s matter, which wants each of them whole; here are the frames around
//! them: headers, lengths, checksums. `ruzstd` takes its memory without asking whether there is
//! so much. So what a block could make it take is checked before it gets one, and that there is
//! memory before it gets a frame.

use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher as _;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read as _;
use twox_hash::XxHash64;

use super::blocks::{Block, Fields, Gather, Steps, check};
use super::{Compression, Decoded, Fault, is_skippable};

/// How far data may refer back at most: as far as zstd's own program takes them unasked.
pub(super) const MAX_WINDOW: u64 = 128 << 20;

/// Bytes that a block decodes to at most.
const MAX_BLOCK: u64 = 128 << 10;

/// Most sequences of a block: each makes three bytes at least.
const MAX_SEQUENCES: usize = MAX_BLOCK as usize / 3;

/// Bytes of a magic, and of a checksum.
const WORD: usize = 4;

/// Bytes of the longest header: descriptor, window, dictionary and length.
const MAX_HEADER: usize = WORD + 1 + 1 + WORD + 8;

/// Bytes of a block's header.
const BLOCK_HEADER: usize = 3;

/// Memory that decoding takes besides the window: for a block's literals and sequences, for its
/// tables, and for itself. Three quarters of it are taken by the worst block that there can be.
const WORKSPACE: u64 = 4 << 20;

mod flag {
    pub(super) const SINGLE_SEGMENT: u8 = 0b0010_0000;
    pub(super) const RESERVED: u8 = 0b0000_1000;
    pub(super) const CHECKSUM: u8 = 0b0000_0100;
}

pub(super) struct Decoder {
    stage: Stage,
    /// A header or a checksum.
    field: Gather<MAX_HEADER>,
    frame: Frame,
    block: Block,
    /// From the first frame on.
    blocks: Option<FrameDecoder>,
    /// The largest window that there is memory for.
    window: u64,
    /// The largest window that is taken.
    limit: u64,
    /// Of what has gone out of the frame.
    checksum: XxHash64,
    len: u64,
    has_begun: bool,
}

#[derive(Debug)]
enum Stage {
    Header,
    /// In a frame that is to be skipped, of which so many bytes are left.
    Skip(u32),
    BlockHeader,
    Block {
        is_last: bool,
    },
    /// There are no more blocks; what the last one made may not have gone out.
    BlocksOver,
    Checksum,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    has_checksum: bool,
    window: u64,
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
    /// One that takes windows of `limit` bytes at most.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            stage: Stage::Header,
            field: Gather::new(),
            frame: Frame::default(),
            block: Block::default(),
            blocks: None,
            window: 0,
            checksum: XxHash64::with_seed(0),
            len: 0,
            has_begun: false,
        }
    }

    /// Whether the stream may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.has_begun && matches!(self.stage, Stage::Header) && self.field.bytes().is_empty()
    }

    fn take(&mut self, input: &[u8]) -> Result<usize, Fault> {
        if let Stage::BlocksOver = self.stage {
            self.end_blocks()?;
        }
        match self.stage {
            Stage::Header => self.take_header(input),
            Stage::Skip(left) => {
                let count = (left as usize).min(input.len());
                // No more than `left`, which is a `u32`.
                self.skip(left - count as u32);
                Ok(count)
            }
            Stage::BlockHeader => self.take_block_header(input),
            Stage::Block { is_last } => {
                let count = self.block.fill(input);
                self.decode_block(is_last)?;
                Ok(count)
            }
            Stage::BlocksOver | Stage::Checksum => self.take_checksum(input),
        }
    }

    fn take_header(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let wanted = header_len(self.field.bytes());
        let count = self.field.fill(input, wanted);
        let header = self.field.bytes();
        if header.len() < wanted {
            return Ok(count);
        }
        if header.len() == WORD && !Compression::Zstd.begins_with(header) {
            return Err(match self.has_begun {
                true => Fault::Garbage,
                false => Fault::NotThis,
            });
        }
        if header_len(header) == header.len() {
            self.has_begun = true;
            let mut fields = Fields(header);
            let _magic: [u8; WORD] = fields.next();
            match is_skippable(header) {
                true => self.skip(u32::from_le_bytes(fields.next())),
                false => {
                    let frame = Frame::parse(fields, self.limit)?;
                    self.begin_frame(frame)?;
                }
            }
            self.field.clear();
        }
        Ok(count)
    }

    fn skip(&mut self, left: u32) {
        self.stage = match left {
            0 => Stage::Header,
            left => Stage::Skip(left),
        };
    }

    fn begin_frame(&mut self, frame: Frame) -> Result<(), Fault> {
        self.frame = frame;
        self.checksum = XxHash64::with_seed(0);
        self.len = 0;
        self.stage = Stage::BlockHeader;
        // `ruzstd` has no use for a window of nothing.
        let window = frame.window.max(1024);
        if window > self.window || self.blocks.is_none() {
            self.blocks = None;
            demand_memory(window)?;
            let mut blocks = FrameDecoder::new();
            // Only from its second frame on it takes memory for the whole window at once, and not
            // piece by piece with copies of what it has.
            start(&mut blocks, 0)?;
            self.blocks = Some(blocks);
            self.window = window;
        }
        let blocks = self.blocks.as_mut().ok_or(Fault::Data)?;
        start(blocks, window)
    }

    fn take_block_header(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let count = self.field.fill(input, BLOCK_HEADER);
        let header = self.field.bytes();
        if header.len() < BLOCK_HEADER {
            return Ok(count);
        }
        let [low, middle, high] = Fields(header).next();
        let size = u32::from_le_bytes([low, middle, high, 0]) >> 3;
        if u64::from(size) > self.frame.max_block() {
            return Err(Fault::Data);
        }
        let len = match low >> 1 & 3 {
            0 | 2 => size as usize,
            1 => 1,
            _ => return Err(Fault::Data),
        };
        self.block.begin(BLOCK_HEADER + len)?;
        self.block.fill(header);
        self.field.clear();
        let is_last = low & 1 != 0;
        self.stage = Stage::Block { is_last };
        self.decode_block(is_last)?;
        Ok(count)
    }

    /// Decodes the block, if all of it is there.
    fn decode_block(&mut self, is_last: bool) -> Result<(), Fault> {
        let Some(mut block) = self.block.whole() else {
            return Ok(());
        };
        if let Some((&[low, ..], body)) = block.split_first_chunk::<BLOCK_HEADER>()
            && low >> 1 & 3 == 2
        {
            check_compressed(body, self.frame.max_block())?;
        }
        let blocks = self.blocks.as_mut().ok_or(Fault::Data)?;
        let one = BlockDecodingStrategy::UptoBlocks(1);
        if blocks.decode_blocks(&mut block, one).is_err() {
            return Err(Fault::Data);
        }
        self.stage = match is_last {
            true => Stage::BlocksOver,
            false => Stage::BlockHeader,
        };
        Ok(())
    }

    fn end_blocks(&mut self) -> Result<(), Fault> {
        if let Some(expected) = self.frame.len.filter(|&len| len != self.len) {
            let got = self.len;
            return Err(Fault::Length { expected, got });
        }
        self.stage = match self.frame.has_checksum {
            true => Stage::Checksum,
            false => Stage::Header,
        };
        Ok(())
    }

    fn take_checksum(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let count = self.field.fill(input, WORD);
        if self.field.bytes().len() == WORD {
            let expected = u32::from_le_bytes(Fields(self.field.bytes()).next());
            // The lower half is what the stream has, so the cut is meant.
            check(expected, self.checksum.finish() as u32)?;
            self.field.clear();
            self.stage = Stage::Header;
        }
        Ok(count)
    }

    /// Moves decoded bytes to `room`, as many as there are that no block refers back to any more.
    fn drain(&mut self, room: &mut [u8]) -> Result<usize, Fault> {
        let Some(blocks) = &mut self.blocks else {
            return Ok(0);
        };
        let count = blocks.read(room).map_err(|_| Fault::Data)?;
        if self.frame.has_checksum {
            self.checksum.write(room.get(..count).unwrap_or_default());
        }
        self.len += count as u64;
        Ok(count)
    }
}

impl Steps for Decoder {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Decoded, Fault> {
        let mut decoded = Decoded::default();
        let is_drained = match &self.blocks {
            Some(blocks) => blocks.can_collect() == 0,
            None => true,
        };
        match is_drained {
            true => decoded.consumed = self.take(input)?,
            false => decoded.produced = self.drain(room)?,
        }
        Ok(decoded)
    }
}

impl Frame {
    /// What stands in a header behind the magic; the window may have `limit` bytes at most.
    fn parse(mut fields: Fields<'_>, limit: u64) -> Result<Self, Fault> {
        let [descriptor] = fields.next();
        if descriptor & flag::RESERVED != 0 {
            let value = descriptor.into();
            let field = "a descriptor";
            return Err(Fault::Unknown { field, value });
        }
        let is_single = descriptor & flag::SINGLE_SEGMENT != 0;
        let window = match is_single {
            true => 0,
            false => {
                let [window] = fields.next();
                let base = 1 << (10 + u64::from(window >> 3));
                base + base / 8 * u64::from(window & 7)
            }
        };
        let dictionary = match dictionary_len(descriptor) {
            0 => 0,
            1 => u8::from_le_bytes(fields.next()).into(),
            2 => u16::from_le_bytes(fields.next()).into(),
            _ => u32::from_le_bytes(fields.next()),
        };
        if dictionary != 0 {
            return Err(Fault::Unsupported("a dictionary"));
        }
        let len = match len_len(descriptor) {
            0 => None,
            1 => Some(u8::from_le_bytes(fields.next()).into()),
            // A shorter one would have taken one byte.
            2 => Some(u64::from(u16::from_le_bytes(fields.next())) + 256),
            4 => Some(u32::from_le_bytes(fields.next()).into()),
            _ => Some(u64::from_le_bytes(fields.next())),
        };
        let window = match is_single {
            true => len.unwrap_or(0),
            false => window,
        };
        if window > limit {
            return Err(Fault::TooMuchMemory {
                needed: window,
                limit,
            });
        }
        Ok(Self {
            has_checksum: descriptor & flag::CHECKSUM != 0,
            window,
            len,
        })
    }

    /// Most bytes of a block, before and after it was compressed.
    fn max_block(&self) -> u64 {
        self.window.min(MAX_BLOCK)
    }
}

/// How long a header is, as far as its first bytes tell.
fn header_len(header: &[u8]) -> usize {
    if header.len() >= WORD && is_skippable(header) {
        return 2 * WORD;
    }
    match header.get(WORD) {
        None if header.len() < WORD => WORD,
        None => WORD + 1,
        Some(&descriptor) => {
            let window = usize::from(descriptor & flag::SINGLE_SEGMENT == 0);
            WORD + 1 + window + dictionary_len(descriptor) + len_len(descriptor)
        }
    }
}

/// Bytes of the dictionary's number.
fn dictionary_len(descriptor: u8) -> usize {
    match descriptor & 3 {
        3 => 4,
        len => len.into(),
    }
}

/// Bytes of the content's length.
fn len_len(descriptor: u8) -> usize {
    match descriptor >> 6 {
        0 => usize::from(descriptor & flag::SINGLE_SEGMENT != 0),
        power => 1 << power,
    }
}

/// Gives `blocks` the header of a frame with this window, and no checksum or dictionary.
fn start(blocks: &mut FrameDecoder, window: u64) -> Result<(), Fault> {
    // One segment, whose length is the window, in eight bytes.
    let descriptor = flag::SINGLE_SEGMENT | 0b1100_0000;
    let mut header = [0; WORD + 1 + 8];
    let fields = [
        Compression::Zstd.magic(),
        &[descriptor],
        &window.to_le_bytes(),
    ];
    for (place, &byte) in header.iter_mut().zip(fields.into_iter().flatten()) {
        *place = byte;
    }
    blocks.init(&header[..]).map_err(|_| Fault::Data)
}

/// Checks what a compressed block's own headers say of its literals and sequences, before memory is
/// taken for them.
fn check_compressed(body: &[u8], max_block: u64) -> Result<(), Fault> {
    let (literals, sequences) = split_literals(body).ok_or(Fault::Data)?;
    let count = match *sequences {
        [count @ 0..=127, ..] => count.into(),
        [high @ 128..=254, low, ..] => (usize::from(high) - 128) << 8 | usize::from(low),
        [255, low, high, ..] => usize::from(u16::from_le_bytes([low, high])) + 0x7f00,
        _ => return Err(Fault::Data),
    };
    match literals <= max_block && count <= MAX_SEQUENCES {
        true => Ok(()),
        false => Err(Fault::Data),
    }
}

/// How many literals there are, and what follows them in the block; `None` if they are cut off.
fn split_literals(body: &[u8]) -> Option<(u64, &[u8])> {
    let &first = body.first()?;
    let (is_compressed, is_repeated) = (first & 2 != 0, first & 3 == 1);
    // How long the header is, and how many bits each of its lengths has.
    let (header, bits) = match (is_compressed, first >> 2 & 3) {
        (false, 0 | 2) => (1, 5),
        (false, 1) => (2, 12),
        (false, _) => (3, 20),
        (true, 0 | 1) => (3, 10),
        (true, 2) => (4, 14),
        (true, _) => (5, 18),
    };
    let mut bytes = [0; 8];
    for (place, &byte) in bytes.iter_mut().zip(body.get(..header)?) {
        *place = byte;
    }
    let fields = u64::from_le_bytes(bytes) >> if bits == 5 { 3 } else { 4 };
    let count = fields & ((1 << bits) - 1);
    let len = match (is_compressed, is_repeated) {
        (true, _) => fields >> bits & ((1 << bits) - 1),
        (false, true) => 1,
        (false, false) => count,
    };
    let rest = body.get(header + usize::try_from(len).ok()?..)?;
    Some((count, rest))
}

/// Whether there is memory for a window, whatever its blocks have in them.
///
/// It is taken, to be sure, and given back. `ruzstd` keeps the window in a ring, which grows if a
/// block of a spoilt stream makes more than it may: that is noticed only afterwards.
fn demand_memory(window: u64) -> Result<(), Fault> {
    let ring = ring_len(window);
    let overflow = window + 3 * MAX_BLOCK + WORD as u64;
    let grown = match overflow > ring {
        true => ring_len(overflow),
        false => 0,
    };
    let parts = [ring, grown, WORKSPACE];
    let mut taken: [Vec<u8>; 3] = Default::default();
    for (memory, len) in taken.iter_mut().zip(parts) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        memory.try_reserve_exact(len).map_err(|_| Fault::Memory {
            needed: parts.iter().sum(),
        })?;
    }
    Ok(())
}

/// The memory that `ruzstd` takes for a ring of `len` bytes.
fn ring_len(len: u64) -> u64 {
    let slack = 2 * MAX_BLOCK;
    len.saturating_sub(slack).next_power_of_two() + slack + 1
}
