//! The rate at which blocks are sent, if the operator or the way to the receivers limits it.
//!
//! Datagrams are spread evenly. What was late may be caught up with for a moment only: a burst is
//! what makes slow links and full buffers lose (docs/protocol.md, "Async").

use crate::time::Instant;

/// Bytes of the IP and UDP headers of each datagram, which count too.
pub(super) const HEADERS: usize = 28;

/// Nanoseconds in a microsecond.
const NANOS: u64 = 1000;

/// Nanoseconds that sending may fall behind and catch up. Chosen: callers wake no more exactly than
/// this.
const SLACK: u64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Pace {
    /// Bits a second that the operator allows; `None` for no limit.
    allowed: Option<u64>,
    /// Bits a second now; `None` for no limit.
    bitrate: Option<u64>,
    /// When the next datagram may be sent, in nanoseconds: the time that one takes is less than a
    /// microsecond at the highest rates, and what is cut off of each adds up at all of them.
    next_at: u64,
}

impl Pace {
    pub(super) fn new(bitrate: Option<u64>) -> Self {
        let allowed = bitrate.filter(|&bitrate| bitrate > 0);
        Self {
            allowed,
            bitrate: allowed,
            next_at: 0,
        }
    }

    /// Keeps to `found` bits a second too, if it is not `None`.
    pub(super) fn limit(&mut self, found: Option<u64>) {
        self.bitrate = [self.allowed, found].into_iter().flatten().min();
    }

    /// When the next datagram may be sent; `None` if nothing limits that.
    pub(super) fn due(&self) -> Option<Instant> {
        self.bitrate
            .map(|_| Instant::from_micros(self.next_at / NANOS))
    }

    /// Whether a datagram may be sent.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// Notes that a datagram with `len` bytes was sent.
    pub(super) fn sent(&mut self, now: Instant, len: usize) {
        let Some(bitrate) = self.bitrate else {
            return;
        };
        let bits = (len + HEADERS) as u64 * 8;
        let cost = bits.saturating_mul(1_000_000_000) / bitrate;
        let slack = SLACK.max(cost.saturating_mul(2));
        let earliest = now.as_micros().saturating_mul(NANOS).saturating_sub(slack);
        self.next_at = self.next_at.max(earliest).saturating_add(cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Datagrams of 1472 bytes that go out in `millis`, by a caller who comes every 100 us.
    fn sent(pace: &mut Pace, from: u64, millis: u64) -> u64 {
        sent_of(pace, 1472, from, millis)
    }

    /// The same for datagrams of `len` bytes.
    fn sent_of(pace: &mut Pace, len: usize, from: u64, millis: u64) -> u64 {
        let mut count = 0;
        for tick in 0..millis * 10 {
            let now = Instant::from_micros(from + tick * 100);
            while pace.is_due(now) {
                pace.sent(now, len);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn the_rate_counts_ip_packets() {
        let mut pace = Pace::new(Some(12_000_000));
        let count = sent(&mut pace, 1_000_000, 1000);
        assert!((1000..=1003).contains(&count), "{count}");
    }

    #[test]
    fn a_pause_is_not_caught_up_with() {
        let mut pace = Pace::new(Some(12_000_000));
        sent(&mut pace, 1_000_000, 10);
        let count = sent(&mut pace, 60_000_000, 10);
        assert!((10..=13).contains(&count), "{count}");
    }

    #[test]
    fn slow_rates_are_kept_too() {
        let mut pace = Pace::new(Some(1200));
        let count = sent(&mut pace, 1_000_000, 100_000);
        assert!((10..=13).contains(&count), "{count}");
    }

    #[test]
    fn rates_whose_datagrams_take_no_whole_microseconds_are_kept_too() {
        for (bitrate, len) in [
            (5_000_000_000, 1472),
            (900_000_000, 1472),
            (100_000_000, 20),
        ] {
            let mut pace = Pace::new(Some(bitrate));
            let sent = sent_of(&mut pace, len, 1_000_000, 100) * (len + HEADERS) as u64 * 8;
            let allowed = bitrate / 10;
            assert!(sent >= allowed, "{sent} of {allowed}");
            assert!(sent <= allowed + allowed / 50, "{sent} of {allowed}");
        }
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        for mut pace in [Pace::new(None), Pace::new(Some(0))] {
            for _ in 0..1000 {
                assert!(pace.is_due(Instant::ZERO));
                pace.sent(Instant::ZERO, 1472);
            }
        }
    }
}
