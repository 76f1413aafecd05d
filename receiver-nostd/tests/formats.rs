//! What is in the headers of LZ4, lzop and Zstandard, and large streams of those.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;
mod streams;

use std::io::Write as _;

use ironcast_receiver_nostd::decode::Compression::{Lz4, Lzop, Zstd};
use ironcast_receiver_nostd::decode::{Fault, gzip};
use lab::image;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use streams::{decode, decode_in_pieces, sample, stream, text};
use twox_hash::XxHash32;

fn unknown(field: &'static str, value: u32) -> Fault {
    Fault::Unknown { field, value }
}

fn lz4(info: FrameInfo, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

#[test]
fn lz4_frames_with_blocks_of_every_kind_and_size() {
    let content = [text(9_000_000), image(300_000), text(1_000_000)].concat();
    for size in [
        BlockSize::Max64KB,
        BlockSize::Max256KB,
        BlockSize::Max1MB,
        BlockSize::Max4MB,
    ] {
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            let info = FrameInfo::new()
                .block_size(size)
                .block_mode(mode)
                .block_checksums(mode == BlockMode::Linked)
                .content_checksum(true)
                .content_size(Some(content.len() as u64));
            let stream = lz4(info, &content);
            for (piece, buffer) in [(1456, 256 << 10), (stream.len(), gzip::WINDOW_LEN)] {
                let decoded = decode_in_pieces(Lz4, &stream, piece, buffer);
                assert!(decoded.as_ref() == Ok(&content), "{size:?} {mode:?}");
            }
        }
    }
}

/// `stream` with another byte at `at`, and the header's checksum that goes with it.
fn with_lz4_header(stream: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut stream = stream.to_vec();
    stream[at] = byte;
    let (len, dictionary) = (stream[4] & 8, stream[4] & 1);
    let end = 6 + usize::from(len) + usize::from(dictionary) * 4;
    stream[end] = (XxHash32::oneshot(0, &stream[4..end]) >> 8) as u8;
    stream
}

#[test]
fn lz4_headers_that_are_damaged_or_unknown() {
    let good = stream("sample.lz4").bytes;
    let spoilt = |at, byte| decode(Lz4, &with_lz4_header(good, at, byte));
    assert_eq!(spoilt(4, good[4]), Ok(sample()));
    assert_eq!(spoilt(4, 0xa4), Err(unknown("flags", 0xa4)));
    assert_eq!(spoilt(4, 0x66), Err(unknown("flags", 0x66)));
    assert_eq!(spoilt(5, 0x30), Err(unknown("a block size", 0x30)));
    assert_eq!(spoilt(5, 0x41), Err(unknown("a block size", 0x41)));
    assert_eq!(spoilt(4, 0x65), Err(Fault::Unsupported("a dictionary")));
    let mut damaged = good.to_vec();
    damaged[5] = 0x50;
    assert_eq!(decode(Lz4, &damaged), Err(Fault::HeaderChecksum));
}

#[test]
fn lz4_lengths_and_checksums_are_checked() {
    let good = stream("sample-all.lz4").bytes;
    let shorter = with_lz4_header(good, 6, good[6] - 1);
    let (expected, got) = (sample().len() as u64 - 1, sample().len() as u64);
    assert_eq!(decode(Lz4, &shorter), Err(Fault::Length { expected, got }));
    let mut spoilt = good.to_vec();
    let last = spoilt.len() - 1;
    spoilt[last] ^= 1;
    assert!(matches!(decode(Lz4, &spoilt), Err(Fault::Checksum { .. })));
    // A byte of the text: only the block's checksum tells.
    let mut spoilt = good.to_vec();
    spoilt[25] ^= 1;
    assert!(matches!(decode(Lz4, &spoilt), Err(Fault::Checksum { .. })));
    // Blocks larger than the header says.
    for block in [&[1, 0, 1, 0][..], &[1, 0, 1, 0x80], &[0, 0, 0, 0x80]] {
        let mut spoilt = stream("sample.lz4").bytes.to_vec();
        spoilt[7..11].copy_from_slice(block);
        assert_eq!(decode(Lz4, &spoilt), Err(Fault::Data), "{block:?}");
    }
}

mod flag {
    pub const ADLER_DECODED: u32 = 0x1;
    pub const ADLER_STORED: u32 = 0x2;
    pub const EXTRA: u32 = 0x40;
    pub const CRC_DECODED: u32 = 0x100;
    pub const CRC_STORED: u32 = 0x200;
    pub const CRC_HEADER: u32 = 0x1000;
    pub const ALL: u32 = ADLER_DECODED | ADLER_STORED | CRC_DECODED | CRC_STORED;
}

