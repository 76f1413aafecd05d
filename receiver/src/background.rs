//! Writing to the target by a thread of its own.
//!
//! A disk that flushes, or a pipe that nobody reads, may block for minutes. Meanwhile the sockets
//! have to be served: so that nothing is lost, that the sender sees a sign of life, and that a
//! signal ends the program. A few writes are under way at a time, with copies of their bytes, so
//! that bytes are decoded while others are written; the rest waits in the engine's own memory. When
//! the target is read back, what comes next is read while what came before is hashed.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;

use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};
use ironcast_hosted::Waker;
use ironcast_receiver_nostd::Disk;

use crate::job::{self, Done, Job};

/// Most writes that are under way, each with its own memory: the chunk of a cast stream.
const DEPTH: usize = 16;

/// A target that is written to in the background.
#[derive(Debug)]
pub struct Background {
    capacity: Option<u64>,
    sector_size: Option<u32>,
    is_readable: bool,
    jobs: Sender<Job>,
    done: Receiver<Done>,
    waker: Waker,
    /// Bytes of each write that is under way, in their order.
    writes: VecDeque<u64>,
    /// What is under way behind them.
    state: State,
    /// What the last job came to that somebody has waited for.
    result: io::Result<u64>,
    /// What went wrong with a write or a flush, until somebody has been told.
    failure: Option<io::Error>,
    /// Whether that was a flush, so that only whoever asks for it is told.
    is_of_flush: bool,
    /// Bytes of the write that failed, and of those behind it, which were not made.
    unwritten: u64,
    /// Memory for writes.
    spare: Vec<Vec<u8>>,
    /// What was read.
    buffer: Vec<u8>,
    /// Where in it are the bytes that were read ahead, and not asked for so far.
    ahead: Range<usize>,
    /// Where to go before the next write or read.
    seek: Option<SeekFrom>,
    /// Whether it is read, so that a read must not have to wait for writes.
    is_read: bool,
    /// Whether it has a way of its own to become zeroes.
    has_zeroes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Somebody waits for it.
    Busy,
    /// What follows the last read is being read.
    Reading,
    Flushing,
    /// A flush has ended well, and nobody was told so far.
    Flushed,
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
                job::run_all(&todo, &mut target, |done| {
                    let is_wanted = finished.send(done).is_ok();
                    worker.wake();
                    is_wanted
                });
            })?;
        Ok(Self {
            capacity,
            sector_size,
            is_readable,
            jobs,
            done,
            waker,
            writes: VecDeque::new(),
            state: State::Idle,
            result: Ok(0),
            failure: None,
            is_of_flush: false,
            unwritten: 0,
            spare: Vec::new(),
            buffer: Vec::new(),
            ahead: 0..0,
            seek: None,
            is_read: false,
            has_zeroes: false,
        })
    }

    /// Wakes when there is something new to be learnt from
    /// [`is_ready`](Disk::is_ready) and [`poll_flush`](Disk::poll_flush).
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| is_gone())
    }

    /// Begins something that is no write.
    fn begin(&mut self, job: Job, state: State) -> io::Result<()> {
        self.state = state;
        self.send(job)
    }

    /// Begins a write of so many bytes, once there is room for it.
    fn begin_write(&mut self, len: u64, job: impl FnOnce(Vec<u8>) -> Job) -> io::Result<()> {
        while self.writes.len() >= DEPTH {
            self.take_one()?;
        }
        self.tell_failure()?;
        let mut memory = self.spare.pop().unwrap_or_default();
        memory.clear();
        self.writes.push_back(len);
        self.send(job(memory))
    }

    /// Waits for the next job to end.
    fn take_one(&mut self) -> io::Result<()> {
        let done = self.done.recv().map_err(|_| is_gone())?;
        self.take(done);
        Ok(())
    }

    /// Takes in how a job went.
    fn take(&mut self, done: Done) {
        let Some(len) = self.writes.pop_front() else {
            return self.take_other(done);
        };
        self.spare.push(done.buffer);
        if let Err(error) = done.result {
            self.unwritten = len + self.writes.iter().sum::<u64>();
            self.failure = Some(error);
            self.is_of_flush = false;
        }
    }

    /// Takes in how a job went that was no write.
    fn take_other(&mut self, done: Done) {
        match (self.state, done.result) {
            (State::Reading, result) => {
                self.buffer = done.buffer;
                // No more than the buffer has. What goes wrong shows again to whoever reads on.
                self.ahead = 0..result.unwrap_or_default() as usize;
                self.state = State::Idle;
            }
            (State::Flushing, Ok(_)) => self.state = State::Flushed,
            (State::Flushing, Err(error)) => {
                // A write that failed before says more.
                if self.failure.is_none() {
                    self.unwritten = 0;
                    self.failure = Some(error);
                    self.is_of_flush = true;
                }
                self.state = State::Idle;
            }
            (_, result) => {
                self.buffer = done.buffer;
                self.result = result;
                self.state = State::Idle;
            }
        }
    }

    /// Tells what went wrong, once; and what comes after that is to be done again.
    fn tell_failure(&mut self) -> io::Result<()> {
        match self.failure.take() {
            Some(error) => {
                self.is_of_flush = false;
                if self.state == State::Flushed {
                    self.state = State::Idle;
                }
                self.send(Job::Resume)?;
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Takes in what has ended.
    fn poll(&mut self) -> io::Result<()> {
        loop {
            match self.done.try_recv() {
                Ok(done) => self.take(done),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(is_gone()),
            }
        }
    }

    /// Waits until nothing is under way.
    fn wait(&mut self) -> io::Result<()> {
        while !self.writes.is_empty() || !matches!(self.state, State::Idle | State::Flushed) {
            self.take_one()?;
        }
        Ok(())
    }

    /// Does something that is no write, and waits for what it comes to.
    fn finish(&mut self, job: Job) -> io::Result<u64> {
        self.begin(job, State::Busy)?;
        self.wait()?;
        self.tell_failure()?;
        std::mem::replace(&mut self.result, Ok(0))
    }

    /// Waits for what is read ahead, or for a flush that was given up, as happens when the disk is
    /// to be cleared: it says nothing about what is written from now on.
    fn settle(&mut self) -> io::Result<()> {
        if self.state != State::Idle {
            self.wait()?;
            self.state = State::Idle;
        }
        Ok(())
    }

    /// Has the target stand where it was read or written up to, and not behind what was read ahead.
    fn forget_ahead(&mut self) -> io::Result<()> {
        self.settle()?;
        let ahead = std::mem::replace(&mut self.ahead, 0..0).len();
        if ahead > 0 {
            self.seek.get_or_insert(SeekFrom::Current(-(ahead as i64)));
        }
        Ok(())
    }

    /// Has the next `len` bytes read.
    fn begin_read(&mut self, len: usize, state: State) -> io::Result<()> {
        let mut memory = std::mem::take(&mut self.buffer);
        memory.resize(len, 0);
        let seek = self.seek.take();
        self.begin(Job::Read(seek, memory), state)
    }
}

fn is_gone() -> io::Error {
    io::Error::other("the thread that writes is gone")
}

impl ErrorType for Background {
    type Error = io::Error;
}

impl Write for Background {
    /// Takes all bytes, and waits only if too many earlier writes are under way. What becomes of
    /// them shows with a later call.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.forget_ahead()?;
        let seek = self.seek.take();
        self.begin_write(bytes.len() as u64, |mut memory| {
            memory.extend_from_slice(bytes);
            Job::Write(seek, memory)
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.poll_flush()? {
            self.take_one()?;
        }
        Ok(())
    }
}

impl Seek for Background {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.forget_ahead()?;
        if let SeekFrom::Start(offset) = to {
            self.seek = Some(to);
            return Ok(offset);
        }
        let before = self.seek.take();
        self.finish(Job::Seek(before, to))
    }
}

impl Read for Background {
    /// Waits for it, unless it was read ahead: nothing else is to be done with the disk meanwhile.
    /// Then as much of what follows is read in the background.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_read = true;
        self.settle()?;
        if self.ahead.is_empty() {
            self.begin_read(buffer.len(), State::Busy)?;
            self.wait()?;
            let given = std::mem::replace(&mut self.result, Ok(0))?;
            if self.failure.is_some() {
                // Why, is for whoever asks what became of the writes.
                return Err(io::Error::other("an earlier write has failed"));
            }
            // No more than the buffer has.
            self.ahead = 0..given as usize;
        }
        let given = self.ahead.len().min(buffer.len());
        let taken = self.ahead.start..self.ahead.start + given;
        buffer[..given].copy_from_slice(&self.buffer[taken]);
        self.ahead.start += given;
        if given > 0 && self.ahead.is_empty() {
            self.begin_read(buffer.len(), State::Reading)?;
        }
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
        self.forget_ahead()?;
        if self.has_zeroes {
            self.begin_write(len, |memory| Job::Fill {
                offset,
                len,
                memory,
            })?;
        } else {
            self.has_zeroes = self.finish(Job::Zero { offset, len })? == 1;
        }
        Ok(self.has_zeroes)
    }

    fn is_blank(&mut self, offset: u64, len: u64) -> bool {
        // What goes wrong shows when it is read.
        self.forget_ahead().is_ok()
            && self
                .finish(Job::IsBlank { offset, len })
                .is_ok_and(|blank| blank == 1)
    }

    fn is_ready(&mut self) -> io::Result<bool> {
        self.poll()?;
        if !self.is_of_flush {
            self.tell_failure()?;
        }
        let depth = if self.is_read { 1 } else { DEPTH };
        let is_free = matches!(self.state, State::Idle | State::Flushed);
        Ok(is_free && self.writes.len() < depth)
    }

    fn unwritten(&self) -> u64 {
        self.unwritten
    }

    fn poll_flush(&mut self) -> io::Result<bool> {
        self.poll()?;
        self.tell_failure()?;
        match self.state {
            State::Flushed => {
                self.state = State::Idle;
                return Ok(true);
            }
            State::Idle => {
                self.forget_ahead()?;
                self.begin(Job::Flush, State::Flushing)?;
            }
            State::Busy | State::Reading | State::Flushing => {}
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::sync::{Arc, Mutex};
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
                    let given = Read::read(&mut disk, &mut buffer[..len]).unwrap();
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
        let piece = vec![7; 1 << 20];
        let mut written = 0;
        while disk.is_ready().unwrap() {
            written += disk.write(&piece).unwrap();
        }
        assert_eq!(written, DEPTH * piece.len());
        thread::sleep(Duration::from_millis(20));
        assert!(!disk.is_ready().unwrap() && !disk.poll_flush().unwrap());
        let mut got = vec![0; written];
        reader.read_exact(&mut got).unwrap();
        settle(&mut disk).unwrap();
        assert!(got.iter().all(|&byte| byte == 7));
    }

    /// One that takes two writes, and after that none but of zeroes; a flush may fail too.
    struct Failing(Arc<Mutex<Vec<Vec<u8>>>>, bool);

    impl ErrorType for Failing {
        type Error = io::Error;
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut writes = self.0.lock().unwrap();
            if writes.len() >= 2 && bytes != [0] {
                return Err(io::ErrorKind::StorageFull.into());
            }
            writes.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            match self.1 {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl Seek for Failing {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    impl Disk for Failing {
        fn capacity(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn what_comes_after_an_error_is_not_written_before_somebody_knows_of_it() {
        let writes = Arc::new(Mutex::new(Vec::new()));
        let mut disk = Background::start(Failing(Arc::clone(&writes), false)).unwrap();
        for byte in 1..=5 {
            disk.write(&[byte; 10]).unwrap();
        }
        disk.write(&[0]).unwrap();
        let error = disk.flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.unwritten(), 31);
        assert_eq!(*writes.lock().unwrap(), [vec![1; 10], vec![2; 10]]);
        disk.write(&[0]).unwrap();
        disk.flush().unwrap();
        assert_eq!(writes.lock().unwrap().len(), 3);
    }

    /// One that notes what is done, and flushes when it is let.
    struct Slow(Arc<Mutex<Vec<&'static str>>>, Receiver<()>);

    impl ErrorType for Slow {
        type Error = io::Error;
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push("write");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            let _ = self.1.recv();
            self.0.lock().unwrap().push("flush");
            Ok(())
        }
    }

    impl Seek for Slow {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    impl Disk for Slow {
        fn capacity(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn a_flush_that_fails_is_told_to_whoever_asks_for_it() {
        let mut disk = Background::start(Failing(Arc::default(), true)).unwrap();
        assert!(!disk.poll_flush().unwrap());
        settle(&mut disk).unwrap();
        assert!(disk.is_ready().unwrap());
        let error = disk.poll_flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(!disk.poll_flush().unwrap());
    }

    #[test]
    fn a_flush_that_nobody_waits_for_is_not_that_of_what_is_written_next() {
        for is_done in [false, true] {
            let log = Arc::new(Mutex::new(Vec::new()));
            let (let_flush, may_flush) = mpsc::channel();
            let mut disk = Background::start(Slow(Arc::clone(&log), may_flush)).unwrap();
            disk.write(&[1; 10]).unwrap();
            assert!(!disk.poll_flush().unwrap());
            let_flush.send(()).unwrap();
            if is_done {
                settle(&mut disk).unwrap();
            }
            disk.write(&[2; 10]).unwrap();
            drop(let_flush);
            disk.flush().unwrap();
            assert_eq!(*log.lock().unwrap(), ["write", "flush", "write", "flush"]);
        }
    }
}
