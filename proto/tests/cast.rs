//! Cast streams from their first byte to their table: what is right is read, however it arrives,
//! and nothing else is.
#![allow(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::{Signer, SigningKey};
use ironcast_proto::cast::{
    CastError, ENTRY_LEN, Entry, Features, HEAD_LEN, Head, KeyNumber, Kind, MAX_MANIFEST_LEN,
    Manifest, ManifestError, PREAMBLE_LEN, Preamble, PublicKey, SIGNATURE_LEN, Signature, Signed,
    Table, TableMaker, Word,
};

const CHUNK: u32 = 64 << 10;

fn manifest() -> Manifest<'static> {
    Manifest {
        features: Features::default(),
        name: "lab-2026",
        uuid: [7; 16],
        version: 3,
        created: 1_790_000_000,
        expires: None,
        size: 5 * u64::from(CHUNK) + 512,
        sector_size: 512,
        chunk_size: CHUNK,
        least_disk: 512,
        partitions: None,
        root: [9; 32],
        stored: 0,
    }
}

fn encoded(manifest: &Manifest<'_>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MANIFEST_LEN];
    let len = manifest.encode(&mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

#[test]
fn a_manifest_reads_as_it_was_written() {
    let all = Manifest {
        features: Features {
            lz4: true,
            zstd: true,
            holes: true,
        },
        expires: Some(u64::MAX),
        partitions: Some("1: EFI system\n2: Linux"),
        sector_size: 4096,
        size: 1 << 56,
        least_disk: 4096,
        chunk_size: 16 << 20,
        stored: 1 << 56,
        ..manifest()
    };
    for one in [manifest(), all] {
        assert_eq!(Manifest::decode(&encoded(&one)), Ok(one));
    }
    assert_eq!(all.chunks().count(), 1 << 32);
    let short = [&mut [0; 40][..], &mut []];
    for buffer in short {
        assert_eq!(all.encode(buffer), Err(ManifestError::TooLong));
    }
}

#[test]
fn chunks_end_where_the_image_does() {
    let chunks = manifest().chunks();
    assert_eq!((chunks.count(), chunks.size()), (6, CHUNK));
    let lengths: Vec<u32> = (0..8).map(|chunk| chunks.len(chunk)).collect();
    assert_eq!(lengths, [CHUNK, CHUNK, CHUNK, CHUNK, CHUNK, 512, 0, 0]);
    assert_eq!(chunks.start(5), 5 * u64::from(CHUNK));
    assert_eq!(chunks.len(u64::MAX), 0);
}

#[test]
fn values_out_of_their_range_are_neither_written_nor_read() {
    type Change = fn(&mut Manifest<'static>);
    let wrong: [(u64, Change); 14] = [
        (1, |one| one.name = ""),
        (1, |one| one.name = "two words"),
        (1, |one| one.name = "bell\u{7}"),
        (6, |one| one.size = 0),
        (6, |one| one.size = 513),
        (6, |one| one.size = (1 << 56) + 512),
        (7, |one| one.sector_size = 1024),
        (7, |one| one.sector_size = 0),
        (8, |one| one.chunk_size = CHUNK / 2),
        (8, |one| one.chunk_size = CHUNK + 512),
        (8, |one| one.chunk_size = 32 << 20),
        (9, |one| one.least_disk = 511),
        (9, |one| one.least_disk = one.size + 1),
        (12, |one| one.stored = one.size + 1),
    ];
    for (key, change) in wrong {
        let mut one = manifest();
        change(&mut one);
        let mut buffer = [0; 1000];
        assert_eq!(one.encode(&mut buffer), Err(ManifestError::Range(key)));
    }
    // What is written wrongly by somebody else: the size's key has the sector size's value.
    let mut bytes = encoded(&manifest());
    let place = bytes
        .windows(4)
        .position(|at| at == [7, 0x19, 2, 0])
        .unwrap();
    bytes[place + 2] = 4;
    assert_eq!(Manifest::decode(&bytes), Err(ManifestError::Range(7)));
}

/// The manifest with its map's head replaced by that of one more pair, and `pair` at the end.
fn with_pair(pair: &[u8]) -> Vec<u8> {
    let mut bytes = encoded(&manifest());
    bytes[0] += 1;
    bytes.extend_from_slice(pair);
    bytes
}

#[test]
fn what_is_optional_and_unknown_is_skipped_and_what_is_required_is_named() {
    // Key 13: a map of an array of arrays, and a tagged text.
    let nested = with_pair(&[13, 0xA2, 1, 0x82, 0x81, 5, 0x80, 2, 0xC0, 0x61, b'x']);
    assert_eq!(Manifest::decode(&nested), Ok(manifest()));
    let mut required = encoded(&manifest());
    assert_eq!(required[1..3], [0, 0x80]);
    required.splice(2..3, *b"\x81\x65delta");
    let error = Manifest::decode(&required).unwrap_err();
    assert_eq!(error, ManifestError::Feature(Word::new("delta")));
    assert!(error.to_string().contains("\"delta\""), "{error}");
    let mut many = encoded(&manifest());
    many.splice(2..3, [0x91]);
    assert_eq!(Manifest::decode(&many), Err(ManifestError::ManyFeatures));
}

#[test]
fn a_manifest_that_is_not_as_it_should_be_is_refused() {
    let good = encoded(&manifest());
    for len in 0..good.len() {
        assert!(Manifest::decode(&good[..len]).is_err(), "{len} bytes");
    }
    let with = |bytes: &[u8]| Manifest::decode(bytes).unwrap_err();
    assert_eq!(with(&[&good[..], &[0]].concat()), ManifestError::Trailing);
    assert_eq!(with(&with_pair(&[12, 0])), ManifestError::Order(12));
    assert_eq!(with(&with_pair(&[3, 0])), ManifestError::Order(3));
    assert_eq!(with(&[0xA0]), ManifestError::Missing(0));
    assert_eq!(with(&[0xBF, 0xFF]), ManifestError::Malformed(0));
    assert!(matches!(with(b"no CBOR"), ManifestError::Malformed(_)));
    // Arrays in arrays, 8 deep and 9.
    assert!(Manifest::decode(&with_pair(&[&[13][..], &[0x81; 8], &[0]].concat())).is_ok());
    for value in [
        &[&[0x81; 9][..], &[0]].concat()[..],
        &[0xFF],
        &[0x9F, 0xFF],
        &[0xBF, 0xFF],
        &[0x5F, 0xFF],
        &[0x7F, 0xFF],
        &[0x1C],
        &[0x81, 0xFF],
    ] {
        let error = with(&with_pair(&[&[13], value].concat()));
        assert!(
            matches!(error, ManifestError::Malformed(_)),
            "{value:02x?}: {error}"
        );
    }
    // An array that claims to be endless.
    let endless = with_pair(&[13, 0x9B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    assert!(matches!(with(&endless), ManifestError::Malformed(_)));
}

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    let bytes = [
        b"Ed",
        &[seed; 8][..],
        secret(seed).verifying_key().as_bytes(),
    ]
    .concat();
    PublicKey::from_bytes(&bytes).unwrap()
}

/// Head, manifest, and signatures by the keys of these seeds.
fn preamble(manifest: &Manifest<'_>, seeds: &[u8]) -> Vec<u8> {
    let manifest = encoded(manifest);
    let manifest_len = manifest.len() as u32;
    let mut bytes = [&Head { manifest_len }.encode()[..], &manifest].concat();
    let signed = bytes.clone();
    bytes.extend_from_slice(&(seeds.len() as u16).to_le_bytes());
    for &seed in seeds {
        let signature = Signature {
            key: KeyNumber([seed; 8]),
            bytes: secret(seed).sign(&signed).to_bytes(),
        };
        bytes.extend_from_slice(&signature.encode());
    }
    bytes
}

/// Who has signed a stream of which `piece` bytes arrive at a time.
fn read(bytes: &[u8], piece: usize, trusted: &[PublicKey]) -> Result<Option<Signed>, CastError> {
    let memory = vec![0; PREAMBLE_LEN];
    let mut preamble = Preamble::new(memory, trusted)?;
    let mut taken = 0;
    for piece in bytes.chunks(piece) {
        taken += preamble.push(piece)?;
    }
    Ok(preamble.manifest().map(|(_, signed)| {
        assert!(preamble.is_complete() && taken <= bytes.len());
        signed
    }))
}

#[test]
fn p2_a_preamble_is_complete_when_all_is_there_however_it_comes() {
    let trusted = [public(1), public(2)];
    let bytes = preamble(&manifest(), &[5, 2, 1]);
    for piece in [1, 7, 71, 72, 1000] {
        assert_eq!(
            read(&bytes, piece, &trusted),
            Ok(Some(Signed::By(KeyNumber([2; 8]))))
        );
        let unchecked = Signed::Unchecked { signatures: 3 };
        assert_eq!(read(&bytes, piece, &[]), Ok(Some(unchecked)));
    }
    for len in 0..bytes.len() {
        assert_eq!(read(&bytes[..len], 1000, &trusted), Ok(None), "{len} bytes");
    }
    let memory = vec![0; PREAMBLE_LEN];
    let mut one = Preamble::new(memory, &trusted).unwrap();
    let more = [&bytes[..], b"what follows"].concat();
    assert_eq!(one.push(&more), Ok(bytes.len()));
    assert_eq!(one.push(b"what follows"), Ok(0));
    assert_eq!(one.manifest().unwrap().0, manifest());
}

#[test]
fn p2_who_is_not_trusted_is_refused() {
    let trusted = [public(1)];
    let read = |seeds: &[u8]| read(&preamble(&manifest(), seeds), 1000, &trusted);
    assert_eq!(read(&[]), Err(CastError::NotTrusted { others: 0 }));
    assert_eq!(read(&[2, 3]), Err(CastError::NotTrusted { others: 2 }));
    assert_eq!(read(&[2, 1]), Ok(Some(Signed::By(KeyNumber([1; 8])))));
}

#[test]
fn p2_no_bit_of_what_is_signed_can_be_changed() {
    let trusted = [public(1)];
    let good = preamble(&manifest(), &[1]);
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // A longer manifest, or more signatures, are waited for.
        let result = read(&bytes, 1000, &trusted);
        assert!(!matches!(result, Ok(Some(_))), "bit {bit}: {result:?}");
    }
    let at = good.len() - SIGNATURE_LEN;
    let mut bytes = good;
    bytes[at + 20] ^= 1;
    let bad = CastError::BadSignature(KeyNumber([1; 8]));
    assert_eq!(read(&bytes, 1000, &trusted), Err(bad));
}

#[test]
fn a_key_that_is_none_is_not_taken() {
    let good = [b"Ed", &[1; 8][..], secret(1).verifying_key().as_bytes()].concat();
    assert!(PublicKey::from_bytes(&good).is_some());
    assert!(PublicKey::from_bytes(&good[1..]).is_none());
    assert!(PublicKey::from_bytes(&[&good[..], &[0]].concat()).is_none());
    assert!(PublicKey::from_bytes(&[b"ED", &good[2..]].concat()).is_none());
    assert_eq!(
        KeyNumber([1, 2, 3, 4, 5, 6, 7, 0xAB]).to_string(),
        "AB07060504030201"
    );
}

/// A chunk of each kind, and the last, which is short.
fn entries() -> Vec<Entry> {
    let zeroes = |len: u32| *blake3::hash(&vec![0; len as usize]).as_bytes();
    let entry = |kind, stored, hash| Entry {
        kind,
        stored,
        hash,
        stored_hash: match kind {
            Kind::Lz4 | Kind::Zstd => [4; 16],
            _ => [0; 16],
        },
    };
    vec![
        entry(Kind::Zero, 0, zeroes(CHUNK)),
        entry(Kind::Plain, CHUNK, [1; 32]),
        entry(Kind::Lz4, CHUNK - 1, [2; 32]),
        entry(Kind::Hole, 0, [0; 32]),
        entry(Kind::Zstd, 1, [3; 32]),
        entry(Kind::Zero, 0, zeroes(512)),
    ]
}

/// The table of these entries, and the manifest that it is of.
fn table(entries: &[Entry]) -> (Manifest<'static>, Vec<u8>) {
    let mut maker = TableMaker::default();
    let bytes = entries.iter().flat_map(|entry| maker.push(entry)).collect();
    let manifest = Manifest {
        features: maker.features(),
        stored: maker.stored(),
        root: maker.root(),
        ..manifest()
    };
    (manifest, bytes)
}

fn read_table(manifest: &Manifest<'_>, bytes: &[u8], piece: usize) -> Result<bool, CastError> {
    let memory = vec![0; manifest.table_len() as usize];
    let mut table = Table::new(manifest, memory)?;
    for piece in bytes.chunks(piece) {
        table.push(piece)?;
    }
    Ok(table.is_complete())
}

#[test]
fn a_table_is_complete_when_all_is_there_however_it_comes() {
    let (manifest, bytes) = table(&entries());
    let all = Features {
        lz4: true,
        zstd: true,
        holes: true,
    };
    assert_eq!(manifest.features, all);
    assert_eq!(manifest.stored, 2 * u64::from(CHUNK));
    for piece in [1, 7, 52, 1000] {
        assert_eq!(read_table(&manifest, &bytes, piece), Ok(true));
        let short = &bytes[..bytes.len() - 1];
        assert_eq!(read_table(&manifest, short, piece), Ok(false));
    }
    let mut memory = vec![0; bytes.len()];
    let mut one = Table::new(&manifest, &mut memory[..]).unwrap();
    assert_eq!(one.entry(0), None);
    let more = [&bytes[..], b"what follows"].concat();
    assert_eq!(one.push(&more), Ok(bytes.len()));
    let read: Vec<Entry> = (0..6).filter_map(|chunk| one.entry(chunk)).collect();
    assert_eq!(read, entries());
    assert_eq!((one.entry(6), one.entry(u64::MAX)), (None, None));
    let needed = 6 * ENTRY_LEN as u64;
    let error = Table::new(&manifest, &mut memory[1..]).unwrap_err();
    assert_eq!(error, CastError::Memory { needed });
}

#[test]
fn a_table_that_is_not_the_manifests_is_refused() {
    let (manifest, good) = table(&entries());
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(read_table(&manifest, &bytes, 1000).is_err(), "bit {bit}");
    }
}

#[test]
fn entries_that_lie_are_refused_at_once_and_by_their_number() {
    let with = |chunk: usize, entry: Entry| {
        let mut entries = entries();
        entries[chunk] = entry;
        let (manifest, bytes) = table(&entries);
        // The rest is not even looked at.
        read_table(&manifest, &bytes[..(chunk + 1) * ENTRY_LEN], 1000)
    };
    let hash = [1; 32];
    let lengths = [
        (0, Kind::Zero, 1),
        (1, Kind::Plain, CHUNK - 1),
        (5, Kind::Plain, CHUNK),
        (2, Kind::Lz4, 0),
        (2, Kind::Lz4, CHUNK),
        (5, Kind::Zstd, 512),
        (3, Kind::Hole, 52),
    ];
    for (chunk, kind, stored) in lengths {
        let result = with(
            chunk,
            Entry {
                kind,
                stored,
                hash,
                stored_hash: [0; 16],
            },
        );
        let chunk = chunk as u64;
        let error = CastError::StoredLength {
            chunk,
            kind,
            stored,
        };
        assert_eq!(result, Err(error));
    }
    for kind in [Kind::Zero, Kind::Hole] {
        let entry = Entry {
            kind,
            stored: 0,
            hash,
            stored_hash: [0; 16],
        };
        assert_eq!(with(4, entry), Err(CastError::IdleHash { chunk: 4 }));
    }
    for one in [0, 1, 3] {
        let mut entry = entries()[one];
        entry.stored_hash[15] = 1;
        assert_eq!(with(1, entry), Err(CastError::IdleHash { chunk: 1 }));
    }
    let (manifest, mut bytes) = table(&entries());
    bytes[ENTRY_LEN + 3] = 0x50;
    let error = CastError::Kind { chunk: 1, kind: 5 };
    assert_eq!(read_table(&manifest, &bytes, 1000), Err(error));
}

#[test]
fn what_the_manifest_says_of_the_table_has_to_be_so() {
    let (manifest, bytes) = table(&entries());
    let read = |manifest| read_table(&manifest, &bytes, 1000);
    let total = Manifest {
        stored: 1,
        ..manifest
    };
    let wrong = CastError::StoredTotal {
        table: manifest.stored,
        manifest: 1,
    };
    assert_eq!(read(total), Err(wrong));
    let root = Manifest {
        root: [0; 32],
        ..manifest
    };
    assert_eq!(read(root), Err(CastError::Root));
    for (chunk, kind) in [(2, Kind::Lz4), (3, Kind::Hole), (4, Kind::Zstd)] {
        let mut features = manifest.features;
        match kind {
            Kind::Lz4 => features.lz4 = false,
            Kind::Hole => features.holes = false,
            _ => features.zstd = false,
        }
        let error = CastError::Unnamed { chunk, kind };
        assert_eq!(
            read(Manifest {
                features,
                ..manifest
            }),
            Err(error)
        );
    }
}

#[test]
fn a_head_has_its_length() {
    assert_eq!(Head { manifest_len: 1 }.encode().len(), HEAD_LEN);
}
