//! A cast stream of an image that was not packed: its table is made beforehand, its chunks are read
//! when they are sent.
//!
//! The image is read once for the hashes. They are kept beside it for the next time, and are good
//! as long as it was not changed since. Whoever can change them says what is sent and signed, so
//! they are believed only if they are of the image's owner, of ours or of root's.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ironcast_proto::cast::{Chunks, ENTRY_LEN, Entry, Kind, TableMaker};

use crate::codec::Codec;
use crate::error::Error;
use crate::pack::{About, Settings, front};
use crate::source::Source;
use crate::work::Work;

/// What the file of hashes begins with.
const MAGIC: &[u8] = b"ironcast hashes 2\n";

/// What it begins with whatever its version.
const MAGIC_OF_ALL: &[u8] = b"ironcast hashes ";

/// Seconds that an image must have been left alone: a clock may be so coarse that two changes have
/// one time.
const SETTLED: u64 = 2;

/// The stream, to be read from its start to its end.
#[derive(Debug)]
pub struct Live {
    /// Everything before the chunks.
    front: Vec<u8>,
    /// How much of that was read.
    done: usize,
    file: File,
    /// Of the file as it was hashed.
    stamp: Stamp,
    /// Where the chunks are that are sent.
    ranges: VecDeque<Range<u64>>,
    len: u64,
}

impl Live {
    /// Whether the file still is what was hashed. Zeroes that are none any more would be sent as
    /// zeroes, and be right by the table.
    fn demand_same(&self) -> io::Result<()> {
        match Stamp::of(&self.file)? == self.stamp {
            true => Ok(()),
            false => {
                let text = "the image was changed since it was hashed; send it again";
                Err(io::Error::other(text))
            }
        }
    }

    /// The stream of `source`, in which chunks are stored as they are and zeroes left out.
    /// `progress` is told how many bytes are hashed; it is not called if the hashes are known.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(
        source: &Source,
        settings: &Settings<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, Error> {
        let stamp = Stamp::of(source.file()).map_err(Error::file("read", source.path()))?;
        let about = About::of(source, settings)?;
        let chunks = about.chunks(settings);
        let kept = Kept::of(source, settings.chunk_size);
        let entries = match kept.as_ref().and_then(|kept| kept.read(chunks)) {
            Some(entries) => entries,
            None => {
                let entries = entries(source, settings, chunks, progress)?;
                if let Some(kept) = &kept {
                    kept.write(&entries);
                }
                entries
            }
        };
        let mut maker = TableMaker::default();
        let table: Vec<u8> = entries.iter().flat_map(|one| maker.push(one)).collect();
        let mut front = front(&about, settings, &maker)?;
        front.extend(table);
        let mut ranges = VecDeque::new();
        for (number, entry) in (0..).zip(&entries) {
            let start = chunks.start(number);
            if entry.kind == Kind::Plain {
                push(&mut ranges, start..start + u64::from(entry.stored));
            }
        }
        let file = source.file().try_clone();
        Ok(Self {
            len: front.len() as u64 + maker.stored(),
            front,
            done: 0,
            file: file.map_err(Error::file("read", source.path()))?,
            stamp,
            ranges,
        })
    }

    /// Bytes of the stream.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none, which never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Adds a range behind the last one, or makes that longer.
fn push(ranges: &mut VecDeque<Range<u64>>, range: Range<u64>) {
    match ranges.back_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push_back(range),
    }
}

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let front = self.front.get(self.done..).unwrap_or_default();
        if !front.is_empty() {
            let len = front.len().min(buffer.len());
            buffer[..len].copy_from_slice(&front[..len]);
            self.done += len;
            return Ok(len);
        }
        let Some(range) = self.ranges.front_mut() else {
            self.demand_same()?;
            return Ok(0);
        };
        let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let len = left.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..len], range.start)?;
        if read == 0 && len > 0 {
            let text = "the image is shorter than it was when it was hashed; send it again";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        range.start += read as u64;
        if range.start == range.end {
            self.ranges.pop_front();
        }
        self.demand_same()?;
        Ok(read)
    }
}

/// What of a file is another when its bytes are: its length, and when they were written last. A
/// new file that is renamed over it changes neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self {
            len: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
        })
    }
}

/// Hashes all of the image.
fn entries(
    source: &Source,
    settings: &Settings<'_>,
    chunks: Chunks,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let work = Work::new(source, settings.unused, chunks, Codec::None);
    work.in_order(&mut |chunk| {
        entries.push(chunk.entry);
        progress(chunk.end);
        Ok(())
    })?;
    Ok(entries)
}

