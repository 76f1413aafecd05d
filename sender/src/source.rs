//! The image on its way from a file or pipe to the sockets: read ahead and hashed by a thread of
//! its own.
//!
//! The thread fills chunks of memory and hands them over; those that no receiver needs any more go
//! back to it. The number of chunks is fixed, so memory is too, and a slow network slows the
//! reading down. Reading, unlike mapping the file into memory, turns a file that is cut short
//! meanwhile into an error.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;

use ironcast_hosted::Pipe;
use ironcast_proto::sender::Config;
use rustix::event::{EventfdFlags, eventfd};

/// Chunks are of about this many bytes: long enough to make system calls rare, short enough that
/// a slow pipe's data is soon on its way.
const CHUNK_TARGET: usize = 128 << 10;

/// Slices of which all blocks are kept: two in flight, and one that is being read.
const SLICES_KEPT: usize = 3;

/// Chunks beyond those, so that reading goes on while the network is busy.
const CHUNKS_AHEAD: usize = 16;

/// How the image is cut into chunks of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunking {
    /// Bytes in a chunk: a multiple of the block size, so that no block lies in two chunks.
    size: usize,
    /// How many chunks there are.
    count: usize,
}

impl Chunking {
    /// Chunks for a transfer with these settings.
    #[must_use]
    pub fn for_config(config: &Config) -> Self {
        let block = usize::from(config.block_size).max(1);
        let size = block * (CHUNK_TARGET / block).max(1);
        let slice = usize::try_from(config.max_slice_len()).unwrap_or(usize::MAX);
        let kept = SLICES_KEPT.saturating_mul(slice);
        Self {
            size,
            count: kept.div_ceil(size) + CHUNKS_AHEAD,
        }
    }
}

/// An image that is being read.
#[derive(Debug)]
pub struct Source {
    name: String,
    /// Its length, if that was known beforehand.
    length: Option<u64>,
    /// The file that the command of `--pipe` reads: its place is shared.
    before_pipe: Option<File>,
    chunk_size: usize,
    filled: Receiver<Filled>,
    emptied: Sender<Vec<u8>>,
    wake: Arc<OwnedFd>,
    /// The chunks in memory, without a gap, from stream offset `base` on; all but the last of the
    /// stream have `chunk_size` bytes.
    chunks: VecDeque<Vec<u8>>,
    base: u64,
    /// Stream offset of the end of the last chunk.
    end: u64,
    hash: Option<blake3::Hash>,
}

/// What the reading thread has to say.
enum Filled {
    Chunk(Vec<u8>),
    End(blake3::Hash),
    Failed(io::Error),
}

impl Source {
    /// Starts to read the file or device at `path`, or stdin if there is none.
    ///
    /// The thread that reads lives until the image ends, or until the next chunk is read after the
    /// `Source` was dropped.
    ///
    /// With a `command`, what that makes of the file is the image.
    ///
    /// # Errors
    /// [`SourceError`] if it can't be opened.
    pub fn open(
        path: Option<&Path>,
        command: Option<&str>,
        chunking: Chunking,
    ) -> Result<Self, SourceError> {
        let name = path.map_or_else(|| "stdin".to_owned(), |path| path.display().to_string());
        let file = match path {
            Some(path) => open_file(path)?,
            None => duplicate_stdin().map_err(|e| SourceError::new("open", "stdin", e))?,
        };
        let Some(command) = command else {
            return Self::read(name, file, chunking);
        };
        let error = |e| SourceError::new("start the command of --pipe for", &name, e);
        let place = file.try_clone().map_err(error)?;
        let (pipe, output) = Pipe::reading(command, file).map_err(error)?;
        let input = Input {
            file: File::from(OwnedFd::from(output)),
            pipe: Some(pipe),
        };
        let mut source = Self::start(name, input, None, chunking)?;
        source.before_pipe = rustix::fs::tell(&place).is_ok().then_some(place);
        Ok(source)
    }

