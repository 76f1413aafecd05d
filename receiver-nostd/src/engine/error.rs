//! What can go wrong with a transfer on this machine, in words for the person before it.

use core::fmt;

use ironcast_proto::receiver::Failure;

use super::chunks::BadChunks;
use super::wanted::Refusal;
use super::{MIN_RING_LEN, Report, WRITE_SIZE};
use crate::decode;
#[cfg(doc)]
use crate::disk::Disk;
use crate::gpt::Odd;
use crate::image::Needed;

/// Why a transfer failed. `E` is the disk's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The sender or the network, or the operator who gave it up.
    Transfer(Failure),
    /// The image was made for a larger disk. Nothing was written.
    TooSmall {
        /// What the image's partition table says.
        needed: Needed,
        /// Bytes that the disk holds.
        capacity: u64,
    },
    /// The image was made for a disk with sectors of another size. Nothing was written.
    SectorSize {
        /// Bytes of a sector that the image's partition table is for.
        image: u32,
        /// Bytes of a sector of the disk.
        disk: u32,
    },
    /// The stream is not what is wanted here. Nothing was written.
    Refused(
        /// Why.
        Refusal,
    ),
    /// The cast stream is wrong.
    #[cfg(feature = "alloc")]
    Cast(
        /// How.
        crate::cast::Error,
    ),
    /// The disk took chunks of a cast stream, and gave other bytes back.
    Chunks(
        /// Which ones.
        BadChunks,
    ),
    /// The image is larger than the disk, and its partition table can't be made right for that.
    Table(
        /// What is odd about it; `None` if it is to be left as it is.
        Option<Odd>,
    ),
    /// The image can't be given new GUIDs, as [`Guids::New`](super::Guids::New) asks for.
    Guids(
        /// What is odd about its GUID partition table; `None` if it has none.
        Option<Odd>,
    ),
    /// The stream ended without a byte of an image. Nothing was written.
    Empty,
    /// The disk is not to be written ([`Disk::prepare`]). Nothing was.
    Prepare(
        /// What the disk said.
        E,
    ),
    /// The image goes on where the disk ends.
    Full {
        /// Bytes that the disk holds.
        capacity: u64,
    },
    /// The disk refused bytes.
    Write {
        /// Offset of the first of them on the disk.
        start: u64,
        /// Offset after the last of them.
        end: u64,
        /// What the disk said.
        source: E,
    },
    /// The disk took no byte, or claims more than it was given, and named no reason.
    Stuck {
        /// Offset of the first byte that was to be written.
        start: u64,
        /// Offset after the last of them.
        end: u64,
    },
    /// The disk could not be read.
    Read {
        /// Offset of the first byte that was to be read.
        start: u64,
        /// Offset after the last of them.
        end: u64,
        /// What the disk said.
        source: E,
    },
    /// The disk gave no byte, or claims more than it was asked for, and named no reason.
    Short {
        /// Offset of the first byte that was to be read.
        start: u64,
        /// Offset after the last of them.
        end: u64,
    },
    /// The disk took bytes, and gave others back.
    Differs {
        /// Offset of the first byte of the range that is not as it was written; no byte before it
        /// differs.
        start: u64,
        /// Offset after the range.
        end: u64,
    },
    /// The disk would not go to a place.
    Seek {
        /// Offset of the place.
        offset: u64,
        /// What the disk said.
        source: E,
    },
    /// The disk did not make safe what it had taken.
    Flush {
        /// Bytes that were written before.
        written: u64,
        /// What the disk said.
        source: E,
    },
    /// The image is on the disk, and what was left to do there ([`Disk::complete`]) went wrong.
    Complete(
        /// What the disk said.
        E,
    ),
    /// The stream can't be decompressed.
    Decode {
        /// Offset in the stream, less than 32 KiB before what shows the fault.
        offset: u64,
        /// What is wrong with it.
        source: decode::Error,
    },
    /// The image was received, and the disk [keeps nothing](crate::Disk::is_dry_run).
    /// [`Report::written`] is what the disk was given.
    DryRun(Report),
}

