//! What a person at the receiver's terminal reads, all of it on stderr: stdout is for data.

use std::error::Error;
use std::io;
use std::time::Duration;

use ironcast_hosted::{ProgressLine, Rate, Spaced};
use ironcast_proto::receiver;
use ironcast_proto::time::Instant;
use ironcast_receiver_nostd::engine::Event;

use crate::transfer::{Ending, Observer, Progress, Summary};

/// Shows a transfer on stderr.
#[derive(Debug)]
pub struct Display {
    line: ProgressLine,
    /// Whether to say that a key starts the transfer.
    keyboard: bool,
}

impl Display {
    /// One that shows the progress each `period`, or never if not `progress`, and that says,
    /// if `keyboard`, that a key starts the transfer.
    #[must_use]
    pub fn new(progress: bool, period: Duration, keyboard: bool) -> Self {
        Self {
            line: ProgressLine::new(progress, period),
            keyboard,
        }
    }

    /// Shows the end of a transfer to the target of this name. Of a failure the caller tells the
    /// reason.
    pub fn finish(&mut self, summary: &Summary, target: &str) {
        let Progress {
            received, running, ..
        } = summary.progress;
        if let Some(running) = running {
            self.line.finish(&progress_text(received, running));
        }
        match &summary.ending {
            Ending::Complete(report) => {
                let time = running.unwrap_or_default();
                self.line.say(&format!(
                    "Transfer complete. {} bytes to {target} in {:.1} s, {}.",
                    Spaced(report.received),
                    time.as_secs_f64(),
                    Rate {
                        bytes: report.received,
                        time
                    }
                ));
                self.line.say(&format!("blake3: {}", report.hash));
            }
            Ending::Stopped(signal) if summary.progress.written == 0 => self.line.say(&format!(
                "Stopped by {signal}: nothing was written to {target}."
            )),
            Ending::Stopped(signal) => self.line.say(&format!(
                "Stopped by {signal}: {target} has {} bytes of an image that is not complete.",
                Spaced(summary.progress.written)
            )),
            Ending::Failed(_) => self.line.end(),
        }
    }
}

impl Observer for Display {
    fn event(&mut self, event: &Event<io::Error>) {
        let Event::Receiver(event) = event else {
            return;
        };
        let text = match event {
            receiver::Event::Heard { .. }
            | receiver::Event::Ended { .. }
            | receiver::Event::Finished(_) => return,
            receiver::Event::Asynchronous { sender, .. } => {
                format!("Following {} without a word", sender.ip())
            }
            receiver::Event::Connected { sender, number, .. } => {
                format!("Connected as #{number} to {}", sender.ip())
            }
            receiver::Event::Other { sender } => format!(
                "Warning: another sender, {}, uses the same port; it is ignored.",
                sender.ip()
            ),
            receiver::Event::TooLate { sender } => format!(
                "{} is in the middle of a transfer; waiting for the next.",
                sender.ip()
            ),
            receiver::Event::Joined { slice } => {
                format!("Warning: joined late, at slice {slice}: what came before it is missing.")
            }
            receiver::Event::DataLost { offset } => format!(
                "Warning: data lost after byte {}; zeroes are in their place.",
                Spaced(*offset)
            ),
            receiver::Event::Join { group } => format!("Listening to multicast on {group}"),
            receiver::Event::Lost => "The sender fell silent; looking for one again.".to_owned(),
            receiver::Event::Started => "Transfer started.".to_owned(),
        };
        self.line.say(&text);
        if self.keyboard && matches!(event, receiver::Event::Connected { .. }) {
            self.line.say("Press Enter to start receiving data.");
        }
    }

    fn warning(&mut self, warning: &dyn Error) {
        let cause = warning.source().map(|cause| format!(": {cause}"));
        self.line
            .say(&format!("Warning: {warning}{}", cause.unwrap_or_default()));
    }

    fn progress_due(&self) -> Option<Instant> {
        self.line.due()
    }

    fn progress(&mut self, progress: &Progress) {
        self.line.update(progress.now, || match progress.running {
            Some(running) => progress_text(progress.received, running),
            None => "Waiting for the transfer to start".to_owned(),
        });
    }
}

/// The first words are the stock program's, for scripts that read them.
fn progress_text(received: u64, running: Duration) -> String {
    let micros = running.as_micros().max(1);
    let hundredths = u128::from(received) * 800 / micros;
    format!(
        "bytes={:>11}  ({:>3}.{:02} Mbps)  {}",
        Spaced(received),
        hundredths / 100,
        hundredths % 100,
        Rate {
            bytes: received,
            time: running
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_line_begins_as_the_stock_one() {
        assert_eq!(
            progress_text(3_000_000, Duration::from_millis(544)),
            "bytes=  3 000 000  ( 44.11 Mbps)  5.5 MB/s"
        );
        assert!(progress_text(0, Duration::ZERO).starts_with("bytes=          0  (  0.00 Mbps)"));
    }
}
