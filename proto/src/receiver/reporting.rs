//! What a receiver tells its sender of itself, of its progress, and of its end.
//!
//! Each report is whole, so one that is lost does no harm; the last is repeated until the sender
//! has taken note of it, for a while (docs/protocol.md, "Reports").

use core::fmt::{self, Write};

use heapless::String;

use crate::time::{Duration, Instant};
use crate::wire::{Capabilities, MAX_LABEL_LEN, MAX_MESSAGE_LEN, Report, State, Verified};

/// How often progress is reported. Chosen (docs/protocol.md, "Reports").
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// How often a receiver that waits for the start reports. Chosen (docs/protocol.md, "Reports").
const WAITING_INTERVAL: Duration = Duration::from_secs(10);

/// How often the last report is repeated, and for how long. Chosen (docs/protocol.md, "Reports").
const LAST_INTERVAL: Duration = Duration::from_millis(250);
const LAST_LIMIT: Duration = Duration::from_secs(5);

/// A short text about the machine: its first 64 bytes.
pub type Label = String<MAX_LABEL_LEN>;

/// `value` as far as it fits, with `?` in place of control characters.
#[must_use]
pub fn text<const N: usize>(value: impl fmt::Display) -> String<N> {
    struct Cut<const N: usize>(String<N>);
    impl<const N: usize> Write for Cut<N> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let clean = |c: char| if c.is_control() { '?' } else { c };
            text.chars()
                .map(clean)
                .try_for_each(|c| self.0.push(c).map_err(|_| fmt::Error))
        }
    }
    let mut cut = Cut(String::new());
    // It fails only where the text is full.
    let _ = write!(cut, "{value}");
    cut.0
}

/// Who a receiver is. What is not known is empty, or zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The Ethernet address that it takes part with.
    pub mac: [u8; 6],
    /// The machine's UUID, in the order in which it is written as text.
    pub uuid: [u8; 16],
    /// The machine's serial number.
    pub serial: Label,
    /// What its maker calls it.
    pub product: Label,
    /// What the image is written to.
    pub disk: Label,
    /// The machine's name.
    pub host: Label,
}

/// What there is to say of a transfer that went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conclusion {
    /// BLAKE3 of the stream as it was sent.
    pub hash: [u8; 32],
    /// Bytes that were written.
    pub written: u64,
    /// Whether they were read back, and are what was sent.
    pub verified: bool,
}

/// Everything that a receiver has to report, and when.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    identity: Identity,
    conclusion: Conclusion,
    message: String<MAX_MESSAGE_LEN>,
    written: u64,
    /// When the transfer started.
    started: Option<Instant>,
    /// How long ago that was when a report became due.
    elapsed: Duration,
    state: State,
    /// When to report; `None` without a sender that takes reports, and once all is said.
    due: Option<Instant>,
    /// When the last report is no longer repeated.
    until: Instant,
    /// Whether to report now.
    is_due: bool,
    acknowledged: bool,
}

impl Reporter {
    pub(super) fn identify(&mut self, identity: Identity) {
        self.identity = identity;
    }

    pub(super) fn set_written(&mut self, written: u64) {
        self.written = written;
    }

    pub(super) fn set_conclusion(&mut self, conclusion: Conclusion) {
        self.conclusion = conclusion;
    }

    /// What went wrong, or what there is to know of what went well, unless that was said before.
    pub(super) fn explain(&mut self, reason: impl fmt::Display) {
        if self.message.is_empty() {
            self.message = text(reason);
        }
    }

    /// A sender with these capabilities knows this receiver.
    pub(super) fn connect(&mut self, now: Instant, sender: Capabilities) {
        let takes = sender.contains(Capabilities::REPORTS);
        self.due = takes.then_some(self.due.unwrap_or(now));
    }

    /// There is no sender any more.
    pub(super) fn disconnect(&mut self) {
        self.due = None;
        self.is_due = false;
        self.started = None;
        self.state = State::WAITING;
    }

    /// Everything from now on is `state`; it began at `now` if that is [`State::RECEIVING`].
    pub(super) fn enter(&mut self, now: Instant, state: State) {
        self.state = state;
        if state == State::RECEIVING {
            self.started = Some(now);
        }
        self.due = self.due.map(|due| due.min(now + PROGRESS_INTERVAL));
    }

    /// The transfer is over, in one way or the other: only the last report is left.
    pub(super) fn conclude(&mut self, now: Instant, succeeded: bool) {
        self.state = match succeeded {
            true => State::DONE,
            false => State::FAILED,
        };
        self.until = now + LAST_LIMIT;
        self.due = self.due.map(|_| now);
        self.handle_timeout(now);
    }

