//! The image before it is read: a file, a device, a FIFO or stdin, and perhaps a command that makes
//! the image of it.
//!
//! It is opened at once, so that a mistake shows before anybody connects, and without waiting: of
//! a FIFO the other end may be opened much later.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;

use ironcast_cast::Live;
use ironcast_hosted::is_closed;
use rustix::fs::OFlags;

/// stdin's file, to be opened once more.
const STDIN_AGAIN: &str = "/proc/self/fd/0";

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, a device or a FIFO.
    File(PathBuf),
    /// stdin, from where it stands.
    Stdin,
    /// The file that is stdin, from this byte on, however far stdin itself was read.
    StdinFrom(u64),
}

impl Origin {
    /// Where the same image comes from another time; `None` if it can be read but once. To be asked
    /// before it is read.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::File(_) | Self::StdinFrom(_) => Some(self.clone()),
            Self::Stdin => rustix::fs::tell(io::stdin()).ok().map(Self::StdinFrom),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin | Self::StdinFrom(_) => f.write_str("stdin"),
        }
    }
}

/// An image that can be read.
#[derive(Debug)]
pub struct Image {
    pub(crate) name: String,
    pub(crate) file: File,
    /// What makes the image of the file.
    pub(crate) command: Option<String>,
    /// What is sent before the image.
    pub(crate) front: Vec<u8>,
    /// What is sent in place of the file's bytes.
    pub(crate) live: Option<Live>,
}

impl Image {
    /// Opens the image. With a `command`, what that makes of the file is the image.
    ///
    /// # Errors
    /// [`SourceError`] if it can't be opened.
    pub fn open(origin: &Origin, command: Option<&str>) -> Result<Self, SourceError> {
        let name = origin.to_string();
        let file = match origin {
            Origin::File(path) => open_file(path),
            // A command may well need no input.
            Origin::Stdin if command.is_none() && is_closed(io::stdin()) => Err(io::Error::other(
                "it is closed; name a file with --file, or redirect it",
            )),
            Origin::Stdin => io::stdin().as_fd().try_clone_to_owned().map(File::from),
            Origin::StdinFrom(start) => open_stdin_again(*start),
        };
        Ok(Self {
            file: file.map_err(|error| SourceError::new("open", &name, error))?,
            name,
            command: command.map(str::to_owned),
            front: Vec::new(),
            live: None,
        })
    }

    /// The same with `front` sent before it.
    #[must_use]
    pub fn behind(self, front: Vec<u8>) -> Self {
        Self { front, ..self }
    }

    /// The same as a cast stream.
    #[must_use]
    pub fn as_cast(self, live: Live) -> Self {
        let live = Some(live);
        Self { live, ..self }
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bytes, if it is known: from where a regular file stands to its end.
    pub(crate) fn length(&self) -> Option<u64> {
        let length = match &self.live {
            Some(live) => live.len(),
            None => self.file_length()?,
        };
        Some(length + self.front.len() as u64)
    }

    fn file_length(&self) -> Option<u64> {
        let metadata = self.file.metadata().ok()?;
        let position = rustix::fs::tell(&self.file).ok()?;
        (metadata.is_file() && self.command.is_none())
            .then(|| metadata.len().saturating_sub(position))
    }
}

fn open_file(path: &std::path::Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    if fs::metadata(path)?.file_type().is_fifo() {
        // Whoever writes to it need not be there yet.
        let flags = i32::try_from(OFlags::NONBLOCK.bits());
        options.custom_flags(flags.unwrap_or_default());
    }
    let file = options.read(true).open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(ErrorKind::IsADirectory.into()),
        false => Ok(file),
    }
}

/// A handle with a place of its own: whatever still reads by another can't move it.
fn open_stdin_again(start: u64) -> io::Result<File> {
    let mut file = File::open(STDIN_AGAIN)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}

/// Why an image can't be read.
#[derive(Debug)]
pub struct SourceError {
    action: &'static str,
    name: String,
    pub(crate) source: io::Error,
}

impl SourceError {
    pub(crate) fn new(action: &'static str, name: &str, source: io::Error) -> Self {
        Self {
            action,
            name: name.to_owned(),
            source,
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't {} {}", self.action, self.name)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_named() {
        let error = |path: &str| {
            let origin = Origin::File(path.into());
            Image::open(&origin, None).unwrap_err()
        };
        assert_eq!(
            error("/nonexistent/x").to_string(),
            "can't open /nonexistent/x"
        );
        assert_eq!(error("/tmp").source.kind(), ErrorKind::IsADirectory);
    }

    #[test]
    fn a_file_can_be_read_again() {
        let origin = Origin::File("/dev/null".into());
        assert_eq!(origin.again(), Some(origin.clone()));
        let origin = Origin::StdinFrom(512);
        assert_eq!(origin.again(), Some(origin.clone()));
    }
}