impl<E> Error<E> {
    /// Whether the disk failed at its work. Its old contents can't be relied on then, whatever the
    /// number of bytes that it took.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        match self {
            Self::Write { .. }
            | Self::Stuck { .. }
            | Self::Read { .. }
            | Self::Short { .. }
            | Self::Differs { .. }
            | Self::Chunks(_)
            | Self::Seek { .. }
            | Self::Flush { .. }
            | Self::Complete(_) => true,
            #[cfg(feature = "alloc")]
            Self::Cast(_) => false,
            Self::Transfer(_)
            | Self::Refused(_)
            | Self::Table(_)
            | Self::Empty
            | Self::Prepare(_)
            | Self::TooSmall { .. }
            | Self::SectorSize { .. }
            | Self::Guids(_)
            | Self::Full { .. }
            | Self::Decode { .. }
            | Self::DryRun(_) => false,
        }
    }
}

impl<E: fmt::Display> Error<E> {
    /// The words for what a disk does wrong at its work.
    fn fmt_disk(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { start, end, source } => {
                write!(f, "writing bytes {start}..{end} of the disk: {source}")
            }
            Self::Stuck { start, end } => {
                write!(f, "writing bytes {start}..{end} of the disk: it took none")
            }
            Self::Read { start, end, source } => {
                write!(f, "reading bytes {start}..{end} of the disk back: {source}")
            }
            Self::Short { start, end } => {
                write!(
                    f,
                    "reading bytes {start}..{end} of the disk back: it gave none"
                )
            }
            Self::Differs { start, end } => write!(
                f,
                "bytes {start}..{end} of the disk, read back, are not what was written"
            ),
            Self::Seek { offset, source } => {
                write!(f, "going to byte {offset} of the disk: {source}")
            }
            Self::Flush { written, source } => {
                write!(f, "flushing the disk after {written} bytes: {source}")
            }
            Self::Chunks(bad) => write!(
                f,
                "read back, the disk has something else than was written in {bad} of the image"
            ),
            // The others have words of their own.
            _ => Ok(()),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transfer(failure) => failure.fmt(f),
            Self::TooSmall { needed, capacity } => write!(
                f,
                "the image's {} partition table is for a disk of at least {} bytes, and this one \
                 has {capacity}; nothing was written",
                needed.table, needed.bytes
            ),
            Self::SectorSize { image, disk } => write!(
                f,
                "the image's GPT partition table is for sectors of {image} bytes, and this disk's \
                 have {disk}; nothing was written"
            ),
            Self::Refused(refusal) => refusal.fmt(f),
            #[cfg(feature = "alloc")]
            Self::Cast(source) => write!(f, "reading the cast stream: {source}"),
            Self::Table(odd) => no_table(*odd, f),
            Self::Guids(odd) => no_new_guids(*odd, f),
            Self::Empty => f.write_str("the image that was sent has no bytes"),
            Self::Prepare(source) => write!(f, "before the first write: {source}"),
            Self::Full { capacity } => write!(
                f,
                "the disk is full: the image has more than its {capacity} bytes"
            ),
            Self::Chunks(_)
            | Self::Write { .. }
            | Self::Stuck { .. }
            | Self::Read { .. }
            | Self::Short { .. }
            | Self::Differs { .. }
            | Self::Seek { .. }
            | Self::Flush { .. } => self.fmt_disk(f),
            Self::Complete(source) => write!(f, "the image was written, but {source}"),
            Self::Decode { offset, source } => {
                write!(f, "decoding the stream near byte {offset}: {source}")
            }
            Self::DryRun(report) => write!(
                f,
                "a dry run: {} bytes arrived, and nothing was written",
                report.received
            ),
        }
    }
}

fn no_table(odd: Option<Odd>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("the image is of a larger disk, and its GPT partition table ")?;
    match odd {
        None => f.write_str("is to be kept as it is, which is wrong for this disk"),
        Some(odd) => write!(f, "can't be made right for this one: {odd}"),
    }
}

fn no_new_guids(odd: Option<Odd>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match odd {
        None => f.write_str("the image has no GPT partition table that could get new GUIDs"),
        Some(odd) => write!(
            f,
            "the image's GPT partition table can't be given new GUIDs: {odd}"
        ),
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Transfer(source) => Some(source),
            Self::Write { source, .. }
            | Self::Read { source, .. }
            | Self::Seek { source, .. }
            | Self::Flush { source, .. }
            | Self::Prepare(source)
            | Self::Complete(source) => Some(source),
            Self::Decode { source, .. } => Some(source),
            #[cfg(feature = "alloc")]
            Self::Cast(source) => Some(source),
            Self::Refused(refusal) => Some(refusal),
            Self::Guids(odd) | Self::Table(odd) => odd.as_ref().map(|odd| odd as _),
            Self::TooSmall { .. }
            | Self::SectorSize { .. }
            | Self::Empty
            | Self::Full { .. }
            | Self::Stuck { .. }
            | Self::Short { .. }
            | Self::Differs { .. }
            | Self::Chunks(_)
            | Self::DryRun(_) => None,
        }
    }
}

