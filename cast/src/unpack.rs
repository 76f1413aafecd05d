//! Writes the image of a cast stream to a file or disk.
//!
//! Nothing is written before manifest and table are right, and of each chunk nothing before all of
//! it is; so what a stream that breaks off leaves is the image's beginning.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ironcast_proto::cast::{Kind, Signed};
use ironcast_receiver_nostd::cast::Chunk;
use ironcast_receiver_nostd::engine::Wanted;

use crate::error::Error;
use crate::fit::{Fit, fit};
use crate::read::Input;

/// Zero bytes that are written at a time.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Name of the image.
    pub name: String,
    /// Who has signed it.
    pub signed: Signed,
    /// Bytes of the image.
    pub size: u64,
    /// Bytes that were written.
    pub written: u64,
    /// What became of the partition table on a disk.
    pub table: Fit,
}

/// Writes the image to `path`: to a disk that is there, or to a file that is made or written over.
/// `zero_holes` fills holes with zeroes, which otherwise stay as they are on a disk. `progress` is
/// told how many bytes of the image are done.
///
/// # Errors
/// [`Error`]; above all [`Error::TooSmall`].
pub fn unpack<R: Read>(
    mut input: Input<'_, R>,
    path: &Path,
    zero_holes: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Unpacked, Error> {
    let (manifest, signed) = input.manifest()?;
    let (name, size, least) = (manifest.name.to_owned(), manifest.size, manifest.least_disk);
    let sector_size = manifest.sector_size;
    let wanted = Wanted {
        now: now(),
        ..Wanted::default()
    };
    // Of the disk more is told when it is opened.
    let verdict = wanted.judge(&manifest, None, None);
    verdict.map_err(Error::Refused)?;
    let (mut opened, mut written) = (None, 0);
    input.chunks(&mut |chunk| {
        // Only now is it known that there is an image for it.
        let target = match opened.take() {
            Some(target) => target,
            None => Target::open(path, size, least)?,
        };
        let target = opened.insert(target);
        written += target
            .write(chunk, zero_holes)
            .map_err(Error::file("write", path))?;
        progress(chunk.start + u64::from(chunk.len));
        Ok(())
    })?;
    // There is a chunk of every image.
    let ended = opened.map_or(Ok(Fit::Right), |target| target.end(sector_size));
    let table = ended.map_err(Error::file("write", path))?;
    Ok(Unpacked {
        name,
        signed,
        size,
        written,
        table,
    })
}

/// Seconds since 1970.
fn now() -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.ok().map(|now| now.as_secs())
}

/// Where the image goes.
struct Target {
    file: File,
    /// Whether everything there reads as zero so far.
    is_blank: bool,
    /// Bytes of a disk.
    capacity: Option<u64>,
}

impl Target {
    fn open(path: &Path, size: u64, least: u64) -> Result<Self, Error> {
        let writing = || Error::file("write", path);
        // A disk is read where its table has to be made right.
        let mut file = OpenOptions::new()
            .read(
                path.metadata()
                    .is_ok_and(|about| about.file_type().is_block_device()),
            )
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(writing())?;
        let is_disk = file
            .metadata()
            .map_err(writing())?
            .file_type()
            .is_block_device();
        if !is_disk {
            // Gives back what was there, and makes all of it a hole.
            file.set_len(0).map_err(writing())?;
            file.set_len(size).map_err(writing())?;
            return Ok(Self {
                file,
                is_blank: true,
                capacity: None,
            });
        }
        let capacity = file.seek(SeekFrom::End(0)).map_err(writing())?;
        if capacity < least {
            return Err(Error::TooSmall {
                path: path.to_owned(),
                capacity,
                least,
            });
        }
        Ok(Self {
            file,
            is_blank: false,
            capacity: Some(capacity),
        })
    }

    /// Makes the table right for the disk, and waits until everything is on it.
    fn end(&self, sector_size: u32) -> io::Result<Fit> {
        let table = match self.capacity {
            Some(capacity) => fit(&self.file, capacity, sector_size)?,
            None => Fit::Right,
        };
        self.file.sync_all()?;
        Ok(table)
    }

    /// Writes a chunk, as far as the disk goes; how many bytes that were.
    fn write(&self, chunk: &Chunk<'_>, zero_holes: bool) -> io::Result<u64> {
        let end = chunk.start + u64::from(chunk.len);
        let end = self.capacity.map_or(end, |capacity| end.min(capacity));
        // No more than the chunk's.
        let len = end.saturating_sub(chunk.start) as usize;
        let is_left_out = match chunk.kind {
            Kind::Hole => self.is_blank || !zero_holes,
            Kind::Zero => self.is_blank,
            Kind::Plain | Kind::Lz4 | Kind::Zstd => false,
        };
        match chunk.bytes.get(..len) {
            _ if is_left_out => return Ok(0),
            Some(bytes) if !bytes.is_empty() => self.file.write_all_at(bytes, chunk.start)?,
            _ => {
                for start in (0..len).step_by(ZEROES.len()) {
                    let piece = &ZEROES[..ZEROES.len().min(len - start)];
                    self.file.write_all_at(piece, chunk.start + start as u64)?;
                }
            }
        }
        Ok(len as u64)
    }
}
