//! REPORT and its acknowledgement: what a machine says of itself, and how it ended.
//!
//! Not UDPcast's but ours: only parties that told each other
//! [`REPORTS`](super::Capabilities::REPORTS) use it (docs/protocol.md, "Reports"). Every REPORT
//! says everything, so that any one that arrives is enough.

use core::fmt;

use super::field::{self as wire_field, put};
use super::{BufferTooShort, Error, Opcode};
use crate::time::Duration;

mod field {
    use super::super::field::{Field, OPCODE, after};

    pub(super) const STATE: Field = after(&OPCODE, 1);
    pub(super) const VERIFIED: Field = after(&STATE, 1);
    pub(super) const MILLIS: Field = after(&VERIFIED, 4);
    pub(super) const RECEIVED: Field = after(&MILLIS, 8);
    pub(super) const WRITTEN: Field = after(&RECEIVED, 8);
    pub(super) const HASH: Field = after(&WRITTEN, 32);
    pub(super) const UUID: Field = after(&HASH, 16);
    pub(super) const MAC: Field = after(&UUID, 6);
    pub(super) const TEXTS: usize = MAC.end;
}

/// How many texts a REPORT ends with.
const TEXT_COUNT: usize = 5;

/// Bytes of the longest text that describes the machine.
pub const MAX_LABEL_LEN: usize = 64;

/// Bytes of the longest message.
pub const MAX_MESSAGE_LEN: usize = 255;

/// How far a machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State(pub u8);

impl State {
    /// It waits for the transfer to start.
    pub const WAITING: Self = Self(0);
    /// It receives and writes.
    pub const RECEIVING: Self = Self(1);
    /// Everything is written; it makes sure of that.
    pub const FINISHING: Self = Self(2);
    /// It has the whole image, to the best of its knowledge. Nothing else follows.
    pub const DONE: Self = Self(3);
    /// It has not. Nothing else follows.
    pub const FAILED: Self = Self(4);

    /// Whether nothing else follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::DONE | Self::FAILED)
    }

    /// A word for it; `None` for one that nobody knows.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::WAITING => "waiting",
            Self::RECEIVING => "receiving",
            Self::FINISHING => "finishing",
            Self::DONE => "done",
            Self::FAILED => "failed",
            _ => return None,
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "state {}", self.0),
        }
    }
}

/// Whether what was written was read back and found good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Verified(pub u8);

impl Verified {
    /// It was not read back.
    pub const NO: Self = Self(0);
    /// It was, and it is what was sent.
    pub const YES: Self = Self(1);
}

/// REPORT: what a machine says of itself.
///
/// Texts are UTF-8 without control characters; what a machine does not know is empty or zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report<'a> {
    /// How far it is.
    pub state: State,
    /// Whether what it wrote was read back.
    pub verified: Verified,
    /// Since the transfer started, in milliseconds on the wire; up to 49 days.
    pub elapsed: Duration,
    /// Bytes of the stream that it has without a gap.
    pub received: u64,
    /// Bytes that it wrote.
    pub written: u64,
    /// BLAKE3 of the stream; zero unless [`State::DONE`].
    pub hash: [u8; 32],
    /// The machine's UUID, in the order in which it is written as text.
    pub uuid: [u8; 16],
    /// The Ethernet address that it takes part with.
    pub mac: [u8; 6],
    /// Its serial number, of [`MAX_LABEL_LEN`] bytes at most.
    pub serial: &'a str,
    /// What its maker calls it, of [`MAX_LABEL_LEN`] bytes at most.
    pub product: &'a str,
    /// What it writes to, of [`MAX_LABEL_LEN`] bytes at most.
    pub disk: &'a str,
    /// Its name, of [`MAX_LABEL_LEN`] bytes at most.
    pub host: &'a str,
    /// What went wrong, of [`MAX_MESSAGE_LEN`] bytes at most.
    pub message: &'a str,
}

impl<'a> Report<'a> {
    /// Bytes of the longest.
    pub const MAX_LEN: usize =
        field::TEXTS + (TEXT_COUNT - 1) * (1 + MAX_LABEL_LEN) + 1 + MAX_MESSAGE_LEN;

