//! Writing to the target by a thread of its own.
//!
//! A disk that flushes, or a pipe that nobody reads, may block for minutes. Meanwhile the sockets
//! have to be served: so that nothing is lost, that the sender sees a sign of life, and that a
//! signal ends the program. One write is under way at a time, and holds a copy of its bytes; the
//! rest waits in the engine's own memory. When it is read back, what comes next is read while what
//! came before is hashed.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;

use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};
use ironcast_hosted::Waker;
use ironcast_receiver_nostd::Disk;

/// A target that is written to in the background.
#[derive(Debug)]
pub struct Background {
    capacity: Option<u64>,
    sector_size: Option<u32>,
    is_readable: bool,
    jobs: Sender<Job>,
    done: Receiver<Done>,
    waker: Waker,
    state: State,
    /// Memory for the next write or read.
    buffer: Vec<u8>,
    /// Where in it are the bytes that were read ahead, and not asked for so far; or why there are
    /// none.
    ahead: io::Result<Range<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// A write or seek is under way.
    Busy,
    /// What follows the last read is being read.
    Reading,
    Flushing,
    /// A flush has ended well, and nobody was told so far.
    Flushed,
}

#[derive(Debug)]
enum Job {
    Write(Vec<u8>),
    /// As many bytes as this has, or fewer.
    Read(Vec<u8>),
    Seek(SeekFrom),
    /// The result is 1 if it was done.
    Zero {
        offset: u64,
        len: u64,
    },
    /// The result is 1 if it is so.
    IsBlank {
        offset: u64,
        len: u64,
    },
    Flush,
}

/// How a job went, and the memory that it was given.
#[derive(Debug)]
struct Done {
    result: io::Result<u64>,
    buffer: Vec<u8>,
}

impl Background {
    /// Starts the thread that writes to `target` from now on.
    ///
    /// # Errors
    /// If the system has no resources for it.
    pub fn start<D>(mut target: D) -> io::Result<Self>
    where
        D: Disk + ErrorType<Error = io::Error> + Send + 'static,
    {
        let waker = Waker::new()?;
        let (jobs, todo) = mpsc::channel::<Job>();
        let (finished, done) = mpsc::channel();
        let (capacity, sector_size) = (target.capacity(), target.sector_size());
        let is_readable = target.reader().is_some();
        let worker = waker.clone();
        thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || {
                for job in todo {
                    if finished.send(job.run(&mut target)).is_err() {
                        return;
                    }
                    worker.wake();
                }
            })?;
        Ok(Self {
            capacity,
            sector_size,
            is_readable,
            jobs,
            done,
            waker,
            state: State::Idle,
            buffer: Vec::new(),
            ahead: Ok(0..0),
        })
    }

    /// Wakes when there is something new to be learnt from
    /// [`is_ready`](Disk::is_ready) and [`poll_flush`](Disk::poll_flush).
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn begin(&mut self, job: Job, state: State) -> io::Result<()> {
        self.state = state;
        self.jobs.send(job).map_err(|_| is_gone())
    }

    /// Takes in how the job under way went.
    fn end(&mut self, done: Done) -> io::Result<u64> {
        self.buffer = done.buffer;
        if self.state == State::Reading {
            self.state = State::Idle;
            // No more than the buffer has. An error is that of whoever reads on.
            self.ahead = done.result.map(|given| 0..given as usize);
            return Ok(0);
        }
        self.state = match self.state {
            State::Flushing if done.result.is_ok() => State::Flushed,
            _ => State::Idle,
        };
        done.result
    }

    /// Whether nothing is under way.
    fn poll(&mut self) -> io::Result<bool> {
        if let State::Idle | State::Flushed = self.state {
            return Ok(true);
        }
        match self.done.try_recv() {
            Ok(done) => self.end(done).map(|_| true),
            Err(TryRecvError::Empty) => Ok(false),
            Err(TryRecvError::Disconnected) => Err(is_gone()),
        }
    }

    fn wait(&mut self) -> io::Result<u64> {
        match self.state {
            State::Idle | State::Flushed => Ok(0),
            State::Busy | State::Reading | State::Flushing => {
                let done = self.done.recv().map_err(|_| is_gone())?;
                self.end(done)
            }
        }
    }

    /// Has the next `len` bytes read.
    fn begin_read(&mut self, len: usize) -> io::Result<()> {
        let mut memory = std::mem::take(&mut self.buffer);
        memory.resize(len, 0);
        self.begin(Job::Read(memory), State::Reading)
    }

    /// Waits until nothing is under way, and has the target stand where it was read or written up
    /// to, and not behind what was read ahead.
    fn settle(&mut self) -> io::Result<()> {
        self.wait()?;
        let ahead = self.forget_ahead();
        if ahead > 0 {
            self.begin(Job::Seek(SeekFrom::Current(-ahead)), State::Busy)?;
            self.wait()?;
        }
        Ok(())
    }

    /// How many bytes were read ahead, for nothing.
    fn forget_ahead(&mut self) -> i64 {
        let ahead = std::mem::replace(&mut self.ahead, Ok(0..0));
        ahead.map_or(0, |ahead| ahead.len() as i64)
    }
}

