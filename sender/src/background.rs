//! The background: `--daemon-mode` given twice.
//!
//! There the program runs as a second process of the same command line, in a session of its own
//! and told by its environment: a process can't be split once it has threads. The first process
//! waits until the second has opened everything that it needs, and ends with its status if it
//! can't: so whoever started it knows whether it runs.

use std::env;
use std::error::Error;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{Command, Stdio};

use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdout};

/// Tells the second process that it is in the background: the number of the first one. Only its
/// own child takes it for true, not what that starts in turn.
const BACKGROUND: &str = "IRONCAST_IN_BACKGROUND";

/// Why there is no process in the background.
#[derive(Debug)]
pub struct BackgroundError(io::Error);

impl fmt::Display for BackgroundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("can't go into the background")
    }
}

impl Error for BackgroundError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// This process, in the background.
#[derive(Debug)]
pub struct Background(());

impl Background {
    /// If this process is the one in the background. It leaves its terminal.
    #[must_use]
    pub fn find() -> Option<Self> {
        let first = env::var(BACKGROUND).ok()?.parse().ok();
        (first == Some(parent_id())).then(|| {
            // Fails only if it leads a session already.
            let _ = setsid();
            Self(())
        })
    }

    /// Tells the first process that all is well. From now on nobody reads what this one says.
    ///
    /// # Errors
    /// [`BackgroundError`] if the first process is gone: it was stopped, and so is this one to be.
    pub fn ready(self) -> Result<(), BackgroundError> {
        let mut stdout = io::stdout();
        stdout
            .write_all(b"ready\n")
            .and_then(|()| stdout.flush())
            .map_err(BackgroundError)?;
        let null = OpenOptions::new().write(true).open("/dev/null");
        let null = null.map_err(BackgroundError)?;
        dup2_stdout(&null)
            .and_then(|()| dup2_stderr(&null))
            .map_err(|errno| BackgroundError(errno.into()))
    }
}

/// Starts the process in the background, with this one's command line, and waits until it is
/// [ready](Background::ready). If it ended before that, gives the status that it ended with; it has
/// said why.
///
/// # Errors
/// [`BackgroundError`] if it can't be started, or a signal ended it.
pub fn start() -> Result<Option<u8>, BackgroundError> {
    run_second().map_err(BackgroundError)
}

fn run_second() -> io::Result<Option<u8>> {
    let mut words = env::args_os();
    let mut command = Command::new(env::current_exe()?);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    let mut second = command
        .args(words)
        .env(BACKGROUND, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut word = Vec::new();
    if let Some(mut stdout) = second.stdout.take() {
        stdout.read_to_end(&mut word)?;
    }
    if !word.is_empty() {
        return Ok(None);
    }
    let status = second.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let killed = || io::Error::other(format!("the process there ended with {status}"));
    Ok(Some(code.ok_or_else(killed)?))
}
