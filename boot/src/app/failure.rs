//! The end of a run that went wrong, in words for the person before the machine.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::fmt;

use ironcast_receiver_nostd::screen::{Banner, Kind};

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

    /// The same on the page.
    pub(crate) fn banner(&self) -> Banner {
        Banner {
            kind: Kind::Failed,
            text: vec![self.what.clone(), format!("What to do: {}", self.next)],
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.next)
    }
}

impl core::error::Error for Failure {}
