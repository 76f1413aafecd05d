//! The test vectors of docs/cast-format.md, by a reader in Python that was written from that
//! document, and by our programs: both take the same files, and refuse the same ones.
//!
//! Whoever writes a third reader has nothing but the document: so it is read here too, and what it
//! says of the vectors is compared with what they are.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ironcast_tests::Kind::Ours;
use ironcast_tests::image::{self, Random};
use ironcast_tests::{LabError, Program, find_tool};
use tempfile::TempDir;

const DOCUMENT: &str = include_str!("../../docs/cast-format.md");

/// Bytes of head and manifest that say how many the manifest has, and where it begins.
const HEAD_LEN: usize = 16;

/// A row of the document's table of vectors, and the file that it is about.
struct Vector {
    name: String,
    bytes: Vec<u8>,
    /// What it unpacks to, by the rule that the document has.
    image: Vec<u8>,
    /// BLAKE3 of that, by the document, in hexadecimal.
    hash: String,
}

impl Vector {
    fn all() -> Vec<Self> {
        let rows = DOCUMENT.lines().filter_map(|line| {
            let cells: Vec<&str> = line
                .split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect();
            cells.get(1)?.ends_with(".cast").then_some(cells)
        });
        let vectors: Vec<Self> = rows.map(|row| Self::new(&row)).collect();
        let files = fs::read_dir(tests_path("vectors")).unwrap().count();
        assert_eq!(vectors.len(), files, "the document lacks a vector");
        vectors
    }

    fn new(row: &[&str]) -> Self {
        let (size, used): (usize, usize) = (row[2].parse().unwrap(), row[3].parse().unwrap());
        let byte = |n| {
            if (131_072..used).contains(&n) {
                (n / 512 % 251) as u8
            } else {
                0
            }
        };
        Self {
            name: row[1].to_owned(),
            bytes: fs::read(tests_path("vectors").join(row[1])).unwrap(),
            image: (0..size).map(byte).collect(),
            hash: row[5].to_owned(),
        }
    }

    fn is_signed(&self) -> bool {
        self.name == "signed.cast"
    }

    /// Where the manifest ends.
    fn manifest_end(&self) -> usize {
        let length = self.bytes[12..HEAD_LEN].try_into().unwrap();
        HEAD_LEN + u32::from_le_bytes(length) as usize
    }
}

fn named(name: &str) -> Vector {
    let mut all = Vector::all().into_iter();
    all.find(|vector| vector.name == name).unwrap()
}

fn tests_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A folder in which files are read by both readers.
struct Readers {
    folder: TempDir,
    python: PathBuf,
    receiver: PathBuf,
}

/// What a reader made of a file.
struct Read {
    output: Output,
    /// What it wrote; `None` if it did not even begin to.
    written: Option<Vec<u8>>,
}

impl Read {
    /// Whether it took the file, which then came to `image`. What it has written of one that it
    /// refuses has to be of that too.
    fn is_taken(&self, image: &[u8], name: &str) -> bool {
        let written = self.written.as_deref().unwrap_or_default();
        if self.output.status.success() {
            assert!(written == image, "{name} comes to something else");
            return true;
        }
        assert_eq!(
            self.output.status.code(),
            Some(1),
            "{name}: {:?}",
            self.output
        );
        // Ours gives the file its length first.
        let is_part = written
            .iter()
            .zip(image)
            .all(|(found, expected)| *found == 0 || found == expected);
        assert!(is_part, "something bad of {name} was written");
        false
    }
}

