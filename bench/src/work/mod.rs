//! The list of pieces, and what each does in one turn.

mod machines;
mod streams;

use std::hint::black_box;

use ironcast_proto::bits::BitSet;
use ironcast_proto::fec::{self, Column, MAX_STRIPE};
use ironcast_proto::geometry::DEFAULT_BLOCK_SIZE;
use ironcast_proto::wire::{Data, Message};
use ironcast_receiver_nostd::decode::Compression;

use machines::Pair;
use streams::Stream;

/// Bytes of a block.
const BLOCK: usize = DEFAULT_BLOCK_SIZE as usize;

/// Bytes that are hashed at a time.
const HASHED: usize = 64 << 10;

/// Blocks of a stripe that are missing when it is rebuilt.
const MISSING: usize = 8;

/// A turn of a piece of work, again and again.
pub type Turn = Box<dyn FnMut()>;

/// A piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Its name: letters, digits and dashes.
    pub name: &'static str,
    /// What one turn is.
    pub unit: &'static str,
    /// Bytes of the image that one turn is about.
    pub bytes: u64,
    /// How many turns are counted: few where one is much.
    pub turns: u32,
    /// Makes everything ready for turns.
    pub make: fn() -> Turn,
}

const fn piece(
    name: &'static str,
    unit: &'static str,
    bytes: usize,
    turns: u32,
    make: fn() -> Turn,
) -> Piece {
    Piece {
        name,
        unit,
        bytes: bytes as u64,
        turns,
        make,
    }
}

/// All pieces.
pub const PIECES: &[Piece] = &[
    piece("parse", "DATA message", BLOCK, 2000, parse),
    piece("emit", "DATA header", BLOCK, 2000, emit),
    piece("bitset", "slice of 112 blocks", 112 * BLOCK, 500, bitset),
    piece(
        "machines",
        "datagram, sender and receiver",
        BLOCK,
        20_000,
        || machines(None),
    ),
    piece(
        "machines-loss",
        "datagram, sender and receiver, one of 50 lost",
        BLOCK,
        20_000,
        || machines(Some(50)),
    ),
    piece(
        "fec-encode",
        "8 FEC blocks of 128 blocks",
        MAX_STRIPE as usize * BLOCK,
        10,
        fec_encode,
    ),
    piece(
        "fec-rebuild",
        "8 of 128 blocks",
        MAX_STRIPE as usize * BLOCK,
        4,
        fec_rebuild,
    ),
    piece("blake3", "64 KiB", HASHED, 20, blake3),
    piece("crc32", "64 KiB", HASHED, 20, crc32),
    piece("gzip", "MiB decoded", streams::LEN, 2, || {
        decode(Compression::Gzip)
    }),
    piece("lzop", "MiB decoded", streams::LEN, 2, || {
        decode(Compression::Lzop)
    }),
    piece("lz4", "MiB decoded", streams::LEN, 2, || {
        decode(Compression::Lz4)
    }),
    piece("zstd", "MiB decoded", streams::LEN, 2, || {
        decode(Compression::Zstd)
    }),
];

fn parse() -> Turn {
    let payload = [7; BLOCK];
    let message = Data {
        slice: 1,
        block: 2,
        slice_bytes: 112 * BLOCK as u32,
        payload: &payload,
    };
    let mut datagram = vec![0; message.buffer_len()];
    let emitted = message.emit(&mut datagram);
    debug_assert!(emitted.is_ok());
    Box::new(move || {
        let _ = black_box(Message::parse(black_box(&datagram)));
    })
}

fn emit() -> Turn {
    let mut buffer = [0; Data::HEADER_LEN];
    Box::new(move || {
        let message = Data {
            slice: black_box(1),
            block: black_box(2),
            slice_bytes: 112 * BLOCK as u32,
            payload: &[],
        };
        let _ = black_box(message.emit_header(&mut buffer));
    })
}

/// What a receiver does with a slice: it notes each block, and looks whether one is missing.
fn bitset() -> Turn {
    Box::new(|| {
        let mut set = BitSet::EMPTY;
        for block in 0..112 {
            black_box(set.insert(black_box(block)));
        }
        let missing = BitSet::below(black_box(112)).difference(&set);
        black_box(missing.iter().count());
    })
}

fn machines(lost_of: Option<u64>) -> Turn {
    let mut pair = Pair::new(lost_of);
    Box::new(move || pair.datagram())
}

fn fec_encode() -> Turn {
    let memory = noise(MAX_STRIPE as usize * BLOCK);
    let mut parity = vec![0; 8 * BLOCK];
    Box::new(move || {
        let mut rows: Vec<&mut [u8]> = parity.chunks_mut(BLOCK).collect();
        fec::encode_rows(memory.chunks(BLOCK), &mut rows);
        black_box(&parity);
    })
}

fn fec_rebuild() -> Turn {
    // What is rebuilt is written over what it is rebuilt from: from the second turn on it is
    // nonsense, which takes as long.
    let mut memory = noise(MAX_STRIPE as usize * BLOCK);
    let columns: Vec<Column> = (0..MAX_STRIPE as usize)
        .map(|column| match column {
            missing if missing < MISSING => Column::Fec {
                at: missing * BLOCK,
                row: missing as u16,
            },
            there => Column::Data { at: there * BLOCK },
        })
        .collect();
    Box::new(move || {
        let _ = black_box(fec::rebuild(&mut memory, BLOCK, &columns));
    })
}

fn blake3() -> Turn {
    let bytes = noise(HASHED);
    let mut hasher = blake3::Hasher::new();
    Box::new(move || {
        hasher.update(black_box(&bytes));
    })
}

fn crc32() -> Turn {
    let bytes = noise(HASHED);
    let mut hasher = crc32fast::Hasher::new();
    Box::new(move || hasher.update(black_box(&bytes)))
}

fn decode(compression: Compression) -> Turn {
    let stream = Stream::new(compression);
    Box::new(move || {
        let decoded = stream.decode();
        debug_assert_eq!(decoded, streams::LEN);
        black_box(decoded);
    })
}

/// Bytes without an order, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ironcast_tests::image::Random::new(1).fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_takes_turns() {
        for piece in PIECES {
            let mut turn = (piece.make)();
            turn();
            turn();
        }
    }
}
