//! Compressed streams of one and the same content, made by the decoders' own crates, so that they
//! are the same wherever they are measured.

use std::io::Write;

use ironcast_receiver_nostd::decode::{Compression, Decoder, gzip};
use ironcast_tests::image::Random;

/// Bytes of the content.
pub const LEN: usize = 1 << 20;

/// Bytes of the buffer that is decoded into.
const BUFFER: usize = 256 << 10;

/// Bytes of a block of lzop's.
const LZOP_BLOCK: usize = 256 << 10;

/// A compressed stream.
#[derive(Clone, Debug)]
pub struct Stream {
    compression: Compression,
    bytes: Vec<u8>,
}

impl Stream {
    /// The content, compressed.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        let content = content();
        let bytes = match compression {
            Compression::Gzip => gzip_of(&content),
            Compression::Lzop => lzop_of(&content),
            Compression::Lz4 => lz4_of(&content),
            Compression::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                ruzstd::encoding::compress_to_vec(&content[..], level)
            }
        };
        Self { compression, bytes }
    }

    /// Decodes it, and gives how many bytes that made: [`LEN`], unless something is wrong.
    #[must_use]
    pub fn decode(&self) -> usize {
        let mut memory = Box::new(gzip::Decoder::new());
        let Ok(mut decoder) = Decoder::new(self.compression, &mut memory) else {
            return 0;
        };
        let mut buffer = vec![0; BUFFER];
        let (mut input, mut filled, mut all) = (&self.bytes[..], 0, 0);
        while let Ok(decoded) = decoder.decode(input, &mut buffer, filled) {
            all += decoded.produced;
            filled = (filled + decoded.produced) % BUFFER;
            input = &input[decoded.consumed..];
            if input.is_empty() && decoded.produced == 0 {
                break;
            }
        }
        all
    }
}

/// Half words that come again and again, half noise: about what an image's files are.
fn content() -> Vec<u8> {
    let mut random = Random::new(2);
    let mut content = Vec::with_capacity(LEN + 64);
    let words: Vec<[u8; 8]> = (0..500).map(|_| random.next_u64().to_le_bytes()).collect();
    while content.len() < LEN {
        if random.next_u64().is_multiple_of(2) {
            content.extend(random.next_u64().to_le_bytes());
        }
        let word = random.next_u64() as usize % words.len();
        content.extend(words[word]);
    }
    content.truncate(LEN);
    content
}

// Writing to memory can't fail; should it all the same, the stream is empty, and decodes to
// nothing.
fn gzip_of(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let written = encoder.write_all(content);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

fn lz4_of(content: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    match encoder.write_all(content) {
        Ok(()) => encoder.finish().unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// As lzop writes it: a header with an Adler-32, blocks with one of their content, an end.
fn lzop_of(content: &[u8]) -> Vec<u8> {
    const ADLER_OF_CONTENT: u32 = 1;
    let mut header = vec![0x10, 0x40, 0x20, 0xa0, 0x09, 0x40, 1, 5];
    header.extend(ADLER_OF_CONTENT.to_be_bytes());
    // Mode, times, and no name.
    header.extend([0; 13]);
    let mut stream = b"\x89LZO\0\r\n\x1a\n".to_vec();
    stream.extend(&header);
    stream.extend(adler2::adler32_slice(&header).to_be_bytes());
    for block in content.chunks(LZOP_BLOCK) {
        let packed = lzokay::compress::compress(block).unwrap_or_default();
        for word in [
            block.len() as u32,
            packed.len() as u32,
            adler2::adler32_slice(block),
        ] {
            stream.extend(word.to_be_bytes());
        }
        stream.extend(packed);
    }
    stream.extend([0; 4]);
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_is_smaller_and_decodes_to_all() {
        for compression in Compression::ALL {
            let stream = Stream::new(compression);
            assert!(stream.bytes.len() < LEN, "{compression:?}");
            assert_eq!(stream.decode(), LEN, "{compression:?}");
        }
    }
}
