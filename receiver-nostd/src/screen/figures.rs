//! How far a transfer is, in figures.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::words::{bytes, clock, rate};

/// What is known of a transfer. Rates are in bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes that have arrived.
    pub received: u64,
    /// Bytes of the image that were given to the disk.
    pub written: u64,
    /// Bytes of the image that were read back; none yet before everything is written.
    pub verified: u64,
    /// Bytes of the whole image, as far as it is known before the end.
    pub image_len: Option<u64>,
    /// Whether all has arrived.
    pub is_all_here: bool,
    /// Whether the disk is read back at the end.
    pub verify: bool,
    /// Time since the transfer started.
    pub elapsed: Duration,
    /// As much of it as was there for receiving: until all had arrived.
    pub receiving: Duration,
    /// Bytes that arrived in the last second or so.
    pub receive_rate: u64,
    /// Bytes that were written in it.
    pub write_rate: u64,
    /// Bytes that were read back in it.
    pub verify_rate: u64,
    /// Blocks that did not come at the first time.
    pub missing: u64,
    /// Requests to send them again.
    pub requests: u64,
    /// Bytes that are lost for good.
    pub lost: u64,
    /// Bytes that wait in memory for the disk.
    pub waiting: u64,
    /// Bytes of that memory.
    pub memory: u64,
}

/// A thousandth of something is done.
const WHOLE: u64 = 1000;

impl Figures {
    /// What goes on.
    pub(super) fn stage(&self) -> &'static str {
        match (self.is_all_here, self.verified) {
            (false, _) => "Receiving",
            (true, 0) => "Writing",
            (true, _) => "Reading back",
        }
    }

    /// How many thousandths of the stage are done, if that is known.
    pub(super) fn done(&self) -> Option<u16> {
        let (done, of) = self.done_of()?;
        let thousandths = u128::from(done) * u128::from(WHOLE) / u128::from(of.max(1));
        u16::try_from(thousandths.min(u128::from(WHOLE))).ok()
    }

    /// Bytes of the image that are done in this stage, and bytes that there are.
    fn done_of(&self) -> Option<(u64, u64)> {
        match self.verified {
            0 => {
                let of = self.image_len?;
                // An image that is longer than it says tells nothing.
                (self.written <= of).then_some((self.written, of))
            }
            verified => Some((verified, self.written)),
        }
    }

    /// Time that is left of the stage.
    fn left(&self) -> Option<Duration> {
        let (done, of) = self.done_of()?;
        let rate = match self.verified {
            0 => per_second(self.written, self.elapsed),
            _ => self.verify_rate,
        };
        let seconds = of.saturating_sub(done).checked_div(rate)?;
        Some(Duration::from_secs(seconds + 1))
    }

    /// What each figure is called, and what it is; the first ones matter most. Once the transfer
    /// is over only what stays true is told.
    pub(super) fn lines(&self, is_over: bool) -> Vec<(&'static str, String)> {
        let mut lines = alloc::vec![
            ("Received", self.received(is_over)),
            ("Time", self.time(is_over)),
            ("Losses", self.losses()),
            ("Written", self.written(is_over)),
            ("Read back", self.read_back(is_over)),
        ];
        if !is_over {
            lines.push(("Memory", self.memory()));
        }
        lines
    }

    fn received(&self, is_over: bool) -> String {
        let received = bytes(self.received);
        let mean = rate(per_second(self.received, self.receiving));
        match is_over || self.is_all_here {
            true => format!("{received}, {mean} on average"),
            false => {
                let now = rate(self.receive_rate);
                format!("{received}, {now} now, {mean} on average")
            }
        }
    }

    fn written(&self, is_over: bool) -> String {
        let written = bytes(self.written);
        if is_over || self.verified > 0 {
            return written;
        }
        let now = rate(self.write_rate);
        match self.image_len.filter(|&of| self.written <= of) {
            Some(of) => format!("{written} of {}, {now} now", bytes(of)),
            None => format!("{written}, {now} now"),
        }
    }

    fn read_back(&self, is_over: bool) -> String {
        if !self.verify {
            return "no, as it was asked for".into();
        }
        let (verified, of) = (bytes(self.verified), bytes(self.written));
        match self.verified {
            _ if is_over && self.written == 0 => "nothing was written".into(),
            verified if is_over && verified == self.written => "all of it".into(),
            _ if is_over => format!("{verified} of {of}"),
            0 => "when all is written".into(),
            _ => format!("{verified} of {of}, {} now", rate(self.verify_rate)),
        }
    }

    fn time(&self, is_over: bool) -> String {
        let passed = clock(self.elapsed);
        match (self.left().filter(|_| !is_over), self.verified) {
            (None, _) => format!("{passed} passed"),
            (Some(left), 0) if self.verify => {
                format!(
                    "{passed} passed, about {} left, then reading back",
                    clock(left)
                )
            }
            (Some(left), _) => format!("{passed} passed, about {} left", clock(left)),
        }
    }

    fn losses(&self) -> String {
        let (missing, requests) = (self.missing, self.requests);
        let again = match missing {
            0 => "none".into(),
            _ => format!("{missing} blocks lost on the way, {requests} requests to send again"),
        };
        match self.lost {
            0 => again,
            lost => format!("{lost} BYTES LOST FOR GOOD, {again}"),
        }
    }

    fn memory(&self) -> String {
        let share = u128::from(self.waiting) * 100 / u128::from(self.memory.max(1));
        let memory = self.memory >> 20;
        format!("{share} % of {memory} MiB waits for the disk")
    }
}

