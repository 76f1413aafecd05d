//! What became of each machine: one result for every one that took part, or said why it can't.
//!
//! The protocol tells what a machine acknowledged; machines of ours also say what they wrote, and
//! its hash is held against the image's own. So success is what both sides say it is.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use ironcast_hosted::timestamp;
use ironcast_proto::sender::{Event, Reported, Standing};
use ironcast_proto::wire::{Report, State, Verified};
use serde_json::{Map, Value};

/// What became of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has the whole image.
    Ok,
    /// It joined late (`--streaming`), and has the image from there on.
    Partial,
    /// It failed, and said why, or has other bytes than were sent.
    Failed(String),
    /// It left without a word of why.
    Left,
    /// It fell silent, or was dropped, or restarted.
    Lost,
}

impl Verdict {
    /// The word for it, in tables and in JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Failed(_) => "failed",
            Self::Left => "left",
            Self::Lost => "lost",
        }
    }
}

/// A machine and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineResult {
    /// Its number in the transfer; `None` if it could not take part.
    pub number: Option<u16>,
    /// Its address and port.
    pub address: SocketAddrV4,
    /// What became of it.
    pub verdict: Verdict,
    /// What it said last; `None` of stock receivers, which say nothing.
    pub description: Option<Description>,
}

/// What a machine said of itself; empty or zero is what it does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// How far it was.
    pub state: State,
    /// Whether it read back what it wrote.
    pub verified: bool,
    /// Since the start of the transfer.
    pub elapsed: Duration,
    /// Bytes of the stream that it had.
    pub received: u64,
    /// Bytes that it had written.
    pub written: u64,
    /// BLAKE3 of the stream, if it was done.
    pub hash: [u8; 32],
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its serial number.
    pub serial: String,
    /// What its maker calls it.
    pub product: String,
    /// What it writes to.
    pub disk: String,
    /// Its name.
    pub host: String,
    /// What went wrong.
    pub message: String,
}

impl From<&Report<'_>> for Description {
    fn from(report: &Report<'_>) -> Self {
        Self {
            state: report.state,
            verified: report.verified == Verified::YES,
            elapsed: report.elapsed,
            received: report.received,
            written: report.written,
            hash: report.hash,
            uuid: report.uuid,
            mac: report.mac,
            serial: report.serial.to_owned(),
            product: report.product.to_owned(),
            disk: report.disk.to_owned(),
            host: report.host.to_owned(),
            message: report.message.to_owned(),
        }
    }
}

/// Machines that could not take part are kept up to this number: anyone can claim to be one.
const MOST_STRANGERS: usize = 1024;

/// What is known of the machines of a transfer so far.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    machines: BTreeMap<SocketAddrV4, Machine>,
    /// Whose each number is.
    numbers: BTreeMap<u16, SocketAddrV4>,
    strangers: usize,
}

#[derive(Debug, Default)]
struct Machine {
    number: Option<u16>,
    standing: Option<Standing>,
    description: Option<Description>,
}

impl Machines {
    /// Takes in what the protocol tells.
    pub(crate) fn event(&mut self, event: &Event) {
        let Event::Receiver {
            number,
            address,
            standing,
        } = event
        else {
            return;
        };
        let machine = self.numbered(*number, *address);
        if *standing == Standing::Connected {
            // What it said before was about another try.
            machine.description = None;
        }
        machine.standing = Some(*standing);
    }

    /// Takes in what a machine says. True if it is the first word of one that can't take part.
    pub(crate) fn report(&mut self, reported: &Reported<'_>) -> bool {
        let is_new = !self.machines.contains_key(&reported.address);
        let is_stranger = reported.number.is_none() && is_new;
        if is_stranger && self.strangers >= MOST_STRANGERS {
            return false;
        }
        self.strangers += usize::from(is_stranger);
        let machine = match reported.number {
            Some(number) => self.numbered(number, reported.address),
            None => self.machines.entry(reported.address).or_default(),
        };
        machine.description = Some(Description::from(&reported.report));
        is_stranger
    }

