//! From a network device's frames to datagrams: addresses, groups, and the short way for data.
//!
//! ARP, DHCP and IGMP are `smoltcp`'s. Datagrams for the transfer don't go through its sockets,
//! whose buffers overflow when a poll takes long: they are handed to the caller in the very memory
//! that the device received them in. What is sent goes through a socket, since it may have to wait
//! for ARP.

mod error;
mod filter;
mod frame;

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

use heapless::Vec;
use ironcast_proto::receiver::Transmit;
use ironcast_proto::time::{Duration, Instant};
use ironcast_proto::wire;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken};
use smoltcp::socket::{dhcpv4, udp};
use smoltcp::time::Duration as StackDuration;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{DhcpPacket, EthernetAddress, IpCidr, Ipv4Cidr};

pub use crate::settings::AddressSource;
pub use error::{Error, JoinError};
use filter::{Filter, Reason, Verdict};
use frame::OneFrame;

/// Most frames that one [`Link::poll`] takes. Chosen: data at 1 Gbit/s fill 32 in 0.4 ms.
const BATCH: usize = 32;

/// Most groups that can be joined at once: the rendez-vous group, that for data, and one that a
/// restarted sender changed it to. As many as `smoltcp` keeps.
const MAX_GROUPS: usize = 4;

/// How many messages can wait for ARP. A receiver has one or two to say at a time.
const SEND_QUEUE: usize = 8;

/// How long messages wait for an address to be resolved. Chosen: three requests of ARP. Every
/// message is said again if it is still of use, and one to a stranger who does not exist must not
/// hold up the others behind it.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);

/// Times of the DHCP client. Chosen shorter than `smoltcp`'s 10 s and 5 s: a frame that a switch
/// swallows while its port comes up should not cost that much.
const DISCOVER_TIMEOUT: StackDuration = StackDuration::from_millis(3000);
const REQUEST_TIMEOUT: StackDuration = StackDuration::from_millis(2000);

/// Least MTU of a device in bytes, Ethernet header included: what IPv4 asks of every host.
const MIN_MTU: usize = 576 + 14;

/// A link's memory, some 4 KiB. It lives as long as the link does.
#[derive(Debug)]
pub struct LinkMemory<'m> {
    sockets: [SocketStorage<'m>; 2],
    send_metadata: [udp::PacketMetadata; SEND_QUEUE],
    send_payload: [u8; SEND_QUEUE * wire::MAX_CONTROL_LEN],
    /// The last message of the DHCP server.
    dhcp: [u8; 1500],
}

impl LinkMemory<'_> {
    /// Memory that no link has used.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sockets: [const { SocketStorage::EMPTY }; 2],
            send_metadata: [const { udp::PacketMetadata::EMPTY }; SEND_QUEUE],
            send_payload: [0; SEND_QUEUE * wire::MAX_CONTROL_LEN],
            dhcp: [0; 1500],
        }
    }
}

impl Default for LinkMemory<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Who the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The device's own Ethernet address.
    pub mac: [u8; 6],
    /// Where the IPv4 address comes from.
    pub address: AddressSource,
    /// The UDP port that datagrams are delivered from, and sent from.
    pub port: u16,
    /// Any number that differs from machine to machine and start to start, as the clock's.
    pub seed: u32,
}

/// The addresses that the link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressConfig {
    /// This machine's address.
    pub ip: Ipv4Addr,
    /// Bits of the network, 0 to 32.
    pub prefix: u8,
    /// The way to other networks.
    pub router: Option<Ipv4Addr>,
    /// The server to boot from that DHCP named, else the DHCP server itself; `None` without DHCP.
    pub server: Option<Ipv4Addr>,
}

/// What a link has counted. Counts wrap only after centuries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that the device received.
    pub frames: u64,
    /// Datagrams that were delivered.
    pub delivered: u64,
    /// Frames for others.
    pub foreign: u64,
    /// Frames that made no sense, or had a wrong checksum.
    pub damaged: u64,
    /// Frames with a part of a datagram only. Blocks that don't fit a frame come to this.
    pub fragments: u64,
    /// Messages that were given up since nobody answered for their address.
    pub unsent: u64,
}

/// A network device as far as a transfer is concerned: one UDP port.
///
/// Everything happens in [`poll`](Self::poll), which wants to be called all the time while data
/// flow, and else at [`poll_timeout`](Self::poll_timeout) or when a frame has arrived, and every
/// 50 ms anyway: nobody else answers ARP and IGMP.
pub struct Link<'m, D: Device> {
    device: D,
    capabilities: DeviceCapabilities,
    interface: Interface,
    sockets: SocketSet<'m>,
    udp: SocketHandle,
    dhcp: Option<SocketHandle>,
    mac: EthernetAddress,
    port: u16,
    address: Option<AddressConfig>,
    groups: Vec<Ipv4Addr, MAX_GROUPS>,
    /// Since when there is something to be sent.
    sending_since: Option<Instant>,
    stats: Stats,
}

