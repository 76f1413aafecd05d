//! Any bytes as a cast stream, and streams whose parts are any bytes but agree with each other.
//!
//! What is given out is what the table says, in order, and only after manifest and table were whole
//! and right; how the stream is cut into pieces changes nothing, and memory stays within what an
//! image may ask for.
#![no_main]

use ironcast_proto::cast::{
    Entry, Head, Kind, MAX_MANIFEST_LEN, MIN_CHUNK_SIZE, Manifest, TableMaker,
};
use ironcast_receiver_nostd::cast::{Error, Reader, Step};
use libfuzzer_sys::fuzz_target;

/// The longest table that is accepted, in bytes: a receiver refuses what does not fit its memory.
const LONGEST_TABLE: u64 = 1 << 20;

/// What came of a stream: the hashes of the chunks that were given out, and how it ended.
fn read(stream: &[u8], piece: usize) -> (Vec<[u8; 32]>, Result<(), Error>) {
    let mut chunks = Vec::new();
    let result = read_to(stream, piece, &mut chunks);
    (chunks, result)
}

fn read_to(stream: &[u8], piece: usize, chunks: &mut Vec<[u8; 32]>) -> Result<(), Error> {
    let mut reader = Reader::new(&[])?;
    for mut input in stream.chunks(piece).chain([&[][..]]) {
        loop {
            let taken = reader.take(input)?;
            assert!(taken.consumed <= input.len());
            input = &input[taken.consumed..];
            match taken.step {
                Step::Manifest => {
                    let (manifest, _) = reader.manifest().expect("it was told of");
                    if manifest.table_len() > LONGEST_TABLE {
                        return Err(Error::Memory { needed: 0 });
                    }
                    reader.accept()?;
                }
                Step::Chunk => take_chunk(&reader, chunks),
                Step::More | Step::Ended if !taken.has_moved => break,
                Step::More | Step::Ended => {}
            }
        }
    }
    reader.finish()
}

fn take_chunk(reader: &Reader<'_>, chunks: &mut Vec<[u8; 32]>) {
    let chunk = reader.chunk().expect("it was told of");
    assert_eq!(chunk.number, chunks.len() as u64);
    let entry = reader.table().expect("it comes before").entry(chunk.number);
    let entry = entry.expect("every chunk has one");
    match chunk.kind {
        Kind::Hole | Kind::Zero => assert!(chunk.bytes.is_empty()),
        _ => {
            assert_eq!(chunk.bytes.len(), chunk.len as usize);
            assert_eq!(*blake3::hash(chunk.bytes).as_bytes(), entry.hash);
        }
    }
    chunks.push(entry.hash);
}

/// A stream of chunks that are these bytes: each begins with its kind and its length.
fn stream_of(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut maker, mut table, mut all) = (TableMaker::default(), Vec::new(), Vec::new());
    let mut count = 0;
    while let Some((&[kind, low, high], rest)) = bytes.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (stored, rest) = rest.split_at(len);
        let kind = [Kind::Lz4, Kind::Zstd][usize::from(kind % 2)];
        let mut stored_hash = [0; 16];
        stored_hash.copy_from_slice(&blake3::hash(stored).as_bytes()[..16]);
        // What it decodes to is not known here, so that no chunk is right in the end.
        table.extend(maker.push(&Entry {
            kind,
            stored: len as u32,
            hash: [0; 32],
            stored_hash,
        }));
        all.extend_from_slice(stored);
        count += 1;
        bytes = rest;
    }
    let size = count * u64::from(MIN_CHUNK_SIZE);
    let manifest = Manifest {
        features: maker.features(),
        name: "fuzz",
        uuid: [0; 16],
        version: 0,
        created: 0,
        expires: None,
        size,
        sector_size: 512,
        chunk_size: MIN_CHUNK_SIZE,
        least_disk: size,
        partitions: None,
        root: maker.root(),
        stored: maker.stored(),
    };
    let mut buffer = vec![0; MAX_MANIFEST_LEN];
    let len = manifest.encode(&mut buffer).ok()?;
    let manifest_len = len as u32;
    let head = Head { manifest_len }.encode();
    Some([&head[..], &buffer[..len], &[0, 0], &table, &all].concat())
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, rest)) = input.split_first() else {
        return;
    };
    let made = (piece % 2 == 1).then(|| stream_of(rest));
    let Some(stream) = made.unwrap_or_else(|| Some(rest.to_vec())) else {
        return;
    };
    let whole = read(&stream, stream.len().max(1));
    let pieces = read(&stream, usize::from(piece) + 1);
    assert_eq!(whole.0, pieces.0);
    assert_eq!(whole.1.is_ok(), pieces.1.is_ok());
});
