//! The end of a run that went wrong, in words for the person before the machine.

use alloc::string::String;
use core::fmt;

/// Why this machine got no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What happened, to what, and why.
    what: String,
    /// What to do about it.
    next: &'static str,
}

impl Failure {
    /// A failure, told as `what` happened, to what and why, and what to do `next`.
    pub(crate) fn new(what: String, next: &'static str) -> Self {
        Self { what, next }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.next)
    }
}

impl core::error::Error for Failure {}
