//! The network interface that a transfer goes over.
//!
//! One transfer keeps to one interface, as with the stock programs: it is found by its name or by
//! its address, and who names none gets the one that leads to the rest of the world.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;

/// An interface that is up, and one of its IPv4 addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The system's name for it.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its network's broadcast address, if it has one.
    pub broadcast: Option<Ipv4Addr>,
    /// Whether it leads only to this host itself.
    pub loopback: bool,
}

impl Interface {
    /// The interface of that name or address, or the default one: the one with the default route,
    /// else the first that is up, can broadcast, and is not the loopback.
    ///
    /// # Errors
    /// [`InterfaceError`], which lists what there is.
    pub fn find(wanted: Option<&str>) -> Result<Self, InterfaceError> {
        let interfaces = list().map_err(InterfaceError::List)?;
        let route = default_route(&fs::read_to_string("/proc/net/route").unwrap_or_default());
        choose(&interfaces, wanted, route.as_deref())
    }

    /// Whether it says that it can't send and receive at the same time. Most say nothing.
    #[must_use]
    pub fn is_half_duplex(&self) -> bool {
        let path = format!("/sys/class/net/{}/duplex", self.name);
        fs::read_to_string(path).is_ok_and(|duplex| duplex.trim() == "half")
    }

    /// Where strangers are looked for if the operator gives no address: see docs/protocol.md,
    /// "Ports and addresses". An interface that can't broadcast leaves only this host itself.
    #[must_use]
    pub fn default_control_address(&self, ttl: u32) -> Ipv4Addr {
        if ttl == 1 {
            self.broadcast.unwrap_or(self.address)
        } else {
            Ipv4Addr::new(224, 0, 0, 1)
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.address, self.name)
    }
}

/// Why there is no interface to use.
#[derive(Debug)]
pub enum InterfaceError {
    /// The system did not tell its interfaces.
    List(io::Error),
    /// No interface that is up has that name or address.
    Unknown {
        /// The name or address.
        wanted: String,
        /// The interfaces that could be used.
        available: Vec<Interface>,
    },
    /// No interface is up with an IPv4 address, but the loopback.
    None,
}

impl fmt::Display for InterfaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(_) => f.write_str("can't list the network interfaces"),
            Self::Unknown { wanted, available } => {
                write!(
                    f,
                    "no interface with the name or IPv4 address {wanted} is up and has an IPv4 \
                     address; there is "
                )?;
                for (index, interface) in available.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{} ({})", interface.name, interface.address)?;
                }
                if available.is_empty() {
                    f.write_str("none at all")?;
                }
                Ok(())
            }
            Self::None => f.write_str(
                "no network interface is up with an IPv4 address; bring one up, or name one with \
                 --interface",
            ),
        }
    }
}

impl Error for InterfaceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::List(error) => Some(error),
            Self::Unknown { .. } | Self::None => None,
        }
    }
}

fn list() -> io::Result<Vec<Interface>> {
    Ok(getifaddrs()?.filter_map(|entry| usable(&entry)).collect())
}

/// The interface behind one of the system's entries, if it is up and has an IPv4 address.
fn usable(entry: &InterfaceAddress) -> Option<Interface> {
    if !entry.flags.contains(InterfaceFlags::IFF_UP) {
        return None;
    }
    let address = entry.address.as_ref()?.as_sockaddr_in()?.ip();
    let broadcast = entry
        .broadcast
        .as_ref()
        .filter(|_| entry.flags.contains(InterfaceFlags::IFF_BROADCAST))
        .and_then(|broadcast| Some(broadcast.as_sockaddr_in()?.ip()))
        .filter(|&broadcast| broadcast != address && !broadcast.is_unspecified());
    let derived = || {
        let mask = entry.netmask.as_ref()?.as_sockaddr_in()?.ip();
        let can_broadcast = entry.flags.contains(InterfaceFlags::IFF_BROADCAST);
        can_broadcast.then(|| last_of_network(address, mask))?
    };
    Some(Interface {
        name: entry.interface_name.clone(),
        address,
        broadcast: broadcast.or_else(derived),
        loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
    })
}

