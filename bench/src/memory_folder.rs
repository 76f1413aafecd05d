//! A folder in memory that goes with this program, however that ends: nobody misses the space of a
//! file on a disk as soon as that of one in memory.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Bytes of memory that are filled at a time.
const PIECE: usize = 1 << 20;

/// The folder, and who removes it if we can't.
#[derive(Debug)]
pub struct MemoryFolder {
    folder: TempDir,
    /// Reads a pipe that closes when we end, by whatever signal.
    keeper: Child,
}

impl MemoryFolder {
    /// Makes one.
    ///
    /// Fails if there is no `/dev/shm`, or the system starts no shell.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ironcast-bench")
            .tempdir_in("/dev/shm")
            .context("cannot make a folder in /dev/shm")?;
        let keeper = keeper(folder.path()).context("cannot start a shell")?;
        Ok(Self { folder, keeper })
    }

    /// Fills and frees so many bytes of memory, as many as the next files here take. Where this
    /// machine is a virtual one, its host has that memory back otherwise, and to get it again takes
    /// longer than to write it, for whoever happens to be next.
    ///
    /// # Errors
    /// If there are not so many.
    pub fn warm(&self, bytes: u64) -> io::Result<()> {
        let mut file = tempfile::tempfile_in(&self.folder)?;
        let piece = vec![0; PIECE];
        let mut left = bytes;
        while left > 0 {
            let len = left.min(PIECE as u64);
            file.write_all(&piece[..len as usize])?;
            left -= len;
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl AsRef<Path> for MemoryFolder {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

/// Starts a process that removes `folder` when its input ends. What is typed at the terminal to end
/// us does not end it.
fn keeper(folder: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", r#"cat; rm -rf -- "$1""#, "sh"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
}

impl Drop for MemoryFolder {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing can be done about one that can't be waited for, and the folder itself goes next.
        let _ = self.keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_goes_with_the_value() {
        let folder = MemoryFolder::new().unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("file"), "text").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn it_goes_when_the_pipe_closes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner folder");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "text").unwrap();
        let mut keeper = keeper(&path).unwrap();
        assert!(path.exists());
        drop(keeper.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(10);
        while path.exists() {
            assert!(Instant::now() < deadline);
        }
        keeper.wait().unwrap();
    }
}
