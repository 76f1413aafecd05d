//! Test data: files of seeded random bytes, the same compressed, and comparison that says where two
//! files first differ.
//!
//! Random bytes, so that a block in the wrong place can't go unseen; seeded, so that a failure
//! repeats.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::{LabError, find_tool};

/// How much is read or written at once, in bytes.
const CHUNK: usize = 1 << 16;

/// A stream of random bytes that is the same for the same seed (xorshift64*).
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A stream for `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // The state must never be 0; the odd factor spreads small seeds over all bits.
        let state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            state: state.max(1),
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Fills `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// Writes a file of `length` random bytes.
///
/// # Errors
/// [`LabError::Io`] if it can't be written.
pub fn write_random(path: &Path, length: u64, seed: u64) -> Result<(), LabError> {
    let refused = |e| LabError::io(format!("write {}", path.display()), e);
    let mut file = BufWriter::new(File::create(path).map_err(refused)?);
    let mut random = Random::new(seed);
    let mut buffer = vec![0; CHUNK];
    let mut left = length;
    while left > 0 {
        let now = left.min(CHUNK as u64);
        let part = &mut buffer[..usize::try_from(now).unwrap_or(CHUNK)];
        random.fill(part);
        file.write_all(part).map_err(refused)?;
        left -= now;
    }
    file.flush().map_err(refused)
}

/// Writes a disk image of `length` bytes, a multiple of 512: random bytes under a partition table
/// (MBR) whose only partition reaches from 1 MiB to the end, so that the image tells how large a
/// disk it needs.
///
/// # Errors
/// [`LabError::Io`] if it can't be written, [`LabError::Wrong`] if the table can't hold its length.
pub fn write_disk_image(path: &Path, length: u64, seed: u64) -> Result<(), LabError> {
    const FIRST: u32 = 2048;
    let sectors = u32::try_from(length / 512)
        .ok()
        .and_then(|all| all.checked_sub(FIRST))
        .ok_or_else(|| LabError::wrong(format!("no partition fits {length} bytes")))?;
    write_random(path, length, seed)?;
    // Four partitions of 16 bytes, then the signature: status, first CHS, type, last CHS, first
    // sector, number of sectors.
    let mut table = [0; 66];
    table[4] = 0x83;
    table[8..12].copy_from_slice(&FIRST.to_le_bytes());
    table[12..16].copy_from_slice(&sectors.to_le_bytes());
    table[64..].copy_from_slice(&[0x55, 0xaa]);
    File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.write_all_at(&table, 446))
        .map_err(|e| LabError::io(format!("write {}", path.display()), e))
}

/// Writes a file of `length` bytes that is mostly holes: 64 KiB of random bytes begin each `step`.
///
/// # Errors
/// [`LabError::Io`] if it can't be written.
pub fn write_with_holes(path: &Path, length: u64, step: u64, seed: u64) -> Result<(), LabError> {
    let refused = |e| LabError::io(format!("write {}", path.display()), e);
    let file = File::create(path).map_err(refused)?;
    file.set_len(length).map_err(refused)?;
    let mut random = Random::new(seed);
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at + CHUNK as u64 <= length {
        random.fill(&mut buffer);
        file.write_all_at(&buffer, at).map_err(refused)?;
        at += step.max(CHUNK as u64);
    }
    Ok(())
}

/// Writes a file of 6 MiB, mostly holes, as many times as `count` says: what comes again is so far
/// back that programs which compress have to keep all of a large window for it.
///
/// # Errors
/// [`LabError::Io`] if it can't be written.
pub fn write_repeated(path: &Path, count: u32, seed: u64) -> Result<(), LabError> {
    const LENGTH: u64 = 6 << 20;
    let refused = |e| LabError::io(format!("write {}", path.display()), e);
    write_with_holes(path, LENGTH, 1 << 18, seed)?;
    let part = std::fs::read(path).map_err(refused)?;
    let mut file = File::options().append(true).open(path).map_err(refused)?;
    (1..count).try_for_each(|_| file.write_all(&part).map_err(refused))
}