    /// Reads a datagram. Texts that are too long are cut.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`] if it is another message; [`Error::Truncated`] if it ends before its
    /// texts do; [`Error::Text`] if one of these is no text, or has control characters, which would
    /// do something to the terminal of whoever reads it.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        wire_field::check(datagram, Opcode::REPORT, field::TEXTS)?;
        let mut at = field::TEXTS;
        let mut text = |longest| Ok(cut(next_text(datagram, &mut at)?, longest));
        let mut label = || text(MAX_LABEL_LEN);
        let [serial, product, disk, host] = [label()?, label()?, label()?, label()?];
        let message = text(MAX_MESSAGE_LEN)?;
        let [state] = wire_field::bytes(datagram, field::STATE);
        let [verified] = wire_field::bytes(datagram, field::VERIFIED);
        let millis = wire_field::u32(datagram, field::MILLIS);
        Ok(Self {
            state: State(state),
            verified: Verified(verified),
            elapsed: Duration::from_millis(u64::from(millis)),
            received: u64::from_be_bytes(wire_field::bytes(datagram, field::RECEIVED)),
            written: u64::from_be_bytes(wire_field::bytes(datagram, field::WRITTEN)),
            hash: wire_field::bytes(datagram, field::HASH),
            uuid: wire_field::bytes(datagram, field::UUID),
            mac: wire_field::bytes(datagram, field::MAC),
            serial,
            product,
            disk,
            host,
            message,
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub fn buffer_len(&self) -> usize {
        let texts = self.texts().into_iter();
        texts.fold(field::TEXTS, |len, text| len + 1 + text.len())
    }

    /// Writes the message and returns its length. Texts that are too long are cut.
    ///
    /// # Errors
    /// [`BufferTooShort`] if `buffer` has less than [`Self::buffer_len`] bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooShort> {
        let (needed, got) = (self.buffer_len(), buffer.len());
        let Some(message) = buffer.get_mut(..needed) else {
            return Err(BufferTooShort { needed, got });
        };
        wire_field::start::<{ field::TEXTS }>(message, Opcode::REPORT)?;
        let millis = u32::try_from(self.elapsed.as_millis()).unwrap_or(u32::MAX);
        put(message, field::STATE, &[self.state.0]);
        put(message, field::VERIFIED, &[self.verified.0]);
        put(message, field::MILLIS, &millis.to_be_bytes());
        put(message, field::RECEIVED, &self.received.to_be_bytes());
        put(message, field::WRITTEN, &self.written.to_be_bytes());
        put(message, field::HASH, &self.hash);
        put(message, field::UUID, &self.uuid);
        put(message, field::MAC, &self.mac);
        let mut at = field::TEXTS;
        for text in self.texts() {
            // No text has more than 255 bytes.
            put(message, at..at + 1, &[text.len() as u8]);
            put(message, at + 1..at + 1 + text.len(), text.as_bytes());
            at += 1 + text.len();
        }
        Ok(needed)
    }

    /// The texts in the order of the wire, none of them too long.
    fn texts(&self) -> [&'a str; TEXT_COUNT] {
        let label = |text| cut(text, MAX_LABEL_LEN);
        [
            label(self.serial),
            label(self.product),
            label(self.disk),
            label(self.host),
            cut(self.message, MAX_MESSAGE_LEN),
        ]
    }
}

/// As many of a text's characters as fit `len` bytes.
fn cut(text: &str, len: usize) -> &str {
    text.get(..text.floor_char_boundary(len)).unwrap_or(text)
}

/// The text at `at`, which moves behind it.
fn next_text<'a>(datagram: &'a [u8], at: &mut usize) -> Result<&'a str, Error> {
    let truncated = |needed| Error::Truncated {
        opcode: Some(Opcode::REPORT),
        needed,
        got: datagram.len(),
    };
    let start = *at + 1;
    let len = *datagram.get(*at).ok_or_else(|| truncated(start))?;
    let end = start + usize::from(len);
    let bytes = datagram.get(start..end).ok_or_else(|| truncated(end))?;
    *at = end;
    let text = core::str::from_utf8(bytes).map_err(|_| Error::Text)?;
    match text.contains(char::is_control) {
        true => Err(Error::Text),
        false => Ok(text),
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            state,
            received,
            disk,
            message,
            ..
        } = self;
        write!(f, "REPORT {state}, {received} bytes received, disk {disk}")?;
        match message.is_empty() {
            true => Ok(()),
            false => write!(f, ": {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;

    fn report() -> Report<'static> {
        Report {
            state: State::FAILED,
            verified: Verified::YES,
            elapsed: Duration::from_millis(0x0102),
            received: 0x0304,
            written: 0x0506,
            hash: [7; 32],
            uuid: [8; 16],
            mac: [9; 6],
            serial: "a",
            product: "bé",
            disk: "",
            host: "c",
            message: "no",
        }
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = std::vec![0x1c, 1, 4, 1, 0, 0, 1, 2];
        bytes.extend([0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6]);
        bytes.extend([7; 32]);
        bytes.extend([8; 16]);
        bytes.extend([9; 6]);
        bytes.extend(b"\x01a\x03b\xc3\xa9\x00\x01c\x02no");
        bytes
    }

    #[test]
    fn bytes_become_the_report() {
        assert_eq!(Report::parse(&bytes()), Ok(report()));
    }

    #[test]
    fn the_report_becomes_bytes() {
        let mut buffer = [0xaa; Report::MAX_LEN];
        let len = report().emit(&mut buffer).unwrap();
        assert_eq!(buffer[..len], bytes());
        assert!(report().emit(&mut buffer[..len - 1]).is_err());
    }

    #[test]
    fn texts_that_are_too_long_are_cut_between_characters() {
        let long = "é".repeat(200);
        let report = Report {
            serial: &long,
            message: &long,
            ..report()
        };
        let mut buffer = [0; Report::MAX_LEN];
        let len = report.emit(&mut buffer).unwrap();
        let parsed = Report::parse(&buffer[..len]).unwrap();
        assert_eq!(parsed.serial, "é".repeat(32));
        assert_eq!(parsed.message, "é".repeat(127));
    }

    #[test]
    fn the_longest_fits() {
        let label = "x".repeat(MAX_LABEL_LEN);
        let message = "x".repeat(MAX_MESSAGE_LEN);
        let report = Report {
            serial: &label,
            product: &label,
            disk: &label,
            host: &label,
            message: &message,
            ..report()
        };
        assert_eq!(report.buffer_len(), Report::MAX_LEN);
        let mut buffer = [0; Report::MAX_LEN];
        assert_eq!(report.emit(&mut buffer), Ok(Report::MAX_LEN));
        assert_eq!(Report::parse(&buffer), Ok(report));
    }

    #[test]
    fn what_would_speak_to_a_terminal_is_no_text() {
        for bad in [&b"\x1b"[..], b"\n", b"\xff", b"\xc2\x9b"] {
            let mut datagram = bytes();
            datagram.truncate(field::TEXTS);
            datagram.push(bad.len() as u8);
            datagram.extend(bad);
            datagram.extend([0; 4]);
            assert_eq!(Report::parse(&datagram), Err(Error::Text), "{bad:?}");
        }
    }

    #[test]
    fn a_report_that_is_cut_off_is_none() {
        let whole = bytes();
        for len in 2..whole.len() {
            let error = Report::parse(&whole[..len]).unwrap_err();
            assert!(matches!(error, Error::Truncated { got, .. } if got == len));
        }
    }

    #[test]
    fn states_have_words_known_or_not() {
        let words: Vec<String> = (0..6).map(|state| State(state).to_string()).collect();
        let known = ["waiting", "receiving", "finishing", "done", "failed"];
        assert_eq!(words[..5], known);
        assert_eq!(words[5], "state 5");
        let finals = (0..=u8::MAX).filter(|&state| State(state).is_final());
        assert!(finals.eq([3, 4]));
    }
}
