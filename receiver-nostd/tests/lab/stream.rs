//! Cast streams with chunks of any kinds, put together from the format's own parts.

use std::io::Write as _;

use ed25519_dalek::{Signer, SigningKey};
use ironcast_proto::cast::{
    Entry, Head, KeyNumber, Kind, MAX_MANIFEST_LEN, Manifest, PublicKey, Signature, TableMaker,
};
use lz4_flex::frame::FrameEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::{TestDisk, image};

/// Bytes of a chunk.
pub const CHUNK: usize = 256 << 10;

/// A byte that a hole leaves as it was.
pub const OLD: u8 = 0xEE;

/// Chunks of every kind, and some twice.
pub const ALL: &[Kind] = &[
    Kind::Plain,
    Kind::Hole,
    Kind::Zstd,
    Kind::Zero,
    Kind::Lz4,
    Kind::Plain,
    Kind::Zero,
    Kind::Zstd,
];

/// A disk of `len` bytes, each of which is [`OLD`].
pub fn old_disk(len: usize) -> TestDisk {
    TestDisk::with_capacity(len as u64)
        .with_sectors_of(512)
        .holding(vec![OLD; len])
}

/// Bytes that can be compressed; others for each number.
pub fn data(number: usize, len: usize) -> Vec<u8> {
    let part = image(len / 5 + number).split_off(number);
    part.into_iter().cycle().take(len).collect()
}

/// A stream in its parts, which can be spoilt before it is put together.
#[derive(Clone)]
pub struct Stream {
    pub manifest: Manifest<'static>,
    pub entries: Vec<Entry>,
    pub stored: Vec<Vec<u8>>,
}

pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

pub fn stored(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    match kind {
        Kind::Hole | Kind::Zero => Vec::new(),
        Kind::Plain => bytes.to_vec(),
        Kind::Lz4 => lz4(bytes),
        Kind::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
    }
}

pub fn entry(kind: Kind, bytes: &[u8], stored: &[u8]) -> Entry {
    let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let mut entry = Entry {
        kind,
        stored: stored.len() as u32,
        hash: hash(bytes),
        stored_hash: [0; 16],
    };
    match kind {
        Kind::Hole => entry.hash = [0; 32],
        Kind::Lz4 | Kind::Zstd => entry.stored_hash.copy_from_slice(&hash(stored)[..16]),
        Kind::Zero | Kind::Plain => {}
    }
    entry
}

impl Stream {
    /// An image of chunks of these kinds, the last of which is short.
    pub fn new(kinds: &[Kind]) -> (Self, Vec<u8>) {
        let mut bytes = Vec::new();
        let (mut entries, mut all_stored) = (Vec::new(), Vec::new());
        for (number, &kind) in kinds.iter().enumerate() {
            let len = if number + 1 == kinds.len() {
                5 * 512
            } else {
                CHUNK
            };
            let chunk = match kind {
                Kind::Hole => vec![OLD; len],
                Kind::Zero => vec![0; len],
                _ => data(number, len),
            };
            let stored = stored(kind, &chunk);
            entries.push(entry(kind, &chunk, &stored));
            all_stored.push(stored);
            bytes.extend(chunk);
        }
        let manifest = Manifest {
            features: Default::default(),
            name: "image",
            uuid: [1; 16],
            version: 1,
            created: 0,
            expires: None,
            size: bytes.len() as u64,
            sector_size: 512,
            chunk_size: CHUNK as u32,
            least_disk: bytes.len() as u64,
            partitions: None,
            root: [0; 32],
            stored: 0,
        };
        let stream = Self {
            manifest,
            entries,
            stored: all_stored,
        };
        (stream, bytes)
    }

    /// The bytes, signed by the keys of these seeds.
    pub fn bytes(&self, seeds: &[u8]) -> Vec<u8> {
        let mut maker = TableMaker::default();
        let table: Vec<u8> = self
            .entries
            .iter()
            .flat_map(|one| maker.push(one))
            .collect();
        let manifest = Manifest {
            features: maker.features(),
            root: maker.root(),
            stored: maker.stored(),
            ..self.manifest
        };
        let mut buffer = vec![0; MAX_MANIFEST_LEN];
        let len = manifest.encode(&mut buffer).expect("a good manifest");
        let manifest_len = len as u32;
        let mut bytes = [&Head { manifest_len }.encode()[..], &buffer[..len]].concat();
        let signed = bytes.clone();
        bytes.extend((seeds.len() as u16).to_le_bytes());
        for &seed in seeds {
            let signature = Signature {
                key: KeyNumber([seed; 8]),
                bytes: secret(seed).sign(&signed).to_bytes(),
            };
            bytes.extend(signature.encode());
        }
        bytes.extend(table);
        bytes.extend(self.stored.concat());
        bytes
    }
}

pub fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The key of a seed, to be trusted.
pub fn public(seed: u8) -> PublicKey {
    let bytes = [
        b"Ed",
        &[seed; 8][..],
        secret(seed).verifying_key().as_bytes(),
    ]
    .concat();
    PublicKey::from_bytes(&bytes).expect("a key")
}
