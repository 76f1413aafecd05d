//! What a program tells of its transfer: on stderr for people, in a log file, or as JSON.
//!
//! On stderr the progress is a line that is written over and over. As with the stock programs it
//! ends with a carriage return, on a terminal or not: scripts read it.

use std::error::Error;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::ValueEnum;
use ironcast_proto::time::{Duration, Instant};
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::exit::chain;
use crate::format::Rate;
use crate::stderr::{say, show};
use crate::throttle::Throttle;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is to be told, and where.
#[derive(Clone, Debug, Default)]
pub struct JournalSettings {
    /// Whether to show the progress.
    pub progress: bool,
    /// Time between its updates.
    pub period: Duration,
    /// How events are written.
    pub format: LogFormat,
    /// A file that gets them too.
    pub log: Option<PathBuf>,
    /// Time between lines with the rate in that file; `None` for no such lines.
    pub rate_period: Option<Duration>,
}

/// Why a log file can't be written.
#[derive(Debug)]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't open the log file {}", self.path.display())
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// The place for all that is to be told.
#[derive(Debug)]
pub struct Journal {
    settings: JournalSettings,
    due: Instant,
    /// The line that is shown; empty if there is none.
    shown: String,
    log: Option<File>,
    /// When the rate was logged last, and how many bytes there were.
    rate: Option<(Instant, u64)>,
    clock: Clock,
    throttle: Throttle,
}

impl Journal {
    /// One for these settings.
    ///
    /// # Errors
    /// [`LogError`] if the log file can't be opened.
    pub fn open(settings: JournalSettings) -> Result<Self, LogError> {
        let log = settings.log.as_deref().map(open_log).transpose()?;
        Ok(Self {
            settings,
            due: Instant::ZERO,
            shown: String::new(),
            log,
            rate: None,
            clock: Clock::start(),
            throttle: Throttle::default(),
        })
    }

