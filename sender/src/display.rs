//! What a person at the sender's terminal reads, all of it on stderr.

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use ironcast_hosted::{Journal, Rate, Spaced};
use ironcast_proto::sender::{Event, Outcome, Reported, Standing, Stats};
use ironcast_proto::time::Instant;
use serde_json::Value;

use crate::transfer::{Ending, Observer, Progress, Summary};

/// Shows a transfer on stderr.
#[derive(Debug)]
pub struct Display {
    journal: Journal,
    /// Whether to show how far the file was read.
    shows_position: bool,
    /// Bytes that were acknowledged when the line was written last.
    acknowledged: u64,
    /// Whether a person was told that datagrams can't be sent.
    told_of_loss: bool,
}

impl Display {
    /// One that writes to `journal`, and shows there how far the file was read if `shows_position`.
    #[must_use]
    pub fn new(journal: Journal, shows_position: bool) -> Self {
        Self {
            journal,
            shows_position,
            acknowledged: 0,
            told_of_loss: false,
        }
    }

    /// Shows the end of a transfer.
    pub fn finish(&mut self, summary: &Summary) {
        let progress = &summary.progress;
        if let Some(running) = progress.running {
            let text = progress_text(progress, running, false) + &self.position_text(progress);
            self.journal.finish(progress.acknowledged, &text);
        }
        let values = ending_values(summary);
        self.journal.tell("finished", &ending_text(summary), values);
        if let Some(hash) = summary.hash {
            let values = vec![("blake3", hash.to_string().into())];
            self.journal
                .tell("hash", &format!("blake3: {hash}"), values);
        }
        for result in &summary.results {
            self.journal.tell("result", &result.line(), result.values());
        }
    }
}

impl Display {
    fn position_text(&self, progress: &Progress) -> String {
        match progress.position {
            Some(position) if self.shows_position => format!("  {} of the file", Spaced(position)),
            _ => String::new(),
        }
    }
}

impl Observer for Display {
    fn event(&mut self, event: &Event) {
        if let Some((name, text)) = event_text(event) {
            self.journal.tell(name, &text, event_values(event));
        }
    }

    /// What the others say is told at the end.
    fn unable(&mut self, reported: &Reported<'_>) {
        let (address, message) = (reported.address.ip(), reported.report.message);
        let text = format!("{address} can't take part: {message}");
        let values = vec![("address", address.to_string().into())];
        self.journal.tell("unable", &text, values);
    }

    fn lost(&mut self, destination: SocketAddrV4, error: &io::Error) {
        if !self.told_of_loss {
            self.told_of_loss = true;
            let text = format!(
                "Warning: the system can't send to {destination} ({error}); is the network up, and \
                 does a firewall let it pass? Going on."
            );
            self.journal.tell("warning", &text, Vec::new());
        }
    }

    fn progress_due(&self) -> Option<Instant> {
        self.journal.due()
    }

    fn progress(&mut self, progress: &Progress) {
        let stalled = progress.acknowledged == self.acknowledged;
        self.acknowledged = progress.acknowledged;
        let position = self.position_text(progress);
        self.journal
            .progress(progress.now, progress.acknowledged, || {
                let text = match progress.running {
                    Some(running) => progress_text(progress, running, stalled),
                    None => format!("Waiting: {} connected", count(progress.receivers)),
                };
                let text = text + &position;
                let values = vec![
                    ("receivers", progress.receivers.into()),
                    ("retransmitted", progress.stats.retransmitted.into()),
                ];
                (text, values)
            });
    }
}

/// The name of an event for JSON, and what people read.
fn event_text(event: &Event) -> Option<(&'static str, String)> {
    Some(match event {
        Event::Receiver {
            number,
            address,
            standing,
        } => match standing {
            Standing::Connected => (
                "connected",
                format!("New connection from {} (#{number})", address.ip()),
            ),
            Standing::Completed | Standing::Partial => return None,
            Standing::Left => (
                "left",
                format!("Disconnecting #{number} ({}): it left", address.ip()),
            ),
            Standing::Dropped => (
                "dropped",
                format!(
                    "Dropping #{number} ({}): it lacks data after --retries-until-drop rounds",
                    address.ip()
                ),
            ),
            Standing::Stalled => (
                "dropped",
                format!(
                    "Dropping #{number} ({}): it is alive, but the others have waited too long for \
                     it (--stall-limit)",
                    address.ip()
                ),
            ),
            Standing::Silent => (
                "dropped",
                format!(
                    "Dropping #{number} ({}): it says nothing any more (--drop-after)",
                    address.ip()
                ),
            ),
            Standing::Restarted => (
                "dropped",
                format!(
                    "Dropping #{number} ({}): it was restarted in the middle of the transfer",
                    address.ip()
                ),
            ),
        },
        Event::Refused { address } => (
            "refused",
            format!("Refused {}: there is no place for it", address.ip()),
        ),
        Event::Started { receivers: 0 } => {
            ("started", "Starting transfer to whoever listens".to_owned())
        }
        Event::Started { receivers } => (
            "started",
            format!("Starting transfer to {}", count(*receivers)),
        ),
        Event::Finished(_) => return None,
    })
}

