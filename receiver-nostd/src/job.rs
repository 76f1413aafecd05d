//! What a machine remembers of the imaging that it has had, so that the next network boot does not
//! do the same again.
//!
//! Machines that boot from the network first would be imaged at every start. The record is text, in
//! words such as settings have, so that the installed system can read it where it lies among the
//! firmware's variables.

use core::fmt;

use crate::settings;

/// Bytes of the longest name.
const MAX_NAME_LEN: usize = 64;

/// What an imaging is called: 1 to 64 ASCII letters, digits, dots, hyphens and underscores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobName<'a>(&'a str);

impl<'a> JobName<'a> {
    /// Takes a name; `None` if it is not made like one.
    #[must_use]
    pub fn parse(name: &'a str) -> Option<Self> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let has_length = (1..=MAX_NAME_LEN).contains(&name.len());
        (has_length && name.bytes().all(is_fit)).then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for JobName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A job that is done. [`Display`](fmt::Display) writes what [`parse`](Self::parse) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRecord<'a> {
    /// Its name.
    pub name: JobName<'a>,
    /// The BLAKE3 hash of the stream, as the result shows it.
    pub hash: &'a str,
    /// The device path of the disk that got the image, in the firmware's text form.
    pub disk: &'a str,
    /// Bytes that the disk holds.
    pub bytes: u64,
}

impl<'a> JobRecord<'a> {
    /// Reads a record; `None` if it is none, or something is missing.
    #[must_use]
    pub fn parse(record: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(record).ok()?;
        let value = |key: &str| {
            let mut words = settings::words(text).filter_map(|word| word.split_once('='));
            words.find_map(|(name, value)| (name == key).then_some(value))
        };
        Some(Self {
            name: JobName::parse(value("job")?)?,
            hash: value("blake3")?,
            disk: value("disk").filter(|disk| !disk.is_empty())?,
            bytes: settings::number(value("bytes")?)?,
        })
    }
}

impl fmt::Display for JobRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            hash,
            disk,
            bytes,
        } = self;
        writeln!(f, "job={name} blake3={hash} disk={disk} bytes={bytes}")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = JobRecord {
            name: JobName::parse("lab-2026.11_a").unwrap(),
            hash: "c85e63be",
            disk: "PciRoot(0x0)/Pci(0x4,0x0)",
            bytes: 1 << 40,
        };
        let text = record.to_string();
        assert_eq!(
            text,
            "job=lab-2026.11_a blake3=c85e63be disk=PciRoot(0x0)/Pci(0x4,0x0) \
             bytes=1099511627776\n"
        );
        assert_eq!(JobRecord::parse(text.as_bytes()), Some(record));
    }

    #[test]
    fn what_is_no_record_is_none() {
        for text in [
            "",
            "job=a",
            "job=a blake3=b bytes=1",
            "job=a blake3=b disk=c",
            "job=a blake3=b disk= bytes=1",
            "blake3=b disk=c bytes=1",
            "job= blake3=b disk=c bytes=1",
        ] {
            assert_eq!(JobRecord::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(JobRecord::parse(b"job=a blake3=b bytes=1 disk=\xff"), None);
    }

    #[test]
    fn names_are_plain_words() {
        let long = "x".repeat(64);
        for name in ["a", "Lab_7", &long] {
            assert_eq!(JobName::parse(name).map(JobName::as_str), Some(name));
        }
        for name in ["", "two words", "a/b", "\u{e9}", "#", &(long.clone() + "x")] {
            assert_eq!(JobName::parse(name), None, "{name}");
        }
    }
}
