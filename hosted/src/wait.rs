//! Waiting for whatever comes first: a datagram, room to send, the operator, or a time.

use std::io;
use std::os::fd::BorrowedFd;

use ironcast_proto::time::{Duration, Instant};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::endpoint::Endpoint;

/// When to come back from [`wait`] at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At once: it only looks what has happened.
    Now,
    /// At this time.
    At(Instant),
    /// When something happens.
    Never,
}

impl Wake {
    /// At the earlier of this and `at`; `None` is never.
    #[must_use]
    pub fn or_at(self, at: Option<Instant>) -> Self {
        match (self, at) {
            (wake, None) => wake,
            (Self::Now, Some(_)) => Self::Now,
            (Self::At(first), Some(second)) => Self::At(first.min(second)),
            (Self::Never, Some(second)) => Self::At(second),
        }
    }
}

/// Waits until a datagram has come to `endpoint` (which [`Endpoint::receive`] then finds), or one
/// of `others` can be read; or, if `blocked`, until there is room to send again; or until `wake`.
/// Tells which of `others` can be read.
///
/// # Errors
/// If the system can't wait. Signals that interrupt it are no error.
pub fn wait<const N: usize>(
    endpoint: &mut Endpoint,
    others: [Option<BorrowedFd<'_>>; N],
    blocked: bool,
    now: Instant,
    wake: Wake,
) -> io::Result<[bool; N]> {
    let timeout = match wake {
        _ if endpoint.has_arrived() => Some(Duration::ZERO),
        Wake::Now => Some(Duration::ZERO),
        Wake::At(at) => Some(at.since(now)),
        Wake::Never => None,
    };
    let timeout = timeout.map(timespec);
    let (ready, can_be_read) = {
        let mut polls: Vec<PollFd<'_>> = endpoint
            .sockets()
            .map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN))
            .collect();
        let sockets = polls.len();
        if blocked && let Some(sending) = polls.first_mut() {
            *sending = PollFd::from_borrowed_fd(endpoint.sending(), PollFlags::IN | PollFlags::OUT);
        }
        let there = others.iter().flatten();
        polls.extend(there.map(|&fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut polls, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut woken = polls
            .iter()
            .map(|polled| polled.revents().intersects(!PollFlags::OUT));
        let ready: Vec<bool> = woken.by_ref().take(sockets).collect();
        let can_be_read = others.map(|other| other.is_some() && woken.next() == Some(true));
        (ready, can_be_read)
    };
    endpoint.set_ready(ready);
    Ok(can_be_read)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::{BufferSizes, Clock, Interface, Waker};

    #[test]
    fn what_has_woken_is_told_until_it_is_rearmed() {
        let loopback = Interface::find(Some("127.0.0.1")).unwrap();
        let mut endpoint = Endpoint::open(&loopback, 0, 1, BufferSizes::default()).unwrap();
        let [quiet, news] = [(); 2].map(|()| Waker::new().unwrap());
        let mut woken = || {
            let others = [Some(quiet.as_fd()), None, Some(news.as_fd())];
            wait(
                &mut endpoint,
                others,
                false,
                Clock::start().now(),
                Wake::Now,
            )
            .unwrap()
        };
        assert_eq!(woken(), [false; 3]);
        news.wake();
        assert_eq!(woken(), [false, false, true]);
        assert_eq!(woken(), [false, false, true]);
        news.rearm();
        assert_eq!(woken(), [false; 3]);
    }

    #[test]
    fn the_earlier_time_wins() {
        let at = Instant::from_micros;
        assert_eq!(Wake::Never.or_at(Some(at(5))), Wake::At(at(5)));
        assert_eq!(Wake::At(at(3)).or_at(Some(at(5))), Wake::At(at(3)));
        assert_eq!(Wake::At(at(3)).or_at(None), Wake::At(at(3)));
        assert_eq!(Wake::Now.or_at(Some(at(0))), Wake::Now);
    }
}