/// Bytes in a second, over `time`.
fn per_second(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiving() -> Figures {
        Figures {
            received: 30_000_000,
            written: 25_000_000,
            image_len: Some(100_000_000),
            verify: true,
            elapsed: Duration::from_secs(3),
            receiving: Duration::from_secs(3),
            receive_rate: 12_340_000,
            write_rate: 9_000_000,
            missing: 120,
            requests: 7,
            waiting: 5 << 20,
            memory: 128 << 20,
            ..Figures::default()
        }
    }

    fn line(figures: &Figures, label: &str) -> String {
        let found = figures
            .lines(false)
            .into_iter()
            .find(|(name, _)| *name == label);
        found.unwrap().1
    }

    #[test]
    fn a_transfer_tells_what_is_left() {
        let figures = receiving();
        assert_eq!((figures.stage(), figures.done()), ("Receiving", Some(250)));
        for (label, text) in [
            ("Received", "30.0 MB, 12.3 MB/s now, 10.0 MB/s on average"),
            ("Written", "25.0 MB of 100.0 MB, 9.0 MB/s now"),
            ("Read back", "when all is written"),
            ("Time", "0:03 passed, about 0:10 left, then reading back"),
            (
                "Losses",
                "120 blocks lost on the way, 7 requests to send again",
            ),
            ("Memory", "3 % of 128 MiB waits for the disk"),
        ] {
            assert_eq!(line(&figures, label), text);
        }
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let figures = Figures {
            image_len: None,
            missing: 0,
            verify: false,
            ..receiving()
        };
        assert_eq!(figures.done(), None);
        assert_eq!(line(&figures, "Written"), "25.0 MB, 9.0 MB/s now");
        assert_eq!(line(&figures, "Time"), "0:03 passed");
        assert_eq!(line(&figures, "Losses"), "none");
        assert_eq!(line(&figures, "Read back"), "no, as it was asked for");
        let longer = Figures {
            image_len: Some(1000),
            ..receiving()
        };
        assert_eq!(longer.done(), None);
        assert_eq!(line(&longer, "Written"), "25.0 MB, 9.0 MB/s now");
    }

    #[test]
    fn reading_back_has_its_own_measure() {
        let writing = Figures {
            is_all_here: true,
            written: 100_000_000,
            ..receiving()
        };
        assert_eq!((writing.stage(), writing.done()), ("Writing", Some(1000)));
        let reading = Figures {
            verified: 40_000_000,
            verify_rate: 20_000_000,
            image_len: None,
            lost: 5,
            ..writing
        };
        assert_eq!(
            (reading.stage(), reading.done()),
            ("Reading back", Some(400))
        );
        assert_eq!(line(&reading, "Written"), "100.0 MB");
        assert_eq!(
            line(&reading, "Read back"),
            "40.0 MB of 100.0 MB, 20.0 MB/s now"
        );
        assert_eq!(line(&reading, "Time"), "0:03 passed, about 0:04 left");
        assert!(line(&reading, "Losses").starts_with("5 BYTES LOST FOR GOOD, "));
    }

    #[test]
    fn at_the_end_only_what_stays_true_is_told() {
        let whole = Figures {
            is_all_here: true,
            written: 30_000_000,
            verified: 30_000_000,
            elapsed: Duration::from_secs(5),
            ..receiving()
        };
        let expected = [
            ("Received", "30.0 MB, 10.0 MB/s on average"),
            ("Time", "0:05 passed"),
            (
                "Losses",
                "120 blocks lost on the way, 7 requests to send again",
            ),
            ("Written", "30.0 MB"),
            ("Read back", "all of it"),
        ];
        let expected = expected.map(|(label, text)| (label, text.into()));
        assert_eq!(whole.lines(true), expected);
        let broken = Figures {
            verified: 0,
            ..whole
        };
        let lines = broken.lines(true);
        assert!(lines.contains(&("Read back", "0.0 kB of 30.0 MB".into())));
    }

    #[test]
    fn no_figures_panic() {
        let extreme = Figures {
            received: u64::MAX,
            written: u64::MAX,
            verified: u64::MAX,
            receive_rate: u64::MAX,
            waiting: u64::MAX,
            image_len: Some(0),
            elapsed: Duration::MAX,
            ..Figures::default()
        };
        for figures in [Figures::default(), extreme] {
            let _ = (
                figures.stage(),
                figures.done(),
                figures.lines(false),
                figures.lines(true),
            );
        }
    }
}
