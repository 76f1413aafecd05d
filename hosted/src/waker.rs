//! Wakes a loop that waits for events, from another thread.
//!
//! One event that stays until it is taken back: to take it back costs a call of the system's, which
//! a loop that is told [what has woken it](crate::wait) makes only when there is something.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// Wakes whoever waits for it to become readable. All its clones are one and the same.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Makes one that wakes nobody yet.
    ///
    /// # Errors
    /// If the system has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(eventfd(0, flags)?)))
    }

    /// Makes it readable: to be called after the news are where they will be looked for.
    pub fn wake(&self) {
        // It can only be full, and wakes then too.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it wait for what comes from now on: to be called when it has woken somebody, before
    /// the news are looked for.
    pub fn rearm(&self) {
        // Nothing to read means that it waits already.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
