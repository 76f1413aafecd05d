//! The exit codes of both programs, and how they say what went wrong.
//!
//! Stock programs exit with 0 whatever became of the transfer. Ours don't: a script can tell
//! success from failure. docs/programs.md has the same table, and a test compares the two.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use crate::console::Signal;
use crate::stderr::say;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Sender: every receiver that took part acknowledged the whole stream. Receiver: the whole
    /// stream is written, and the target took it without an error.
    Success,
    /// Something failed here: a file, a disk, a socket, an interface.
    Failed,
    /// The command line makes no sense. (Chosen by `clap` itself, too.)
    Usage,
    /// An option of the stock programs was asked for that is not supported.
    Unsupported,
    /// Sender: some receivers acknowledged the whole stream, others left or were dropped.
    SomeLost,
    /// Sender: no receiver acknowledged the whole stream. Receiver: the sender refused or dropped
    /// it, or fell silent.
    TransferFailed,
    /// No transfer started within `--start-timeout`.
    NotStarted,
    /// A signal ended the program.
    Stopped(Signal),
}

impl ExitStatus {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Unsupported,
        Self::SomeLost,
        Self::TransferFailed,
        Self::NotStarted,
        Self::Stopped(Signal::Hangup),
        Self::Stopped(Signal::Interrupt),
        Self::Stopped(Signal::Terminate),
    ];

    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unsupported => 3,
            Self::SomeLost => 4,
            Self::TransferFailed => 5,
            Self::NotStarted => 6,
            Self::Stopped(signal) => 128 + signal.number(),
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Prints `program: error: ...` on stderr, with everything that caused the error. For those of the
/// command line; what comes later goes by [`report_failure`](crate::report_failure).
pub(crate) fn report(program: &str, error: &dyn Error) {
    say(format_args!("{program}: error: {}", chain(error)));
}

/// What this program was called by: it may be linked or copied as a stock program's name.
#[must_use]
pub fn program_name(usual: &str) -> String {
    env::args_os()
        .next()
        .as_deref()
        .and_then(|path| Path::new(path).file_name())
        .map_or_else(
            || usual.to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
}

/// The error and its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_the_manual() {
        let manual = include_str!("../../docs/programs.md");
        let all = ExitStatus::ALL;
        let mut codes: Vec<u8> = all.iter().map(|status| status.code()).collect();
        for code in &codes {
            assert!(
                manual.contains(&format!("| {code} |")),
                "exit code {code} is not in docs/programs.md"
            );
        }
        codes.dedup();
        assert_eq!(codes.len(), all.len());
    }

    #[test]
    fn the_whole_chain_is_told() {
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("can't read /x")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = Outer(std::io::Error::other("it is gone"));
        assert_eq!(chain(&error), "can't read /x: it is gone");
    }
}
