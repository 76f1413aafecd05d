//! Writes the image of a cast stream to a file or disk, as a receiver does.
//!
//! The stream comes from a file or a pipe, so that what another program has received can be proved
//! and written too.

use std::fs::{FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use ironcast_hosted::{Durability, Incomplete, Target};
use ironcast_proto::cast::Signed;
use ironcast_receiver_nostd::engine::{self, TableState, Unpacker};

use crate::error::Error;
use crate::options::CastSettings;
use crate::read::{PIECE, read_piece};

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Name of the image.
    pub name: String,
    /// Who has signed it.
    pub signed: Signed,
    /// Bytes of the image.
    pub size: u64,
    /// Whether all of them were read back and found equal.
    pub is_verified: bool,
    /// What became of its partition table.
    pub table: TableState,
}

/// Writes the image of `stream`, which is called `name` in messages, to `path`: to a disk that is
/// there, or to a file that is made or written over. `progress` is told how many bytes of the image
/// are done, of how many.
///
/// # Errors
/// [`Error::File`] if the stream can't be read, [`Error::Target`], [`Error::Incomplete`].
pub fn unpack<R: Read>(
    mut stream: R,
    name: &Path,
    path: &Path,
    settings: &CastSettings,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Unpacked, Error> {
    let source = match name.as_os_str() == "-" {
        true => Path::new("/dev/stdin"),
        false => name,
    };
    if is_same(source, path) && is_kept(path) {
        let text = "the image is read from it";
        return Err(Error::file("write", path)(io::Error::other(text)));
    }
    let target = Target::open(Some(path), None, Durability::AtEnd).map_err(Error::Target)?;
    let incomplete = |written, error| {
        Error::Incomplete(Box::new(Incomplete {
            name: path.display().to_string(),
            written,
            error,
        }))
    };
    let unpacker = Unpacker::new(settings.for_engine(), target);
    let mut unpacker = unpacker.map_err(|error| incomplete(0, error))?;
    let error = match write(&mut stream, name, &mut unpacker, progress) {
        Ok(unpacked) => return Ok(unpacked),
        Err(Stop::Stream(error)) => error,
        Err(Stop::Target(error)) => incomplete(unpacker.written(), error),
    };
    while unpacker.clear() {}
    // The error that is told is the first one.
    let _ = unpacker.into_disk().discard();
    Err(error)
}

/// Why an image is not written.
enum Stop {
    /// The stream can't be read.
    Stream(Error),
    /// It is not right, or the target is not.
    Target(engine::Error<io::Error>),
}

impl From<engine::Error<io::Error>> for Stop {
    fn from(error: engine::Error<io::Error>) -> Self {
        Self::Target(error)
    }
}

/// Gives all of the stream to the target, and proves it there.
fn write<R: Read>(
    stream: &mut R,
    name: &Path,
    unpacker: &mut Unpacker<'_, Target>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Unpacked, Stop> {
    let mut piece = vec![0; PIECE];
    loop {
        let len = read_piece(stream, &mut piece).map_err(Error::file("read", name));
        let len = len.map_err(Stop::Stream)?;
        let mut rest = piece.get(..len).unwrap_or_default();
        while {
            let taken = unpacker.take(rest)?;
            rest = rest.get(taken.consumed..).unwrap_or_default();
            taken.has_moved
        } {
            if let Some(image) = unpacker.image() {
                progress(unpacker.written(), image.manifest.size);
            }
        }
        if len == 0 {
            break;
        }
    }
    while unpacker.close()? {}
    let image = unpacker.image().ok_or(engine::Error::Empty)?;
    Ok(Unpacked {
        name: image.manifest.name.to_owned(),
        signed: image.signed,
        size: image.manifest.size,
        is_verified: unpacker.is_verified(),
        table: unpacker.table(),
    })
}

/// Whether what is written to `path` can be read from it again: a terminal is stdin and stdout.
fn is_kept(path: &Path) -> bool {
    let is_stream = |kind: FileType| kind.is_char_device() || kind.is_fifo() || kind.is_socket();
    !path
        .metadata()
        .is_ok_and(|about| is_stream(about.file_type()))
}

/// Whether both paths lead to one file.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |about: Metadata| (about.dev(), about.ino());
    let (one, other) = (one.metadata().map(place), other.metadata().map(place));
    one.is_ok_and(|one| other.is_ok_and(|other| one == other))
}
