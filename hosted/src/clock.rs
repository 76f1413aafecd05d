//! The machines' clock: the host's monotonic one.
//!
//! The machines count microseconds from a moment of their caller's choice; here that is the
//! program's start.

use std::time;

use ironcast_proto::time::Instant;

/// A monotonic clock that reads [`Instant::ZERO`] when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: time::Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: time::Instant::now(),
        }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Instant {
        let micros = self.start.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
