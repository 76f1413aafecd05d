//! Where the image goes: a file, a device, or stdout.
//!
//! It is opened at once, so that a mistake shows before the transfer, but a file keeps its old
//! content until the first byte of the new one is there.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;

use ironcast_receiver_nostd::Disk;
use rustix::fs::{Advice, FallocateFlags, OFlags};
use rustix::io::Errno;

use crate::pipe::Pipe;
use crate::sparse::Run;
use crate::standard::is_closed;

/// When written bytes are safe from a loss of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before success is told to the sender.
    #[default]
    AtEnd,
    /// With every write (`--sync`).
    EachWrite,
    /// When the system sees fit (`--nosync`).
    Never,
}

/// What the image is written to.
#[derive(Debug)]
pub struct Target {
    name: String,
    file: File,
    kind: Kind,
    durability: Durability,
    /// Whether what was written can be read back.
    is_readable: bool,
    /// Whether the system may have bytes in memory that the disk has not given.
    is_cached: bool,
    begun: bool,
    /// How far the file reaches, with the zeros at its end that were left out.
    end: u64,
    /// The command of `--pipe`.
    command: Option<String>,
    /// It, once it runs, and where its input goes.
    pipe: Option<(Pipe, Option<ChildStdin>)>,
    /// The file's path, if there was none before.
    made: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Grows, and starts empty.
    File,
    /// Holds so many bytes.
    BlockDevice(u64),
    /// A file or disk that stdout was redirected to: it is written from where it stands.
    Redirected,
    /// A pipe, a terminal: takes bytes, and that is all.
    Stream,
}

/// Tells how far a target is written.
#[derive(Debug)]
pub enum Position {
    /// As far as the image, byte for byte.
    OfImage,
    /// As far as the command of `--pipe` has come in this file, whose place it shares.
    OfFile(File),
}

impl Position {
    /// Bytes in the file, if that can be told, when so many of the image are written.
    #[must_use]
    pub fn at(&self, written: u64) -> Option<u64> {
        match self {
            Self::OfImage => Some(written),
            Self::OfFile(file) => rustix::fs::tell(file).ok(),
        }
    }
}

impl Target {
    /// Opens the file or device at `path` for writing, or takes stdout if there is none. A file
    /// that is not there is made. A block device must not be in use, by a mounted file system for
    /// one. With a `command`, what that makes of the image is written: it is its stdout.
    ///
    /// # Errors
    /// [`TargetError`] if it can't be written to.
    pub fn open(
        path: Option<&Path>,
        command: Option<String>,
        durability: Durability,
    ) -> Result<Self, TargetError> {
        let target = match path {
            Some(path) => Self::open_path(path, durability)?,
            None => Self::open_stdout(command.is_some(), durability)
                .map_err(|source| TargetError::new(Path::new("stdout"), source))?,
        };
        Ok(Self { command, ..target })
    }

    fn open_stdout(has_command: bool, durability: Durability) -> io::Result<Self> {
        // A command may well have no output.
        if !has_command && is_closed(io::stdout()) {
            let what_to_do = "it is closed; name a file with --file, or redirect it";
            return Err(io::Error::other(what_to_do));
        }
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        Self::redirected(File::from(stdout), durability)
    }

    fn open_path(path: &Path, durability: Durability) -> Result<Self, TargetError> {
        let error = |source| TargetError::new(path, source);
        let is_new = fs::symlink_metadata(path).is_err();
        let found = fs::metadata(path).map(|metadata| metadata.file_type());
        let is_block_device = found.as_ref().is_ok_and(FileTypeExt::is_block_device);
        // A pipe that is opened for reading too never ends.
        let may_be_read = is_block_device || found.map_or(true, |kind| kind.is_file());
        let mut flags = OFlags::empty();
        if is_block_device {
            // On a device this means: unless something else has it in use.
            flags |= OFlags::EXCL;
        }
        if durability == Durability::EachWrite {
            flags |= OFlags::SYNC;
        }
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(!is_block_device)
            .truncate(false)
            .custom_flags(flags.bits().cast_signed());
        let (mut file, is_readable) = match options.clone().read(may_be_read).open(path) {
            Err(refused) if refused.kind() == ErrorKind::PermissionDenied => {
                (options.open(path).map_err(error)?, false)
            }
            opened => (opened.map_err(error)?, may_be_read),
        };
        let kind = if is_block_device {
            let size = file.seek(SeekFrom::End(0)).map_err(error)?;
            file.rewind().map_err(error)?;
            Kind::BlockDevice(size)
        } else if file.metadata().map_err(error)?.is_file() {
            Kind::File
        } else {
            Kind::Stream
        };
        let name = path.display().to_string();
        Ok(Self {
            is_readable,
            made: is_new.then(|| path.to_owned()),
            ..Self::new(name, file, kind, durability)
        })
    }

