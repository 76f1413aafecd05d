//! How far something long is, on a line of the terminal that is written over.
//!
//! Only on a terminal: in a log it would be a thousand lines.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often the line is written.
const INTERVAL: Duration = Duration::from_millis(200);

/// Cells of the bar.
const CELLS: u64 = 30;

/// A line that shows progress.
#[derive(Debug)]
pub struct Progress {
    doing: &'static str,
    total: u64,
    started: Instant,
    /// When the line is due; `None` where nobody sees it.
    due: Option<Instant>,
}

impl Progress {
    /// One of `total` bytes, with a word for what is being done.
    #[must_use]
    pub fn new(doing: &'static str, total: u64) -> Self {
        let started = Instant::now();
        Self {
            doing,
            total,
            started,
            due: io::stderr().is_terminal().then(|| started + INTERVAL),
        }
    }

    /// `done` of all bytes are done.
    pub fn tell(&mut self, done: u64) {
        let now = Instant::now();
        if self.due.is_some_and(|due| due <= now) {
            self.due = Some(now + INTERVAL);
            // Who has closed stderr does not see it.
            let _ = write!(io::stderr(), "\r{}", self.line(done, now - self.started));
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if self.due.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn line(&self, done: u64, elapsed: Duration) -> String {
        let total = self.total.max(1);
        let done = done.min(total);
        // Less than 2^57 times 100.
        let cells = (u128::from(done) * u128::from(CELLS) / u128::from(total)) as usize;
        let percent = u128::from(done) * 100 / u128::from(total);
        let rate = done as f64 / 1e6 / elapsed.as_secs_f64().max(0.001);
        let bar = "#".repeat(cells) + &"-".repeat(CELLS as usize - cells);
        format!(
            "{} [{bar}] {percent:>3} %  {rate:.0} MB/s\x1b[K",
            self.doing
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_and_how_fast() {
        let progress = Progress::new("packing", 1 << 60);
        let line = progress.line(1 << 59, Duration::from_secs(1 << 20));
        let bar = "#".repeat(15) + &"-".repeat(15);
        assert_eq!(line, format!("packing [{bar}]  50 %  549756 MB/s\x1b[K"));
        let empty = Progress::new("packing", 0);
        assert!(empty.line(0, Duration::ZERO).contains("  0 %"));
        assert!(empty.line(9, Duration::ZERO).contains("100 %"));
    }
}