impl Job {
    fn run<D: Disk + ErrorType<Error = io::Error>>(self, target: &mut D) -> Done {
        match self {
            Self::Write(buffer) => Done {
                result: write_all(target, &buffer).map(|()| 0),
                buffer,
            },
            Self::Read(mut buffer) => Done {
                result: target.reader().map_or(Ok(0), |reader| {
                    reader.read(&mut buffer).map(|given| given as u64)
                }),
                buffer,
            },
            Self::Zero { offset, len } => Done {
                result: target.write_zeroes(offset, len).map(u64::from),
                buffer: Vec::new(),
            },
            Self::IsBlank { offset, len } => Done {
                result: Ok(target.is_blank(offset, len).into()),
                buffer: Vec::new(),
            },
            Self::Seek(to) => Done {
                result: target.seek(to),
                buffer: Vec::new(),
            },
            Self::Flush => Done {
                result: target.flush().map(|()| 0),
                buffer: Vec::new(),
            },
        }
    }
}

fn write_all<D: Disk + ErrorType<Error = io::Error>>(
    target: &mut D,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match target.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
    Ok(())
}

fn is_gone() -> io::Error {
    io::Error::other("the thread that writes is gone")
}

impl ErrorType for Background {
    type Error = io::Error;
}

impl Write for Background {
    /// Takes all bytes, and waits only if an earlier write is under way. What becomes of them shows
    /// with the next call.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.settle()?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(bytes);
        self.begin(Job::Write(buffer), State::Busy)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.poll_flush()? {
            let done = self.done.recv().map_err(|_| is_gone())?;
            self.end(done)?;
        }
        Ok(())
    }
}

impl Seek for Background {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.settle()?;
        self.begin(Job::Seek(to), State::Busy)?;
        self.wait()
    }
}

impl Read for Background {
    /// Waits for it, unless it was read ahead: nothing else is to be done with the disk meanwhile.
    /// Then as much of what follows is read in the background.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        if self.ahead.as_ref().is_ok_and(Range::is_empty) {
            self.begin_read(buffer.len())?;
            self.wait()?;
        }
        let ahead = std::mem::replace(&mut self.ahead, Ok(0..0))?;
        let given = ahead.len().min(buffer.len());
        let (taken, rest) = (
            ahead.start..ahead.start + given,
            ahead.start + given..ahead.end,
        );
        buffer[..given].copy_from_slice(&self.buffer[taken]);
        if given > 0 && rest.is_empty() {
            self.begin_read(buffer.len())?;
        }
        self.ahead = Ok(rest);
        Ok(given)
    }
}

impl Disk for Background {
    fn capacity(&self) -> Option<u64> {
        self.capacity
    }

    fn sector_size(&self) -> Option<u32> {
        self.sector_size
    }

    fn reader(&mut self) -> Option<&mut dyn Read<Error = io::Error>> {
        match self.is_readable {
            true => Some(self),
            false => None,
        }
    }