    fn redirected(stdout: File, durability: Durability) -> io::Result<Self> {
        let found = stdout.metadata()?.file_type();
        let kind = if found.is_file() || found.is_block_device() {
            Kind::Redirected
        } else {
            Kind::Stream
        };
        Ok(Self::new("stdout".to_owned(), stdout, kind, durability))
    }

    fn new(name: String, file: File, kind: Kind, durability: Durability) -> Self {
        Self {
            name,
            file,
            kind,
            durability,
            is_readable: false,
            is_cached: false,
            begun: false,
            end: 0,
            command: None,
            pipe: None,
            made: None,
        }
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells how far it is written.
    ///
    /// # Errors
    /// If the system has no file descriptor left.
    pub fn position(&self) -> io::Result<Position> {
        Ok(match self.command {
            Some(_) => Position::OfFile(self.file.try_clone()?),
            None => Position::OfImage,
        })
    }

    /// Takes the file away if there was none before, and nothing was written to it.
    ///
    /// # Errors
    /// If the system can't.
    pub fn discard(self) -> io::Result<()> {
        match self.made {
            Some(path) if !self.begun => fs::remove_file(path),
            _ => Ok(()),
        }
    }

    /// Drops what the file held before.
    fn begin(&mut self) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        if self.kind == Kind::File {
            self.file.set_len(0)?;
        }
        if let Some(command) = &self.command {
            let (pipe, input) = Pipe::writing(command, self.file.try_clone()?)?;
            self.pipe = Some((pipe, Some(input)));
        }
        self.begun = true;
        Ok(())
    }

    fn write_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.pipe {
            None if self.kind == Kind::File => self.write_to_file(bytes),
            None => self.file.write(bytes),
            Some((pipe, Some(input))) => input.write(bytes).map_err(|error| pipe.broken(error)),
            Some((_, None)) => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// Writes to a file that was empty at first, but for long runs of zeros behind its end.
    fn write_to_file(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let position = self.file.stream_position()?;
        let written = match Run::first(bytes) {
            Run::Zeros(len) if position >= self.end => {
                self.file.seek(SeekFrom::Start(position + len as u64))?;
                len
            }
            Run::Zeros(len) | Run::Data(len) => self.file.write(&bytes[..len])?,
        };
        self.end = self.end.max(position + written as u64);
        Ok(written)
    }

    /// Lets the file reach as far as it is to, though it ends with zeros that were left out.
    fn extend(&self) -> io::Result<()> {
        match self.file.metadata()?.len() < self.end {
            true => self.file.set_len(self.end),
            false => Ok(()),
        }
    }

    /// Lets the command come to its end, if there is one.
    fn finish_pipe(&mut self) -> io::Result<()> {
        let Some((pipe, input)) = &mut self.pipe else {
            return Ok(());
        };
        drop(input.take());
        pipe.finish()
    }
}

impl embedded_io::ErrorType for Target {
    type Error = io::Error;
}

impl embedded_io::Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begin()?;
        self.is_cached = true;
        let written = loop {
            match self.write_once(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if self.kind == Kind::Redirected && self.durability == Durability::EachWrite {
            // It was opened by somebody else, who did not ask for this.
            self.file.sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.begin()?;
        self.finish_pipe()?;
        // What was read since the last write has not thrown away what was not on the disk yet.
        self.is_cached = true;
        if self.kind == Kind::File {
            self.extend()?;
        }
        match (self.kind, self.durability) {
            (Kind::Stream, _) | (_, Durability::Never) => Ok(()),
            (Kind::File | Kind::BlockDevice(_) | Kind::Redirected, _) => self.file.sync_all(),
        }
    }
}

impl embedded_io::Read for Target {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.is_cached) {
            // It has been flushed, so that what is read again is what the disk has.
            rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?;
        }
        io::Read::read(&mut self.file, buffer)
    }
}

