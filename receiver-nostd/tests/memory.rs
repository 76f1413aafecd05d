//! How much memory decoders take, and what they do where there is less.
//!
//! All in one test: the allocator that counts is that of the whole program.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;
mod streams;

use std::alloc::System;

use cap::Cap;
use ironcast_receiver_nostd::decode::{Compression, Decoder, Fault, gzip};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use streams::{stream, text};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1 << 20;

/// Decodes `stream` with `memory` bytes of memory; gives how many came out of it.
fn decode_within(compression: Compression, stream: &[u8], memory: usize) -> Result<usize, Fault> {
    let mut gzip = Box::new(gzip::Decoder::new());
    let mut buffer = vec![0; 256 << 10];
    HEAP.set_limit(HEAP.allocated() + memory)
        .expect("less is in use");
    let mut run = || {
        let mut decoder = Decoder::new(compression, &mut gzip)?;
        let (mut input, mut count) = (stream, 0);
        loop {
            let decoded = decoder.decode(input, &mut buffer, 0)?;
            count += decoded.produced;
            input = &input[decoded.consumed..];
            if input.is_empty() && decoded.produced == 0 {
                return decoder.finish().map(|()| count);
            }
        }
    };
    let result = run();
    HEAP.set_limit(usize::MAX).expect("no limit");
    result.map_err(|error: ironcast_receiver_nostd::decode::Error| error.fault)
}

/// What a stream says that it needs, where there is next to nothing.
fn needed(compression: Compression, stream: &[u8]) -> Option<usize> {
    match decode_within(compression, stream, MIB / 4) {
        Err(Fault::Memory { needed }) => usize::try_from(needed).ok(),
        _ => None,
    }
}

/// A frame with a window of 8 MiB that is full, then a block that makes more than a block may: its
/// literals and its only match are as long as they can be said to be.
fn zstd_that_overflows() -> Vec<u8> {
    let mut stream = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
    // Blocks of 128 KiB of one byte.
    stream.extend([2, 0, 0x10, 7].repeat(65));
    let literals = (128_u32 << 10) << 4 | 3 << 2 | 1;
    let mut block = literals.to_le_bytes()[..3].to_vec();
    // The literal; one sequence, whose three codes are given; and the bits that belong to them.
    block.extend([7, 1, 0x54, 35, 2, 52, 0xff, 0xff, 0xff, 0xff, 4]);
    let header = (block.len() as u32) << 3 | 2 << 1;
    stream.extend(&header.to_le_bytes()[..3]);
    stream.extend(block);
    stream
}

#[test]
fn p6_memory_is_bounded_and_its_lack_an_error() {
    // Beside what is made sure of there is a block as it came.
    let own = 200_000;
    let overflowing = zstd_that_overflows();
    let needed_for_all = needed(Compression::Zstd, &overflowing).expect("it says");
    let before = HEAP.allocated();
    let refused = decode_within(Compression::Zstd, &overflowing, 1 << 40);
    assert_eq!(refused, Err(Fault::Data));
    let peak = HEAP.max_allocated() - before;
    // The test itself has a buffer and a decoder of gzip.
    let most = needed_for_all + own + 300_000;
    assert!(peak < most, "{peak}, not {most}");

    let block = 4 << 20;
    let lz4 = |mode| {
        let info = FrameInfo::new()
            .block_size(BlockSize::Max4MB)
            .block_mode(mode);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        let content = text(2 * block + 77);
        std::io::Write::write_all(&mut encoder, &content).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    };
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        let stream = lz4(mode);
        let decoded = decode_within(Compression::Lz4, &stream, 9 * MIB);
        assert_eq!(decoded, Ok(2 * block + 77));
        for less in [MIB, 5 * MIB] {
            let refused = decode_within(Compression::Lz4, &stream, less);
            assert!(matches!(refused, Err(Fault::Memory { .. })), "{refused:?}");
        }
    }

    let lzop = stream("long.lzo").bytes;
    assert_eq!(decode_within(Compression::Lzop, lzop, MIB), Ok(300_000));
    let refused = decode_within(Compression::Lzop, lzop, 100_000);
    assert!(matches!(refused, Err(Fault::Memory { .. })), "{refused:?}");

    for (name, limit, len) in [
        ("sample-19.zst", 29 * MIB, 1711),
        ("sample-bare.zst", 15 * MIB, 1711),
        ("long.zst", 6 * MIB, 300_000),
        ("sample-long27.zst", 400 * MIB, 1711),
    ] {
        let bytes = stream(name).bytes;
        let needed = needed(Compression::Zstd, bytes).expect("it says");
        assert!(needed < limit, "{name}: {needed}");
        let decoded = decode_within(Compression::Zstd, bytes, needed + own);
        assert_eq!(decoded, Ok(len), "{name}");
        let refused = decode_within(Compression::Zstd, bytes, needed - own);
        assert!(
            matches!(refused, Err(Fault::Memory { .. })),
            "{name}: {refused:?}"
        );
    }
}
