//! A network device in memory, and the frames of its neighbours.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress,
    EthernetFrame, EthernetProtocol, IgmpPacket, IgmpRepr, IpAddress, IpProtocol, Ipv4Packet,
    Ipv4Repr, UdpPacket, UdpRepr,
};

pub const OWN_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 7]);
pub const OWN_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
pub const PEER_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
pub const PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

const ETHERNET_LEN: usize = 14;

#[derive(Debug, Default)]
struct Queues {
    received: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
    mtu: Option<usize>,
    /// Frames that can still be sent, if there is a bound.
    room: Option<usize>,
}

/// A handle to the device: the test keeps one, the link has another.
#[derive(Clone, Debug, Default)]
pub struct TestDevice(Rc<RefCell<Queues>>);

impl TestDevice {
    pub fn with_mtu(mtu: usize) -> Self {
        let device = Self::default();
        device.0.borrow_mut().mtu = Some(mtu);
        device
    }

    /// A frame comes in.
    pub fn bring(&self, frame: Vec<u8>) {
        self.0.borrow_mut().received.push_back(frame);
    }

    pub fn waiting(&self) -> usize {
        self.0.borrow().received.len()
    }

    /// The next frame that went out.
    pub fn sent(&self) -> Option<Vec<u8>> {
        self.0.borrow_mut().sent.pop_front()
    }

    pub fn limit(&self, room: Option<usize>) {
        self.0.borrow_mut().room = room;
    }
}

pub struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub struct ToSend(TestDevice);

impl TxToken for ToSend {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        let mut queues = self.0.0.borrow_mut();
        queues.room = queues.room.map(|room| room.saturating_sub(1));
        queues.sent.push_back(frame);
        result
    }
}

impl Device for TestDevice {
    type RxToken<'a> = Received;
    type TxToken<'a> = ToSend;

    fn receive(&mut self, _: Instant) -> Option<(Received, ToSend)> {
        let frame = self.0.borrow_mut().received.pop_front()?;
        Some((Received(frame), ToSend(self.clone())))
    }

    fn transmit(&mut self, _: Instant) -> Option<ToSend> {
        (self.0.borrow().room != Some(0)).then(|| ToSend(self.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let queues = self.0.borrow();
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = queues.mtu.unwrap_or(1514);
        capabilities
    }
}

/// A datagram on its way: who sends it to whom.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub to_mac: EthernetAddress,
}

/// From the sender to the port base of an address, in a frame as it goes there.
pub fn to(ip: Ipv4Addr) -> Route {
    let [_, b, c, d] = ip.octets();
    let to_mac = match ip {
        ip if ip.is_multicast() => EthernetAddress([1, 0, 0x5e, b & 0x7f, c, d]),
        ip if ip == OWN_IP => OWN_MAC,
        _ => EthernetAddress::BROADCAST,
    };
    Route {
        from: SocketAddrV4::new(PEER_IP, 9001),
        to: SocketAddrV4::new(ip, 9000),
        to_mac,
    }
}

fn ethernet(to: EthernetAddress, protocol: EthernetProtocol, payload_len: usize) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET_LEN + payload_len];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_src_addr(PEER_MAC);
    frame.set_dst_addr(to);
    frame.set_ethertype(protocol);
    bytes
}

fn ipv4(
    from: Ipv4Addr,
    to: Ipv4Addr,
    to_mac: EthernetAddress,
    protocol: IpProtocol,
    len: usize,
) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: protocol,
        payload_len: len,
        hop_limit: 1,
    };
    let mut bytes = ethernet(to_mac, EthernetProtocol::Ipv4, repr.buffer_len() + len);
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[ETHERNET_LEN..]);
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    bytes
}

/// Where UDP begins in a frame.
pub const UDP: usize = ETHERNET_LEN + 20;

pub fn datagram(route: Route, payload: &[u8]) -> Vec<u8> {
    let (from, to) = (*route.from.ip(), *route.to.ip());
    let mut bytes = ipv4(from, to, route.to_mac, IpProtocol::Udp, 8 + payload.len());
    let repr = UdpRepr {
        src_port: route.from.port(),
        dst_port: route.to.port(),
    };
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[UDP..]),
        &IpAddress::Ipv4(from),
        &IpAddress::Ipv4(to),
        payload.len(),
        |place| place.copy_from_slice(payload),
        &ChecksumCapabilities::default(),
    );
    bytes
}

