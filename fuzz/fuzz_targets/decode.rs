//! Any bytes as a compressed stream of the kind that they begin like, in pieces of any size.
//!
//! No call makes more than its buffer has room for or takes more than it was given, each gets
//! ahead, and how the stream is cut into pieces changes nothing.
#![no_main]

use ironcast_receiver_nostd::decode::{Compression, Decoder, gzip};
use libfuzzer_sys::fuzz_target;

/// The most that is decoded, in bytes.
const LIMIT: usize = 1 << 20;

/// What is made of `stream` in pieces of `piece` bytes, and whether it ended well.
fn decode(compression: Compression, stream: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let mut memory = Box::new(gzip::Decoder::new());
    let mut decoder = Decoder::new(compression, &mut memory).expect("the decoder is built in");
    let mut buffer = vec![0; gzip::WINDOW_LEN];
    let (mut filled, mut all) = (0, Vec::new());
    // The last piece is empty: what is left may still have to go out.
    for mut input in stream.chunks(piece).chain([&[][..]]) {
        loop {
            let Ok(decoded) = decoder.decode(input, &mut buffer, filled) else {
                return (all, false);
            };
            assert!(decoded.consumed <= input.len());
            assert!(filled + decoded.produced <= buffer.len());
            all.extend_from_slice(&buffer[filled..filled + decoded.produced]);
            filled = (filled + decoded.produced) % buffer.len();
            input = &input[decoded.consumed..];
            if input.is_empty() && decoded.produced == 0 {
                break;
            }
            assert!(decoded.consumed + decoded.produced > 0, "no headway");
            if all.len() > LIMIT {
                return (all, false);
            }
        }
    }
    (all, decoder.finish().is_ok())
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, stream)) = input.split_first() else {
        return;
    };
    let compression = Compression::of(stream).unwrap_or(Compression::Gzip);
    let whole = decode(compression, stream, stream.len().max(1));
    let pieces = decode(compression, stream, usize::from(piece) + 1);
    assert_eq!(whole.1, pieces.1);
    assert!(!whole.1 || whole.0 == pieces.0);
});
