//! Lines on stderr, which may lead nowhere.
//!
//! Whoever read it may be gone: that is no reason to end a transfer, as the standard macros would.
//! Or nobody reads it and its pipe is full: that is no reason to stop, as a write would.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How long lines wait for a reader that is slow: together no longer than this, and then a tenth of
/// the time, since a transfer waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
const SHARE: u32 = 10;

static READER: Mutex<Reader> = Mutex::new(Reader {
    patience: PATIENCE,
    asked_at: None,
});

/// How long the reader of stderr may still be waited for.
#[derive(Debug)]
struct Reader {
    patience: Duration,
    /// As of when.
    asked_at: Option<Instant>,
}

impl Reader {
    /// The patience that there is at `now`.
    fn patience(&mut self, now: Instant) -> Duration {
        let passed = self.asked_at.map(|at| now.saturating_duration_since(at));
        let grown = self.patience + passed.unwrap_or_default() / SHARE;
        self.patience = grown.min(PATIENCE);
        self.asked_at = Some(now);
        self.patience
    }

    /// Notes that a line has waited since the patience was asked for.
    fn has_waited(&mut self, now: Instant) {
        let waited = self.asked_at.map(|at| now.saturating_duration_since(at));
        self.patience = self.patience.saturating_sub(waited.unwrap_or_default());
        self.asked_at = Some(now);
    }
}

/// Writes a line, if anybody can read it soon.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    // Nobody panics with the lock in hand; and if so, its value is still one.
    let mut reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
    let patience = reader.patience(Instant::now());
    put(&format!("{line}\n"), patience);
    reader.has_waited(Instant::now());
}

/// Writes what another such text soon replaces, and so only if it is taken at once.
pub(crate) fn show(text: &str) {
    put(text, Duration::ZERO);
}

fn put(text: &str, patience: Duration) {
    let stderr = io::stderr();
    let patience = Timespec {
        // A second at most.
        tv_sec: patience.as_secs() as i64,
        tv_nsec: patience.subsec_nanos().into(),
    };
    loop {
        // A pipe that is ready takes 4096 bytes at once, which is more than any text here.
        let mut polls = [PollFd::new(&stderr, PollFlags::OUT)];
        match poll(&mut polls, Some(&patience)) {
            Err(Errno::INTR) => {}
            Ok(0) => return,
            Ok(_) | Err(_) => break,
        }
    }
    // There is nobody to tell that stderr does not work.
    let _ = stderr.lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_takes_a_second_and_then_a_tenth_of_the_time() {
        let mut reader = Reader {
            patience: PATIENCE,
            asked_at: None,
        };
        let start = Instant::now();
        let (mut now, mut waited) = (start, Duration::ZERO);
        // Lines without end, and a reader who needs 900 ms for each.
        while now - start < Duration::from_secs(100) {
            let wait = reader.patience(now).min(Duration::from_millis(900));
            now += wait;
            waited += wait;
            reader.has_waited(now);
            now += Duration::from_millis(1);
        }
        let limit = PATIENCE + (now - start) / SHARE;
        assert!(waited <= limit, "{waited:?}");
        now += PATIENCE * SHARE;
        assert_eq!(reader.patience(now), PATIENCE, "it is back");
    }
}
