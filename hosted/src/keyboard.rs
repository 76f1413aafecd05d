//! The keys of a terminal, as somebody presses them, or whatever else stdin is.
//!
//! A terminal gives a program whole lines. While a key is waited for it is told not to, and not to
//! show the key. That is so only while this program is in the terminal's foreground, and is undone
//! before the program ends or stops: whoever has the terminal then must find it as it was.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ironcast_proto::time::Duration;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcgetpgrp, tcsetattr};

/// How often a program in the background looks whether it is in the foreground again, which nothing
/// tells it. Chosen: nobody who presses a key notices.
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(500);

/// Lines with their editing, and what is typed shown.
const BY_LINES: LocalModes = LocalModes::ICANON.union(LocalModes::ECHO);

/// Where a key may be pressed.
#[derive(Debug)]
pub(crate) struct Keyboard {
    file: File,
    /// Whether the keys pressed there are another program's: this one is in the background of its
    /// terminal, and to read them would stop it.
    is_foreign: bool,
    /// What this program has turned off at the terminal, if it has.
    turned_off: Option<LocalModes>,
    /// Whether the terminal is as others left it.
    is_untouched: Arc<AtomicBool>,
}

impl Keyboard {
    /// Stdin, or if that is `stdin_taken`, the terminal. `is_untouched` tells at any time whether
    /// the terminal is as it was found.
    pub(crate) fn open(stdin_taken: bool, is_untouched: Arc<AtomicBool>) -> Option<Self> {
        let file = match stdin_taken {
            true => open_terminal("/dev/tty").ok()?,
            false => open_stdin().ok()?,
        };
        Some(Self::at(file, is_untouched))
    }

    pub(crate) fn at(file: File, is_untouched: Arc<AtomicBool>) -> Self {
        Self {
            file,
            is_foreign: false,
            turned_off: None,
            is_untouched,
        }
    }

    /// Whether it is a terminal's.
    pub(crate) fn is_terminal(&self) -> bool {
        isatty(&self.file)
    }

    /// What becomes readable when a key is pressed; nothing as long as keys are another program's.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        (!self.is_foreign).then(|| self.file.as_fd())
    }

    /// How soon to look again, since nothing may tell that keys are this program's.
    pub(crate) fn poll_interval(&self) -> Option<Duration> {
        self.is_foreign.then_some(BACKGROUND_INTERVAL)
    }

    /// Whether a key was pressed since this was asked.
    ///
    /// # Errors
    /// If there is no keyboard any more.
    pub(crate) fn is_pressed(&mut self) -> io::Result<bool> {
        self.is_foreign = isatty(&self.file) && !is_in_foreground(&self.file);
        if self.is_foreign {
            return Ok(false);
        }
        self.take_keys();
        if !is_readable(&self.file) {
            return Ok(false);
        }
        match self.file.read(&mut [0; 256]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            // Another program at this keyboard was faster.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has the terminal give each key at once, and not show it.
    fn take_keys(&mut self) {
        if self.turned_off.is_some() {
            return;
        }
        let Ok(mut terminal) = tcgetattr(&self.file) else {
            return;
        };
        // Of two programs that share a terminal, the second leaves it to the first.
        let on = terminal.local_modes & BY_LINES;
        self.is_untouched.store(false, Ordering::Release);
        self.turned_off = Some(on);
        terminal.local_modes -= on;
        // Without it a key works all the same, once Enter is pressed.
        let _ = tcsetattr(&self.file, OptionalActions::Now, &terminal);
    }

    /// Leaves the terminal as it was found.
    pub(crate) fn leave(&mut self) {
        // In the background it is somebody else's, who has long set it to their liking.
        if let Some(turned_off) = self.turned_off.take()
            && is_in_foreground(&self.file)
            && let Ok(mut terminal) = tcgetattr(&self.file)
        {
            terminal.local_modes |= turned_off;
            // Fails only if it is gone.
            let _ = tcsetattr(&self.file, OptionalActions::Now, &terminal);
        }
        self.is_untouched.store(true, Ordering::Release);
    }

    /// Has keys taken anew: the program was stopped, and meanwhile others had the terminal.
    pub(crate) fn resume(&mut self) {
        if let Some(turned_off) = self.turned_off.take()
            && is_in_foreground(&self.file)
            && let Ok(mut terminal) = tcgetattr(&self.file)
        {
            // What it was found with is still what it is to be left with.
            terminal.local_modes -= turned_off;
            let _ = tcsetattr(&self.file, OptionalActions::Now, &terminal);
            self.turned_off = Some(turned_off);
        }
        let is_untouched = self.turned_off.is_none();
        self.is_untouched.store(is_untouched, Ordering::Release);
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Stdin, if it is a terminal in a way that leaves alone how others read it.
fn open_stdin() -> io::Result<File> {
    let stdin = io::stdin();
    if isatty(&stdin)
        && let Ok(terminal) = open_terminal("/dev/stdin")
    {
        return Ok(terminal);
    }
    Ok(File::from(stdin.as_fd().try_clone_to_owned()?))
}

/// A terminal that is never waited for: a key that is there may be gone when it is to be read, for
/// programs share a terminal.
fn open_terminal(path: &str) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn is_readable(file: &File) -> bool {
    let mut polls = [PollFd::new(file, PollFlags::IN)];
    matches!(poll(&mut polls, Some(&Timespec::default())), Ok(1..))
}

/// Whether a terminal's keys are this program's. To set it in the background would stop the
/// program, as reading would.
fn is_in_foreground(terminal: &File) -> bool {
    tcgetpgrp(terminal).ok() == Some(getpgrp())
}