    /// The machine with a number. A number goes to another machine only if there are no more, and
    /// the first has left: it is forgotten, for any number may come and leave.
    fn numbered(&mut self, number: u16, address: SocketAddrV4) -> &mut Machine {
        let before = self.numbers.insert(number, address);
        if let Some(before) = before.filter(|&before| before != address)
            && self
                .machines
                .get(&before)
                .is_some_and(|it| it.number == Some(number))
        {
            self.machines.remove(&before);
        }
        let machine = self.machines.entry(address).or_default();
        machine.number = Some(number);
        machine
    }

    /// What became of each, by number, those without one last. `hash` is the image's own; `None` if
    /// not all of it was read.
    pub(crate) fn results(&self, hash: Option<blake3::Hash>) -> Vec<MachineResult> {
        let result = |(&address, machine): (&SocketAddrV4, &Machine)| MachineResult {
            number: machine.number,
            address,
            verdict: machine.verdict(hash),
            description: machine.description.clone(),
        };
        let mut results: Vec<_> = self.machines.iter().map(result).collect();
        results.sort_by_key(|result| (result.number.is_none(), result.number, result.address));
        results
    }
}

impl Machine {
    fn verdict(&self, hash: Option<blake3::Hash>) -> Verdict {
        let description = self.description.as_ref();
        let last = description.filter(|description| description.state.is_final());
        match (self.standing, last) {
            (_, Some(last)) if last.state == State::FAILED => Verdict::Failed(last.message.clone()),
            (Some(Standing::Completed), Some(last)) => match hash {
                Some(hash) if hash != blake3::Hash::from_bytes(last.hash) => {
                    Verdict::Failed(other_bytes(&last.hash))
                }
                _ => Verdict::Ok,
            },
            (Some(Standing::Completed), None) => Verdict::Ok,
            (Some(Standing::Partial), _) => Verdict::Partial,
            (Some(Standing::Left), _) => Verdict::Left,
            (_, _) => Verdict::Lost,
        }
    }
}

fn other_bytes(hash: &[u8; 32]) -> String {
    let hash = blake3::Hash::from_bytes(*hash);
    format!("it has other bytes than were sent: their BLAKE3 is {hash}")
}

impl MachineResult {
    /// What is said of it, by the names that JSON has for it. What is not known is not there.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, Value)> {
        let mut values: Vec<(&'static str, Value)> = vec![
            ("result", self.verdict.word().into()),
            ("address", self.address.ip().to_string().into()),
        ];
        values.extend(self.number.map(|number| ("number", number.into())));
        if let Some(description) = &self.description {
            values.extend(description.values());
        }
        if let Verdict::Failed(message) = &self.verdict {
            values.push(("reason", message.as_str().into()));
        }
        values
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let number = self.number.map_or("-".to_owned(), |n| format!("#{n}"));
        let mut line = format!("{number:>5}  {:<15}", self.address.ip().to_string());
        let names = self.description.as_ref().map(Description::names);
        line.push_str(&format!("  {:<7}", self.verdict.word()));
        match (&self.verdict, &self.description) {
            (Verdict::Failed(message), _) => line.push_str(&format!("  {message}")),
            (Verdict::Ok | Verdict::Partial, Some(it)) => {
                let (written, seconds) = (it.written, it.elapsed.as_secs_f64());
                let not = if it.verified { "" } else { "not " };
                line.push_str(&format!(
                    "  {written} bytes in {seconds:.1} s, {not}verified"
                ));
                if !it.message.is_empty() {
                    line.push_str(&format!(", {}", it.message));
                }
            }
            (Verdict::Ok | Verdict::Partial, None) => line.push_str("  by its word alone"),
            (_, Some(it)) => line.push_str(&format!("  after {} bytes", it.received)),
            (_, None) => {}
        }
        if let Some(names) = names.filter(|names| !names.is_empty()) {
            line.push_str(&format!("  ({names})"));
        }
        line
    }
}