/// The file of hashes beside an image.
struct Kept {
    path: PathBuf,
    /// What it has to begin with to be of the image as it is now.
    head: Vec<u8>,
    /// Owner of the image.
    owner: u32,
    is_settled: bool,
}

impl Kept {
    /// None of what is no file, since nobody could tell whether it was changed.
    fn of(source: &Source, chunk_size: u32) -> Option<Self> {
        let metadata = source.file().metadata().ok()?;
        let named = fs::metadata(source.path()).ok()?;
        // What was unpacked meanwhile is another file.
        if !metadata.is_file() || (metadata.dev(), metadata.ino()) != (named.dev(), named.ino()) {
            return None;
        }
        let mut name = source.path().file_name()?.to_owned();
        name.push(".hashes");
        let mut head = MAGIC.to_vec();
        head.extend(metadata.len().to_le_bytes());
        head.extend(metadata.mtime().to_le_bytes());
        head.extend(metadata.mtime_nsec().to_le_bytes());
        // The time before can be set to any, such as by a copy; this one can't.
        head.extend(metadata.ctime().to_le_bytes());
        head.extend(metadata.ctime_nsec().to_le_bytes());
        head.extend(metadata.ino().to_le_bytes());
        head.extend(chunk_size.to_le_bytes());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let changed = metadata.ctime().max(metadata.mtime());
        let settled = u64::try_from(changed).map_or(0, |changed| changed.saturating_add(SETTLED));
        Some(Self {
            path: source.path().with_file_name(name),
            head,
            owner: metadata.uid(),
            is_settled: now >= settled,
        })
    }

    /// What is in the file; `None` if it can't be one of hashes that is to be believed. Of what is
    /// no file, such as a pipe, nothing is opened.
    fn bytes(&self, len: u64) -> Option<Vec<u8>> {
        let about = fs::symlink_metadata(&self.path).ok()?;
        let ours = rustix::process::geteuid().as_raw();
        let is_ours = [0, ours, self.owner].contains(&about.uid());
        let is_it = about.is_file() && is_ours && about.len() == len;
        is_it.then(|| fs::read(&self.path).ok()).flatten()
    }

    /// Whether the file may be written: nothing is there, or one that was written before.
    fn may_be_written(&self) -> bool {
        match fs::symlink_metadata(&self.path) {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(about) if about.is_file() => {
                let mut start = [0; MAGIC_OF_ALL.len()];
                let file = File::open(&self.path);
                let read = file.and_then(|mut file| file.read_exact(&mut start));
                read.is_ok() && start == *MAGIC_OF_ALL
            }
            Ok(_) => false,
        }
    }

    /// The entries, if the file is of the image as it is.
    fn read(&self, chunks: Chunks) -> Option<Vec<Entry>> {
        let entries_len = chunks.count().checked_mul(ENTRY_LEN as u64)?;
        let bytes = self.bytes(entries_len.checked_add(self.head.len() as u64 + 32)?)?;
        let (bytes, sum) = bytes.split_last_chunk::<32>()?;
        let table = bytes.strip_prefix(&self.head[..])?;
        let (entries, rest) = table.as_chunks::<ENTRY_LEN>();
        let is_whole = rest.is_empty() && entries.len() as u64 == chunks.count();
        if !is_whole || blake3::hash(bytes) != *sum {
            return None;
        }
        let decoded = entries.iter().map(|entry| Entry::decode(entry).ok());
        decoded.collect()
    }

    /// Writes it, if that may be: without it everything works as well, but takes longer.
    fn write(&self, entries: &[Entry]) {
        let mut bytes = self.head.clone();
        bytes.extend(entries.iter().flat_map(Entry::encode));
        bytes.extend(blake3::hash(&bytes).as_bytes());
        let folder = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
            file.write_all(&bytes)?;
            file.persist(&self.path)?;
            Ok(())
        };
        if self.is_settled && self.may_be_written() {
            let _ = write();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::layout::Layout;
    use crate::used::Ranges;

    fn live(path: &Path, progress: &mut dyn FnMut(u64)) -> Live {
        let source = Source::open(path, Path::new("/tmp")).unwrap();
        let layout = Layout::read(&source, None).unwrap();
        Live::new(&source, &settings(&layout), progress).unwrap()
    }

    fn settings(layout: &Layout) -> Settings<'_> {
        static NONE: std::sync::LazyLock<Ranges> = std::sync::LazyLock::new(Ranges::default);
        Settings {
            name: "image",
            version: 1,
            created: 0,
            expires: None,
            layout,
            unused: &NONE,
            chunk_size: 64 << 10,
            codec: Codec::None,
            keys: &[],
        }
    }