/// A file as lzop makes it: its header, which the real one was asked about.
fn lzop_header(flags: u32, method: u8, needed: u16) -> Vec<u8> {
    let sum = |bytes: &[u8]| match flags & flag::CRC_HEADER {
        0 => adler2::adler32_slice(bytes),
        _ => crc32fast::hash(bytes),
    };
    let mut fields = vec![0x10, 0x40, 0x20, 0xa0];
    fields.extend(needed.to_be_bytes());
    fields.extend([method, 5]);
    fields.extend(flags.to_be_bytes());
    // Mode, times, and the name.
    fields.extend([0; 12]);
    fields.extend(b"\x04disk");
    let mut header = b"\x89LZO\0\r\n\x1a\n".to_vec();
    header.extend(&fields);
    header.extend(sum(&fields).to_be_bytes());
    if flags & flag::EXTRA != 0 {
        let extra = b"\0\0\0\x05hello";
        header.extend(extra);
        header.extend(sum(extra).to_be_bytes());
    }
    header
}

/// As much of a file as one block is.
fn lzop_block(flags: u32, content: &[u8]) -> Vec<u8> {
    let packed = lzokay::compress::compress(content).expect("it can be compressed");
    let data = match packed.len() < content.len() {
        true => &packed,
        false => content,
    };
    let mut block = Vec::new();
    let mut word = |word: u32| block.extend(word.to_be_bytes());
    word(content.len() as u32);
    word(data.len() as u32);
    let mut sums = |bytes: &[u8], adler, crc| {
        if flags & adler != 0 {
            word(adler2::adler32_slice(bytes));
        }
        if flags & crc != 0 {
            word(crc32fast::hash(bytes));
        }
    };
    sums(content, flag::ADLER_DECODED, flag::CRC_DECODED);
    if data.len() < content.len() {
        sums(data, flag::ADLER_STORED, flag::CRC_STORED);
    }
    block.extend(data);
    block
}

fn lzop(flags: u32, content: &[u8], block: usize) -> Vec<u8> {
    let mut stream = lzop_header(flags, 1, 0x0940);
    for content in content.chunks(block) {
        stream.extend(lzop_block(flags, content));
    }
    stream.extend([0; 4]);
    stream
}

#[test]
fn lzop_files_with_every_checksum_and_an_extra_field() {
    let content = [text(600_000), image(300_000), text(5)].concat();
    for flags in [
        0,
        flag::ALL,
        flag::EXTRA | flag::ADLER_DECODED,
        flag::EXTRA | flag::CRC_HEADER | flag::CRC_DECODED | flag::CRC_STORED,
    ] {
        for block in [256 << 10, 1 << 20, 1000] {
            let stream = lzop(flags, &content, block);
            for piece in [1, 1456, stream.len()] {
                let decoded = decode_in_pieces(Lzop, &stream, piece, gzip::WINDOW_LEN);
                assert!(decoded.as_ref() == Ok(&content), "{flags:#x} {block}");
            }
        }
    }
}

#[test]
fn p1_every_checksum_of_lzop_is_checked() {
    let content = sample();
    for flag in [
        flag::ADLER_DECODED,
        flag::ADLER_STORED,
        flag::CRC_DECODED,
        flag::CRC_STORED,
    ] {
        let good = lzop(flag, &content, content.len());
        assert_eq!(decode(Lzop, &good).as_ref(), Ok(&content));
        let at = lzop_header(flag, 1, 0x0940).len() + 8;
        let mut spoilt = good;
        spoilt[at] ^= 1;
        let result = decode(Lzop, &spoilt);
        assert!(matches!(result, Err(Fault::Checksum { .. })), "{flag:#x}");
    }
    for flags in [flag::EXTRA, flag::EXTRA | flag::CRC_HEADER] {
        let good = lzop(flags, &content, content.len());
        for at in [9, 20, 40, 46, 50, 53] {
            let mut spoilt = good.clone();
            spoilt[at] ^= 1;
            assert_eq!(decode(Lzop, &spoilt), Err(Fault::HeaderChecksum), "{at}");
        }
    }
}

#[test]
fn lzop_headers_that_are_unknown() {
    let unlike = |flags, method, needed| decode(Lzop, &lzop_header(flags, method, needed));
    assert_eq!(unlike(0, 1, 0x0940), Err(Fault::Truncated));
    assert_eq!(unlike(0, 4, 0x0940), Err(unknown("a method", 4)));
    assert_eq!(unlike(0, 1, 0x1041), Err(unknown("a version", 0x1041)));
    assert_eq!(unlike(0x4000, 1, 0x0940), Err(unknown("flags", 0x4000)));
    let filtered = include_bytes!("streams/sample-filter.lzo");
    assert_eq!(decode(Lzop, filtered), Err(Fault::Unsupported("a filter")));
}

