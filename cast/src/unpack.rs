//! Writes the image of a cast stream to a file or disk.
//!
//! Nothing is written before manifest and table are right, and of each chunk nothing before all of
//! it is; so what a stream that breaks off leaves is the image's beginning.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ironcast_proto::cast::{Kind, Signed};
use ironcast_receiver_nostd::cast::Chunk;
use ironcast_receiver_nostd::engine::{self, Refusal, Wanted};
use rustix::fs::OFlags;

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
/// [`Error`]; above all [`Error::TooSmall`] and [`Error::Refused`].
pub fn unpack<R: Read>(
    mut input: Input<'_, R>,
    path: &Path,
    zero_holes: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Unpacked, Error> {
    let (manifest, signed) = input.manifest()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let wanted = Wanted {
        now: now.map(|now| now.as_secs()),
        ..Wanted::default()
    };
    let stream = input.name().to_owned();
    let refused = |source| Error::Refused {
        path: stream.clone(),
        source,
    };
    wanted.judge(&manifest, None, None).map_err(refused)?;
    let (name, size, least) = (manifest.name.to_owned(), manifest.size, manifest.least_disk);
    let image = manifest.sector_size;
    let (mut opened, mut written) = (None, 0);
    input.chunks(&mut |chunk| {
        // Only now is it known that there is an image for it.
        let target = match opened.take() {
            Some(target) => target,
            None => {
                let mut target = Target::open(path, size, &stream)?;
                if let Some(disk) = target.sector_size.filter(|&disk| disk != image) {
                    return Err(refused(Refusal::SectorSize { image, disk }));
                }
                target.demand_room(path, least)?;
                target.free = chunk.partitions_end(image);
                target
            }
        };
        let target = opened.insert(target);
        written += target
            .write(chunk, zero_holes)
            .map_err(Error::file("write", path))?;
        progress(chunk.start + u64::from(chunk.len));
        Ok(())
    })?;
    // There is a chunk of every image.
    let ended = opened.map_or(Ok(Fit::Right), |target| target.end(size, image));
    let table = ended.map_err(Error::file("write", path))?;
    Ok(Unpacked {
        name,
        signed,
        size,
        written,
        table,
    })
}

/// Where the image goes.
struct Target {
    file: File,
    /// Whether everything there reads as zero so far.
    is_blank: bool,
    /// Bytes of a disk.
    capacity: Option<u64>,
    /// Bytes of a sector of a disk.
    sector_size: Option<u32>,
    /// Where in the image the room for a GPT's copy begins.
    free: u64,
}

impl Target {
    /// Opens what is at `path`, for an image of `size` bytes that comes from `stream`. A disk must
    /// not be in use, and nothing happens to it here.
    fn open(path: &Path, size: u64, stream: &Path) -> Result<Self, Error> {
        let writing = || Error::file("write", path);
        let about = path.metadata();
        let is_disk = about
            .as_ref()
            .is_ok_and(|about| about.file_type().is_block_device());
        let mut options = OpenOptions::new();
        // A disk is read where its table has to be made right.
        options.read(is_disk).write(true).create(!is_disk);
        if is_disk {
            // On a device this means: unless something else has it in use.
            options.custom_flags(OFlags::EXCL.bits().cast_signed());
        }
        let itself = |about| {
            stream
                .metadata()
                .is_ok_and(|stream| is_same(&stream, about))
        };
        if about.as_ref().is_ok_and(itself) {
            let text = "the image is read from it";
            return Err(writing()(io::Error::other(text)));
        }
        let mut file = options.truncate(false).open(path).map_err(writing())?;
        if !is_disk {
            // Gives back what was there, and makes all of it a hole.
            file.set_len(0).map_err(writing())?;
            file.set_len(size).map_err(writing())?;
            return Ok(Self {
                file,
                is_blank: true,
                capacity: None,
                sector_size: None,
                free: u64::MAX,
            });
        }
        Ok(Self {
            is_blank: false,
            capacity: Some(file.seek(SeekFrom::End(0)).map_err(writing())?),
            sector_size: rustix::fs::ioctl_blksszget(&file).ok(),
            free: u64::MAX,
            file,
        })
    }

    /// Whether a disk has `least` bytes.
    fn demand_room(&self, path: &Path, least: u64) -> Result<(), Error> {
        match self.capacity {
            Some(capacity) if capacity < least => Err(Error::TooSmall {
                path: path.to_owned(),
                capacity,
                least,
            }),
            _ => Ok(()),
        }
    }

    /// Makes the table right for the disk, and waits until everything is on it.
    fn end(&self, size: u64, sector_size: u32) -> io::Result<Fit> {
        let table = match self.capacity {
            Some(capacity) => match fit(&self.file, capacity, sector_size)? {
                // Its second copy is where this disk has nothing.
                Fit::Odd(odd) if capacity < size => {
                    return Err(failed(engine::Error::Table(Some(odd))));
                }
                table => table,
            },
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
        if let (true, Some(capacity)) = (chunk.is_missed(len, self.free), self.capacity) {
            return Err(failed(engine::Error::Full { capacity }));
        }
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

/// The same words as the engine has.
fn failed(error: engine::Error<io::Error>) -> io::Error {
    io::Error::other(error)
}

/// Whether both are one file.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}
