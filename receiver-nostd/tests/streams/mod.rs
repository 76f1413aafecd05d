//! Streams that the real programs made (README.md beside this file), and a way to decode them.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each test program uses its own part, and fails where it can't go on"
)]

use ironcast_receiver_nostd::decode::{Compression, Decoder, Error, Fault, gzip};

use super::lab::{Random, image};

/// What one of the files is.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub name: &'static str,
    pub compression: Compression,
    pub bytes: &'static [u8],
}

impl Stream {
    /// What it decodes to.
    pub fn content(&self) -> Vec<u8> {
        let end = self.name.find(['.', '-']).expect("a name of two parts");
        match &self.name[..end] {
            "sample" => sample(),
            "noise" => noise(),
            "long" => long(),
            _ => Vec::new(),
        }
    }
}

macro_rules! streams {
    ($($compression:ident: $($name:literal),*;)*) => {
        &[$($(Stream {
            name: $name,
            compression: Compression::$compression,
            bytes: include_bytes!($name),
        }),*),*]
    };
}

/// Every stream that can be decoded.
pub const STREAMS: &[Stream] = streams! {
    Gzip: "sample.gz", "noise.gz", "long.gz", "empty.gz";
    Lzop: "sample.lzo", "noise.lzo", "long.lzo", "empty.lzo", "sample-crc.lzo", "sample-bare.lzo";
    Lz4: "sample.lz4", "noise.lz4", "long.lz4", "empty.lz4", "sample-all.lz4", "long-linked.lz4",
        "sample-bare.lz4";
    Zstd: "sample.zst", "noise.zst", "long.zst", "empty.zst", "sample-19.zst", "sample-bare.zst",
        "sample-long27.zst", "long-pzstd.zst";
};

/// The stream of this name.
pub fn stream(name: &str) -> &'static Stream {
    let mut streams = STREAMS.iter();
    streams
        .find(|stream| stream.name == name)
        .expect("a stream of that name")
}

pub fn sample() -> Vec<u8> {
    let lines = (1..=40).map(|i| format!("sector {i} of the image of the lab upstairs\n"));
    lines.collect::<String>().into_bytes()
}

/// Nothing in it comes twice, so that nothing makes it smaller.
pub fn noise() -> Vec<u8> {
    (0..256).map(|i| ((i * 167 + 13) & 255) as u8).collect()
}

pub fn long() -> Vec<u8> {
    let line = "sector 1 of the image of the lab upstairs\n";
    line.bytes().cycle().take(300_000).collect()
}

/// Text-like bytes: they can be compressed, at about 3:1, and refer back far.
pub fn text(len: usize) -> Vec<u8> {
    let mut random = Random::new(7);
    let words: Vec<Vec<u8>> = (0..2000)
        .map(|_| image(2 + random.below(9) as usize))
        .collect();
    let mut text = Vec::with_capacity(len + 16);
    while text.len() < len {
        text.extend_from_slice(&words[random.below(2000) as usize]);
        if random.below(10) == 0 {
            text.push(random.next() as u8);
        }
    }
    text.truncate(len);
    text
}

/// Decodes a stream that comes in pieces of `piece` bytes, through a buffer of `buffer` bytes.
pub fn decode_in_pieces(
    compression: Compression,
    stream: &[u8],
    piece: usize,
    buffer: usize,
) -> Result<Vec<u8>, Fault> {
    let mut gzip = gzip::Decoder::new();
    let result = Decoder::new(compression, &mut gzip)
        .and_then(|mut decoder| drive(&mut decoder, stream, piece, &mut vec![0; buffer]));
    result.map_err(|error| {
        assert_eq!(error.compression, compression);
        error.fault
    })
}

fn drive(
    decoder: &mut Decoder<'_>,
    stream: &[u8],
    piece: usize,
    buffer: &mut [u8],
) -> Result<Vec<u8>, Error> {
    let (mut filled, mut output) = (0, Vec::new());
    // The last piece is empty: what is left may still have to go out.
    for mut input in stream.chunks(piece).chain([&[][..]]) {
        loop {
            let decoded = decoder.decode(input, buffer, filled)?;
            output.extend_from_slice(&buffer[filled..filled + decoded.produced]);
            filled = (filled + decoded.produced) % buffer.len();
            input = &input[decoded.consumed..];
            if input.is_empty() && decoded.produced == 0 {
                break;
            }
            assert!(decoded.consumed + decoded.produced > 0, "no standstill");
        }
    }
    decoder.finish()?;
    Ok(output)
}

pub fn decode(compression: Compression, stream: &[u8]) -> Result<Vec<u8>, Fault> {
    decode_in_pieces(compression, stream, stream.len().max(1), gzip::WINDOW_LEN)
}