    /// Starts to read `file`, called `name` in messages, from where it stands.
    ///
    /// # Errors
    /// [`SourceError`] if the system has no thread or no file descriptor left.
    pub fn read(name: String, file: File, chunking: Chunking) -> Result<Self, SourceError> {
        let length = file_length(&file);
        let input = Input { file, pipe: None };
        Self::start(name, input, length, chunking)
    }

    fn start(
        name: String,
        input: Input,
        length: Option<u64>,
        chunking: Chunking,
    ) -> Result<Self, SourceError> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = eventfd(0, flags).map_err(|e| SourceError::new("read", &name, e.into()))?;
        let wake = Arc::new(wake);
        let (filled_sender, filled) = mpsc::channel();
        let (emptied, emptied_receiver) = mpsc::channel();
        for _ in 0..chunking.count {
            // The other end is below, so that this can't fail.
            let _ = emptied.send(Vec::new());
        }
        let reader = Reader {
            input,
            chunk_size: chunking.size,
            filled: filled_sender,
            emptied: emptied_receiver,
            wake: Arc::clone(&wake),
        };
        thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || reader.run())
            .map_err(|e| SourceError::new("read", &name, e))?;
        Ok(Self {
            name,
            length,
            before_pipe: None,
            chunk_size: chunking.size,
            filled,
            emptied,
            wake,
            chunks: VecDeque::new(),
            base: 0,
            end: 0,
            hash: None,
        })
    }

    /// How far the command of `--pipe` has read its file, if there is a command, and that can be
    /// told.
    #[must_use]
    pub fn position_before_pipe(&self) -> Option<u64> {
        rustix::fs::tell(self.before_pipe.as_ref()?).ok()
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bytes, if that was known beforehand; a pipe's is not.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Takes what was read meanwhile: the stream offset up to which there is data, and whether the
    /// stream ends there.
    ///
    /// # Errors
    /// [`SourceError`] if reading failed, or the file was cut short meanwhile.
    pub fn advance(&mut self) -> Result<(u64, bool), SourceError> {
        while self.hash.is_none() {
            match self.filled.try_recv() {
                Ok(Filled::Chunk(chunk)) => {
                    self.end += chunk.len() as u64;
                    self.chunks.push_back(chunk);
                }
                Ok(Filled::End(hash)) => {
                    self.check_length()?;
                    self.hash = Some(hash);
                }
                Ok(Filled::Failed(error)) => {
                    return Err(SourceError::new("read", &self.name, error));
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    let error = io::Error::other("the reading thread has died");
                    return Err(SourceError::new("read", &self.name, error));
                }
            }
        }
        Ok((self.end, self.hash.is_some()))
    }

    /// A file that was cut short while it was read is no image. As long as its end was not told,
    /// no receiver takes it for one.
    fn check_length(&self) -> Result<(), SourceError> {
        match self.length {
            Some(length) if self.end < length => {
                let text = format!(
                    "it ends after {} bytes, and had {length} at first; send it again when nothing \
                     writes to it",
                    self.end
                );
                let error = io::Error::new(ErrorKind::UnexpectedEof, text);
                Err(SourceError::new("read", &self.name, error))
            }
            _ => Ok(()),
        }
    }

    /// What becomes readable when there is more to [advance](Self::advance).
    #[must_use]
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes [`wake_fd`](Self::wake_fd) wait for what is read from now on; to be followed by
    /// [`advance`](Self::advance).
    pub fn rearm(&self) {
        // Nothing to read means that it is armed.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// Gives the memory of stream bytes below `upto` back.
    pub fn release(&mut self, upto: u64) {
        while let Some(first) = self.chunks.front()
            && self.base + first.len() as u64 <= upto
        {
            self.base += first.len() as u64;
            let emptied = self.chunks.pop_front().unwrap_or_default();
            // At the end of the stream the thread is gone, and needs it no more.
            let _ = self.emptied.send(emptied);
        }
    }

    /// The bytes of a block: stream offsets of which none was released, and all of which are in one
    /// chunk. Empty if they are not there.
    #[must_use]
    pub fn block(&self, range: Range<u64>) -> &[u8] {
        let bytes = || {
            let start = usize::try_from(range.start.checked_sub(self.base)?).ok()?;
            let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
            let chunk = self.chunks.get(start / self.chunk_size)?;
            let start = start % self.chunk_size;
            chunk.get(start..start + len)
        };
        bytes().unwrap_or_default()
    }

    /// The BLAKE3 hash of all bytes, once all were read.
    #[must_use]
    pub fn hash(&self) -> Option<blake3::Hash> {
        self.hash
    }
}

/// The thread that reads.
struct Reader {
    input: Input,
    chunk_size: usize,
    filled: Sender<Filled>,
    emptied: Receiver<Vec<u8>>,
    wake: Arc<OwnedFd>,
}

impl Reader {
    fn run(mut self) {
        let mut hasher = blake3::Hasher::new();
        // Without a `Source` nobody wants to know more.
        while let Ok(mut chunk) = self.emptied.recv() {
            chunk.resize(self.chunk_size, 0);
            let len = match self.input.fill(&mut chunk) {
                Ok(len) => len,
                Err(error) => {
                    self.tell(Filled::Failed(error));
                    return;
                }
            };
            chunk.truncate(len);
            hasher.update(&chunk);
            if len > 0 && !self.tell(Filled::Chunk(chunk)) {
                return;
            }
            // The end is where it was met first: a file may grow and a FIFO find another writer,
            // but only the last chunk may be short.
            if len < self.chunk_size {
                let end = self.input.finish();
                self.tell(match end {
                    Ok(()) => Filled::End(hasher.finalize()),
                    Err(error) => Filled::Failed(error),
                });
                return;
            }
        }
    }

    /// Hands `message` over; false if nobody wants it any more.
    fn tell(&self, message: Filled) -> bool {
        let is_wanted = self.filled.send(message).is_ok();
        // Fails only if it has been written to some 2^64 times without being read.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        is_wanted
    }
}

/// What is read: a file, or the output of the command of `--pipe`.
struct Input {
    file: File,
    pipe: Option<Pipe>,
}

impl Input {
    /// Reads until `chunk` is full or the file ends.
    fn fill(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < chunk.len() {
            match self.file.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// The file has ended; so must the command, and well.
    fn finish(&mut self) -> io::Result<()> {
        self.pipe.as_mut().map_or(Ok(()), Pipe::finish)
    }
}

fn open_file(path: &Path) -> Result<File, SourceError> {
    let error = |source| SourceError::new("open", &path.display().to_string(), source);
    let file = File::open(path).map_err(error)?;
    if file.metadata().map_err(error)?.is_dir() {
        return Err(error(io::Error::from(ErrorKind::IsADirectory)));
    }
    Ok(file)
}

fn duplicate_stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// The bytes from where a regular file stands to its end.
fn file_length(file: &File) -> Option<u64> {
    let metadata = file.metadata().ok()?;
    let position = rustix::fs::tell(file).ok()?;
    metadata
        .is_file()
        .then(|| metadata.len().saturating_sub(position))
}

/// Why an image can't be read.
#[derive(Debug)]
pub struct SourceError {
    action: &'static str,
    name: PathBuf,
    source: io::Error,
}

impl SourceError {
    fn new(action: &'static str, name: &str, source: io::Error) -> Self {
        Self {
            action,
            name: name.into(),
            source,
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't {} {}", self.action, self.name.display())
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, Instant};

    use ironcast_proto::sender::Duplex;

    use super::*;

    const CHUNKING: Chunking = Chunking { size: 8, count: 3 };

    /// A source of a pipe's bytes, and the pipe's other end.
    fn piped() -> (Source, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let file = File::from(OwnedFd::from(reader));
        let source = Source::read("pipe".to_owned(), file, CHUNKING).unwrap();
        (source, writer)
    }

    fn advance_to(source: &mut Source, wanted: (u64, bool)) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while source.advance().unwrap() != wanted {
            assert!(Instant::now() < deadline, "{:?}", source.advance());
            thread::yield_now();
        }
    }

    #[test]
    fn reads_ahead_as_far_as_its_memory_goes_and_on_when_some_is_released() {
        let (mut source, mut writer) = piped();
        writer
            .write_all(b"0123456789abcdefghijklmnopqrstuvwxyz")
            .unwrap();
        drop(writer);
        advance_to(&mut source, (24, false));
        assert_eq!(source.block(4..8), b"4567");
        assert_eq!(source.block(20..24), b"klmn");
        assert_eq!(source.block(24..28), b"", "not read yet");
        source.release(15);
        advance_to(&mut source, (32, false));
        assert_eq!(source.block(0..4), b"", "released");
        assert_eq!(source.block(8..12), b"89ab", "its chunk is still needed");
        source.release(32);
        advance_to(&mut source, (36, true));
        assert_eq!(source.block(32..36), b"wxyz");
        assert_eq!(
            source.hash(),
            Some(blake3::hash(b"0123456789abcdefghijklmnopqrstuvwxyz"))
        );
    }

    #[test]
    fn an_empty_stream_has_the_hash_of_nothing() {
        let (mut source, writer) = piped();
        drop(writer);
        advance_to(&mut source, (0, true));
        assert_eq!(source.hash(), Some(blake3::hash(b"")));
    }

    /// A file of `bytes`, without a name, and a source of it that reads chunk by chunk.
    fn of_file(bytes: &[u8]) -> (Source, File) {
        let path = std::env::temp_dir().join(format!(
            "source-{}-{:?}",
            std::process::id(),
            thread::current().id()
        ));
        let mut file = File::create_new(&path).unwrap();
        file.write_all(bytes).unwrap();
        let opened = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let chunking = Chunking { size: 8, count: 1 };
        let source = Source::read("file".to_owned(), opened, chunking).unwrap();
        (source, file)
    }

    #[test]
    fn a_file_that_grows_ends_where_its_end_was_met_first() {
        let (mut source, mut file) = of_file(b"01234567abcde");
        advance_to(&mut source, (8, false));
        source.release(8);
        advance_to(&mut source, (13, true));
        file.write_all(b"fghijklm").unwrap();
        assert_eq!(source.block(8..12), b"abcd");
        source.release(13);
        assert_eq!(source.advance().unwrap(), (13, true));
        assert_eq!(source.hash(), Some(blake3::hash(b"01234567abcde")));
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error() {
        let (mut source, file) = of_file(b"0123456789abcdefghijklmn");
        advance_to(&mut source, (8, false));
        file.set_len(10).unwrap();
        source.release(8);
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = loop {
            assert!(Instant::now() < deadline);
            match source.advance() {
                Ok((_, complete)) => assert!(!complete),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "can't read file");
        assert!(error.source.to_string().contains("24 at first"));
    }

    #[test]
    fn chunks_hold_whole_blocks_and_enough_slices() {
        for block_size in [4, 512, 1456, 65_488] {
            for duplex in [Duplex::Full, Duplex::Half] {
                let config = Config {
                    block_size,
                    duplex,
                    ..Config::default()
                };
                let chunking = Chunking::for_config(&config);
                let slice = config.max_slice_len() as usize;
                assert_eq!(chunking.size % usize::from(block_size), 0);
                assert!(chunking.size * chunking.count >= 3 * slice + chunking.size);
            }
        }
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let error = |path| Source::open(Some(Path::new(path)), None, CHUNKING).unwrap_err();
        assert_eq!(
            error("/nonexistent/x").to_string(),
            "can't open /nonexistent/x"
        );
        let folder = error("/tmp");
        assert_eq!(folder.source.kind(), ErrorKind::IsADirectory);
    }
}