impl Description {
    fn values(&self) -> Vec<(&'static str, Value)> {
        let mut values: Vec<(&'static str, Value)> = vec![
            ("bytes", self.received.into()),
            ("written", self.written.into()),
            ("seconds", self.elapsed.as_secs_f64().into()),
        ];
        if self.state == State::DONE {
            let hash = blake3::Hash::from_bytes(self.hash).to_string();
            values.push(("verified", self.verified.into()));
            values.push(("blake3", hash.into()));
            if !self.message.is_empty() {
                values.push(("note", self.message.as_str().into()));
            }
        }
        let texts = [
            ("mac", self.mac_text()),
            ("uuid", self.uuid_text()),
            ("serial", self.serial.clone()),
            ("product", self.product.clone()),
            ("disk", self.disk.clone()),
            ("host", self.host.clone()),
        ];
        let known = texts.into_iter().filter(|(_, text)| !text.is_empty());
        values.extend(known.map(|(name, text)| (name, text.into())));
        values
    }

    /// What tells the machine from others, in a few words.
    fn names(&self) -> String {
        let mac = self.mac_text();
        let all = [&self.host, &mac, &self.product, &self.serial, &self.disk];
        let known: Vec<&str> = all.into_iter().map(String::as_str).collect();
        let known = known.into_iter().filter(|text| !text.is_empty());
        known.collect::<Vec<_>>().join(", ")
    }

    fn mac_text(&self) -> String {
        match self.mac {
            [0, 0, 0, 0, 0, 0] => String::new(),
            mac => mac.map(|byte| format!("{byte:02x}")).join(":"),
        }
    }

    fn uuid_text(&self) -> String {
        if self.uuid == [0; 16] {
            return String::new();
        }
        let mut text = self.uuid.map(|byte| format!("{byte:02x}")).concat();
        for at in [20, 16, 12, 8] {
            text.insert(at, '-');
        }
        text
    }
}

/// A file that gets each machine's result as a JSON object on a line of its own.
#[derive(Debug)]
pub struct ResultsFile {
    file: File,
}

