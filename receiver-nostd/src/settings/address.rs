//! The value of `ip=`: where a machine's address comes from.

use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

use super::number;

/// Where this machine's IPv4 address comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressSource {
    /// From a DHCP server.
    #[default]
    Dhcp,
    /// From the operator.
    Static {
        /// The address.
        ip: Ipv4Addr,
        /// Bits of the network, 1 to 31.
        prefix: u8,
        /// The way to other networks.
        router: Option<Ipv4Addr>,
    },
}

/// The value of `ip=` is none of its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressError;

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither dhcp nor address/prefix[,router]")
    }
}

impl core::error::Error for AddressError {}

impl FromStr for AddressSource {
    type Err = AddressError;

    fn from_str(value: &str) -> Result<Self, AddressError> {
        if value == "dhcp" {
            return Ok(Self::Dhcp);
        }
        parse_static(value).ok_or(AddressError)
    }
}

fn parse_static(value: &str) -> Option<AddressSource> {
    let (own, router) = match value.split_once(',') {
        Some((own, router)) => (own, Some(router.parse::<Ipv4Addr>().ok()?)),
        None => (value, None),
    };
    let (ip, prefix) = own.split_once('/')?;
    let ip: Ipv4Addr = ip.parse().ok()?;
    let prefix: u8 = number(prefix)?;
    let is_host = |ip: Ipv4Addr| !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast());
    let is_use = is_host(ip) && router.is_none_or(is_host) && (1..=31).contains(&prefix);
    is_use.then_some(AddressSource::Static { ip, prefix, router })
}
