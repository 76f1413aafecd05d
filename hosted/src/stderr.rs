//! Lines on stderr, which may lead nowhere.
//!
//! Whoever read it may be gone: that is no reason to end a transfer, as the standard macros would.
//! Or nobody reads it and its pipe is full: that is no reason to stop, as a write would.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How long a line waits for a reader that is slow.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

const NONE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Whether the last line found no reader. Then the next ones don't wait for one.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Writes a line, if anybody can read it. Waits for that a second at most.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let patience = match UNREAD.load(Ordering::Relaxed) {
        true => NONE,
        false => PATIENCE,
    };
    let taken = put(&format!("{line}\n"), patience);
    UNREAD.store(!taken, Ordering::Relaxed);
}

/// Writes what another such text soon replaces, and so only if it is taken at once.
pub(crate) fn show(text: &str) {
    put(text, NONE);
}

/// Whether it was taken, or can't ever be.
fn put(text: &str, patience: Timespec) -> bool {
    let stderr = io::stderr();
    loop {
        // A pipe that is ready takes 4096 bytes at once, which is more than any text here.
        let mut polls = [PollFd::new(&stderr, PollFlags::OUT)];
        match poll(&mut polls, Some(&patience)) {
            Err(Errno::INTR) => {}
            Ok(0) => return false,
            Ok(_) | Err(_) => break,
        }
    }
    // There is nobody to tell that stderr does not work.
    let _ = stderr.lock().write_all(text.as_bytes());
    true
}