impl ResultsFile {
    /// Opens the file at `path`, to be added to.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file })
    }

    /// Adds `results`, and sees to it that they are on the disk.
    ///
    /// # Errors
    /// If the file does not take them.
    pub fn write(&mut self, results: &[MachineResult]) -> io::Result<()> {
        let mut text = String::new();
        let time = timestamp();
        for result in results {
            let named = |(name, value): (&str, Value)| (name.to_owned(), value);
            let mut object: Map<String, Value> = result.values().into_iter().map(named).collect();
            object.insert("time".to_owned(), time.clone().into());
            text.push_str(&Value::Object(object).to_string());
            text.push('\n');
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 9000)
    }

    fn is(machines: &mut Machines, number: u16, standing: Standing) {
        machines.event(&Event::Receiver {
            number,
            address: address(number as u8),
            standing,
        });
    }

    fn says(machines: &mut Machines, number: Option<u16>, report: Report<'_>) {
        machines.report(&Reported {
            number,
            address: address(number.unwrap_or(99) as u8),
            report,
        });
    }

    fn done(hash: blake3::Hash) -> Report<'static> {
        Report {
            state: State::DONE,
            hash: *hash.as_bytes(),
            written: 7,
            mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56],
            uuid: *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef",
            disk: "nvme0",
            ..Report::default()
        }
    }

    fn verdicts(results: &[MachineResult]) -> Vec<&'static str> {
        results.iter().map(|result| result.verdict.word()).collect()
    }

    #[test]
    fn p5_every_machine_has_one_result() {
        let (hash, other) = (blake3::hash(b"image"), blake3::hash(b"other"));
        let mut machines = Machines::default();
        for number in 0..7 {
            is(&mut machines, number, Standing::Connected);
        }
        for number in [0, 1, 2] {
            is(&mut machines, number, Standing::Completed);
        }
        says(&mut machines, Some(0), done(hash));
        says(&mut machines, Some(1), done(other));
        is(&mut machines, 3, Standing::Left);
        is(&mut machines, 4, Standing::Left);
        is(&mut machines, 5, Standing::Silent);
        is(&mut machines, 6, Standing::Partial);
        let failed = Report {
            state: State::FAILED,
            message: "the disk is full",
            ..Report::default()
        };
        says(&mut machines, Some(3), failed);
        says(&mut machines, None, failed);
        let results = machines.results(Some(hash));
        let words = [
            "ok", "failed", "ok", "failed", "left", "lost", "partial", "failed",
        ];
        assert_eq!(verdicts(&results), words);
        assert!(results[1].line().contains("other bytes than were sent"));
        assert!(results[3].line().ends_with("the disk is full"));
        assert!(results[7].line().starts_with("    -  10.0.0.99"));
        assert_eq!(verdicts(&machines.results(None))[1], "ok");
    }

    #[test]
    fn a_machine_that_comes_again_has_a_new_result() {
        let mut machines = Machines::default();
        is(&mut machines, 0, Standing::Connected);
        let failed = Report {
            state: State::FAILED,
            ..Report::default()
        };
        says(&mut machines, Some(0), failed);
        is(&mut machines, 0, Standing::Left);
        is(&mut machines, 0, Standing::Connected);
        is(&mut machines, 0, Standing::Completed);
        assert_eq!(verdicts(&machines.results(None)), ["ok"]);
    }

    #[test]
    fn p6_strangers_take_bounded_memory() {
        let mut machines = Machines::default();
        for last in 0..5000 {
            machines.report(&Reported {
                number: None,
                address: SocketAddrV4::new(Ipv4Addr::from_bits(last), 9000),
                report: Report::default(),
            });
        }
        assert_eq!(machines.results(None).len(), MOST_STRANGERS);
    }

    #[test]
    fn p6_machines_that_come_and_leave_take_bounded_memory() {
        let mut machines = Machines::default();
        for last in 0..5000 {
            let address = SocketAddrV4::new(Ipv4Addr::from_bits(last), 9000);
            let number = (last % 100) as u16;
            machines.report(&Reported {
                number: Some(number),
                address,
                report: Report::default(),
            });
            // Of some that come and go at once nothing but a report is seen.
            for standing in [Standing::Connected, Standing::Left] {
                if last % 2 == 0 {
                    machines.event(&Event::Receiver {
                        number,
                        address,
                        standing,
                    });
                }
            }
        }
        assert_eq!(machines.results(None).len(), 100);
    }

    #[test]
    fn only_the_first_word_of_a_machine_that_can_not_take_part_is_news() {
        let mut machines = Machines::default();
        let mut hear = |number| {
            machines.report(&Reported {
                number,
                address: address(1),
                report: Report::default(),
            })
        };
        assert!(hear(None));
        assert!(!hear(None) && !hear(Some(1)) && !hear(None));
    }

    #[test]
    fn results_are_json_with_what_is_known() {
        let hash = blake3::hash(b"image");
        let mut machines = Machines::default();
        is(&mut machines, 1, Standing::Connected);
        is(&mut machines, 1, Standing::Completed);
        says(&mut machines, Some(1), done(hash));
        let values = machines.results(Some(hash))[0].values();
        let get = |wanted| values.iter().find(|(name, _)| *name == wanted);
        let text = |name| get(name).map(|(_, value)| value.to_string());
        assert_eq!(text("result").as_deref(), Some("\"ok\""));
        assert_eq!(text("mac").as_deref(), Some("\"52:54:00:12:34:56\""));
        let uuid = "\"01234567-89ab-cdef-0123-456789abcdef\"";
        assert_eq!(text("uuid").as_deref(), Some(uuid));
        assert_eq!(text("blake3"), Some(format!("\"{hash}\"")));
        assert_eq!(get("serial"), None);
    }
}