    fn read(path: &Path) -> (Vec<u8>, u64) {
        let source = Source::open(path, Path::new("/tmp")).unwrap();
        let layout = Layout::read(&source, None).unwrap();
        let mut hashed = 0;
        let mut live = live(path, &mut |done| hashed = done);
        let mut bytes = Vec::new();
        live.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, live.len());
        let packed = tempfile::NamedTempFile::new().unwrap();
        let output = (packed.reopen().unwrap(), packed.path());
        crate::pack::pack(&source, output, &settings(&layout), &mut |_| ()).unwrap();
        assert!(fs::read(packed.path()).unwrap() == bytes, "the same stream");
        (bytes, hashed)
    }

    #[test]
    fn an_image_that_changes_while_it_is_sent_is_not_sent_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let image = vec![7; 300_032];
        // One that is renamed over it is another file.
        for (changed, is_bad) in [("image", true), ("other", false)] {
            fs::write(&path, &image).unwrap();
            let mut live = live(&path, &mut |_| ());
            let mut start = [0; 1000];
            live.read_exact(&mut start).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            let changed = folder.path().join(changed);
            fs::write(&changed, vec![8; image.len()]).unwrap();
            if changed != path {
                fs::rename(&changed, &path).unwrap();
            }
            let result = live.read_to_end(&mut Vec::new());
            assert_eq!(result.is_err(), is_bad, "{result:?}");
        }
    }

    /// An image in a folder of its own, which was left alone long enough.
    fn settled() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let mut image: Vec<u8> = (0..300_032_u32).map(|n| (n / 7) as u8).collect();
        image[65_536..196_608].fill(0);
        fs::write(&path, &image).unwrap();
        assert_eq!(read(&path).1, image.len() as u64);
        let kept = folder.path().join("image.hashes");
        assert!(!kept.exists(), "it may still be changing");
        settle();
        (folder, path, image)
    }

    fn settle() {
        std::thread::sleep(Duration::from_secs(SETTLED + 1));
    }

    #[test]
    fn hashes_are_kept_until_the_image_is_changed() {
        let (folder, path, mut image) = settled();
        let len = image.len() as u64;
        let (first, hashed) = read(&path);
        assert_eq!(hashed, len);
        assert_eq!(read(&path), (first.clone(), 0), "they are known");
        let kept = folder.path().join("image.hashes");
        let good = fs::read(&kept).unwrap();
        let mut hashes = good.clone();
        *hashes.last_mut().unwrap() ^= 1;
        for spoilt in [&hashes[..], &good[..100], &[]] {
            fs::write(&kept, spoilt).unwrap();
            assert_eq!(read(&path), (first.clone(), len), "damaged ones are not");
        }
        // Its owner may set the time back.
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&kept, good).unwrap();
        image[100_000] = 1;
        fs::write(&path, &image).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(before).unwrap();
        let (second, hashed) = read(&path);
        assert!(hashed == len && second != first);
    }

    #[test]
    fn what_is_no_file_of_hashes_is_neither_read_nor_written_over() {
        let (folder, path, image) = settled();
        let kept = folder.path().join("image.hashes");
        let other = folder.path().join("other");
        fs::write(&kept, "somebody's own").unwrap();
        assert_eq!(read(&path).1, image.len() as u64);
        assert_eq!(fs::read(&kept).unwrap(), b"somebody's own");
        fs::remove_file(&kept).unwrap();
        std::os::unix::fs::symlink(&other, &kept).unwrap();
        read(&path);
        assert!(kept.is_symlink() && !other.exists());
        fs::remove_file(&kept).unwrap();
        let (first, _) = read(&path);
        // Hashes that are right, but of somebody who could have written any.
        if std::os::unix::fs::chown(&kept, Some(4711), None).is_ok() {
            assert_eq!(read(&path), (first, image.len() as u64));
        }
        fs::remove_file(&kept).unwrap();
        // Nobody writes to this pipe.
        let made = std::process::Command::new("mkfifo").arg(&kept).status();
        assert!(made.unwrap().success());
        read(&path);
    }
}
