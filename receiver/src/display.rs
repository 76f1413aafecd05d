//! What a person at the receiver's terminal reads, all of it on stderr: stdout is for data.

use std::error::Error;
use std::io;
use std::time::Duration;

use ironcast_hosted::{Journal, Position, Rate, Spaced};
use ironcast_proto::cast::{Manifest, Signed};
use ironcast_proto::receiver;
use ironcast_proto::time::Instant;
use ironcast_receiver_nostd::engine::{Event, Format, Provenance, Report};

use crate::transfer::{Ending, Observer, Progress, Summary};

/// Shows a transfer on stderr.
#[derive(Debug)]
pub struct Display {
    journal: Journal,
    /// Whether to say that a key starts the transfer.
    keyboard: bool,
    /// Tells how far the target is written, if that is to be shown.
    position: Option<Position>,
}

impl Display {
    /// One that writes to `journal`, and says, if `keyboard`, that a key starts the transfer.
    #[must_use]
    pub fn new(journal: Journal, keyboard: bool) -> Self {
        Self {
            journal,
            keyboard,
            position: None,
        }
    }

    /// Shows how far the target is written, too.
    #[must_use]
    pub fn with_position(self, position: Position) -> Self {
        let position = Some(position);
        Self { position, ..self }
    }

    /// Shows the end of a transfer to the target of this name. Of a failure the caller tells the
    /// reason.
    pub fn finish(&mut self, summary: &Summary, target: &str) {
        let Progress {
            received, running, ..
        } = summary.progress;
        if let Some(running) = running {
            let text = progress_text(received, running) + &self.position_text(&summary.progress);
            self.journal.finish(received, &text);
        }
        let written = summary.progress.written;
        let text = match &summary.ending {
            Ending::Complete(report) => complete_text(report, running, target),
            Ending::Stopped(signal) if written == 0 => {
                format!("Stopped by {signal}: nothing was written to {target}.")
            }
            Ending::Stopped(signal) => format!(
                "Stopped by {signal}: {target} has {} bytes of an image that is not complete.",
                Spaced(written)
            ),
            Ending::Failed(error) => {
                let values = vec![("error", error.to_string().into())];
                return self.journal.tell("failed", "Transfer failed.", values);
            }
        };
        let values = vec![("bytes", received.into()), ("written", written.into())];
        self.journal.tell("finished", &text, values);
        if let Ending::Complete(report) = &summary.ending {
            let hash = report.hash.to_string();
            let text = format!("blake3: {hash}");
            self.journal
                .tell("hash", &text, vec![("blake3", hash.into())]);
        }
    }
}

impl Display {
    fn position_text(&self, progress: &Progress) -> String {
        let position = self.position.as_ref().and_then(|p| p.at(progress.written));
        position.map_or_else(String::new, |at| format!("  {} of the file", Spaced(at)))
    }
}

fn complete_text(report: &Report, running: Option<Duration>, target: &str) -> String {
    let time = running.unwrap_or_default();
    let rate = Rate {
        bytes: report.received,
        time,
    };
    let mut text = format!(
        "Transfer complete. {} bytes to {target} in {:.1} s, {rate}.",
        Spaced(report.received),
        time.as_secs_f64(),
    );
    if report.format == Format::Cast {
        let proof = match report.verified {
            true => "read back and found equal",
            false => "not read back",
        };
        text.push_str(&format!(
            " The image has {} bytes, {proof}.",
            Spaced(report.written)
        ));
    }
    if report.lost_slices > 0 {
        text.push_str(&format!(
            " {} slices are missing, which nothing was heard of: what follows them is in the wrong \
             place.",
            report.lost_slices
        ));
    }
    if report.lost > 0 {
        text.push_str(&format!(
            " {} bytes of them are zeroes, for they were lost.",
            Spaced(report.lost)
        ));
    }
    if report.first_slice > 0 {
        text.push_str(" What came before this receiver joined is missing.");
    }
    text
}

impl Observer for Display {
    fn event(&mut self, event: &Event<io::Error>) {
        let Event::Receiver(event) = event else {
            return;
        };
        let Some((name, text)) = event_text(event) else {
            return;
        };
        self.journal.tell(name, &text, Vec::new());
        if self.keyboard && matches!(event, receiver::Event::Connected { .. }) {
            let text = "Press any key to start receiving data.";
            self.journal.tell("ready", text, Vec::new());
        }
    }

    fn image(&mut self, image: Provenance<'_>) {
        let Manifest {
            name,
            version,
            size,
            ..
        } = image.manifest;
        let text = format!("The image is {image}, {} bytes", Spaced(size));
        let signed = match image.signed {
            Signed::By(key) => Some(key.to_string()),
            Signed::Unchecked { .. } => None,
        };
        let values = vec![
            ("image", name.into()),
            ("version", version.into()),
            ("size", size.into()),
            ("signed_by", signed.into()),
        ];
        self.journal.tell("image", &text, values);
    }

    fn warning(&mut self, warning: &dyn Error) {
        let cause = warning.source().map(|cause| format!(": {cause}"));
        let text = format!("Warning: {warning}{}", cause.unwrap_or_default());
        self.journal.tell("warning", &text, Vec::new());
    }

    fn progress_due(&self) -> Option<Instant> {
        self.journal.due()
    }

    fn progress(&mut self, progress: &Progress) {
        let position = self.position_text(progress);
        self.journal.progress(progress.now, progress.received, || {
            let text = match progress.running {
                Some(running) => progress_text(progress.received, running) + &position,
                None => "Waiting for the transfer to start".to_owned(),
            };
            (text, vec![("written", progress.written.into())])
        });
    }
}

/// The name of an event for JSON, and what people read.
fn event_text(event: &receiver::Event) -> Option<(&'static str, String)> {
    Some(match event {
        receiver::Event::Heard { .. }
        | receiver::Event::Ended { .. }
        | receiver::Event::Finished(_) => return None,
        receiver::Event::Asynchronous { sender, .. } => (
            "following",
            format!("Following {} without a word", sender.ip()),
        ),
        receiver::Event::Connected { sender, number, .. } => (
            "connected",
            format!("Connected as #{number} to {}", sender.ip()),
        ),
        receiver::Event::Other { sender } => (
            "warning",
            format!(
                "Warning: another sender, {}, uses the same port; it is ignored.",
                sender.ip()
            ),
        ),
        receiver::Event::TooLate { sender } => (
            "too-late",
            format!(
                "{} is in the middle of a transfer; waiting for the next.",
                sender.ip()
            ),
        ),
        receiver::Event::Joined { slice } => (
            "joined",
            format!("Warning: joined late, at slice {slice}: what came before it is missing."),
        ),
        receiver::Event::DataLost { offset } => (
            "data-lost",
            format!(
                "Warning: data lost after byte {}; going on without them.",
                Spaced(*offset)
            ),
        ),
        receiver::Event::Join { group } => ("group", format!("Listening to multicast on {group}")),
        receiver::Event::Lost => (
            "sender-lost",
            "The sender fell silent; looking for one again.".to_owned(),
        ),
        receiver::Event::Started => ("started", "Transfer started.".to_owned()),
    })
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