/// What JSON has of an event beside its name and text.
fn event_values(event: &Event) -> Vec<(&'static str, Value)> {
    match event {
        Event::Receiver {
            number, address, ..
        } => vec![
            ("number", (*number).into()),
            ("address", address.ip().to_string().into()),
        ],
        Event::Refused { address } => vec![("address", address.ip().to_string().into())],
        Event::Started { receivers } => vec![("receivers", (*receivers).into())],
        Event::Finished(_) => Vec::new(),
    }
}

/// What JSON has of the end.
fn ending_values(summary: &Summary) -> Vec<(&'static str, Value)> {
    let mut values = vec![("bytes", summary.progress.acknowledged.into())];
    if let Ending::Finished(outcome) = summary.ending {
        values.push(("completed", outcome.completed.into()));
        values.push(("lost", outcome.lost.into()));
    }
    values
}

/// The first words are the stock program's, for scripts that read them.
fn progress_text(progress: &Progress, running: Duration, stalled: bool) -> String {
    let Stats {
        blocks,
        retransmitted,
        ..
    } = progress.stats;
    let first = (blocks - retransmitted).max(1);
    let permille = retransmitted.saturating_mul(1000) / first;
    let mut text = format!(
        "bytes={:>13}  re-xmits={retransmitted:07} ({:>3}.{}%)  {}",
        Spaced(progress.acknowledged),
        permille / 10,
        permille % 10,
        Rate {
            bytes: progress.acknowledged,
            time: running
        },
    );
    if let Some(length) = progress.length.filter(|&length| length > 0) {
        let percent = u128::from(progress.acknowledged) * 100 / u128::from(length);
        text.push_str(&format!("  {percent}%"));
    }
    if stalled && let Some((address, more)) = progress.awaited {
        text.push_str(&format!("  waiting for {}", address.ip()));
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
    }
    text
}

fn ending_text(summary: &Summary) -> String {
    let Progress {
        acknowledged,
        receivers,
        ..
    } = summary.progress;
    match summary.ending {
        Ending::Finished(outcome) => outcome_text(outcome, summary.progress.running),
        Ending::Sent(bytes) => format!(
            "{} bytes sent, in {:.1} s. Nobody could acknowledge them (--async): ask the \
             receivers.",
            Spaced(bytes),
            summary.progress.running.unwrap_or_default().as_secs_f64(),
        ),
        Ending::Stopped(signal) if summary.progress.running.is_some() => format!(
            "Stopped by {signal} in the middle: {} acknowledged {} bytes. They have no complete \
             image, and will notice that by their own timeouts.",
            count(receivers),
            Spaced(acknowledged),
        ),
        Ending::Stopped(signal) => format!(
            "Stopped by {signal} before the transfer started; {} connected.",
            count(receivers)
        ),
        Ending::NotStarted => format!(
            "The transfer did not start within --start-timeout; {} connected.",
            count(receivers)
        ),
    }
}

fn outcome_text(outcome: Outcome, running: Option<Duration>) -> String {
    let Outcome {
        completed,
        partial,
        lost,
        bytes,
    } = outcome;
    let late = match partial {
        0 => String::new(),
        _ => format!(" {} joined late, and got the rest of it.", count(partial)),
    };
    let how = match (completed, lost) {
        (0, _) => {
            return format!(
                "Transfer failed: no receiver is left. They left or were dropped after {} bytes.",
                Spaced(bytes)
            );
        }
        (_, 0) => "complete".to_owned(),
        (_, _) => format!("complete, but not for all: {} left or dropped", count(lost)),
    };
    let time = running.unwrap_or_default();
    format!(
        "Transfer {how}. {} bytes to {} in {:.1} s, {}.{late}",
        Spaced(bytes),
        count(completed),
        time.as_secs_f64(),
        Rate { bytes, time }
    )
}

fn count(receivers: u16) -> String {
    match receivers {
        0 => "no receiver".to_owned(),
        1 => "1 receiver".to_owned(),
        _ => format!("{receivers} receivers"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn progress() -> Progress {
        Progress {
            now: Instant::ZERO,
            running: Some(Duration::from_secs(2)),
            acknowledged: 3_000_000,
            length: Some(6_000_000),
            receivers: 2,
            position: None,
            awaited: Some((SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 3), 9000), 1)),
            stats: Stats {
                blocks: 2402,
                retransmitted: 341,
                ..Stats::default()
            },
        }
    }

    #[test]
    fn the_progress_line_begins_as_the_stock_one() {
        assert_eq!(
            progress_text(&progress(), Duration::from_secs(2), true),
            "bytes=    3 000 000  re-xmits=0000341 ( 16.5%)  1.5 MB/s  50%  \
             waiting for 10.77.0.3 and 1 more"
        );
    }

    #[test]
    fn endings_say_who_has_what() {
        let outcome = |completed, lost| {
            let outcome = Outcome {
                completed,
                partial: 0,
                lost,
                bytes: 2_000_000,
            };
            outcome_text(outcome, Some(Duration::from_secs(1)))
        };
        assert_eq!(
            outcome(1, 0),
            "Transfer complete. 2 000 000 bytes to 1 receiver in 1.0 s, 2.0 MB/s."
        );
        assert!(outcome(2, 1).contains("not for all: 1 receiver left or dropped"));
        assert!(outcome(0, 3).starts_with("Transfer failed"));
    }
}