impl Readers {
    fn new() -> Result<Self, LabError> {
        // The program itself: a script that looks for it first takes longer than all that it does.
        let mut python = Command::new(find_tool("python3")?);
        let python = python.args(["-c", "import sys; print(sys.executable)"]);
        let python = String::from_utf8(python.output().unwrap().stdout).unwrap();
        Ok(Self {
            folder: tempfile::tempdir().unwrap(),
            python: python.trim().into(),
            receiver: Program::receiver(Ours)?.path().to_owned(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The reader that was written from the document, with the tests' key if it is to trust one.
    fn python(&self, cast: &[u8], is_trusting: bool) -> Read {
        let mut command = Command::new(&self.python);
        command.arg("-BS").arg(tests_path("cast_reader.py"));
        fs::write(self.path("cast"), cast).unwrap();
        command.args([self.path("cast"), self.path("out")]);
        if is_trusting {
            command.arg(tests_path("keys/trusted.pub"));
        }
        self.read(&mut command)
    }

    /// Our own.
    fn ours(&self, cast: &[u8], is_trusting: bool) -> Read {
        let mut command = Command::new(&self.receiver);
        fs::write(self.path("cast"), cast).unwrap();
        command.arg("unpack");
        if is_trusting {
            command.arg("--trust").arg(tests_path("keys/trusted.pub"));
        }
        self.read(command.args([self.path("cast"), self.path("out")]))
    }

    fn read(&self, command: &mut Command) -> Read {
        let output = command.output().unwrap();
        let out = self.path("out");
        let written = out.exists().then(|| fs::read(&out).unwrap());
        if written.is_some() {
            fs::remove_file(&out).unwrap();
        }
        Read { output, written }
    }

    /// Whether both take a file; they have to agree.
    fn are_taking(&self, cast: &[u8], vector: &Vector, change: &str) -> bool {
        let name = format!("{} {change}", vector.name);
        let python = self.python(cast, vector.is_signed());
        let ours = self.ours(cast, vector.is_signed());
        let is_taken = python.is_taken(&vector.image, &name);
        assert_eq!(
            is_taken,
            ours.is_taken(&vector.image, &name),
            "{name}: the readers disagree: {:?}, {:?}",
            python.output,
            ours.output
        );
        if !is_taken {
            let said = String::from_utf8_lossy(&python.output.stderr).into_owned();
            assert!(said.starts_with("refused by clause "), "{name}: {said}");
        }
        is_taken
    }

    fn refuse(&self, cast: &[u8], vector: &Vector, change: &str) {
        assert!(
            !self.are_taking(cast, vector, change),
            "{} {change} is taken",
            vector.name
        );
    }
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn each_vector_is_what_the_document_says() -> Result<(), LabError> {
    let readers = Readers::new()?;
    let image_path = readers.path("image");
    for vector in Vector::all() {
        fs::write(&image_path, &vector.image).unwrap();
        let mut hash = Command::new(find_tool("b3sum")?);
        let hash = hash.arg("--no-names").arg(&image_path).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&hash.stdout).trim(),
            vector.hash,
            "{}",
            vector.name
        );
        assert!(
            readers.are_taking(&vector.bytes, &vector, "as it is"),
            "{}",
            vector.name
        );
        let mut verify = Command::new(&readers.receiver);
        verify.args([Path::new("verify"), &readers.path("cast"), &image_path]);
        if vector.is_signed() {
            verify.arg("--trust").arg(tests_path("keys/trusted.pub"));
        }
        let verify = verify.output().unwrap();
        assert!(verify.status.success(), "{}: {verify:?}", vector.name);
    }
    Ok(())
}

#[test]
fn the_documents_dump_is_of_the_vector() {
    let (_, dump) = DOCUMENT.split_once("```text\n0000  ").unwrap();
    let (dump, _) = dump.split_once("```").unwrap();
    let line_bytes = |line: &str| -> Vec<u8> {
        let (hexadecimal, _) = line.split_once("  ").unwrap_or((line, ""));
        let byte = |word| u8::from_str_radix(word, 16).unwrap();
        hexadecimal.split(' ').map(byte).collect()
    };
    let mut bytes = Vec::new();
    for (number, line) in dump.lines().enumerate() {
        let (offset, line) = if number == 0 {
            ("0000", line)
        } else {
            line.split_once("  ").unwrap()
        };
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len());
        bytes.extend(line_bytes(line));
    }
    assert_eq!(bytes.len(), 175);
    assert!(named("lz4.cast").bytes.starts_with(&bytes));
}

#[test]
fn what_is_packed_now_is_read_by_the_document_too() -> Result<(), LabError> {
    let readers = Readers::new()?;
    let sender = Program::sender(Ours)?;
    // Random bytes, which are stored plain, then text, then zeroes; not a whole number of chunks.
    image::write_random(&readers.path("image"), 70_000, 1)?;
    let mut image = fs::read(readers.path("image")).unwrap();
    image.extend(b"all work and no play ".iter().cycle().take(130_000));
    image.resize(400 << 10, 0);
    fs::write(readers.path("image"), &image).unwrap();
    for codec in ["none", "lz4", "zstd", "zstd:19"] {
        let mut pack = Command::new(sender.path());
        pack.args([
            "pack", "image", "-o", "new.cast", "--force", "--chunk", "64k",
        ]);
        pack.args(["--compress", codec, "--sign"])
            .arg(tests_path("keys/trusted.key"));
        let pack = pack.current_dir(readers.folder.path()).output().unwrap();
        assert!(pack.status.success(), "{codec}: {pack:?}");
        let cast = fs::read(readers.path("new.cast")).unwrap();
        let read = readers.python(&cast, true);
        assert!(read.is_taken(&image, codec), "{codec}: {:?}", read.output);
    }
    Ok(())
}

#[test]
fn a_bit_that_is_another_one_is_noticed_by_both() -> Result<(), LabError> {
    let readers = Readers::new()?;
    let vectors = Vector::all();
    let mut random = Random::new(8);
    for number in 0..40 {
        // Every second one in what is signed: there no bit of the manifest may be another either.
        let vector = match number % 2 {
            0 => vectors.iter().find(|vector| vector.is_signed()).unwrap(),
            _ => &vectors[number / 2 % vectors.len()],
        };
        let bit = random.next_u64() as usize % (8 * vector.bytes.len());
        let manifest = HEAD_LEN..vector.manifest_end();
        let is_proved = vector.is_signed() || !manifest.contains(&(bit / 8));
        let bit = if is_proved {
            bit
        } else {
            bit + 8 * manifest.len()
        };
        readers.refuse(
            &flipped(&vector.bytes, bit),
            vector,
            &format!("with bit {bit}"),
        );
    }
    Ok(())
}

#[test]
fn a_bit_that_changes_nothing_of_a_frame_is_noticed_too() -> Result<(), LabError> {
    let readers = Readers::new()?;
    let vector = named("mixed.cast");
    let is_magic = |bytes: &[u8]| bytes == [0x28, 0xB5, 0x2F, 0xFD];
    let frame = vector.bytes.windows(4).position(is_magic).unwrap();
    // The bit of the descriptor that RFC 8878 calls unused, 3.1.1.1.1.3.
    let unused = flipped(&vector.bytes, 8 * (frame + 4) + 4);
    readers.refuse(&unused, &vector, "with the unused bit");
    Ok(())
}

#[test]
fn signatures_by_other_keys_are_skipped_and_bad_ones_are_not() -> Result<(), LabError> {
    let readers = Readers::new()?;
    let vector = named("signed.cast");
    let (signed, rest) = vector.bytes.split_at(vector.manifest_end());
    let (good, rest) = rest[2..].split_at(72);
    let (bad, other) = (flipped(good, 500), flipped(good, 3));
    for (signatures, is_taken) in [
        (&[][..], false),
        (&[good, good], true),
        (&[&other, good, &other], true),
        (&[&other], false),
        (&[&bad], false),
        (&[good, &bad], false),
        (&[&bad, good], false),
    ] {
        let count = u16::try_from(signatures.len()).unwrap().to_le_bytes();
        let cast = [signed, &count, &signatures.concat(), rest].concat();
        let change = format!("with other {count:?} signatures");
        assert_eq!(readers.are_taking(&cast, &vector, &change), is_taken);
    }
    Ok(())
}

#[test]
fn an_unsigned_manifest_that_is_another_one_is_judged_alike() -> Result<(), LabError> {
    let readers = Readers::new()?;
    let vector = named("mixed.cast");
    let mut random = Random::new(3);
    let mut taken = 0;
    for _ in 0..16 {
        let bits = 8 * (vector.manifest_end() - HEAD_LEN);
        let bit = 8 * HEAD_LEN + random.next_u64() as usize % bits;
        let change = format!("with bit {bit}");
        taken += u32::from(readers.are_taking(&flipped(&vector.bytes, bit), &vector, &change));
    }
    // A name or a UUID may be another one.
    assert!((1..16).contains(&taken), "{taken} of 16 are taken");
    Ok(())
}

#[test]
fn a_vector_that_ends_too_early_or_too_late_is_refused() -> Result<(), LabError> {
    let readers = Readers::new()?;
    for vector in Vector::all() {
        let (bytes, manifest_end) = (&vector.bytes, vector.manifest_end());
        for length in [10, manifest_end + 60, bytes.len() - 1] {
            readers.refuse(&bytes[..length], &vector, &format!("cut to {length}"));
        }
        readers.refuse(&[bytes, &[0][..]].concat(), &vector, "and a byte");
    }
    Ok(())
}
