//! The operator of a program: a key that starts the transfer, and signals that end it.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ironcast_proto::time::Duration;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{isatty, tcgetpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// How often a program in the background looks whether it is in the foreground again, which nothing
/// tells it. Chosen: nobody who presses a key notices.
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(500);

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

    /// How soon to poll although nothing became readable, since there may be a command of which
    /// nothing tells; `None` if there can't.
    fn poll_interval(&self) -> Option<Duration>;

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
    keyboard: Option<Keyboard>,
}

/// Where a key may be pressed.
#[derive(Debug)]
struct Keyboard {
    file: File,
    /// Whether keys were pressed there that are another program's: this one is in the background
    /// of its terminal, and to read them would stop it.
    is_foreign: bool,
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
            keyboard: keyboard.then(|| Keyboard::open(stdin_taken)).flatten(),
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
        match keyboard.is_pressed() {
            Ok(is_pressed) => is_pressed,
            // The end of it, or it broke: nobody can press a key there.
            Err(_) => {
                self.keyboard = None;
                false
            }
        }
    }
}

impl Keyboard {
    /// Stdin, or if that is `stdin_taken`, the terminal.
    fn open(stdin_taken: bool) -> Option<Self> {
        let file = match stdin_taken {
            true => open_terminal("/dev/tty").ok()?,
            false => open_stdin().ok()?,
        };
        Some(Self {
            file,
            is_foreign: false,
        })
    }

    /// Whether a key was pressed since this was asked.
    fn is_pressed(&mut self) -> io::Result<bool> {
        let is_readable = is_readable(&self.file);
        self.is_foreign = is_readable && is_in_background(&self.file);
        if !is_readable || self.is_foreign {
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
}

impl Operator for Console {
    fn wake_fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let keyboard = self.keyboard.as_ref();
        let keyboard = keyboard.filter(|keyboard| !keyboard.is_foreign);
        let keyboard = keyboard.map(|keyboard| keyboard.file.as_fd());
        [Some(self.signals.as_fd()), keyboard]
    }

    fn poll_interval(&self) -> Option<Duration> {
        let keyboard = self.keyboard.as_ref()?;
        keyboard.is_foreign.then_some(BACKGROUND_INTERVAL)
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

/// Whether the keys pressed are another program's: to read them would stop this one.
fn is_in_background(keyboard: &File) -> bool {
    isatty(keyboard) && tcgetpgrp(keyboard).ok() != Some(rustix::process::getpgrp())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

    use super::*;

    /// Whether waiting for the console ends at once.
    fn wakes(console: &Console) -> bool {
        let fds = console.wake_fds().into_iter().flatten();
        let mut polls: Vec<PollFd<'_>> = fds
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        poll(&mut polls, Some(&Timespec::default())) != Ok(0)
    }

    /// A console with this keyboard.
    fn at(file: File) -> Console {
        Console {
            keyboard: Some(Keyboard {
                file,
                is_foreign: false,
            }),
            ..Console::open(false, false).unwrap()
        }
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
    fn a_key_wakes_until_it_was_polled_and_a_keyboard_that_is_gone_never() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut console = at(File::from(OwnedFd::from(reader)));
        assert_eq!(console.poll_command(), None);
        writer.write_all(b"\n").unwrap();
        assert!(wakes(&console));
        assert_eq!(console.poll_command(), Some(Command::Start));
        assert!(!wakes(&console) && console.has_keyboard());
        drop(writer);
        assert_eq!(console.poll_command(), None);
        assert!(!wakes(&console) && !console.has_keyboard());
    }

    #[test]
    fn keys_of_a_terminal_that_others_have_wake_nobody_and_are_looked_for_later() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let person = openpt(flags).unwrap();
        unlockpt(&person).unwrap();
        // No terminal of this process, so that it is never in its foreground.
        let terminal = ioctl_tiocgptpeer(&person, flags).unwrap();
        let mut console = at(File::from(terminal));
        assert_eq!(console.poll_command(), None);
        assert_eq!(console.poll_interval(), None);
        File::from(person.try_clone().unwrap())
            .write_all(b"ls\n")
            .unwrap();
        assert!(wakes(&console));
        assert_eq!(console.poll_command(), None);
        assert!(!wakes(&console) && console.has_keyboard());
        assert_eq!(console.poll_interval(), Some(BACKGROUND_INTERVAL));
    }

    #[test]
    fn numbers_are_the_systems() {
        for signal in Signal::ALL {
            assert_eq!(i32::from(signal.number()), signal.raw());
        }
    }
}