    /// When it wants to be told of the progress; `None` for never.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let progress = self.settings.progress.then_some(self.due);
        let rate = self.rate_due();
        [progress, rate].into_iter().flatten().min()
    }

    /// Shows the progress, if it is time to: `bytes` of the image are transferred, and `text`
    /// gives the line and more values for JSON.
    pub fn progress(
        &mut self,
        now: Instant,
        bytes: u64,
        text: impl FnOnce() -> (String, Vec<(&'static str, Value)>),
    ) {
        self.log_rate(now, bytes);
        if self.settings.progress && self.due <= now {
            self.due = now + self.settings.period;
            let (text, values) = text();
            self.show(bytes, &text, values);
        }
    }

    /// Shows the progress a last time, due or not, and ends its line.
    pub fn finish(&mut self, bytes: u64, text: &str) {
        if self.settings.progress {
            self.show(bytes, text, Vec::new());
            self.end();
        }
    }

    /// Tells of an event, with its name and values for JSON. Of thousands of a name all but one a
    /// second are left out, and counted.
    pub fn tell(
        &mut self,
        event: &'static str,
        text: &str,
        mut values: Vec<(&'static str, Value)>,
    ) {
        let Some(left_out) = self.throttle.admit(self.clock.now(), event) else {
            return;
        };
        let mut text = text.to_owned();
        if left_out > 0 {
            text.push_str(&format!(" ({left_out} like this were left out)"));
            values.push(("left-out", left_out.into()));
        }
        self.end();
        say_event(self.settings.format, event, &text, values.clone());
        self.log(event, &text, values);
    }

    /// Ends the line that is shown, so that others can write.
    pub fn end(&mut self) {
        if !self.shown.is_empty() {
            self.shown.clear();
            say(format_args!(""));
        }
    }

    fn show(&mut self, bytes: u64, text: &str, mut values: Vec<(&'static str, Value)>) {
        if self.shown == text {
            return;
        }
        if self.settings.format == LogFormat::Json {
            values.push(("bytes", bytes.into()));
            show(&format!("{}\n", json("progress", text, values)));
            return;
        }
        let width = |text: &str| text.chars().count();
        let rest = width(&self.shown).saturating_sub(width(text));
        text.clone_into(&mut self.shown);
        show(&format!("{text}{:rest$}\r", ""));
    }

    fn rate_due(&self) -> Option<Instant> {
        let period = self.settings.rate_period.filter(|_| self.log.is_some())?;
        Some(self.rate.map_or(Instant::ZERO, |(at, _)| at + period))
    }

    fn log_rate(&mut self, now: Instant, bytes: u64) {
        if self.rate_due().is_none_or(|due| due > now) {
            return;
        }
        if let Some((at, before)) = self.rate.replace((now, bytes)) {
            let rate = Rate {
                bytes: bytes.saturating_sub(before),
                time: now - at,
            };
            let values = vec![("bytes", bytes.into())];
            self.log("rate", &format!("{rate}"), values);
        }
    }

    fn log(&mut self, event: &str, text: &str, values: Vec<(&'static str, Value)>) {
        let Some(log) = &mut self.log else {
            return;
        };
        let line = log_line(self.settings.format, event, text, values);
        if log.write_all(line.as_bytes()).is_err() {
            // Say it once; the transfer matters more.
            self.log = None;
            let text = "Warning: the log file can't be written any more.";
            say_event(self.settings.format, "warning", text, Vec::new());
        }
    }
}

/// Tells of the error that ends `program`, with everything that caused it, in the place and format
/// of its journal, whether that is open or not.
pub fn report_failure(program: &str, error: &dyn Error, settings: &JournalSettings) {
    let line = format!("{program}: error: {}", chain(error));
    tell_once("error", &line, settings);
}

/// Tells of something that is not as it should be, and ends nothing, in the place and format of a
/// journal, whether that is open or not.
pub fn warn(warning: &str, settings: &JournalSettings) {
    tell_once("warning", warning, settings);
}

fn tell_once(event: &str, text: &str, settings: &JournalSettings) {
    say_event(settings.format, event, text, Vec::new());
    let log = settings.log.as_deref().map(open_log);
    if let Some(Ok(mut log)) = log {
        // stderr has it already.
        let _ = log.write_all(log_line(settings.format, event, text, Vec::new()).as_bytes());
    }
}

fn say_event(format: LogFormat, event: &str, text: &str, values: Vec<(&'static str, Value)>) {
    match format {
        LogFormat::Text => say(format_args!("{text}")),
        LogFormat::Json => say(format_args!("{}", json(event, text, values))),
    }
}

fn log_line(
    format: LogFormat,
    event: &str,
    text: &str,
    values: Vec<(&'static str, Value)>,
) -> String {
    match format {
        LogFormat::Text => text
            .lines()
            .map(|line| format!("{} {line}\n", timestamp()))
            .collect(),
        LogFormat::Json => format!("{}\n", json(event, text, values)),
    }
}

fn open_log(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|source| LogError {
            path: path.to_owned(),
            source,
        })
}

/// The time now, in UTC as RFC 3339 writes it.
#[must_use]
pub fn timestamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn json(event: &str, text: &str, values: Vec<(&'static str, Value)>) -> Value {
    let fixed = [
        ("time", timestamp().into()),
        ("event", event.into()),
        ("message", text.into()),
    ];
    let all = fixed.into_iter().chain(values);
    Value::Object(Map::from_iter(
        all.map(|(key, value)| (key.to_owned(), value)),
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn journal(format: LogFormat, name: &str) -> (Journal, PathBuf) {
        let path = std::env::temp_dir().join(format!("ironcast-{name}-{}", std::process::id()));
        let settings = JournalSettings {
            format,
            log: Some(path.clone()),
            rate_period: Some(Duration::from_secs(1)),
            ..JournalSettings::default()
        };
        (Journal::open(settings).unwrap(), path)
    }

    #[test]
    fn the_log_has_events_and_the_rate_of_each_period() {
        let (mut journal, path) = journal(LogFormat::Text, "text-log");
        journal.tell("started", "Starting transfer", Vec::new());
        for (second, bytes) in [(1, 0), (2, 5_000_000), (3, 5_000_000)] {
            let now = Instant::from_micros(second * 1_000_000);
            assert!(journal.due().unwrap() <= now);
            journal.progress(now, bytes, || unreachable!("no progress was asked for"));
        }
        let log = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert!(lines[0].ends_with("Z Starting transfer"), "{log}");
        assert!(
            lines[1].ends_with(" 5.0 MB/s") && lines[2].ends_with(" 0.0 MB/s"),
            "{log}"
        );
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn json_is_an_object_a_line() {
        let (mut journal, path) = journal(LogFormat::Json, "json-log");
        journal.tell("connected", "a \"name\"\n", vec![("number", 3.into())]);
        let log = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        let value: Value = serde_json::from_str(log.trim_end()).unwrap();
        assert_eq!(value["event"], "connected");
        assert_eq!(value["message"], "a \"name\"\n");
        assert_eq!(value["number"], 3);
        assert!(
            value["time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z'))
        );
    }

    #[test]
    fn p6_a_log_does_not_grow_with_a_flood() {
        let (mut journal, path) = journal(LogFormat::Json, "flood-log");
        let now = journal.clock.now();
        while journal.throttle.admit(now, "connected").is_some() {}
        journal.tell("connected", "a stranger", Vec::new());
        journal.tell("started", "another matter", Vec::new());
        std::thread::sleep(Duration::from_millis(1100));
        journal.tell("connected", "a friend", Vec::new());
        let log = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert_eq!(lines[1]["message"], "a friend (2 like this were left out)");
        assert_eq!(lines[1]["left-out"], 2);
    }

    #[test]
    fn a_log_that_can_not_be_written_is_named() {
        let settings = JournalSettings {
            log: Some(PathBuf::from("/nonexistent/log")),
            ..JournalSettings::default()
        };
        let error = Journal::open(settings).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/log"));
    }
}
