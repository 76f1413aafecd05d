//! What follows the options in a program's help and man page: examples and exit statuses.

use std::fmt::Write;

/// Examples and exit statuses of a program.
#[derive(Clone, Copy, Debug)]
pub struct Manual {
    /// Command lines, and what each does.
    pub examples: &'static [(&'static str, &'static str)],
    /// Exit statuses, and when it ends with each.
    pub exit_statuses: &'static [(&'static str, &'static str)],
}

impl Manual {
    /// As `--help` shows it.
    #[must_use]
    pub fn help(&self) -> String {
        let mut text = "Examples:\n".to_owned();
        for (line, meaning) in self.examples {
            // A String takes everything.
            let _ = writeln!(text, "  {line}\n          {meaning}");
        }
        text.push_str("\nExit status:\n");
        for (code, meaning) in self.exit_statuses {
            let _ = writeln!(text, "{code:>5}  {meaning}");
        }
        text
    }

    /// The exit statuses that it explains.
    #[must_use]
    pub fn codes(&self) -> Vec<&'static str> {
        self.exit_statuses.iter().map(|(code, _)| *code).collect()
    }
}
