//! The operator of a program: a key that starts the transfer, and signals that end it.

use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ironcast_proto::time::Duration;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::{flag, low_level};

use crate::keyboard::Keyboard;

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
    /// Whether a key is to be waited for, and if so, whether stdin is taken by the data.
    wanted: Option<bool>,
    keyboard: Option<Keyboard>,
    /// Whether the terminal is as it was found.
    is_untouched: Arc<AtomicBool>,
    /// Signals by which a terminal's user takes the terminal back.
    job: Option<JobSignals>,
}

/// Signals that do what they always do, but not before the terminal is as it was found.
#[derive(Debug)]
struct JobSignals {
    /// Whether the terminal is as it was found, so that they need no delay.
    is_untouched: Arc<AtomicBool>,
    quit: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    resumed: Arc<AtomicBool>,
}

impl JobSignals {
    /// Takes them over; `end` is written to with each that is delayed.
    fn register(end: &UnixStream, is_untouched: &Arc<AtomicBool>) -> io::Result<Self> {
        let noted = |signal, at_once: bool| {
            let flag = Arc::new(AtomicBool::new(false));
            if at_once {
                flag::register_conditional_default(signal, Arc::clone(is_untouched))?;
            }
            flag::register(signal, Arc::clone(&flag))?;
            low_level::pipe::register(signal, end.try_clone()?)?;
            io::Result::Ok(flag)
        };
        Ok(Self {
            quit: noted(SIGQUIT, true)?,
            stop: noted(SIGTSTP, true)?,
            resumed: noted(SIGCONT, false)?,
            is_untouched: Arc::clone(is_untouched),
        })
    }

    /// Does what those that came are for.
    fn obey(&self, keyboard: &mut Keyboard) {
        for (flag, signal) in [(&self.quit, SIGQUIT), (&self.stop, SIGTSTP)] {
            let has_come = flag.swap(false, Ordering::AcqRel);
            if has_come && !self.is_untouched.load(Ordering::Acquire) {
                keyboard.leave();
                // Fails for no signal that the system knows. To stop takes until it is resumed.
                let _ = low_level::emulate_default_handler(signal);
            }
        }
        if self.resumed.swap(false, Ordering::AcqRel) {
            keyboard.resume();
        }
    }
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
        let mut console = Self {
            signals,
            received,
            wanted: keyboard.then_some(stdin_taken),
            keyboard: None,
            is_untouched: Arc::new(AtomicBool::new(true)),
            job: None,
        };
        console.listen();
        if console.keyboard.as_ref().is_some_and(Keyboard::is_terminal) {
            let job = JobSignals::register(&other_end, &console.is_untouched);
            console.job = Some(job.map_err(ConsoleError)?);
        }
        Ok(console)
    }

    /// Listens for a key, as it was opened to do, after a transfer has started, too.
    pub fn listen(&mut self) {
        if let (None, Some(stdin_taken)) = (&self.keyboard, self.wanted) {
            self.keyboard = Keyboard::open(stdin_taken, Arc::clone(&self.is_untouched));
        }
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
        if let Some(job) = &self.job {
            job.obey(keyboard);
        }
        match keyboard.is_pressed() {
            Ok(is_pressed) => is_pressed,
            // The end of it, or it broke: nobody can press a key there.
            Err(_) => {
                self.keyboard = None;
                self.wanted = None;
                false
            }
        }
    }
}

impl Operator for Console {
    fn wake_fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let keyboard = self.keyboard.as_ref().and_then(Keyboard::fd);
        [Some(self.signals.as_fd()), keyboard]
    }

    fn poll_interval(&self) -> Option<Duration> {
        self.keyboard.as_ref().and_then(Keyboard::poll_interval)
    }

    fn poll_command(&mut self) -> Option<Command> {
        if let Some(signal) = self.take_signal() {
            // A second one would leave no time for it.
            self.keyboard = None;
            return Some(Command::Stop(signal));
        }
        self.key().then_some(Command::Start)
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::*;

    /// Signals are the whole process's: every console hears what another test raises.
    static SIGNALS: Mutex<()> = Mutex::new(());

    fn alone() -> MutexGuard<'static, ()> {
        SIGNALS.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
            keyboard: Some(Keyboard::at(file, Arc::new(AtomicBool::new(true)))),
            ..Console::open(false, false).unwrap()
        }
    }

    #[test]
    fn a_signal_wakes_until_it_was_polled_and_becomes_one_command() {
        let _alone = alone();
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
        let _alone = alone();
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
        let _alone = alone();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let person = openpt(flags).unwrap();
        unlockpt(&person).unwrap();
        // No terminal of this process, so that it is never in its foreground.
        let terminal = ioctl_tiocgptpeer(&person, flags).unwrap();
        let before = tcgetattr(&terminal).unwrap().local_modes;
        let mut console = at(File::from(terminal.try_clone().unwrap()));
        File::from(person.try_clone().unwrap())
            .write_all(b"ls\n")
            .unwrap();
        assert!(wakes(&console));
        assert_eq!(console.poll_command(), None);
        assert!(!wakes(&console) && console.has_keyboard());
        assert!(console.poll_interval().is_some());
        let modes = tcgetattr(&terminal).unwrap().local_modes;
        assert!(modes == before && modes.contains(LocalModes::ICANON));
    }

    #[test]
    fn numbers_are_the_systems() {
        let _alone = alone();
        for signal in Signal::ALL {
            assert_eq!(i32::from(signal.number()), signal.raw());
        }
    }
}
