//! Images are packed and read again by the receivers' own reader.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::LazyLock;

use ironcast_cast::{
    Codec, Layout, Packed, Ranges, SecretKey, Settings, Source, pack, write_key_pair,
};
use ironcast_proto::cast::{Kind, PublicKey, Signed};
use ironcast_receiver_nostd::cast::{Reader, Step};

const MIB: usize = 1 << 20;

static ALL: LazyLock<Ranges> = LazyLock::new(Ranges::default);

fn settings<'s>(codec: Codec, keys: &'s [SecretKey], layout: &'s Layout) -> Settings<'s> {
    Settings {
        name: "lab",
        version: 7,
        created: 1_790_000_000,
        expires: Some(1_900_000_000),
        layout,
        unused: &ALL,
        chunk_size: MIB as u32,
        codec,
        keys,
    }
}

/// Text that can be compressed, zeroes, a hole, noise, and a short end.
fn image() -> Vec<u8> {
    let mut image = vec![0; 9 * MIB + 1024];
    for (number, byte) in image[..2 * MIB].iter_mut().enumerate() {
        *byte = b"sector of an image"[number % 18] ^ (number / 40_000) as u8;
    }
    let noise = &mut image[7 * MIB..8 * MIB];
    for (number, part) in noise.chunks_mut(32).enumerate() {
        part.copy_from_slice(blake3::hash(&number.to_le_bytes()).as_bytes());
    }
    image[9 * MIB + 1000] = 1;
    image
}

/// Writes only what is not zero.
fn write_sparse(path: &Path, image: &[u8]) {
    let file = File::create(path).unwrap();
    file.set_len(image.len() as u64).unwrap();
    for (number, block) in image.chunks(4096).enumerate() {
        if block.iter().any(|&byte| byte != 0) {
            file.write_all_at(block, number as u64 * 4096).unwrap();
        }
    }
}

fn packed(image: &Path, output: &Path, codec: Codec, keys: &[SecretKey]) -> (Packed, Vec<u8>) {
    let source = Source::open(image, Path::new("/tmp")).unwrap();
    let layout = Layout::read(&source, None).unwrap();
    let settings = &settings(codec, keys, &layout);
    let mut last = 0;
    let mut progress = |done: u64| {
        assert!(done > last);
        last = done;
    };
    let file = File::create(output).unwrap();
    let packed = pack(&source, (file, output), settings, &mut progress).unwrap();
    assert_eq!(last, packed.size);
    (packed, fs::read(output).unwrap())
}

/// The image of a stream, how its chunks were stored, and who has signed it.
fn read(stream: &[u8], trusted: &[PublicKey]) -> (Vec<u8>, Vec<Kind>, Signed) {
    let mut reader = Reader::new(trusted).unwrap();
    let (mut rest, mut image, mut kinds) = (stream, Vec::new(), Vec::new());
    loop {
        let taken = reader.take(rest).unwrap();
        rest = &rest[taken.consumed..];
        match taken.step {
            Step::More => {}
            Step::Manifest => {
                let (manifest, _) = reader.manifest().unwrap();
                assert_eq!((manifest.name, manifest.version), ("lab", 7));
                assert_eq!(manifest.expires, Some(1_900_000_000));
                reader.accept().unwrap();
            }
            Step::Chunk => {
                let chunk = reader.chunk().unwrap();
                kinds.push(chunk.kind);
                image.extend_from_slice(chunk.bytes);
                image.resize((chunk.start + u64::from(chunk.len)) as usize, 0);
            }
            Step::Ended => break,
        }
    }
    reader.finish().unwrap();
    assert!(rest.is_empty());
    (image, kinds, reader.manifest().unwrap().1)
}

#[test]
fn an_image_comes_out_as_it_went_in_and_the_same_comes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, cast) = (
        folder.path().join("image"),
        folder.path().join("image.cast"),
    );
    let image = image();
    write_sparse(&raw, &image);
    for (codec, kind) in [
        (Codec::None, Kind::Plain),
        (Codec::Lz4, Kind::Lz4),
        (Codec::Zstd(3), Kind::Zstd),
    ] {
        let (about, stream) = packed(&raw, &cast, codec, &[]);
        assert_eq!((about.chunks, about.zeroes), (10, 6), "{codec:?}");
        assert_eq!(about.written, stream.len() as u64);
        let (out, kinds, signed) = read(&stream, &[]);
        assert!(out == image, "{codec:?}");
        assert_eq!(signed, Signed::Unchecked { signatures: 0 });
        assert_eq!((kinds[0], kinds[7]), (kind, Kind::Plain));
        assert_eq!(kinds[2..7], [Kind::Zero; 5]);
        let (_, again) = packed(&raw, &cast, codec, &[]);
        assert!(again == stream, "{codec:?}");
    }
}

#[test]
fn larger_chunks_have_blocks_of_all_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, cast) = (folder.path().join("image"), folder.path().join("cast"));
    let image = image();
    write_sparse(&raw, &image);
    let source = Source::open(&raw, folder.path()).unwrap();
    let layout = Layout::read(&source, None).unwrap();
    for codec in [Codec::Lz4, Codec::Zstd(1)] {
        let settings = Settings {
            chunk_size: 16 * MIB as u32,
            ..settings(codec, &[], &layout)
        };
        let file = File::create(&cast).unwrap();
        pack(&source, (file, &cast), &settings, &mut |_| {}).unwrap();
        let (out, kinds, _) = read(&fs::read(&cast).unwrap(), &[]);
        assert!(out == image && kinds != [Kind::Plain], "{codec:?}");
    }
}

#[test]
fn who_has_signed_is_known_by_the_public_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_sparse(&path("image"), &image());
    let mut keys = Vec::new();
    for name in ["first", "second"] {
        let secret = path(name);
        let public = secret.with_extension("pub");
        write_key_pair(&secret, &public, Some(String::new())).unwrap();
        keys.push(SecretKey::read(&secret, Some(String::new())).unwrap());
    }
    let (_, stream) = packed(&path("image"), &path("cast"), Codec::Lz4, &keys);
    for key in &keys {
        let (_, _, signed) = read(&stream, &[key.public()]);
        assert_eq!(signed, Signed::By(key.public().number));
    }
}

#[test]
fn an_image_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    for len in [0, 511, 513] {
        fs::write(&path, vec![1; len]).unwrap();
        let source = Source::open(&path, folder.path()).unwrap();
        let output = folder.path().join("cast");
        let file = File::create(&output).unwrap();
        let layout = Layout::read(&source, None).unwrap();
        let settings = settings(Codec::None, &[], &layout);
        let result = pack(&source, (file, &output), &settings, &mut |_| {});
        let error = result.unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