impl<'m, D: Device> Link<'m, D> {
    /// Takes the device. With DHCP the search for a server begins with the first poll.
    ///
    /// # Errors
    /// If the device or what `identity` says can't be used.
    pub fn new(
        mut device: D,
        identity: Identity,
        memory: &'m mut LinkMemory<'m>,
        now: Instant,
    ) -> Result<Self, Error> {
        let capabilities = device.capabilities();
        check(&capabilities, &identity)?;
        let mac = EthernetAddress(identity.mac);
        let mut config = Config::new(mac.into());
        config.random_seed = identity.seed.into();
        let interface = Interface::new(config, &mut device, stack_time(now));

        let LinkMemory {
            sockets,
            send_metadata,
            send_payload,
            dhcp,
        } = memory;
        let mut sockets = SocketSet::new(&mut sockets[..]);
        // Datagrams that arrive are taken out before they get to the socket.
        let none = udp::PacketBuffer::new(&mut [][..], &mut [][..]);
        let queue = udp::PacketBuffer::new(&mut send_metadata[..], &mut send_payload[..]);
        let udp = sockets.add(udp::Socket::new(none, queue));
        let mut link = Self {
            device,
            capabilities,
            interface,
            sockets,
            udp,
            dhcp: None,
            mac,
            port: identity.port,
            address: None,
            groups: Vec::new(),
            sending_since: None,
            stats: Stats::default(),
        };
        link.bind();
        match identity.address {
            AddressSource::Dhcp => {
                link.dhcp = Some(link.sockets.add(dhcp_client(dhcp)));
            }
            AddressSource::Static { ip, prefix, router } => link.set_address(AddressConfig {
                ip,
                prefix,
                router,
                server: None,
            }),
        }
        Ok(link)
    }

    /// Takes what has arrived, 32 frames at most, hands each datagram for the port to `deliver`
    /// with its sender's address, and sends what is due. True if there was any frame.
    pub fn poll(&mut self, now: Instant, deliver: &mut dyn FnMut(SocketAddrV4, &[u8])) -> bool {
        let mut seen = 0;
        while seen < BATCH && self.receive(stack_time(now), deliver) {
            seen += 1;
        }
        self.stats.frames += seen as u64;
        self.lease();
        self.interface
            .poll_egress(stack_time(now), &mut self.device, &mut self.sockets);
        self.give_up_unsent(now);
        seen > 0
    }

    /// The addresses, once there are any.
    #[must_use]
    pub fn address(&self) -> Option<AddressConfig> {
        self.address
    }

