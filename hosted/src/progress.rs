//! The line that is written over and over on stderr while a transfer goes on.
//!
//! As the stock programs do, it ends with a carriage return, on a terminal or not: scripts read it.

use std::io::{self, Write};

use ironcast_proto::time::{Duration, Instant};

/// A line on stderr that replaces itself.
#[derive(Debug)]
pub struct ProgressLine {
    enabled: bool,
    period: Duration,
    due: Instant,
    /// The line that is shown; empty if there is none.
    shown: String,
}

impl ProgressLine {
    /// One that is rewritten each `period`, or never if not `enabled`.
    #[must_use]
    pub fn new(enabled: bool, period: Duration) -> Self {
        Self {
            enabled,
            period,
            due: Instant::ZERO,
            shown: String::new(),
        }
    }

    /// When it wants to be rewritten; `None` for never.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.enabled.then_some(self.due)
    }

    /// Replaces the line with what `text` gives, if it is due.
    pub fn update(&mut self, now: Instant, text: impl FnOnce() -> String) {
        if self.enabled && self.due <= now {
            self.due = now + self.period;
            self.show(&text());
        }
    }

    /// Replaces the line a last time, due or not, and ends it.
    pub fn finish(&mut self, text: &str) {
        if self.enabled {
            self.show(text);
            self.end();
        }
    }

    /// Prints a line of its own that stays.
    pub fn say(&mut self, text: &str) {
        self.end();
        eprintln!("{text}");
    }

    /// Ends the line that is shown, so that others can write.
    pub fn end(&mut self) {
        if !self.shown.is_empty() {
            self.shown.clear();
            eprintln!();
        }
    }

    fn show(&mut self, text: &str) {
        if self.shown == text {
            return;
        }
        let rest = self
            .shown
            .chars()
            .count()
            .saturating_sub(text.chars().count());
        text.clone_into(&mut self.shown);
        // There is nobody to tell that stderr does not work.
        let _ = write!(io::stderr(), "{text}{:rest$}\r", "");
    }
}
