//! What is packed: a file or device whose bytes can be read at any place, and which of them are
//! there at all.
//!
//! What comes as a stream, such as a compressed image, goes to a file without a name first: it has
//! to be seen as a whole before its first byte can be cast.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use ironcast_proto::cast::{self, is_zero};
use rustix::io::Errno;

use crate::error::Error;

/// Bytes of a stream that are read at a time.
const PIECE: usize = 1 << 20;

/// Zero bytes of a stream that are left out at a time.
const BLOCK: usize = 4096;

/// An image that is to be packed.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    size: u64,
    created: u64,
}

impl Source {
    /// Opens the image at `path`: raw, a block device, compressed by gzip, xz or zstd, or of a
    /// virtual machine (qcow2, vmdk, vhdx), by what its first bytes say. Of the last two kinds it
    /// makes a file without a name in `scratch`, as large as the image's data.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(path: &Path, scratch: &Path) -> Result<Self, Error> {
        let reading = || Error::file("read", path);
        let mut file = File::open(path).map_err(reading())?;
        let created = modified(&file).map_err(reading())?;
        let mut start = Vec::new();
        let limit = Read::by_ref(&mut file).take(FORMAT_LEN as u64);
        let mut limit = limit;
        limit.read_to_end(&mut start).map_err(reading())?;
        file.rewind().map_err(reading())?;
        let file = match Format::of(&start) {
            Format::Raw => file,
            Format::Stream(program) => unpacked(program, file, scratch).map_err(reading())?,
            Format::Virtual => converted(path, scratch).map_err(reading())?,
        };
        let mut start = [0; cast::MAGIC.len()];
        if file.read_exact_at(&mut start, 0).is_ok() && start == cast::MAGIC {
            // Who unpacks it would get a cast file, and no disk.
            return Err(reading()(io::Error::other("it is a cast file already")));
        }
        let size = size_of(&file).map_err(reading())?;
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            created,
        })
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the image is called if nobody says how: the name of its file, up to the first dot.
    #[must_use]
    pub fn stem(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        name.split('.').next().unwrap_or_default().to_owned()
    }

    /// Bytes of the image.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When the file was changed last, in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created
    }

    /// The file or device that has the image as it is.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Bytes of a sector, if it is a disk.
    pub(crate) fn sector_size(&self) -> Option<u32> {
        let kind = self.file.metadata().ok()?.file_type();
        let size = rustix::fs::ioctl_blksszget(&self.file).ok()?;
        kind.is_block_device().then_some(size)
    }

    /// Whether the file has any data there; what it doesn't reads as zeroes.
    pub(crate) fn has_data(&self, range: &Range<u64>) -> bool {
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(range.start)) {
            Ok(start) => start < range.end,
            Err(Errno::NXIO) => false,
            // It can't tell.
            Err(_) => true,
        }
    }

    /// Up to `len` bytes from `start` on, as far as the image goes.
    pub(crate) fn bytes_at(&self, start: u64, len: usize) -> Result<Vec<u8>, Error> {
        let end = start.saturating_add(len as u64).min(self.size);
        self.read(&(start.min(end)..end))
    }

    /// Whether all bytes there are 0. What has no data is not read.
    pub(crate) fn is_zero(&self, range: Range<u64>) -> Result<bool, Error> {
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + PIECE as u64);
            let piece = start..end;
            if self.has_data(&piece) && !is_zero(&self.read(&piece)?) {
                return Ok(false);
            }
            start = end;
        }
        Ok(true)
    }

    /// The bytes there.
    pub(crate) fn read(&self, range: &Range<u64>) -> Result<Vec<u8>, Error> {
        // A chunk's length.
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read_into(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `bytes` with what is there from `start` on.
    pub(crate) fn read_into(&self, start: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let read = self.file.read_exact_at(bytes, start);
        read.map_err(Error::file("read", &self.path))
    }
}

/// Bytes that tell every format.
const FORMAT_LEN: usize = 8;

/// What an image's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Raw,
    /// Compressed; by this program.
    Stream(&'static str),
    /// Of a virtual machine.
    Virtual,
}

impl Format {
    const MAGICS: [(&'static [u8], Self); 6] = [
        (&[0x1f, 0x8b], Self::Stream("gzip")),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Stream("xz")),
        (&[0x28, 0xb5, 0x2f, 0xfd], Self::Stream("zstd")),
        (b"QFI\xfb", Self::Virtual),
        (b"KDMV", Self::Virtual),
        (b"vhdxfile", Self::Virtual),
    ];

    fn of(start: &[u8]) -> Self {
        let mut magics = Self::MAGICS.into_iter();
        magics
            .find(|(magic, _)| start.starts_with(magic))
            .map_or(Self::Raw, |(_, format)| format)
    }
}

/// Seconds since 1970.
fn modified(file: &File) -> io::Result<u64> {
    let modified = file.metadata()?.modified()?;
    // What is older is as old as can be told.
    let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(age.as_secs())
}

/// Bytes of a file or block device.
fn size_of(mut file: &File) -> io::Result<u64> {
    let size = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    Ok(size)
}

/// What `program` makes of `file`.
fn unpacked(program: &str, file: File, scratch: &Path) -> io::Result<File> {
    let mut command = Command::new(program);
    command.args(["-d", "-c"]).stdin(file);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| is_missing(program, error))?;
    let kept = match child.stdout.take() {
        Some(stream) => kept(stream, scratch),
        None => Err(ErrorKind::BrokenPipe.into()),
    };
    let status = child.wait()?;
    let kept = kept?;
    match status.success() {
        true => Ok(kept),
        false => Err(io::Error::other(format!("{program} -dc: {status}"))),
    }
}

