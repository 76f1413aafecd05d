//! The thread that reads the image ahead, and hashes it.
//!
//! It can be stopped wherever it waits for others: for a FIFO's writer, for a pipe's data, for the
//! command of `--pipe`. What can be stopped is waited for, so that the next transfer finds neither
//! a thread that takes its data away nor a command of the last one.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, JoinHandle};

use ironcast_cast::Live;
use ironcast_hosted::{Pipe, Waker};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::image::Image;

/// What the reading thread has to say.
pub(crate) enum Filled {
    Chunk(Vec<u8>),
    End(blake3::Hash),
    Failed(io::Error),
}

/// The thread's ends of what it shares with the [`Source`](crate::Source).
pub(crate) struct Exchange {
    /// Bytes in a chunk.
    pub(crate) chunk_size: usize,
    /// Chunks that have been read.
    pub(crate) filled: Sender<Filled>,
    /// Memory for more of them.
    pub(crate) emptied: Receiver<Vec<u8>>,
    /// Told of every message.
    pub(crate) waker: Waker,
}

/// The thread, as its owner sees it. To be dropped after the owner's ends of the [`Exchange`].
#[derive(Debug)]
pub(crate) struct ReaderThread {
    /// Its other end tells the thread to stop.
    stop: Option<PipeWriter>,
    /// The thread, if it stops within short.
    thread: Option<JoinHandle<()>>,
}

impl ReaderThread {
    /// Starts to read `image`.
    pub(crate) fn start(image: Image, exchange: Exchange) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        // A disk is not waited for: it can't be asked to hurry, and nobody else misses its data.
        let can_be_stopped = image.command.is_some() || waits_for_others(&image.file)?;
        let reader = Reader { exchange, stopped };
        let thread = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || reader.run(image))?;
        Ok(Self {
            stop: Some(stop),
            thread: can_be_stopped.then_some(thread),
        })
    }
}

impl Drop for ReaderThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // That it died shows as an end of its messages.
            let _ = thread.join();
        }
    }
}

/// Whether reading the file may take as long as somebody else likes.
fn waits_for_others(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(!metadata.is_file() && !metadata.file_type().is_block_device())
}

/// The thread, as itself.
struct Reader {
    exchange: Exchange,
    stopped: PipeReader,
}

impl Reader {
    fn run(self, image: Image) {
        match self.read(image) {
            Ok(Some(hash)) => self.tell(Filled::End(hash)),
            // Nobody wants to know more.
            Ok(None) => false,
            Err(error) => self.tell(Filled::Failed(error)),
        };
    }

    /// Reads all of the image; its hash, unless it was stopped.
    fn read(&self, image: Image) -> io::Result<Option<blake3::Hash>> {
        let Some(mut input) = Input::begin(image, self.stopped.as_fd())? else {
            return Ok(None);
        };
        let mut hasher = blake3::Hasher::new();
        while let Ok(mut chunk) = self.exchange.emptied.recv() {
            chunk.resize(self.exchange.chunk_size, 0);
            let Some(len) = input.fill(&mut chunk, self.stopped.as_fd())? else {
                return Ok(None);
            };
            chunk.truncate(len);
            hasher.update(&chunk);
            if len > 0 && !self.tell(Filled::Chunk(chunk)) {
                return Ok(None);
            }
            // The end is where it was met first: a file may grow and a FIFO find another writer,
            // but only the last chunk may be short.
            if len < self.exchange.chunk_size {
                let has_ended = input.finish(self.stopped.as_fd())?;
                return Ok(has_ended.then(|| hasher.finalize()));
            }
        }
        Ok(None)
    }

    /// Hands `message` over; false if nobody wants it any more.
    fn tell(&self, message: Filled) -> bool {
        let is_wanted = self.exchange.filled.send(message).is_ok();
        self.exchange.waker.wake();
        is_wanted
    }
}

/// What is read: a file, or the output of the command of `--pipe`.
struct Input {
    /// What comes before it.
    front: Cursor<Vec<u8>>,
    file: File,
    /// What is read in place of the file.
    live: Option<Live>,
    pipe: Option<Pipe>,
    /// Whether it may keep the thread waiting.
    waits: bool,
}

impl Input {
    /// Waits for a FIFO's writer, and starts the command; `None` if it was stopped.
    fn begin(image: Image, stopped: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let Image {
            file,
            command,
            front,
            live,
            ..
        } = image;
        let front = Cursor::new(front);
        let waits = waits_for_others(&file)?;
        if file.metadata()?.file_type().is_fifo() {
            if !wait_for(file.as_fd(), stopped)? {
                return Ok(None);
            }
            // It was opened so as not to wait for the writer; whoever reads it now is to wait.
            let flags = fcntl_getfl(&file)?;
            fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        }
        let Some(command) = command else {
            return Ok(Some(Self {
                front,
                file,
                live,
                pipe: None,
                waits,
            }));
        };
        let (pipe, output) = Pipe::reading(&command, file)?;
        Ok(Some(Self {
            front,
            file: File::from(OwnedFd::from(output)),
            live,
            pipe: Some(pipe),
            waits: true,
        }))
    }

    /// Reads until `chunk` is full or the file ends; `None` if it was stopped.
    fn fill(&mut self, chunk: &mut [u8], stopped: BorrowedFd<'_>) -> io::Result<Option<usize>> {
        let mut filled = 0;
        while filled < chunk.len() {
            let room = &mut chunk[filled..];
            let len = self.front.read(room)?;
            if len > 0 {
                filled += len;
                continue;
            }
            if self.waits && !wait_for(self.file.as_fd(), stopped)? {
                return Ok(None);
            }
            let read = match &mut self.live {
                Some(live) => live.read(room),
                None => self.file.read(room),
            };
            match read {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody else has set stdin so, and took what was there.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(filled))
    }

    /// The file has ended; so must the command, and well. False if it was stopped.
    fn finish(&mut self, stopped: BorrowedFd<'_>) -> io::Result<bool> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(true);
        };
        if let Some(end) = pipe.end_fd()
            && !wait_for(end.as_fd(), stopped)?
        {
            return Ok(false);
        }
        pipe.finish().map(|()| true)
    }
}

/// Waits until `file` can be read, or has ended; false if that is not wanted any more.
fn wait_for(file: BorrowedFd<'_>, stopped: BorrowedFd<'_>) -> io::Result<bool> {
    let poll_in = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    let mut polls = [poll_in(file), poll_in(stopped)];
    loop {
        match poll(&mut polls, None) {
            Ok(_) => return Ok(polls[1].revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
