//! Reads a DHCP answer that somebody else got, such as the firmware that booted the machine.
//!
//! The link has a DHCP client of its own; this is for the address that is there already, and for
//! the server and the name of the boot file, which the client has no use for.

use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::wire::DhcpPacket;

/// Numbers of the options that are read (RFC 2132).
mod option {
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const HOST_NAME: u8 = 12;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const SERVER_IDENTIFIER: u8 = 54;
    pub(super) const BOOT_FILE: u8 = 67;
}

/// A DHCP server's answer: an OFFER or an ACK, or a PXE server's reply, which looks the same.
#[derive(Debug)]
pub struct DhcpAnswer<'p> {
    packet: DhcpPacket<&'p [u8]>,
}

impl<'p> DhcpAnswer<'p> {
    /// Takes the UDP payload of an answer; `None` if it is too short for one. What follows the
    /// options doesn't matter.
    #[must_use]
    pub fn new(payload: &'p [u8]) -> Option<Self> {
        let packet = DhcpPacket::new_checked(payload).ok()?;
        Some(Self { packet })
    }

    /// The address that the machine was given.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        given(self.packet.your_ip())
    }

    /// How many bits of the address name the network. By the classes of old if the answer has no
    /// mask.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        let mask = self.address_option(option::SUBNET_MASK).map(u32::from);
        match mask {
            Some(mask) if mask.leading_ones() == mask.count_ones() => {
                // At most 32.
                mask.count_ones() as u8
            }
            _ => match self.packet.your_ip().octets()[0] {
                0..=127 => 8,
                128..=191 => 16,
                _ => 24,
            },
        }
    }

    /// The router that leads out of the network.
    #[must_use]
    pub fn router(&self) -> Option<Ipv4Addr> {
        self.address_option(option::ROUTER)
    }

    /// The name that the server has for this machine.
    #[must_use]
    pub fn host_name(&self) -> Option<&str> {
        let name = core::str::from_utf8(self.option(option::HOST_NAME)?).ok()?;
        let name = name.trim_end_matches('\0');
        (!name.is_empty()).then_some(name)
    }

    /// How long the address may be used from the answer on; `None` for ever.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        let seconds = u32::from_be_bytes(self.option(option::LEASE_TIME)?.try_into().ok()?);
        (seconds != u32::MAX).then(|| Duration::from_secs(seconds.into()))
    }

    /// The server that has the boot file: the one named for it, else the one that answered.
    #[must_use]
    pub fn file_server(&self) -> Option<Ipv4Addr> {
        given(self.packet.server_ip()).or_else(|| self.address_option(option::SERVER_IDENTIFIER))
    }

    /// The name of the boot file.
    #[must_use]
    pub fn boot_file(&self) -> Option<&str> {
        let option = || {
            let bytes = self.option(option::BOOT_FILE)?;
            core::str::from_utf8(bytes).ok()
        };
        self.packet
            .get_boot_file()
            .ok()
            .or_else(option)
            .map(|name| name.trim_end_matches('\0'))
            .filter(|name| !name.is_empty())
    }

    fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut options = self.packet.options();
        options
            .find(|option| option.kind == kind)
            .map(|option| option.data)
    }

    /// The first address of an option that is one or several.
    fn address_option(&self, kind: u8) -> Option<Ipv4Addr> {
        let octets: [u8; 4] = *self.option(kind)?.first_chunk()?;
        given(Ipv4Addr::from(octets))
    }
}

/// An address unless it is 0.0.0.0, which stands for none.
fn given(address: Ipv4Addr) -> Option<Ipv4Addr> {
    (!address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    /// An answer for 10.78.0.100 with these options after the magic number.
    fn answer(server: [u8; 4], file: &[u8], options: &[&[u8]]) -> Vec<u8> {
        let mut packet = std::vec![0; 236];
        packet[..4].copy_from_slice(&[2, 1, 6, 0]);
        packet[16..20].copy_from_slice(&[10, 78, 0, 100]);
        packet[20..24].copy_from_slice(&server);
        packet[108..108 + file.len()].copy_from_slice(file);
        packet.extend([0x63, 0x82, 0x53, 0x63]);
        for option in options {
            packet.extend(*option);
        }
        packet.push(255);
        // Firmware keeps answers in fields of this size.
        packet.resize(1472, 0);
        packet
    }

    #[test]
    fn everything_that_a_server_tells_is_read() {
        let options: [&[u8]; 5] = [
            &[12, 6, b'l', b'a', b'b', b'-', b'7', 0],
            &[1, 4, 255, 255, 252, 0],
            &[3, 8, 10, 78, 0, 1, 10, 78, 0, 2],
            &[51, 4, 0, 0, 14, 16],
            &[54, 4, 10, 78, 0, 3],
        ];
        let payload = answer([10, 78, 0, 9], b"net/ironcast.efi", &options);
        let answer = DhcpAnswer::new(&payload).unwrap();
        assert_eq!(answer.address(), Some(Ipv4Addr::new(10, 78, 0, 100)));
        assert_eq!(answer.host_name(), Some("lab-7"));
        assert_eq!(answer.prefix(), 22);
        assert_eq!(answer.router(), Some(Ipv4Addr::new(10, 78, 0, 1)));
        assert_eq!(answer.duration(), Some(Duration::from_secs(3600)));
        assert_eq!(answer.file_server(), Some(Ipv4Addr::new(10, 78, 0, 9)));
        assert_eq!(answer.boot_file(), Some("net/ironcast.efi"));
    }

    #[test]
    fn what_a_server_leaves_out_is_filled_in() {
        let options: [&[u8]; 3] = [
            &[51, 4, 255, 255, 255, 255],
            &[54, 4, 10, 78, 0, 3],
            &[67, 3, b'a', b'b', 0],
        ];
        let payload = answer([0; 4], b"", &options);
        let answer = DhcpAnswer::new(&payload).unwrap();
        assert_eq!(answer.host_name(), None);
        assert_eq!(answer.prefix(), 8);
        assert_eq!(answer.router(), None);
        assert_eq!(answer.duration(), None);
        assert_eq!(answer.file_server(), Some(Ipv4Addr::new(10, 78, 0, 3)));
        assert_eq!(answer.boot_file(), Some("ab"));
    }

    #[test]
    fn damaged_answers_are_no_harm() {
        assert!(DhcpAnswer::new(&[]).is_none());
        assert!(DhcpAnswer::new(&[0; 239]).is_none());
        let options: [&[u8]; 3] = [&[1, 4, 255, 0, 255, 0], &[3, 2, 10, 78], &[51, 1, 1]];
        let whole = answer([0; 4], b"", &options);
        let last = 240 + options.concat().len();
        for length in 240..=last {
            let answer = DhcpAnswer::new(&whole[..length]).unwrap();
            assert_eq!(answer.prefix(), 8);
            assert_eq!(answer.router(), None);
            assert_eq!(answer.duration(), None);
            assert_eq!(answer.boot_file(), None);
        }
    }
}
