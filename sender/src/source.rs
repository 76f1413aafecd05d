//! The image on its way from a file or pipe to the sockets.
//!
//! A thread fills chunks of memory and hands them over; those that no receiver needs any more go
//! back to it. The number of chunks is fixed, so memory is too, and a slow network slows the
//! reading down. Reading, unlike mapping the file into memory, turns a file that is cut short
//! meanwhile into an error.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};

use ironcast_hosted::Waker;
use ironcast_proto::sender::Config;

use crate::image::{Image, SourceError};
use crate::reader::{Exchange, Filled, ReaderThread};

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
    /// The file that is read, if it has places: whoever reads it has the same one.
    place: Option<File>,
    chunk_size: usize,
    filled: Receiver<Filled>,
    emptied: Sender<Vec<u8>>,
    waker: Waker,
    /// The chunks in memory, without a gap, from stream offset `base` on; all but the last of the
    /// stream have `chunk_size` bytes.
    chunks: VecDeque<Vec<u8>>,
    base: u64,
    /// Stream offset of the end of the last chunk.
    end: u64,
    hash: Option<blake3::Hash>,
    /// Last, since it waits for what the other ends of these channels tell it.
    _thread: ReaderThread,
}

impl Source {
    /// Starts to read `image`.
    ///
    /// Dropping the `Source` ends the thread that reads, and the command of `--pipe`; but for one
    /// that reads a file or a disk, which ends by itself after a chunk.
    ///
    /// # Errors
    /// [`SourceError`] if the system has no thread or no file descriptor left.
    pub fn read(image: Image, chunking: Chunking) -> Result<Self, SourceError> {
        let name = image.name.clone();
        let length = image.length();
        let error = |error| SourceError::new("read", &name, error);
        let is_as_it_is = image.live.is_none() && image.front.is_empty();
        let place = image.file.try_clone().map_err(error)?;
        let waker = Waker::new().map_err(error)?;
        let (filled_sender, filled) = mpsc::channel();
        let (emptied, emptied_receiver) = mpsc::channel();
        for _ in 0..chunking.count {
            // The other end is below, so that this can't fail.
            let _ = emptied.send(Vec::new());
        }
        let exchange = Exchange {
            chunk_size: chunking.size,
            filled: filled_sender,
            emptied: emptied_receiver,
            waker: waker.clone(),
        };
        let thread = ReaderThread::start(image, exchange).map_err(error)?;
        Ok(Self {
            place: (is_as_it_is && rustix::fs::tell(&place).is_ok()).then_some(place),
            name,
            length,
            chunk_size: chunking.size,
            filled,
            emptied,
            waker,
            chunks: VecDeque::new(),
            base: 0,
            end: 0,
            hash: None,
            _thread: thread,
        })
    }

    /// How far the file has been read, by the command of `--pipe` if there is one, and if that can
    /// be told.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        rustix::fs::tell(self.place.as_ref()?).ok()
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

    /// Wakes when there is more to [advance](Self::advance).
    #[must_use]
    pub fn waker(&self) -> &Waker {
        &self.waker
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::thread;
    use std::time::{Duration, Instant};

    use ironcast_proto::sender::Duplex;

    use super::*;

    const CHUNKING: Chunking = Chunking { size: 8, count: 3 };

    fn image(file: File) -> Image {
        Image {
            name: "file".to_owned(),
            file,
            command: None,
            front: Vec::new(),
            live: None,
        }
    }

    /// A source of a pipe's bytes, and the pipe's other end.
    fn piped() -> (Source, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let file = File::from(OwnedFd::from(reader));
        (Source::read(image(file), CHUNKING).unwrap(), writer)
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
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let opened = file.reopen().unwrap();
        let chunking = Chunking { size: 8, count: 1 };
        (
            Source::read(image(opened), chunking).unwrap(),
            file.into_file(),
        )
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
}
