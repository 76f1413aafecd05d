//! Any bytes as a gzip stream, in pieces of any size.
//!
//! No call makes more than its buffer has room for or takes more than it was given, and how the
//! stream is cut into pieces changes nothing.
#![no_main]

use ironcast_receiver_nostd::gzip::{WINDOW_LEN, Workspace};
use libfuzzer_sys::fuzz_target;

/// What is made of `stream` in pieces of `piece` bytes, at most 1 MiB of it.
fn decode(stream: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let mut decoder = Box::new(Workspace::new());
    let mut buffer = vec![0; WINDOW_LEN];
    let (mut filled, mut all) = (0, Vec::new());
    for mut input in stream.chunks(piece) {
        while !input.is_empty() {
            let Ok(decoded) = decoder.decode(input, &mut buffer, filled) else {
                return (all, false);
            };
            assert!(decoded.consumed <= input.len());
            assert!(filled + decoded.produced <= buffer.len());
            all.extend_from_slice(&buffer[filled..filled + decoded.produced]);
            filled = (filled + decoded.produced) % buffer.len();
            input = &input[decoded.consumed..];
            assert!(decoded.consumed + decoded.produced > 0, "no headway");
            if all.len() > 1 << 20 {
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
    let whole = decode(stream, stream.len().max(1));
    let pieces = decode(stream, usize::from(piece) + 1);
    assert_eq!(whole.1, pieces.1);
    assert!(!whole.1 || whole.0 == pieces.0);
});