/// The bytes of a stream, in a file without a name that has no memory for its zeroes.
fn kept(mut stream: impl Read, scratch: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(scratch)?;
    let (mut piece, mut len) = (vec![0; PIECE], 0);
    loop {
        let mut filled = 0;
        while filled < PIECE {
            match stream.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        for block in piece[..filled].chunks(BLOCK) {
            match is_zero(block) {
                true => drop(file.seek(SeekFrom::Current(block.len() as i64))?),
                false => file.write_all(block)?,
            }
        }
        len += filled as u64;
        if filled < PIECE {
            file.set_len(len)?;
            return Ok(file);
        }
    }
}

/// The raw image of a virtual machine's.
fn converted(path: &Path, scratch: &Path) -> io::Result<File> {
    let target = tempfile::NamedTempFile::new_in(scratch)?;
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-O", "raw", "--"]).arg(path);
    let output = command
        .arg(target.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| is_missing("qemu-img", error))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!(
            "qemu-img convert: {}",
            words.trim()
        )));
    }
    // It may have made another file of that name.
    File::open(target.path())
}

fn is_missing(program: &str, error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::NotFound => {
            let text =
                format!("{program} is not installed, and this image can't be read without it");
            io::Error::new(ErrorKind::NotFound, text)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn holes_of_a_file_are_known_and_read_as_zeroes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let file = File::create(&path).unwrap();
        file.set_len(3 << 20).unwrap();
        file.write_all_at(b"data", 2 << 20).unwrap();
        let source = Source::open(&path, folder.path()).unwrap();
        assert_eq!(source.size(), 3 << 20);
        let chunks = [0..1 << 20, 1 << 20..2 << 20, 2 << 20..3 << 20];
        assert_eq!(
            chunks.clone().map(|chunk| source.has_data(&chunk)),
            [false, false, true]
        );
        assert_eq!(source.read(&chunks[0]).unwrap(), vec![0; 1 << 20]);
        assert_eq!(source.read(&chunks[2]).unwrap()[..5], *b"data\0");
    }

    #[test]
    fn a_compressed_image_is_unpacked_without_its_zeroes() {
        let folder = tempfile::tempdir().unwrap();
        let mut image = vec![0; 5 << 20];
        image[3 << 20..][..4].copy_from_slice(b"data");
        image.extend_from_slice(b"end");
        let raw = write(folder.path(), "image", &image);
        for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
            let output = Command::new(program).arg("-c").arg(&raw).output().unwrap();
            assert!(output.status.success());
            let path = write(folder.path(), &format!("image.{ending}"), &output.stdout);
            let source = Source::open(&path, folder.path()).unwrap();
            assert_eq!(source.size(), image.len() as u64);
            assert!(!source.has_data(&(0..1 << 20)), "{program}");
            assert!(source.read(&(0..source.size())).unwrap() == image);
            let cut = write(
                folder.path(),
                "cut",
                &output.stdout[..output.stdout.len() - 9],
            );
            let error = Source::open(&cut, folder.path()).unwrap_err();
            let Error::File { source, .. } = error else {
                panic!("{error}");
            };
            assert!(source.to_string().contains(program), "{source}");
        }
    }
}
