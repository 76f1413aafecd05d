//! Who this machine is, as its firmware and its system say, for the sender's list of results.

use std::fs;

use ironcast_proto::receiver::{Identity, text};

use crate::interface::Interface;

/// Where the system shows what the firmware says. The serial number and UUID are root's to read.
const FIRMWARE: &str = "/sys/class/dmi/id";

impl Interface {
    /// This machine, as it takes part over this interface and writes to `disk`. What can't be read
    /// is left out.
    #[must_use]
    pub fn identity(&self, disk: &str) -> Identity {
        let firmware = |name: &str| read(&format!("{FIRMWARE}/{name}"));
        let product = [firmware("sys_vendor"), firmware("product_name")].join(" ");
        Identity {
            mac: parse_hex(&read(&format!("/sys/class/net/{}/address", self.name))),
            uuid: parse_hex(&firmware("product_uuid")),
            serial: text(firmware("product_serial")),
            product: text(product.trim()),
            disk: text(disk),
            host: text(read("/proc/sys/kernel/hostname")),
        }
    }
}

/// The first line of a file; empty if it can't be read.
fn read(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

/// Bytes in hexadecimal, with `:` or `-` between some of them; zeroes if they are not `N`.
fn parse_hex<const N: usize>(text: &str) -> [u8; N] {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit) as u8)
        .collect();
    bytes.try_into().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_uuids_are_read_as_they_are_written() {
        let mac = [0x52, 0x54, 0, 0x12, 0xab, 0x56];
        assert_eq!(parse_hex("52:54:00:12:ab:56"), mac);
        let uuid = "01234567-89AB-cdef-0123-456789abcdef";
        let bytes = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
        assert_eq!(parse_hex::<16>(uuid), bytes);
        assert_eq!(parse_hex::<6>(""), [0; 6]);
        assert_eq!(parse_hex::<6>("52:54"), [0; 6]);
    }

    #[test]
    fn this_machine_has_a_name() {
        let loopback = Interface::find(Some("127.0.0.1")).unwrap();
        let identity = loopback.identity("/dev/sda");
        assert!(!identity.host.is_empty());
        assert_eq!(identity.disk.as_str(), "/dev/sda");
        assert_eq!(identity.mac, [0; 6]);
    }
}
