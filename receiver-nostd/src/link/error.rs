//! Why a link can't be made, or a group not be joined.

use core::fmt;
use core::net::Ipv4Addr;

use smoltcp::wire::EthernetAddress;

use super::MAX_GROUPS;

/// Why a link can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The device is no Ethernet.
    Medium,
    /// The device's frames are too short for IPv4; the largest has so many bytes.
    Mtu(usize),
    /// The Ethernet address is not one of a single device.
    Mac([u8; 6]),
    /// The static address is not one of a single host, or its prefix is longer than 32 bits.
    Address(Ipv4Addr, u8),
    /// The port is 0, or the DHCP client's.
    Port(u16),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Medium => f.write_str("the network device is no Ethernet"),
            Self::Mtu(mtu) => write!(f, "frames of {mtu} bytes are too short for IPv4"),
            Self::Mac(mac) => {
                let mac = EthernetAddress(*mac);
                write!(f, "{mac} can't be the Ethernet address of a device")
            }
            Self::Address(ip, prefix) => write!(f, "{ip}/{prefix} can't be a host's address"),
            Self::Port(port) => write!(f, "port {port} can't be used for a transfer"),
        }
    }
}

impl core::error::Error for Error {}

/// Why a group can't be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// It is no multicast group.
    NotMulticast(Ipv4Addr),
    /// Too many are joined; leave one.
    TooMany,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMulticast(address) => write!(f, "{address} is no multicast group"),
            Self::TooMany => write!(f, "more than {MAX_GROUPS} multicast groups"),
        }
    }
}

impl core::error::Error for JoinError {}
