//! One transfer after the other: `--daemon-mode`, `--pid-file` and `--kill`.
//!
//! In the background the program runs as a second process of the same command line, in a session of
//! its own and told by its environment: a process can't be split once it has threads.

use std::env;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use ironcast_hosted::{Command, Operator, Signal};
use rustix::process::{Pid, kill_process, setsid};

/// Tells the second process that it is in the background.
const BACKGROUND: &str = "IRONCAST_IN_BACKGROUND";

/// What about a daemon does not work.
#[derive(Debug)]
pub enum DaemonError {
    /// The second process can't be started.
    Start(io::Error),
    /// The file with the process number can't be written.
    WritePid(PathBuf, io::Error),
    /// The file with the process number can't be read.
    ReadPid(PathBuf, io::Error),
    /// There is no number in it.
    NoPid(PathBuf),
    /// The process with that number is none of this program.
    Stranger(PathBuf, i32),
    /// The process can't be told to end.
    Kill(i32, io::Error),
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(_) => f.write_str("can't go into the background"),
            Self::WritePid(path, _) => write!(f, "can't write the pid file {}", path.display()),
            Self::ReadPid(path, _) => write!(
                f,
                "can't read the pid file {}: does the daemon run?",
                path.display()
            ),
            Self::NoPid(path) => write!(f, "{} has no process number in it", path.display()),
            Self::Stranger(path, pid) => write!(
                f,
                "process {pid}, which {} names, is none of this program: the daemon has ended, and \
                 the file can be deleted",
                path.display()
            ),
            Self::Kill(pid, _) => write!(f, "can't end process {pid}"),
        }
    }
}

impl Error for DaemonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start(error)
            | Self::WritePid(_, error)
            | Self::ReadPid(_, error)
            | Self::Kill(_, error) => Some(error),
            Self::NoPid(_) | Self::Stranger(..) => None,
        }
    }
}

/// Whether this is the process in the background. It leaves its terminal.
#[must_use]
pub fn is_in_background() -> bool {
    let is = env::var_os(BACKGROUND).is_some();
    if is {
        // Fails only if it leads a session already.
        let _ = setsid();
    }
    is
}

/// Starts the process in the background, with this one's command line.
///
/// # Errors
/// [`DaemonError::Start`].
pub fn go_into_background() -> Result<(), DaemonError> {
    let program = env::current_exe().map_err(DaemonError::Start)?;
    Process::new(program)
        .args(env::args_os().skip(1))
        .env(BACKGROUND, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
        .map_err(DaemonError::Start)
}

/// A file with this process's number, as long as the value lives.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file.
    ///
    /// # Errors
    /// [`DaemonError::WritePid`].
    pub fn write(path: &Path) -> Result<Self, DaemonError> {
        let error = |error| DaemonError::WritePid(path.to_owned(), error);
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        fs::write(&new, format!("{}\n", std::process::id())).map_err(error)?;
        fs::rename(&new, path).map_err(error)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Gone already, if it does not work.
        let _ = fs::remove_file(&self.0);
    }
}

/// Tells the daemon whose number is in the file to end after its transfer.
///
/// # Errors
/// [`DaemonError`] if there is no such daemon.
pub fn kill(path: &Path) -> Result<(), DaemonError> {
    let text = fs::read_to_string(path).map_err(|e| DaemonError::ReadPid(path.to_owned(), e))?;
    let number: i32 = text
        .trim()
        .parse()
        .map_err(|_| DaemonError::NoPid(path.to_owned()))?;
    let pid = Pid::from_raw(number)
        .filter(|_| number > 1)
        .ok_or_else(|| DaemonError::NoPid(path.to_owned()))?;
    let is_same = match (
        fs::read_link(format!("/proc/{number}/exe")),
        env::current_exe(),
    ) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        (Err(error), _) if error.kind() == ErrorKind::PermissionDenied => true,
        _ => false,
    };
    if !is_same {
        return Err(DaemonError::Stranger(path.to_owned(), number));
    }
    kill_process(pid, rustix::process::Signal::TERM)
        .map_err(|error| DaemonError::Kill(number, error.into()))
}

/// An operator whose SIGTERM waits for the end of the transfer.
#[derive(Debug)]
pub struct Patient<'o, O> {
    operator: &'o mut O,
    is_transferring: bool,
    deferred: Option<Signal>,
}

impl<'o, O: Operator> Patient<'o, O> {
    /// One that passes everything else on.
    pub fn new(operator: &'o mut O) -> Self {
        Self {
            operator,
            is_transferring: false,
            deferred: None,
        }
    }

    /// The signal that has waited.
    #[must_use]
    pub fn deferred(&self) -> Option<Signal> {
        self.deferred
    }
}

impl<O: Operator> Operator for Patient<'_, O> {
    fn wake_fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
        self.operator.wake_fds()
    }

    fn poll_interval(&self) -> Option<Duration> {
        self.operator.poll_interval()
    }

    fn poll_command(&mut self) -> Option<Command> {
        match self.operator.poll_command() {
            Some(Command::Stop(Signal::Terminate)) if self.is_transferring => {
                self.deferred = Some(Signal::Terminate);
                None
            }
            command => command,
        }
    }

    fn transfer_started(&mut self) {
        self.is_transferring = true;
        self.operator.transfer_started();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Signalled;

    impl Operator for Signalled {
        fn wake_fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
            [None, None]
        }

        fn poll_interval(&self) -> Option<Duration> {
            None
        }

        fn poll_command(&mut self) -> Option<Command> {
            Some(Command::Stop(Signal::Terminate))
        }

        fn transfer_started(&mut self) {}
    }

    fn path(name: &str) -> PathBuf {
        env::temp_dir().join(format!("ironcast-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_transfer_is_not_interrupted_by_the_end_of_the_daemon() {
        let mut operator = Signalled;
        let mut patient = Patient::new(&mut operator);
        assert_eq!(
            patient.poll_command(),
            Some(Command::Stop(Signal::Terminate))
        );
        patient.transfer_started();
        assert_eq!(patient.poll_command(), None);
        assert_eq!(patient.deferred(), Some(Signal::Terminate));
    }

    #[test]
    fn the_pid_file_lives_as_long_as_the_daemon() {
        let path = path("pid");
        let file = PidFile::write(&path).unwrap();
        let pid = fs::read_to_string(&path).unwrap();
        assert_eq!(pid.trim(), std::process::id().to_string());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn no_other_program_is_killed() {
        let path = path("stranger");
        for (text, expected) in [("1", "no process number"), ("x", "no process number")] {
            fs::write(&path, text).unwrap();
            assert!(kill(&path).unwrap_err().to_string().contains(expected));
        }
        let mut other = Process::new("sleep").arg("60").spawn().unwrap();
        fs::write(&path, other.id().to_string()).unwrap();
        let error = kill(&path).unwrap_err();
        assert!(matches!(error, DaemonError::Stranger(..)));
        assert!(other.try_wait().unwrap().is_none(), "it lives");
        other.kill().unwrap();
        other.wait().unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(kill(&path).unwrap_err(), DaemonError::ReadPid(..)));
    }
}
