//! What can go wrong in the laboratory, told so that a person can mend it.
//!
//! `Debug` prints the same text as `Display`, because a test that returns the error is reported
//! through `Debug`, and the logs inside are worth reading only with their line breaks.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the laboratory could not do something, or what a test found wrong.
pub enum LabError {
    /// A program that the laboratory needs isn't installed.
    MissingTool {
        /// The program's name.
        tool: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A file that has to be there first isn't.
    MissingFile {
        /// Where it was looked for.
        path: PathBuf,
        /// How to get it.
        remedy: String,
    },
    /// The operating system refused something.
    Io {
        /// What was being done, to what.
        doing: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ended in a way that it should not have.
    Failed {
        /// Which program, and how it ended.
        what: String,
        /// What it printed, at least the end of it.
        output: String,
    },
    /// Something did not happen in time.
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
        /// What was printed until then, at least the end of it.
        output: String,
    },
    /// A check did not hold.
    Wrong {
        /// What was checked and what was found.
        what: String,
    },
}

impl LabError {
    /// An operating system error with what was being done.
    #[must_use]
    pub fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }

    /// A check that did not hold.
    #[must_use]
    pub fn wrong(what: impl Into<String>) -> Self {
        Self::Wrong { what: what.into() }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingTool { tool, package } => {
                write!(f, "{tool} is not installed: apt-get install {package}")
            }
            Self::MissingFile { path, remedy } => {
                write!(f, "{} is not there: {remedy}", path.display())
            }
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Failed { what, output } => write!(f, "{what}; it printed:\n{output}"),
            Self::TimedOut {
                what,
                after,
                output,
            } => write!(
                f,
                "waited {:.1} s for {what} in vain; printed so far:\n{output}",
                after.as_secs_f64()
            ),
            Self::Wrong { what } => f.write_str(what),
        }
    }
}

impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for LabError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