    fn write_zeroes(&mut self, offset: u64, len: u64) -> io::Result<bool> {
        self.settle()?;
        self.begin(Job::Zero { offset, len }, State::Busy)?;
        self.wait().map(|done| done == 1)
    }

    fn is_blank(&mut self, offset: u64, len: u64) -> bool {
        let job = Job::IsBlank { offset, len };
        self.forget_ahead();
        // What goes wrong shows when it is read.
        self.poll().is_ok_and(|is_idle| is_idle)
            && self.begin(job, State::Busy).is_ok()
            && self.wait().is_ok_and(|blank| blank == 1)
    }

    fn is_ready(&mut self) -> io::Result<bool> {
        self.poll()
    }

    fn poll_flush(&mut self) -> io::Result<bool> {
        if !self.poll()? {
            return Ok(false);
        }
        if self.state == State::Flushed {
            self.state = State::Idle;
            return Ok(true);
        }
        self.settle()?;
        self.begin(Job::Flush, State::Flushing)?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use ironcast_hosted::{Durability, Target};

    fn settle(disk: &mut Background) -> io::Result<()> {
        for _ in 0..1000 {
            if disk.is_ready()? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("it never gets ready");
    }

    #[test]
    fn what_is_written_is_there_after_the_flush() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let target = Target::open(Some(file.path()), None, Durability::AtEnd).unwrap();
        let mut disk = Background::start(target).unwrap();
        for piece in [&b"one "[..], b"two ", b"three"] {
            assert_eq!(disk.write(piece).unwrap(), piece.len());
        }
        assert_eq!(disk.seek(SeekFrom::Start(0)).unwrap(), 0);
        disk.write(b"ONE").unwrap();
        disk.flush().unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"ONE two three");
    }

    #[test]
    fn what_is_read_ahead_is_never_what_was_there_before() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let target = Target::open(Some(file.path()), None, Durability::Never).unwrap();
        let mut disk = Background::start(target).unwrap();
        let mut expected: Vec<u8> = (0..100_000_u32).map(|byte| (byte / 7) as u8).collect();
        disk.write(&expected).unwrap();
        disk.seek(SeekFrom::Start(0)).unwrap();
        let mut position = 0;
        let mut buffer = [0; 4000];
        for step in 0..400 {
            match step % 8 {
                3 => {
                    disk.write(&[step as u8; 50]).unwrap();
                    expected[position..position + 50].fill(step as u8);
                    position += 50;
                }
                5 => {
                    position = step * 200;
                    disk.seek(SeekFrom::Start(position as u64)).unwrap();
                }
                6 => disk.flush().unwrap(),
                _ => {
                    let len = [4000, 4000, 1000, 3001][step % 4];
                    let given = embedded_io::Read::read(&mut disk, &mut buffer[..len]).unwrap();
                    assert!(given > 0 || position >= expected.len());
                    assert!(
                        buffer[..given] == expected[position..position + given],
                        "{step}"
                    );
                    position += given;
                    settle(&mut disk).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_blocks_nobody() {
        let (mut reader, writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", {
            use std::os::fd::AsRawFd;
            writer.as_fd().as_raw_fd()
        });
        let target = Target::open(Some(Path::new(&path)), None, Durability::AtEnd).unwrap();
        drop(writer);
        let mut disk = Background::start(target).unwrap();
        let big = vec![7; 1 << 20];
        disk.write(&big).unwrap();
        thread::sleep(Duration::from_millis(20));
        assert!(!disk.is_ready().unwrap() && !disk.poll_flush().unwrap());
        let mut got = vec![0; big.len()];
        reader.read_exact(&mut got).unwrap();
        settle(&mut disk).unwrap();
        assert!(got == big);
    }

    #[test]
    fn an_error_shows_with_the_next_call() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        drop(full);
        let target = Target::open(Some(Path::new("/dev/full")), None, Durability::AtEnd).unwrap();
        let mut disk = Background::start(target).unwrap();
        disk.write(b"lost").unwrap();
        let error = settle(&mut disk).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