impl embedded_io::Seek for Target {
    fn seek(&mut self, to: embedded_io::SeekFrom) -> io::Result<u64> {
        self.file.seek(match to {
            embedded_io::SeekFrom::Start(offset) => SeekFrom::Start(offset),
            embedded_io::SeekFrom::End(offset) => SeekFrom::End(offset),
            embedded_io::SeekFrom::Current(offset) => SeekFrom::Current(offset),
        })
    }
}

impl Disk for Target {
    fn capacity(&self) -> Option<u64> {
        match self.kind {
            // What the command makes of the image may be of any length.
            _ if self.command.is_some() => None,
            Kind::BlockDevice(size) => Some(size),
            Kind::File | Kind::Redirected | Kind::Stream => None,
        }
    }

    fn sector_size(&self) -> Option<u32> {
        match self.kind {
            Kind::BlockDevice(_) if self.command.is_none() => {
                rustix::fs::ioctl_blksszget(&self.file).ok()
            }
            _ => None,
        }
    }

    fn reader(&mut self) -> Option<&mut dyn embedded_io::Read<Error = io::Error>> {
        match self.is_readable && self.command.is_none() {
            true => Some(self),
            false => None,
        }
    }

    fn is_blank(&mut self, offset: u64, len: u64) -> bool {
        // Only of a file does its file system know; it moves the place where the file is read.
        let is_file = self.kind == Kind::File && self.command.is_none();
        let end = offset.saturating_add(len);
        let reaches = || self.file.metadata().is_ok_and(|file| file.len() >= end);
        is_file
            && reaches()
            && match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
                Ok(data) => data >= end,
                Err(error) => error == Errno::NXIO,
            }
    }

    fn write_zeroes(&mut self, offset: u64, len: u64) -> io::Result<bool> {
        self.begin()?;
        match self.kind {
            _ if self.command.is_some() => Ok(false),
            Kind::File => {
                self.end = self.end.max(offset + len);
                Ok(true)
            }
            Kind::BlockDevice(_) => {
                // What the disk does by itself, or not at all: then it is written.
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                Ok(rustix::fs::fallocate(&self.file, flags, offset, len).is_ok())
            }
            Kind::Redirected | Kind::Stream => Ok(false),
        }
    }
}

/// Why there is no target.
#[derive(Debug)]
pub struct TargetError {
    path: PathBuf,
    source: io::Error,
}

impl TargetError {
    fn new(path: &Path, source: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't write to {}", self.path.display())?;
        if self.source.kind() == ErrorKind::ResourceBusy {
            f.write_str(", since it is in use; unmount what is on it")?;
        }
        Ok(())
    }
}