/// The broadcast address of a network for which none was set, as by `ip address add` without `brd`:
/// the system takes its last address for one all the same. `None` if it has no more than two
/// addresses.
fn last_of_network(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Ipv4Addr> {
    let hosts = !mask.to_bits();
    (hosts > 1).then(|| Ipv4Addr::from_bits(address.to_bits() | hosts))
}

fn choose(
    interfaces: &[Interface],
    wanted: Option<&str>,
    route: Option<&str>,
) -> Result<Interface, InterfaceError> {
    let Some(wanted) = wanted else {
        return interfaces
            .iter()
            .find(|interface| Some(interface.name.as_str()) == route)
            .or_else(|| {
                interfaces
                    .iter()
                    .find(|i| !i.loopback && i.broadcast.is_some())
            })
            .or_else(|| interfaces.iter().find(|i| !i.loopback))
            .cloned()
            .ok_or(InterfaceError::None);
    };
    let address: Option<Ipv4Addr> = wanted.parse().ok();
    interfaces
        .iter()
        .find(|interface| Some(interface.address) == address || interface.name == wanted)
        .cloned()
        .ok_or_else(|| InterfaceError::Unknown {
            wanted: wanted.to_owned(),
            available: interfaces.to_vec(),
        })
}

/// The interface of the default route with the least metric, out of the kernel's table: a line per
/// route, with columns for the interface, the destination (in hexadecimal), and, as the seventh,
/// the metric.
fn default_route(table: &str) -> Option<String> {
    table
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (name, destination, metric) = (columns.first()?, columns.get(1)?, columns.get(6)?);
            let metric: u32 = metric.parse().ok()?;
            let mask = columns.get(7)?;
            (*destination == "00000000" && *mask == "00000000").then_some((metric, *name))
        })
        .min_by_key(|&(metric, _)| metric)
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, last: u8, loopback: bool) -> Interface {
        Interface {
            name: name.to_owned(),
            address: Ipv4Addr::new(10, 0, last, 1),
            broadcast: (!loopback).then_some(Ipv4Addr::new(10, 0, last, 255)),
            loopback,
        }
    }

    fn three() -> [Interface; 3] {
        [
            interface("lo", 0, true),
            interface("eth0", 1, false),
            interface("eth1", 2, false),
        ]
    }

    #[test]
    fn the_default_follows_the_default_route_and_is_never_the_loopback() {
        let name = |route| choose(&three(), None, route).unwrap().name;
        assert_eq!(name(Some("eth1")), "eth1");
        assert_eq!(name(None), "eth0");
        assert_eq!(name(Some("gone0")), "eth0");
        assert!(matches!(
            choose(&three()[..1], None, None),
            Err(InterfaceError::None)
        ));
    }

    #[test]
    fn names_and_addresses_find_it() {
        let find = |wanted| choose(&three(), Some(wanted), None).map(|found| found.name);
        assert_eq!(find("eth1").unwrap(), "eth1");
        assert_eq!(find("10.0.1.1").unwrap(), "eth0");
        assert_eq!(find("lo").unwrap(), "lo");
        assert_eq!(
            find("eth7").unwrap_err().to_string(),
            "no interface with the name or IPv4 address eth7 is up and has an IPv4 address; \
             there is lo (10.0.0.1), eth0 (10.0.1.1), eth1 (10.0.2.1)"
        );
    }

    #[test]
    fn the_route_with_the_least_metric_is_the_default_one() {
        let table = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
        assert_eq!(default_route(table).as_deref(), Some("eth0"));
        assert_eq!(default_route(""), None);
    }

    #[test]
    fn a_network_without_a_broadcast_address_has_its_last_one() {
        let last = |mask: [u8; 4]| last_of_network([10, 0, 1, 1].into(), mask.into());
        assert_eq!(last([255, 255, 255, 0]), Some([10, 0, 1, 255].into()));
        assert_eq!(last([255, 255, 255, 252]), Some([10, 0, 1, 3].into()));
        assert_eq!(last([255, 255, 255, 254]), None);
        assert_eq!(last([255; 4]), None);
    }

    #[test]
    fn the_control_address_is_broadcast_unless_packets_may_leave_the_network() {
        let eth0 = interface("eth0", 1, false);
        assert_eq!(
            eth0.default_control_address(1),
            Ipv4Addr::new(10, 0, 1, 255)
        );
        assert_eq!(eth0.default_control_address(2), Ipv4Addr::new(224, 0, 0, 1));
        let lo = interface("lo", 0, true);
        assert_eq!(lo.default_control_address(1), lo.address);
    }
}