    /// The sender has taken note of the last report.
    pub(super) fn acknowledge(&mut self) {
        if self.state.is_final() && self.due.take().is_some() {
            self.acknowledged = true;
            self.is_due = false;
        }
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// Whether the last report is still to be taken note of.
    pub(super) fn is_owed(&self) -> bool {
        self.state.is_final() && self.due.is_some()
    }

    /// When there is something to do next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let interval = match self.state {
            State::DONE | State::FAILED => LAST_INTERVAL,
            State::WAITING => WAITING_INTERVAL,
            _ => PROGRESS_INTERVAL,
        };
        let is_over = self.state.is_final() && self.until <= now;
        self.due = (!is_over).then_some(now + interval);
        self.elapsed = self.started.map_or(Duration::ZERO, |started| now - started);
        self.is_due = !is_over;
    }

    /// The report that is to be sent now; `received` bytes have arrived without a gap.
    pub(super) fn poll(&mut self, received: u64) -> Option<Report<'_>> {
        if !core::mem::take(&mut self.is_due) {
            return None;
        }
        let is_done = self.state == State::DONE;
        let Conclusion {
            hash,
            written,
            verified,
        } = self.conclusion;
        Some(Report {
            state: self.state,
            verified: Verified(u8::from(is_done && verified)),
            elapsed: self.elapsed,
            received,
            written: if is_done { written } else { self.written },
            hash: if is_done { hash } else { [0; 32] },
            uuid: self.identity.uuid,
            mac: self.identity.mac,
            serial: &self.identity.serial,
            product: &self.identity.product,
            disk: &self.identity.disk,
            host: &self.identity.host,
            message: &self.message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKES: Capabilities = Capabilities::REPORTS;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// The state of each report in `reporter`'s next `seconds`, and when it was made.
    fn reports(reporter: &mut Reporter, from: u64, to: u64) -> std::vec::Vec<(u64, State)> {
        let mut made = std::vec::Vec::new();
        for millis in (from..to).step_by(10) {
            reporter.handle_timeout(at(millis));
            if let Some(report) = reporter.poll(0) {
                made.push((millis, report.state));
            }
        }
        made
    }

    extern crate std;

    #[test]
    fn a_sender_that_takes_no_reports_gets_none() {
        let mut reporter = Reporter::default();
        reporter.connect(at(0), Capabilities::STOCK);
        reporter.enter(at(0), State::RECEIVING);
        reporter.conclude(at(100), true);
        assert!(!reporter.is_owed());
        assert_eq!(reports(&mut reporter, 0, 10_000), []);
    }

    #[test]
    fn progress_now_and_then_and_the_end_until_it_is_acknowledged() {
        let mut reporter = Reporter::default();
        reporter.connect(at(0), TAKES);
        let waiting = [(0, State::WAITING), (10_000, State::WAITING)];
        assert_eq!(reports(&mut reporter, 0, 15_000), waiting);
        reporter.acknowledge();
        reporter.enter(at(15_000), State::RECEIVING);
        let made = reports(&mut reporter, 15_000, 20_000);
        assert_eq!(made, [17_000, 19_000].map(|at| (at, State::RECEIVING)));
        reporter.conclude(at(20_000), true);
        let made = reports(&mut reporter, 20_000, 20_600);
        assert_eq!(made, [20_000, 20_250, 20_500].map(|at| (at, State::DONE)));
        assert!(reporter.is_owed() && !reporter.is_acknowledged());
        reporter.acknowledge();
        assert!(!reporter.is_owed() && reporter.is_acknowledged());
        assert_eq!(reports(&mut reporter, 20_600, 30_000), []);
    }

    #[test]
    fn the_last_report_is_given_up_after_a_while() {
        let mut reporter = Reporter::default();
        reporter.connect(at(0), TAKES);
        reporter.explain("no power");
        reporter.explain("the transfer was given up here");
        reporter.conclude(at(0), false);
        assert_eq!(reporter.poll(7).unwrap().message, "no power");
        assert_eq!(reports(&mut reporter, 10, 20_000).len(), 19);
        assert!(!reporter.is_owed() && !reporter.is_acknowledged());
    }

    #[test]
    fn texts_are_cut_and_cleaned() {
        let label: Label = text(format_args!("{}\x1b[2J", "é".repeat(30)));
        assert_eq!(label.as_str(), std::format!("{}?[2J", "é".repeat(30)));
        let label: Label = text("é".repeat(40));
        assert_eq!(label.as_str(), "é".repeat(32));
    }
}