/// Compresses `from` to `to` by a program and its arguments. The program gets no names, so that it
/// can't know how long the file is.
///
/// # Errors
/// [`LabError::MissingTool`] if the program is not there, [`LabError::Wrong`] if it fails.
pub fn compress(program: &[&str], from: &Path, to: &Path) -> Result<(), LabError> {
    let (name, arguments) = program
        .split_first()
        .ok_or_else(|| LabError::wrong("no program"))?;
    let input = File::open(from).map_err(|e| LabError::io("open the image", e))?;
    let output = File::create(to).map_err(|e| LabError::io("create the compressed image", e))?;
    let status = Command::new(find_tool(name)?)
        .args(arguments)
        .stdin(input)
        .stdout(output)
        .status()
        .map_err(|e| LabError::io(format!("run {name}"), e))?;
    match status.success() {
        true => Ok(()),
        false => Err(LabError::wrong(format!("{name} ended with {status}"))),
    }
}

/// Makes a file of `length` bytes that takes no room: all of it reads as zero.
///
/// # Errors
/// [`LabError::Io`] if it can't be made.
pub fn make_sparse(path: &Path, length: u64) -> Result<(), LabError> {
    File::create(path)
        .and_then(|file| file.set_len(length))
        .map_err(|e| LabError::io(format!("make {}", path.display()), e))
}

/// Demands that two files are equal, to the last byte and in length.
///
/// # Errors
/// [`LabError::Wrong`] with both lengths or the first offset that differs, [`LabError::Io`] if one
/// can't be read.
pub fn demand_equal(expected: &Path, found: &Path) -> Result<(), LabError> {
    let lengths = (length(expected)?, length(found)?);
    if lengths.0 != lengths.1 {
        return Err(LabError::wrong(format!(
            "{} has {} bytes, not the {} of {}",
            found.display(),
            lengths.1,
            lengths.0,
            expected.display()
        )));
    }
    demand_starts_with(expected, found)
}

/// Demands that `disk` starts with the whole of `image`; what comes after is not looked at.
///
/// # Errors
/// [`LabError::Wrong`] with the first offset that differs, [`LabError::Io`] if one can't be read.
pub fn demand_starts_with(image: &Path, disk: &Path) -> Result<(), LabError> {
    demand_starts_with_changed(image, &[], disk)
}

/// Like [`demand_starts_with`], of an image that is changed first: each of `changes` is an offset
/// in it, and the bytes that are there instead.
///
/// # Errors
/// The same.
pub fn demand_starts_with_changed(
    image: &Path,
    changes: &[(u64, Vec<u8>)],
    disk: &Path,
) -> Result<(), LabError> {
    let (mut expected, mut found) = (open(image)?, open(disk)?);
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut offset = 0;
    loop {
        let wanted = read_full(&mut expected, &mut ours)
            .map_err(|e| LabError::io(format!("read {}", image.display()), e))?;
        for change in changes {
            apply(change, offset, &mut ours[..wanted]);
        }
        let got = read_full(&mut found, &mut theirs[..wanted])
            .map_err(|e| LabError::io(format!("read {}", disk.display()), e))?;
        let same = ours[..got]
            .iter()
            .zip(&theirs[..got])
            .take_while(|(a, b)| a == b)
            .count();
        if same < wanted {
            return Err(LabError::wrong(format!(
                "{} differs from {} at byte {}",
                disk.display(),
                image.display(),
                offset + same as u64
            )));
        }
        if wanted == 0 {
            return Ok(());
        }
        offset += wanted as u64;
    }
}

/// Makes a change in the part of an image that begins at `offset`.
fn apply((start, bytes): &(u64, Vec<u8>), offset: u64, part: &mut [u8]) {
    for (place, &byte) in (*start..).zip(bytes) {
        let place = place.checked_sub(offset).map(usize::try_from);
        if let Some(Ok(place)) = place
            && let Some(place) = part.get_mut(place)
        {
            *place = byte;
        }
    }
}

/// Demands that `path` still reads as zero everywhere, as [`make_sparse`] left it.
///
/// # Errors
/// [`LabError::Wrong`] with the offset of the first byte that is not zero.
pub fn demand_untouched(path: &Path) -> Result<(), LabError> {
    demand_untouched_from(path, 0)
}