/// Why memory does not do for an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The ring's length is not a multiple of [`WRITE_SIZE`], or less than [`MIN_RING_LEN`].
    Ring(
        /// Its length in bytes.
        usize,
    ),
    /// Decompression is on, and the write buffer's length is not [`WRITE_SIZE`].
    WriteBuffer(
        /// Its length in bytes.
        usize,
    ),
    /// Decompression is on, and there is no decoder of gzip.
    NoDecoder,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(len) => write!(
                f,
                "a ring of {len} bytes is not a multiple of {WRITE_SIZE}, {MIN_RING_LEN} at least"
            ),
            Self::WriteBuffer(len) => {
                write!(
                    f,
                    "a write buffer of {len} bytes, where {WRITE_SIZE} are needed"
                )
            }
            Self::NoDecoder => f.write_str("decompression without a decoder of gzip"),
        }
    }
}

impl core::error::Error for MemoryError {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::error::Error as _;
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;
    use crate::decode::Compression;
    use crate::engine::{Format, TableState};
    use crate::image::Table;

    const SOURCE: embedded_io::ErrorKind = embedded_io::ErrorKind::TimedOut;

    fn texts(errors: &[Error<embedded_io::ErrorKind>]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_an_image_is_refused_for() {
        let errors = [
            Error::Transfer(Failure::Aborted),
            Error::TooSmall {
                needed: Needed {
                    bytes: 200,
                    sector_size: None,
                    table: Table::Gpt,
                },
                capacity: 100,
            },
            Error::SectorSize {
                image: 512,
                disk: 4096,
            },
            Error::Guids(None),
            Error::Guids(Some(Odd::Partition(3))),
            Error::Full { capacity: 100 },
            Error::Decode {
                offset: 7,
                source: decode::Error {
                    compression: Compression::Gzip,
                    fault: decode::Fault::Truncated,
                },
            },
            Error::DryRun(Report {
                received: 7,
                hash: blake3::hash(b""),
                written: 9,
                disk_hash: blake3::hash(b""),
                verified: false,
                table: TableState::None,
                format: Format::Raw,
                first_slice: 0,
                lost: 0,
                lost_slices: 0,
            }),
        ];
        assert_eq!(
            texts(&errors),
            [
                "the transfer was given up here",
                "the image's GPT partition table is for a disk of at least 200 bytes, and this one \
                 has 100; nothing was written",
                "the image's GPT partition table is for sectors of 512 bytes, and this disk's have \
                 4096; nothing was written",
                "the image has no GPT partition table that could get new GUIDs",
                "the image's GPT partition table can't be given new GUIDs: partition 3 lies \
                 outside of its limits",
                "the disk is full: the image has more than its 100 bytes",
                "decoding the stream near byte 7: gzip data are cut off",
                "a dry run: 7 bytes arrived, and nothing was written",
            ]
        );
        assert!(errors.iter().all(|error| !error.is_of_disk()));
        let with_cause = errors.iter().filter(|error| error.source().is_some());
        assert_eq!(with_cause.count(), 3);
    }

    #[test]
    fn what_disks_do_wrong() {
        let (start, end) = (3, 9);
        let source = SOURCE;
        let errors = [
            Error::Write { start, end, source },
            Error::Stuck { start, end },
            Error::Read { start, end, source },
            Error::Short { start, end },
            Error::Differs { start, end },
            Error::Seek { offset: 0, source },
            Error::Flush { written: 9, source },
        ];
        assert_eq!(
            texts(&errors),
            [
                "writing bytes 3..9 of the disk: TimedOut",
                "writing bytes 3..9 of the disk: it took none",
                "reading bytes 3..9 of the disk back: TimedOut",
                "reading bytes 3..9 of the disk back: it gave none",
                "bytes 3..9 of the disk, read back, are not what was written",
                "going to byte 0 of the disk: TimedOut",
                "flushing the disk after 9 bytes: TimedOut",
            ]
        );
        assert!(errors.iter().all(Error::is_of_disk));
        let with_cause = errors.iter().filter(|error| error.source().is_some());
        assert_eq!(with_cause.count(), 4);
    }
}
