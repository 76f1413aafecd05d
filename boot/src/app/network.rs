//! The way to the sender: a network card, and an address for it.
//!
//! The address that the machine was booted with is used at once. It is not this program's to renew,
//! so a DHCP client of its own takes over when half of its time is gone, unless a transfer is on.

use alloc::format;
use alloc::string::String;
use core::net::Ipv4Addr;

use ironcast_proto::time::{Duration, Instant};
use ironcast_receiver_nostd::link::{AddressConfig, AddressSource, Identity, Link, LinkMemory};
use ironcast_receiver_nostd::settings::Settings;

use super::clock::{self, Clock, Nap};
use super::console::Console;
use super::failure::Failure;
use super::network_boot::Lease;
use super::nic::{Nic, NicInfo};

/// How long one card may wait for a DHCP server before the next card is tried: a switch needs some
/// seconds to bring a port up.
const ONE_CARD: Duration = Duration::from_secs(20);

/// How long all cards together may wait: a switch with spanning tree needs up to 50 s.
const ALL_CARDS: Duration = Duration::from_secs(120);

/// How long to wait until all cards are tried again: a driver that refuses does so at once.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(2);

/// A network card that is open, and where its address comes from.
#[derive(Debug)]
pub(crate) struct Network {
    nic: Nic,
    mac: [u8; 6],
    port: u16,
    address: AddressSource,
    /// When the address has to be renewed, if it was the firmware's.
    renew_at: Option<Instant>,
    /// Where everybody in the network hears.
    broadcast: Option<Ipv4Addr>,
    /// The machine's name; empty if nobody has told it.
    host: String,
}

impl Network {
    /// Opens the first of `cards` that has an address or gets one.
    pub(crate) fn connect(
        cards: &[NicInfo],
        settings: &Settings<'_>,
        lease: Option<&Lease>,
        clock: &Clock,
        console: &mut Console,
    ) -> Result<Self, Failure> {
        let deadline = clock.now() + ALL_CARDS;
        let mut problem = None;
        while !cards.is_empty() && clock.now() < deadline {
            for card in cards {
                console.line(&format!("ironcast: network card {card}"));
                let lease = lease.filter(|_| card.booted_from);
                match Self::try_card(card, settings, lease, clock, console) {
                    Ok(network) => return Ok(network),
                    Err(why) => {
                        console.warn(&format!("ironcast: {why}"));
                        problem = Some(why);
                    }
                }
            }
            Nap::new().wait(BETWEEN_ROUNDS);
        }
        Err(problem.unwrap_or_else(|| {
            let what = "the firmware drives no network card".into();
            Failure::new(what, "enable network boot in the firmware's setup")
        }))
    }

    fn try_card(
        card: &NicInfo,
        settings: &Settings<'_>,
        lease: Option<&Lease>,
        clock: &Clock,
        console: &mut Console,
    ) -> Result<Self, Failure> {
        let nic = Nic::open(card).map_err(|error| {
            let what = format!("network card {card} can't be used: {error}");
            Failure::new(what, "restart this machine, or use another card")
        })?;
        let now = clock.now();
        let kept = lease.filter(|_| settings.ip == AddressSource::Dhcp);
        let mut network = Self {
            nic,
            mac: card.mac,
            port: settings.port_base,
            address: kept.map_or(settings.ip, Lease::source),
            renew_at: kept
                .and_then(|lease| lease.duration)
                .map(|time| now + time / 2),
            broadcast: None,
            host: lease.map(|lease| lease.host.clone()).unwrap_or_default(),
        };
        let Some(address) = network.find_address(clock)? else {
            let what = format!("network card {card} got no address: no DHCP server answered");
            return Err(Failure::new(
                what,
                "check the cable and the server, or set ip=",
            ));
        };
        let origin = match (kept, settings.ip) {
            (Some(_), _) => "as booted with",
            (None, AddressSource::Dhcp) => "by DHCP",
            (None, AddressSource::Static { .. }) => "as set",
        };
        let AddressConfig { ip, prefix, .. } = address;
        console.page().network = format!("{ip}/{prefix}, {origin}; card {card}");
        console.line(&format!("ironcast: address {ip}/{prefix}, {origin}"));
        Ok(network)
    }

    /// A link over the card. With DHCP it has no address at first.
    pub(crate) fn link<'m>(
        &'m mut self,
        memory: &'m mut LinkMemory<'m>,
        now: Instant,
    ) -> Result<Link<'m, &'m mut Nic>, Failure> {
        let identity = Identity {
            mac: self.mac,
            address: self.address,
            port: self.port,
            seed: clock::noise(),
        };
        Link::new(&mut self.nic, identity, memory, now).map_err(|error| {
            let what = format!("the network can't be used: {error}");
            Failure::new(what, "correct ip= or portbase= and restart this machine")
        })
    }

    /// The Ethernet address of the card.
    pub(crate) fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The machine's name, as the DHCP server has it; empty if it has none.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// When the address has to be renewed by [`renew`](Self::renew); `None` if that is taken care
    /// of.
    pub(crate) fn renew_at(&self) -> Option<Instant> {
        self.renew_at
    }

    /// Asks a DHCP server for an address of this program's own, which the link then renews by
    /// itself. If none answers, the firmware's address stays.
    pub(crate) fn renew(&mut self, clock: &Clock, console: &mut Console) -> Result<(), Failure> {
        self.renew_at = None;
        let kept = core::mem::take(&mut self.address);
        if self.find_address(clock)?.is_none() {
            self.address = kept;
            console.warn("ironcast: the address could not be renewed: no DHCP server answered");
        }
        Ok(())
    }

    /// Where everybody in the network hears; `None` if it has no such address.
    pub(crate) fn broadcast(&self) -> Option<Ipv4Addr> {
        self.broadcast
    }

    /// The address, if one is set or a DHCP server answers within [`ONE_CARD`].
    fn find_address(&mut self, clock: &Clock) -> Result<Option<AddressConfig>, Failure> {
        let mut memory = LinkMemory::new();
        let mut link = self.link(&mut memory, clock.now())?;
        let deadline = clock.now() + ONE_CARD;
        while link.address().is_none() && clock.now() < deadline {
            link.poll(clock.now(), &mut |_, _| {});
        }
        let (address, broadcast) = (link.address(), link.broadcast());
        self.broadcast = broadcast.or(self.broadcast);
        Ok(address)
    }
}

/// Joins `group` with the network card and the network.
pub(crate) fn join(link: &mut Link<'_, &mut Nic>, group: Ipv4Addr, console: &mut Console) {
    link.device_mut().join(group);
    if let Err(error) = link.join(group) {
        console.warn(&format!("ironcast: group {group} can't be joined: {error}"));
    }
}
