//! The operator of a program: a key that starts the transfer, and signals that end it.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{isatty, tcgetpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// What an operator may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The transfer is to start now.
    Start,
    /// The program is to end now.
    Stop(Signal),
}

/// A signal that ends a program in an orderly way. A second one ends it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP.
    Hangup,
    /// SIGINT, as by Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Hangup, Self::Interrupt, Self::Terminate];

    /// The signal's number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    fn raw(self) -> i32 {
        match self {
            Self::Hangup => SIGHUP,
            Self::Interrupt => SIGINT,
            Self::Terminate => SIGTERM,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Whoever decides when a transfer starts and when it is given up.
pub trait Operator {
    /// What becomes readable when there is a command, and stays so until that is polled: whoever
    /// waits for it and does not poll waits no more.
    fn wake_fds(&self) -> [Option<BorrowedFd<'_>>; 2];

    /// The next command, without waiting for it. Each is given once.
    fn poll_command(&mut self) -> Option<Command>;

    /// The transfer has started: from now on there is nothing to start.
    fn transfer_started(&mut self);
}

/// The operator at the terminal that the program was started from.
#[derive(Debug)]
pub struct Console {
    /// Becomes readable with every signal.
    signals: UnixStream,
    /// Number of the last signal that was not polled, or 0.
    received: Arc<AtomicUsize>,
    keyboard: Option<File>,
}

impl Console {
    /// Takes the signals over, and, if `keyboard`, listens for a key: on stdin, or if that is
    /// `stdin_taken` by the data, on the terminal. Without either, no key can be pressed.
    ///
    /// # Errors
    /// [`ConsoleError`] if the system does not hand the signals over.
    pub fn open(keyboard: bool, stdin_taken: bool) -> Result<Self, ConsoleError> {
        let (signals, other_end) = UnixStream::pair().map_err(ConsoleError)?;
        signals.set_nonblocking(true).map_err(ConsoleError)?;
        let received = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for signal in Signal::ALL {
            // In this order: a second signal finds `again` set by the first, and whoever is woken
            // finds the number.
            let raw = signal.raw();
            let number = usize::from(signal.number());
            let end = other_end.try_clone().map_err(ConsoleError)?;
            flag::register_conditional_default(raw, Arc::clone(&again))
                .and_then(|_| flag::register(raw, Arc::clone(&again)))
                .and_then(|_| flag::register_usize(raw, Arc::clone(&received), number))
                .and_then(|_| low_level::pipe::register(raw, end))
                .map_err(ConsoleError)?;
        }
        Ok(Self {
            signals,
            received,
            keyboard: keyboard.then(|| open_keyboard(stdin_taken)).flatten(),
        })
    }

    /// Whether there is a key to press.
    #[must_use]
    pub fn has_keyboard(&self) -> bool {
        self.keyboard.is_some()
    }

    /// The signal that arrived last, if any did since this was asked.
    fn take_signal(&mut self) -> Option<Signal> {
        // In this order: a signal that comes in between is taken now, and wakes in vain.
        while matches!(self.signals.read(&mut [0; 16]), Ok(1..)) {}
        let number = self.received.swap(0, Ordering::AcqRel);
        Signal::ALL
            .into_iter()
            .find(|signal| usize::from(signal.number()) == number)
    }

    /// Whether a key was pressed.
    fn key(&mut self) -> bool {
        let Some(keyboard) = &mut self.keyboard else {
            return false;
        };
        if !is_readable(keyboard) || is_in_background(keyboard) {
            return false;
        }
        let mut keys = [0; 256];
        match keyboard.read(&mut keys) {
            Ok(1..) => true,
            // The end of it, or it broke: nobody can press a key there.
            Ok(0) | Err(_) => {
                self.keyboard = None;
                false
            }
        }
    }
}

impl Operator for Console {
    fn wake_fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let keyboard = self.keyboard.as_ref().map(AsFd::as_fd);
        [Some(self.signals.as_fd()), keyboard]
    }

    fn poll_command(&mut self) -> Option<Command> {
        match self.take_signal() {
            Some(signal) => Some(Command::Stop(signal)),
            None => self.key().then_some(Command::Start),
        }
    }

    fn transfer_started(&mut self) {
        self.keyboard = None;
    }
}

/// Why signals can't be taken.
#[derive(Debug)]
pub struct ConsoleError(io::Error);

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("can't take signals from the system")
    }
}

impl Error for ConsoleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn open_keyboard(stdin_taken: bool) -> Option<File> {
    if stdin_taken {
        return File::open("/dev/tty").ok();
    }
    Some(File::from(io::stdin().as_fd().try_clone_to_owned().ok()?))
}

fn is_readable(file: &File) -> bool {
    let mut polls = [PollFd::new(file, PollFlags::IN)];
    matches!(poll(&mut polls, Some(&Timespec::default())), Ok(1..))
}

/// Whether the keys pressed are another program's: to read them would stop this one.
fn is_in_background(keyboard: &File) -> bool {
    isatty(keyboard) && tcgetpgrp(keyboard).ok() != Some(rustix::process::getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether waiting for the console's signals ends at once.
    fn wakes(console: &Console) -> bool {
        let woken = console.wake_fds()[0].unwrap();
        let mut polls = [PollFd::from_borrowed_fd(woken, PollFlags::IN)];
        poll(&mut polls, Some(&Timespec::default())) == Ok(1)
    }

    #[test]
    fn a_signal_wakes_until_it_was_polled_and_becomes_one_command() {
        let mut console = Console::open(false, false).unwrap();
        assert!(!console.has_keyboard());
        assert_eq!(console.poll_command(), None);
        assert!(!wakes(&console));
        low_level::raise(SIGTERM).unwrap();
        assert!(wakes(&console));
        assert_eq!(
            console.poll_command(),
            Some(Command::Stop(Signal::Terminate))
        );
        assert!(!wakes(&console));
        assert_eq!(console.poll_command(), None);
    }

    #[test]
    fn numbers_are_the_systems() {
        for signal in Signal::ALL {
            assert_eq!(i32::from(signal.number()), signal.raw());
        }
    }
}