/// Changes the IPv4 header of a frame, and makes its checksum right again.
pub fn with_header(mut frame: Vec<u8>, change: impl FnOnce(&mut Ipv4Packet<&mut [u8]>)) -> Vec<u8> {
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[ETHERNET_LEN..]);
    change(&mut packet);
    packet.fill_checksum();
    frame
}

/// Makes the IPv4 checksum right, if there is a header to speak of, and does without UDP's, so that
/// the bytes behind them are looked at.
pub fn with_right_sums(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() >= UDP + 8 && frame[ETHERNET_LEN] == 0x45 {
        frame[UDP + 6..UDP + 8].fill(0);
        return with_header(frame, |_| ());
    }
    frame
}

pub fn arp(operation: ArpOperation, ip: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: PEER_MAC,
        source_protocol_addr: ip,
        target_hardware_addr: OWN_MAC,
        target_protocol_addr: target,
    };
    let mut bytes = ethernet(OWN_MAC, EthernetProtocol::Arp, repr.buffer_len());
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[ETHERNET_LEN..]));
    bytes
}

/// What an ARP frame asks or says: operation, source, target.
pub fn read_arp(frame: &[u8]) -> Option<(ArpOperation, Ipv4Addr, Ipv4Addr)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = ArpPacket::new_checked(frame.payload()).ok()?;
    match (frame.ethertype(), ArpRepr::parse(&packet).ok()?) {
        (
            EthernetProtocol::Arp,
            ArpRepr::EthernetIpv4 {
                operation,
                source_protocol_addr,
                target_protocol_addr,
                ..
            },
        ) => Some((operation, source_protocol_addr, target_protocol_addr)),
        _ => None,
    }
}

/// A general query of IGMP version 2, to be answered within a second.
pub fn igmp_query() -> Vec<u8> {
    let all = Ipv4Addr::new(224, 0, 0, 1);
    let mut bytes = ipv4(PEER_IP, all, to(all).to_mac, IpProtocol::Igmp, 8);
    // Type, time in tenths of a second, checksum, no group.
    bytes[UDP..UDP + 4].copy_from_slice(&[0x11, 10, 0xee, 0xf5]);
    bytes
}

pub fn read_igmp(frame: &[u8]) -> Option<IgmpRepr> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Igmp {
        return None;
    }
    IgmpRepr::parse(&IgmpPacket::new_checked(packet.payload()).ok()?).ok()
}

/// A datagram in a frame that was sent: its route and payload.
pub fn read_datagram(frame: &[u8]) -> Option<(Route, Vec<u8>)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let udp = UdpPacket::new_checked(packet.payload()).ok()?;
    let is_right = packet.verify_checksum()
        && packet.next_header() == IpProtocol::Udp
        && udp.verify_checksum(&IpAddress::Ipv4(from), &IpAddress::Ipv4(to));
    let route = Route {
        from: SocketAddrV4::new(from, udp.src_port()),
        to: SocketAddrV4::new(to, udp.dst_port()),
        to_mac: frame.dst_addr(),
    };
    is_right.then(|| (route, udp.payload().to_vec()))
}

/// The message of a DHCP client in a frame, if it is one.
pub fn read_dhcp(frame: &[u8]) -> Option<(DhcpMessageType, u32)> {
    let (route, payload) = read_datagram(frame)?;
    let packet = DhcpPacket::new_checked(&payload[..]).ok()?;
    let repr = DhcpRepr::parse(&packet).ok()?;
    (route.to.port() == 67).then_some((repr.message_type, repr.transaction_id))
}

/// A DHCP server's answer: 10.0.0.7/24 by 10.0.0.1, boot from 10.0.0.9, for an hour.
pub fn dhcp_answer(message_type: DhcpMessageType, transaction_id: u32) -> Vec<u8> {
    let repr = DhcpRepr {
        message_type,
        transaction_id,
        secs: 0,
        client_hardware_address: OWN_MAC,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: OWN_IP,
        server_ip: Ipv4Addr::new(10, 0, 0, 9),
        router: Some(Ipv4Addr::new(10, 0, 0, 254)),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(PEER_IP),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        renew_duration: None,
        rebind_duration: None,
        lease_duration: Some(3600),
        additional_options: &[],
    };
    let mut payload = vec![0; repr.buffer_len()];
    let emitted = repr.emit(&mut DhcpPacket::new_unchecked(&mut payload[..]));
    assert_eq!(emitted, Ok(()));
    let route = Route {
        from: SocketAddrV4::new(PEER_IP, 67),
        to: SocketAddrV4::new(OWN_IP, 68),
        to_mac: OWN_MAC,
    };
    datagram(route, &payload)
}