/// Like [`demand_untouched`], from byte `offset` on.
///
/// # Errors
/// [`LabError::Wrong`] with the offset of the first byte that is not zero.
pub fn demand_untouched_from(path: &Path, mut offset: u64) -> Result<(), LabError> {
    let mut file = open(path)?;
    file.seek(SeekFrom::Start(offset))
        .map_err(|e| LabError::io(format!("read {}", path.display()), e))?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = read_full(&mut file, &mut buffer)
            .map_err(|e| LabError::io(format!("read {}", path.display()), e))?;
        if let Some(at) = buffer[..count].iter().position(|&byte| byte != 0) {
            let at = offset + at as u64;
            return Err(LabError::wrong(format!(
                "{} was written to: byte {at} is not zero",
                path.display()
            )));
        }
        if count == 0 {
            return Ok(());
        }
        offset += count as u64;
    }
}

fn length(path: &Path) -> Result<u64, LabError> {
    path.metadata()
        .map(|data| data.len())
        .map_err(|e| LabError::io(format!("look at {}", path.display()), e))
}

fn open(path: &Path) -> Result<BufReader<File>, LabError> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|e| LabError::io(format!("open {}", path.display()), e))
}

/// Reads until `buffer` is full or the file ends.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn flip(path: &Path, offset: u64) {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[!byte[0]], offset).unwrap();
    }

    #[test]
    fn a_flipped_byte_is_found_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write_random(&a, 200_001, 7).unwrap();
        write_random(&b, 200_001, 7).unwrap();
        demand_equal(&a, &b).unwrap();
        for offset in [0, 65_536, 131_071, 200_000] {
            flip(&b, offset);
            let error = demand_equal(&a, &b).unwrap_err().to_string();
            assert!(error.ends_with(&format!("at byte {offset}")), "{error}");
            flip(&b, offset);
        }
    }

    #[test]
    fn a_short_or_long_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write_random(&a, 1000, 7).unwrap();
        write_random(&b, 999, 7).unwrap();
        assert!(demand_equal(&a, &b).is_err());
        assert!(demand_equal(&b, &a).is_err());
        assert!(demand_starts_with(&a, &b).is_err());
        demand_starts_with(&b, &a).unwrap();
    }

    #[test]
    fn changes_are_made_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write_random(&a, 200_001, 7).unwrap();
        write_random(&b, 200_001, 7).unwrap();
        for offset in [0, 65_535, 65_536, 200_000] {
            flip(&b, offset);
        }
        let bytes = std::fs::read(&b).unwrap();
        let change = |at: usize, len: usize| (at as u64, bytes[at..at + len].to_vec());
        let mut changes = vec![change(0, 1), change(65_530, 10), change(200_000, 1)];
        demand_starts_with_changed(&a, &changes, &b).unwrap();
        changes.pop();
        let error = demand_starts_with_changed(&a, &changes, &b).unwrap_err();
        assert!(error.to_string().ends_with("at byte 200000"), "{error}");
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(Random::new(0).next_u64(), Random::new(1).next_u64());
    }

    #[test]
    fn a_written_disk_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        make_sparse(&disk, 100_000).unwrap();
        demand_untouched(&disk).unwrap();
        flip(&disk, 99_999);
        let error = demand_untouched(&disk).unwrap_err().to_string();
        assert!(error.contains("byte 99999"), "{error}");
        assert!(demand_untouched_from(&disk, 99_999).is_err());
        demand_untouched_from(&disk, 100_000).unwrap();
    }

    #[test]
    fn holes_hold_zeroes_and_the_rest_random_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("holes");
        write_with_holes(&file, 1 << 20, 1 << 19, 1).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes.len(), 1 << 20);
        assert!(bytes[65_536..1 << 19].iter().all(|&byte| byte == 0));
        let zeroes = bytes[1 << 19..][..65_536].iter().filter(|&&byte| byte == 0);
        assert!(zeroes.count() < 1000);
    }

    #[test]
    fn a_disk_image_tells_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        write_disk_image(&file, 4 << 20, 1).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes[510..512], [0x55, 0xaa]);
        assert_eq!(bytes[454..462], [0, 8, 0, 0, 0, 0x18, 0, 0]);
        assert!(write_disk_image(&file, 512, 1).is_err());
    }
}