impl Error for TargetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use embedded_io::Write as _;

    use super::*;

    #[test]
    fn a_file_keeps_its_content_until_the_new_one_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        fs::write(&path, "what was there before").unwrap();
        let mut target = Target::open(Some(&path), None, Durability::AtEnd).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"what was there before");
        assert_eq!(target.write(b"new").unwrap(), 3);
        target.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(target.capacity(), None);
    }

    #[test]
    fn a_file_that_was_not_there_is_gone_again_if_nothing_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let open = || Target::open(Some(&path), None, Durability::AtEnd).unwrap();
        open().discard().unwrap();
        assert!(!path.exists());
        let mut target = open();
        target.write(b"new").unwrap();
        target.discard().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        open().discard().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn an_empty_image_leaves_an_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        fs::write(&path, "old").unwrap();
        let mut target = Target::open(Some(&path), None, Durability::Never).unwrap();
        target.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn zeros_are_left_out_where_the_file_has_none_else() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let mut image = vec![0; 3 << 20];
        image[..5].copy_from_slice(b"start");
        image[2 << 20] = 1;
        let mut target = Target::open(Some(&path), None, Durability::AtEnd).unwrap();
        target.write_all(&image).unwrap();
        target.flush().unwrap();
        assert!(fs::read(&path).unwrap() == image);
        let taken = fs::metadata(&path).unwrap().blocks() * 512;
        assert!(taken < 1 << 20, "{taken} bytes taken");
        // What was written is overwritten.
        embedded_io::Seek::seek(&mut target, embedded_io::SeekFrom::Start(0)).unwrap();
        target.write_all(&vec![0; 1 << 20]).unwrap();
        target.flush().unwrap();
        image[..5].fill(0);
        assert!(fs::read(&path).unwrap() == image);
    }

    #[test]
    fn what_is_read_after_a_flush_comes_from_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let mut target = Target::open(Some(&path), None, Durability::AtEnd).unwrap();
        target.write_all(&[7; 4096]).unwrap();
        // As delta does between writes, of which the system has all in memory.
        embedded_io::Seek::seek(&mut target, embedded_io::SeekFrom::Start(0)).unwrap();
        embedded_io::Read::read(&mut target, &mut [0; 512]).unwrap();
        target.flush().unwrap();
        assert!(target.is_cached, "the next read drops it");
    }

    #[test]
    fn a_file_says_where_it_has_nothing() {
        const MIB: u64 = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let mut target = Target::open(Some(&path), None, Durability::AtEnd).unwrap();
        target.write_all(b"start").unwrap();
        assert!(target.write_zeroes(MIB, 2 * MIB).unwrap());
        embedded_io::Seek::seek(&mut target, embedded_io::SeekFrom::Start(3 * MIB)).unwrap();
        target.write_all(b"data").unwrap();
        assert!(target.write_zeroes(4 * MIB, MIB).unwrap());
        target.flush().unwrap();
        let blank = [MIB, 2 * MIB, 3 * MIB, 4 * MIB, 5 * MIB];
        let blank = blank.map(|start| target.is_blank(start, MIB));
        assert_eq!(blank, [true, true, false, true, false], "it ends at 5 MiB");
        assert!(!target.is_blank(0, 2 * MIB));
        let mut null = Target::open(Some(Path::new("/dev/null")), None, Durability::AtEnd).unwrap();
        assert!(!null.is_blank(0, 0));
    }

    #[test]
    fn devices_that_are_no_disks_take_bytes_and_need_no_sync() {
        let mut target =
            Target::open(Some(Path::new("/dev/null")), None, Durability::AtEnd).unwrap();
        assert_eq!(target.write(b"x").unwrap(), 1);
        target.flush().unwrap();
        let mut full = Target::open(Some(Path::new("/dev/full")), None, Durability::AtEnd).unwrap();
        assert_eq!(full.write(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn stdout_in_a_file_is_kept_as_it_stands_and_made_safe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        fs::write(&path, "header ").unwrap();
        for (durability, text) in [
            (Durability::AtEnd, "header one"),
            (Durability::EachWrite, "header oneone"),
        ] {
            let stdout = OpenOptions::new().append(true).open(&path).unwrap();
            let mut target = Target::redirected(stdout, durability).unwrap();
            assert_eq!(target.kind, Kind::Redirected);
            target.write(b"one").unwrap();
            target.flush().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let (_reader, writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(writer));
        let mut target = Target::redirected(pipe, Durability::AtEnd).unwrap();
        assert_eq!(target.kind, Kind::Stream);
        target.flush().unwrap();
    }

    #[test]
    fn what_cannot_be_written_to_is_named() {
        let error =
            Target::open(Some(Path::new("/nonexistent/x")), None, Durability::AtEnd).unwrap_err();
        assert_eq!(error.to_string(), "can't write to /nonexistent/x");
        assert!(error.source().is_some());
    }
}
