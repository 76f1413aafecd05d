//! What can go wrong with cast files, in words for who works with them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ironcast_hosted::{Incomplete, TargetError};
use ironcast_proto::cast::ManifestError;
use ironcast_receiver_nostd::cast;

/// Why a cast file can't be made or used.
#[derive(Debug)]
pub enum Error {
    /// A file can't be read or written.
    File {
        /// What was to be done: "read", "write".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The image has no bytes, or a size that no disk has.
    Size {
        /// The image.
        path: PathBuf,
        /// Its bytes.
        size: u64,
    },
    /// The image's partition table is for sectors of another size than was said.
    SectorSize {
        /// The image.
        path: PathBuf,
        /// Bytes of a sector, as was said.
        said: u32,
        /// As the table has it.
        table: u32,
    },
    /// A program of partclone's is not installed.
    Partclone(
        /// Which.
        String,
    ),
    /// The manifest would have a value that no reader takes.
    Manifest(ManifestError),
    /// A key file is none, or its password is another.
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: minisign::PError,
    },
    /// A public key file is none.
    PublicKey(PathBuf),
    /// A cast stream is not right.
    Cast {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: cast::Error,
    },
    /// A target can't be written to.
    Target(TargetError),
    /// A target has no whole image.
    Incomplete(Box<Incomplete>),
}

impl Error {
    /// That `doing` something with the file at `path` failed.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}

impl Error {
    /// That a cast stream in the file at `path` is not right.
    pub(crate) fn cast(path: &Path) -> impl FnOnce(cast::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Cast { path, source }
    }
}

impl From<ManifestError> for Error {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { doing, path, .. } => write!(f, "can't {doing} {}", path.display()),
            Self::Size { path, size: 0 } => write!(f, "{} is empty", path.display()),
            Self::Size { path, size } => write!(
                f,
                "{} has {size} bytes, which are no whole number of sectors: it is no image of a \
                 disk, or was cut short; --sector-size says what sectors it has",
                path.display()
            ),
            Self::SectorSize { path, said, table } => write!(
                f,
                "the partition table of {} is for sectors of {table} bytes, and --sector-size says \
                 {said}; leave that out",
                path.display()
            ),
            Self::Partclone(program) => write!(
                f,
                "{program} is not installed, and --used-only needs it to know what a file system \
                 uses: apt-get install partclone"
            ),
            Self::Manifest(error) => error.fmt(f),
            Self::Key { path, .. } => write!(f, "can't take the key in {}", path.display()),
            Self::Cast { path, .. } => write!(f, "can't use {}", path.display()),
            Self::Target(error) => error.fmt(f),
            Self::Incomplete(incomplete) => incomplete.fmt(f),
            Self::PublicKey(path) => write!(
                f,
                "{} is no public key: it should have a line of comment, and one of base64",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Key { source, .. } => Some(source),
            Self::Cast { source, .. } => Some(source),
            Self::Target(error) => error.source(),
            Self::Incomplete(incomplete) => incomplete.source(),
            Self::Manifest(_)
            | Self::Size { .. }
            | Self::SectorSize { .. }
            | Self::Partclone(_)
            | Self::PublicKey(_) => None,
        }
    }
}
