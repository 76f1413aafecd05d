//! The file with the daemon's process number, and the way to end that daemon: `--pid-file` and
//! `--kill`.
//!
//! The daemon keeps the file locked for life, so that the system itself knows whether it lives and
//! which process it is. The number in the file is for people and scripts: it may be old, and its
//! process another one by now. The lock is of the sort that names its holder (POSIX record locks).

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk, kill_process};

/// What about a pid file does not work.
#[derive(Debug)]
pub enum PidFileError {
    /// It can't be written.
    Write(PathBuf, io::Error),
    /// It can't be read.
    Read(PathBuf, io::Error),
    /// A daemon that lives has it; its process, if this one can see that.
    Taken(PathBuf, Option<Pid>),
    /// No daemon has it.
    Stale(PathBuf),
    /// The daemon that has it runs where this process can't see it.
    Hidden(PathBuf),
    /// The daemon can't be told to end.
    Kill(Pid, io::Error),
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, _) => write!(f, "can't write the pid file {}", path.display()),
            Self::Read(path, _) => write!(
                f,
                "can't read the pid file {}: does the daemon run?",
                path.display()
            ),
            Self::Taken(path, pid) => {
                match pid {
                    Some(pid) => write!(f, "process {} is a daemon", pid.as_raw_nonzero())?,
                    None => f.write_str("a daemon runs already")?,
                }
                write!(
                    f,
                    " with the pid file {0}: end it (--kill --pid-file {0}), or name another file",
                    path.display()
                )
            }
            Self::Stale(path) => write!(
                f,
                "no daemon of this program has the pid file {}: it has ended, and the file can be \
                 deleted",
                path.display()
            ),
            Self::Hidden(path) => write!(
                f,
                "the daemon with the pid file {} runs on another host or in another container: end \
                 it there",
                path.display()
            ),
            Self::Kill(pid, _) => write!(f, "can't end process {}", pid.as_raw_nonzero()),
        }
    }
}

impl Error for PidFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Write(_, error) | Self::Read(_, error) | Self::Kill(_, error) => Some(error),
            Self::Taken(..) | Self::Stale(_) | Self::Hidden(_) => None,
        }
    }
}

/// A file with this process's number, locked as long as the value lives. Nothing else in this
/// process may open and close the file meanwhile: that would end the lock.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Locks and writes the file.
    ///
    /// # Errors
    /// [`PidFileError::Taken`] if a daemon that lives has it, or [`PidFileError::Write`].
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let error = |error| PidFileError::Write(path.to_owned(), error);
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(error)?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::AGAIN | Errno::ACCESS) => {
                    let Some(holder) = holder(&file).map_err(error)? else {
                        // It has ended between these two looks.
                        continue;
                    };
                    return Err(PidFileError::Taken(path.to_owned(), holder.pid()));
                }
                Err(errno) => return Err(error(errno.into())),
            }
            let mut new = Self {
                path: path.to_owned(),
                file,
            };
            // An ending daemon may have removed it after it was opened here.
            if new.is_at_its_path() {
                new.write().map_err(error)?;
                return Ok(new);
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        writeln!(self.file, "{}", std::process::id())
    }

    /// Whether the path still leads to this very file.
    fn is_at_its_path(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let named = fs::metadata(&self.path).map(identity);
        let own = self.file.metadata().map(identity);
        matches!((named, own), (Ok(named), Ok(own)) if named == own)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_at_its_path() {
            // Gone already, if it does not work.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Tells the daemon that has the file to end after its transfer.
///
/// # Errors
/// [`PidFileError`] if there is no such daemon.
pub fn kill(path: &Path) -> Result<(), PidFileError> {
    let read_error = |error| PidFileError::Read(path.to_owned(), error);
    let file = File::open(path).map_err(read_error)?;
    let holder = holder(&file)
        .map_err(read_error)?
        .ok_or_else(|| PidFileError::Stale(path.to_owned()))?;
    let pid = holder
        .pid()
        .ok_or_else(|| PidFileError::Hidden(path.to_owned()))?;
    kill_process(pid, rustix::process::Signal::TERM)
        .map_err(|error| PidFileError::Kill(pid, error.into()))
}

/// Whoever has a lock.
struct Holder(Option<Pid>);

impl Holder {
    /// Its process, if that is one of this host that this process can see.
    fn pid(&self) -> Option<Pid> {
        self.0.filter(|pid| pid.as_raw_nonzero().get() > 0)
    }
}

/// The process other than this one that has the file locked.
fn holder(file: impl AsFd) -> io::Result<Option<Holder>> {
    let wanted = Flock::from(FlockType::WriteLock);
    let found = fcntl_getlk(file, &wanted)?;
    Ok(found.map(|lock| Holder(lock.pid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ironcast-{name}-{}", std::process::id()))
    }

    #[test]
    fn the_pid_file_lives_as_long_as_the_daemon() {
        let path = path("pid");
        // What an older one left.
        fs::write(&path, "123456789\n").unwrap();
        let file = PidFile::create(&path).unwrap();
        let pid = fs::read_to_string(&path).unwrap();
        assert_eq!(pid, format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn another_ones_file_is_not_removed() {
        let path = path("other");
        let file = PidFile::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1234\n").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1234\n");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn no_other_program_is_killed() {
        let path = path("stranger");
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        for text in [String::new(), "x".to_owned(), other.id().to_string()] {
            fs::write(&path, text).unwrap();
            let error = kill(&path).unwrap_err();
            assert!(matches!(error, PidFileError::Stale(_)), "{error}");
        }
        assert!(other.try_wait().unwrap().is_none(), "it lives");
        other.kill().unwrap();
        other.wait().unwrap();
        fs::remove_file(&path).unwrap();
        let error = kill(&path).unwrap_err();
        assert!(matches!(error, PidFileError::Read(..)), "{error}");
    }
}