    /// The network's broadcast address; `None` without an address, or in a network without one.
    #[must_use]
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        self.network()?.broadcast()
    }

    /// Joins a multicast group, now or as soon as there is an address. Joining again is harmless.
    ///
    /// # Errors
    /// If it is no group, or there are too many.
    pub fn join(&mut self, group: Ipv4Addr) -> Result<(), JoinError> {
        if !group.is_multicast() {
            return Err(JoinError::NotMulticast(group));
        }
        if !self.groups.contains(&group) {
            self.groups.push(group).map_err(|_| JoinError::TooMany)?;
        }
        // Without an address the stack would take it for joined and tell nobody.
        if self.address.is_some() {
            self.interface
                .join_multicast_group(group)
                .map_err(|_| JoinError::TooMany)?;
        }
        Ok(())
    }

    /// Leaves a multicast group. Leaving one that was not joined is harmless.
    pub fn leave(&mut self, group: Ipv4Addr) {
        self.groups.retain(|&joined| joined != group);
        let _ = self.interface.leave_multicast_group(group);
    }

    /// Puts a datagram in line that the next [`poll`](Self::poll) sends. False if there is no
    /// address yet, or no room: try again later.
    #[must_use]
    pub fn send(&mut self, transmit: &Transmit, payload: &[u8]) -> bool {
        let payload = payload.get(..transmit.len).unwrap_or(payload);
        self.address.is_some()
            && self
                .sockets
                .get_mut::<udp::Socket<'_>>(self.udp)
                .send_slice(payload, transmit.destination)
                .is_ok()
    }

    /// Whether everything that was put in line has been sent.
    #[must_use]
    pub fn is_all_sent(&self) -> bool {
        self.sockets.get::<udp::Socket<'_>>(self.udp).send_queue() == 0
    }

    /// When [`poll`](Self::poll) has something to do next without a frame; `None` if nothing.
    #[must_use]
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let due = self.interface.poll_at(stack_time(now), &self.sockets)?;
        let micros = u64::try_from(due.total_micros()).unwrap_or(0);
        Some(Instant::from_micros(micros))
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The device.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    fn receive(&mut self, now: StackInstant, deliver: &mut dyn FnMut(SocketAddrV4, &[u8])) -> bool {
        let filter = Filter {
            mac: self.mac,
            address: network(self.address),
            groups: &self.groups,
            port: self.port,
        };
        let Some((frame, answer)) = self.device.receive(now) else {
            return false;
        };
        frame.consume(|frame| match filter.judge(frame) {
            Verdict::Deliver { from, payload } => {
                self.stats.delivered += 1;
                deliver(from, payload);
            }
            Verdict::Stack => {
                let mut device = OneFrame::new(frame, answer, self.capabilities.clone());
                self.interface
                    .poll_ingress_single(now, &mut device, &mut self.sockets);
            }
            Verdict::Drop(Reason::Foreign) => self.stats.foreign += 1,
            Verdict::Drop(Reason::Damaged) => self.stats.damaged += 1,
            Verdict::Drop(Reason::Fragment) => self.stats.fragments += 1,
        });
        true
    }

    /// Takes over what the DHCP client has found out.
    fn lease(&mut self) {
        let Some(handle) = self.dhcp else {
            return;
        };
        match self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            None => {}
            Some(dhcpv4::Event::Deconfigured) => self.lose_address(),
            Some(dhcpv4::Event::Configured(config)) => {
                let address = AddressConfig {
                    ip: config.address.address(),
                    prefix: config.address.prefix_len(),
                    router: config.router.filter(|&router| is_host(router)),
                    server: config
                        .packet
                        .as_ref()
                        .map(DhcpPacket::server_ip)
                        .filter(|&server| is_host(server))
                        .or(Some(config.server.identifier)),
                };
                if self.address != Some(address) {
                    self.lose_address();
                    self.set_address(address);
                }
            }
        }
    }

    fn set_address(&mut self, address: AddressConfig) {
        self.address = Some(address);
        let Some(own) = self.network() else {
            return;
        };
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            let _ = addresses.push(IpCidr::Ipv4(own));
        });
        if let Some(router) = address.router {
            let _ = self.interface.routes_mut().add_default_ipv4_route(router);
        }
        for &group in &self.groups {
            let _ = self.interface.join_multicast_group(group);
        }
    }

    fn lose_address(&mut self) {
        self.address = None;
        for &group in &self.groups {
            let _ = self.interface.leave_multicast_group(group);
        }
        self.interface.routes_mut().remove_default_ipv4_route();
        self.interface.update_ip_addrs(Vec::clear);
    }

    fn network(&self) -> Option<Ipv4Cidr> {
        network(self.address)
    }

    fn bind(&mut self) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        // The port is not 0, and the socket not bound, so this can't fail.
        let _ = socket.bind(self.port);
    }

    /// Empties the line if its first message waits too long.
    fn give_up_unsent(&mut self, now: Instant) {
        if self.is_all_sent() {
            self.sending_since = None;
            return;
        }
        let since = *self.sending_since.get_or_insert(now);
        if since + SEND_TIMEOUT <= now {
            let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
            socket.close();
            self.bind();
            self.sending_since = None;
            self.stats.unsent += 1;
        }
    }
}

impl<D: Device> fmt::Debug for Link<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("mac", &self.mac)
            .field("address", &self.address)
            .field("groups", &self.groups)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

fn dhcp_client(buffer: &mut [u8]) -> dhcpv4::Socket<'_> {
    let mut retry = dhcpv4::RetryConfig::default();
    retry.discover_timeout = DISCOVER_TIMEOUT;
    retry.initial_request_timeout = REQUEST_TIMEOUT;
    let mut client = dhcpv4::Socket::new();
    client.set_retry_config(retry);
    client.set_receive_packet_buffer(buffer);
    client
}

fn network(address: Option<AddressConfig>) -> Option<Ipv4Cidr> {
    address.map(|address| Ipv4Cidr::new(address.ip, address.prefix.min(32)))
}

fn check(capabilities: &DeviceCapabilities, identity: &Identity) -> Result<(), Error> {
    if capabilities.medium != Medium::Ethernet {
        return Err(Error::Medium);
    }
    if capabilities.max_transmission_unit < MIN_MTU {
        return Err(Error::Mtu(capabilities.max_transmission_unit));
    }
    if !EthernetAddress(identity.mac).is_unicast() {
        return Err(Error::Mac(identity.mac));
    }
    if matches!(identity.port, 0 | smoltcp::wire::DHCP_CLIENT_PORT) {
        return Err(Error::Port(identity.port));
    }
    match identity.address {
        AddressSource::Static { ip, prefix, .. } if !is_host(ip) || prefix > 32 => {
            Err(Error::Address(ip, prefix))
        }
        _ => Ok(()),
    }
}

fn is_host(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_broadcast())
}

fn stack_time(now: Instant) -> StackInstant {
    StackInstant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