#[test]
fn p6_lzop_blocks_of_impossible_lengths() {
    let block = |decoded: u32, stored: u32| {
        let lens = [decoded.to_be_bytes(), stored.to_be_bytes()].concat();
        decode(
            Lzop,
            &[lzop_header(0, 1, 0x0940), lens, vec![0; 100]].concat(),
        )
    };
    let most = 64 << 20;
    let needed = u64::from(most) + 1;
    let limit = u64::from(most);
    assert_eq!(
        block(most + 1, 10),
        Err(Fault::TooMuchMemory { needed, limit })
    );
    assert_eq!(block(most, most), Err(Fault::Truncated));
    assert_eq!(block(10, 11), Err(Fault::Data));
    assert_eq!(block(10, 0), Err(Fault::Data));
}

#[test]
fn zstd_frames_of_many_blocks_and_small_windows() {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    let content = [text(3_000_000), vec![0; 1_000_000], image(300_000)].concat();
    let stream = compress_to_vec(&content[..], CompressionLevel::Fastest);
    for (piece, buffer) in [
        (1, 256 << 10),
        (1456, gzip::WINDOW_LEN),
        (stream.len(), 256 << 10),
    ] {
        let decoded = decode_in_pieces(Zstd, &stream, piece, buffer);
        assert!(decoded.as_ref() == Ok(&content), "{piece}");
    }
}

#[test]
fn zstd_headers_that_are_unknown_or_ask_for_too_much() {
    let good = stream("sample-19.zst").bytes;
    let with = |at: usize, byte| {
        let mut stream = good.to_vec();
        stream[at] = byte;
        decode(Zstd, &stream)
    };
    assert_eq!(with(4, good[4]), Ok(sample()));
    assert_eq!(with(4, good[4] | 8), Err(unknown("a descriptor", 0x0c)));
    assert_eq!(
        with(4, good[4] | 1),
        Err(Fault::Unsupported("a dictionary"))
    );
    let limit = 128 << 20;
    let needed = limit + limit / 8;
    assert_eq!(with(5, 0x89), Err(Fault::TooMuchMemory { needed, limit }));
    let larger = include_bytes!("streams/sample-long31.zst");
    let needed = 2 << 30;
    assert_eq!(
        decode(Zstd, larger),
        Err(Fault::TooMuchMemory { needed, limit })
    );
    // One segment of more than there could be.
    let header = [&good[..4], &[0xe0], &[0xff; 8]].concat();
    let needed = u64::MAX;
    assert_eq!(
        decode(Zstd, &header),
        Err(Fault::TooMuchMemory { needed, limit })
    );
}

#[test]
fn zstd_lengths_are_checked() {
    let good = stream("sample.zst").bytes;
    let mut longer = good.to_vec();
    // The length's lower byte; the window is as long, or the other way round.
    longer[5] += 1;
    let (expected, got) = (sample().len() as u64 + 1, sample().len() as u64);
    assert_eq!(decode(Zstd, &longer), Err(Fault::Length { expected, got }));
}

/// Blocks that would take more memory than was made sure of are no blocks.
#[test]
fn p6_zstd_blocks_that_hold_too_much() {
    // A window of 8 MiB, then one compressed block.
    let frame = |block: &[u8]| {
        let size = (block.len() as u32) << 3 | 2 << 1 | 1;
        let mut stream = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
        stream.extend(&size.to_le_bytes()[..3]);
        stream.extend(block);
        decode(Zstd, &stream)
    };
    // As many equal literals as 20 bits can say, and no sequences.
    let literals = |count: u32| {
        let header = count << 4 | 3 << 2 | 1;
        [&header.to_le_bytes()[..3], &[7, 0]].concat()
    };
    assert_eq!(frame(&literals(128 << 10)), Ok(vec![7; 128 << 10]));
    assert_eq!(frame(&literals((128 << 10) + 1)), Err(Fault::Data));
    assert_eq!(frame(&literals((1 << 20) - 1)), Err(Fault::Data));
    // No literals, and as many sequences as can be said.
    assert_eq!(
        frame(&[0, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1]),
        Err(Fault::Data)
    );
    for cut in [&[][..], &[1], &[0xd], &[0, 0x80], &[0, 0xff, 0]] {
        assert_eq!(frame(cut), Err(Fault::Data), "{cut:?}");
    }
}
