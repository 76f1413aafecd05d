//! What the thread that has the target is given to do.
//!
//! After a write that failed the writes behind it are not made, until whoever gave them knows of
//! it: what is done then may be to clear the disk.

use std::io;
use std::sync::mpsc::Receiver;

use embedded_io::{ErrorType, Seek, SeekFrom, Write};
use ironcast_receiver_nostd::Disk;

/// Zero bytes that are written at a time.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// One thing to do, with memory for it. Before a write or a read the target may have to go
/// somewhere.
#[derive(Debug)]
pub(crate) enum Job {
    Write(Option<SeekFrom>, Vec<u8>),
    /// These bytes become zeroes, which counts as a write.
    Fill {
        offset: u64,
        len: u64,
        memory: Vec<u8>,
    },
    /// The same if the target has a way of its own to that; the result is 1 if it was done.
    Zero {
        offset: u64,
        len: u64,
    },
    /// As many bytes as this has, or fewer.
    Read(Option<SeekFrom>, Vec<u8>),
    Seek(Option<SeekFrom>, SeekFrom),
    /// The result is 1 if it is so.
    IsBlank {
        offset: u64,
        len: u64,
    },
    Flush,
    /// Writes are made again. Nobody is told of this.
    Resume,
}

/// How a job went, and the memory that it was given.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) result: io::Result<u64>,
    pub(crate) buffer: Vec<u8>,
}

/// Does what there is to do, and tells how each went, as long as somebody listens.
pub(crate) fn run_all<D>(todo: &Receiver<Job>, target: &mut D, mut tell: impl FnMut(Done) -> bool)
where
    D: Disk + ErrorType<Error = io::Error>,
{
    let mut has_failed = false;
    for job in todo {
        let done = match job {
            Job::Resume => {
                has_failed = false;
                continue;
            }
            Job::Write(_, buffer) | Job::Fill { memory: buffer, .. } if has_failed => Done {
                result: Ok(0),
                buffer,
            },
            Job::Write(seek, buffer) => {
                let result = write(target, seek, &buffer);
                has_failed = result.is_err();
                Done { result, buffer }
            }
            Job::Fill {
                offset,
                len,
                memory,
            } => {
                let result = fill(target, offset, len);
                has_failed = result.is_err();
                Done {
                    result,
                    buffer: memory,
                }
            }
            Job::Read(seek, mut buffer) => Done {
                result: read(target, seek, &mut buffer),
                buffer,
            },
            Job::Zero { offset, len } => bare(target.write_zeroes(offset, len).map(u64::from)),
            Job::IsBlank { offset, len } => bare(Ok(target.is_blank(offset, len).into())),
            Job::Seek(before, to) => bare(go(target, before).and_then(|()| target.seek(to))),
            Job::Flush => bare(target.flush().map(|()| 0)),
        };
        if !tell(done) {
            return;
        }
    }
}

fn bare(result: io::Result<u64>) -> Done {
    Done {
        result,
        buffer: Vec::new(),
    }
}

fn go<D: Seek<Error = io::Error>>(target: &mut D, seek: Option<SeekFrom>) -> io::Result<()> {
    seek.map_or(Ok(()), |to| target.seek(to).map(|_| ()))
}

fn write<D>(target: &mut D, seek: Option<SeekFrom>, mut bytes: &[u8]) -> io::Result<u64>
where
    D: Seek + Write + ErrorType<Error = io::Error>,
{
    go(target, seek)?;
    while !bytes.is_empty() {
        match target.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
    Ok(0)
}

fn read<D>(target: &mut D, seek: Option<SeekFrom>, buffer: &mut [u8]) -> io::Result<u64>
where
    D: Disk + ErrorType<Error = io::Error>,
{
    go(target, seek)?;
    target.reader().map_or(Ok(0), |reader| {
        reader.read(buffer).map(|given| given as u64)
    })
}

/// Makes bytes zeroes in whatever way there is, and has the target stand where it did.
fn fill<D>(target: &mut D, offset: u64, len: u64) -> io::Result<u64>
where
    D: Disk + ErrorType<Error = io::Error>,
{
    if target.write_zeroes(offset, len)? {
        return Ok(0);
    }
    let before = target.stream_position()?;
    target.seek(SeekFrom::Start(offset))?;
    let mut left = len;
    while left > 0 {
        // No more than a piece.
        let piece = left.min(ZEROES.len() as u64) as usize;
        write(target, None, &ZEROES[..piece])?;
        left -= piece as u64;
    }
    target.seek(SeekFrom::Start(before))
}
