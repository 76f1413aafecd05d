//! What an installed system finds at its first boot: a file that the operator has for it, and one
//! that tells it which machine it is.
//!
//! All machines get the same bytes; with these two files each can make itself its own.

use core::fmt::{self, Write};

use smoltcp::wire::EthernetAddress;

/// Bytes of the largest file that is given to a machine.
pub const MAX_SEED_LEN: usize = 1 << 20;

/// Characters of the longest path.
const MAX_PATH_LEN: usize = 128;

/// What stands for a machine's Ethernet address in a path.
const MAC: &str = "<mac>";

/// The path of a file for first boots, beside the settings: up to 128 printable ASCII characters.
/// `<mac>` in it stands for the machine's Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedFile<'a>(&'a str);

impl<'a> SeedFile<'a> {
    /// Takes a path; `None` if it is not made like one, or has an angle bracket that is not one of
    /// `<mac>`.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let is_fit = (1..=MAX_PATH_LEN).contains(&path.len())
            && path.bytes().all(|byte| byte.is_ascii_graphic());
        let mut fixed = path.split(MAC);
        (is_fit && fixed.all(|part| !part.contains(['<', '>']))).then_some(Self(path))
    }

    /// Whether each machine has a file of its own.
    #[must_use]
    pub fn is_of_one_machine(self) -> bool {
        self.0.contains(MAC)
    }

    /// Writes the path for the machine with this Ethernet address, which is written in lower case
    /// with hyphens.
    ///
    /// # Errors
    /// Those of `path`.
    pub fn write(self, mac: [u8; 6], path: &mut impl Write) -> fmt::Result {
        for (number, part) in self.0.split(MAC).enumerate() {
            if number > 0 {
                write!(path, "{}", EthernetAddress(mac))?;
            }
            path.write_str(part)?;
        }
        Ok(())
    }
}

impl fmt::Display for SeedFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a machine is told about itself. [`Display`](fmt::Display) writes it as JSON; what is not
/// known is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineFile<'a> {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its UUID, in the order in which it is written as text; zero if it has none.
    pub uuid: [u8; 16],
    /// Its serial number.
    pub serial: &'a str,
    /// What its maker calls it.
    pub product: &'a str,
    /// The name that the DHCP server has for it.
    pub host: &'a str,
    /// What it was imaged as.
    pub job: &'a str,
    /// BLAKE3 of the image as it was sent, as text.
    pub hash: &'a str,
}

impl fmt::Display for MachineFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.mac;
        write!(
            f,
            "{{\n  \"mac\": \"{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}\""
        )?;
        if self.uuid != [0; 16] {
            f.write_str(",\n  \"uuid\": \"")?;
            for (number, byte) in self.uuid.iter().enumerate() {
                let hyphen = if matches!(number, 4 | 6 | 8 | 10) {
                    "-"
                } else {
                    ""
                };
                write!(f, "{hyphen}{byte:02x}")?;
            }
            f.write_char('"')?;
        }
        let texts = [
            ("serial", self.serial),
            ("product", self.product),
            ("host", self.host),
            ("job", self.job),
            ("blake3", self.hash),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            write!(f, ",\n  \"{name}\": ")?;
            write_string(text, f)?;
        }
        f.write_str("\n}\n")
    }
}

/// Writes a JSON string (RFC 8259, section 7).
fn write_string(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(f, "\\{character}")?,
            '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(character))?,
            _ => f.write_char(character)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString};

    use super::*;

    const ADDRESS: [u8; 6] = [0x52, 0x54, 0, 0xab, 1, 2];

    fn path(seed: &str) -> Option<String> {
        let mut path = String::new();
        SeedFile::parse(seed)?.write(ADDRESS, &mut path).unwrap();
        Some(path)
    }

    #[test]
    fn a_path_can_have_the_address_in_it() {
        assert_eq!(path("first-boot.sh").unwrap(), "first-boot.sh");
        assert_eq!(path("seeds/<mac>").unwrap(), "seeds/52-54-00-ab-01-02");
        assert_eq!(
            path("<mac>/user-data").unwrap(),
            "52-54-00-ab-01-02/user-data"
        );
        assert!(SeedFile::parse("a/<mac>").unwrap().is_of_one_machine());
        assert!(!SeedFile::parse("a/mac").unwrap().is_of_one_machine());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = "x".repeat(129);
        for wrong in [
            "", "a b", "\u{fc}", "<uuid>", "<mac", "mac>", "<MAC>", &long,
        ] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_machine_file_is_json() {
        let file = MachineFile {
            mac: ADDRESS,
            uuid: core::array::from_fn(|i| i as u8),
            serial: "A\"1\\\u{1}",
            product: "QEMU Stand\u{e4}rd PC",
            host: "lab-7",
            job: "autumn",
            hash: "c85e",
        };
        let expected = concat!(
            "{\n",
            "  \"mac\": \"52:54:00:ab:01:02\",\n",
            "  \"uuid\": \"00010203-0405-0607-0809-0a0b0c0d0e0f\",\n",
            "  \"serial\": \"A\\\"1\\\\\\u0001\",\n",
            "  \"product\": \"QEMU Stand\u{e4}rd PC\",\n",
            "  \"host\": \"lab-7\",\n",
            "  \"job\": \"autumn\",\n",
            "  \"blake3\": \"c85e\"\n",
            "}\n"
        );
        assert_eq!(file.to_string(), expected);
        let bare = MachineFile::default().to_string();
        assert_eq!(bare, "{\n  \"mac\": \"00:00:00:00:00:00\"\n}\n");
    }
}
