//! Which frames take the short way, which go through the stack, and which are dropped.
//!
//! A network card in firmware often hands over every frame of the wire, since its filters can't be
//! relied on, and data come at the wire's speed. So every frame is looked at here once, before
//! anything else happens to it. Reading the headers is `smoltcp`'s.

use core::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{
    DHCP_CLIENT_PORT, EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol,
    Ipv4Cidr, Ipv4Packet, UdpPacket,
};

/// All hosts of the wire belong to this group, unasked.
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// What this machine takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter<'a> {
    pub(super) mac: EthernetAddress,
    pub(super) address: Option<Ipv4Cidr>,
    /// Multicast groups that were joined.
    pub(super) groups: &'a [Ipv4Addr],
    /// UDP port of the transfer.
    pub(super) port: u16,
}

/// What is to be done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict<'f> {
    /// A datagram for the transfer.
    Deliver {
        from: SocketAddrV4,
        payload: &'f [u8],
    },
    /// ARP, DHCP, IGMP and the like.
    Stack,
    Drop(Reason),
}

/// Why a frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is for others.
    Foreign,
    /// It is no frame that makes sense, or its checksum is wrong.
    Damaged,
    /// It is a part of a datagram. Senders choose blocks that fit a frame.
    Fragment,
}

impl Filter<'_> {
    pub(super) fn judge<'f>(&self, frame: &'f [u8]) -> Verdict<'f> {
        let Ok(frame) = EthernetFrame::new_checked(frame) else {
            return Verdict::Drop(Reason::Damaged);
        };
        let to = frame.dst_addr();
        if to != self.mac && !to.is_broadcast() && !to.is_multicast() {
            return Verdict::Drop(Reason::Foreign);
        }
        match frame.ethertype() {
            EthernetProtocol::Arp => Verdict::Stack,
            EthernetProtocol::Ipv4 => self.judge_packet(frame.payload()),
            _ => Verdict::Drop(Reason::Foreign),
        }
    }

    fn judge_packet<'f>(&self, packet: &'f [u8]) -> Verdict<'f> {
        let Ok(packet) = Ipv4Packet::new_checked(packet) else {
            return Verdict::Drop(Reason::Damaged);
        };
        let from = packet.src_addr();
        // No answer could go to such a source, and the stack must not try.
        let is_host = !(from.is_unspecified() || from.is_multicast() || from.is_broadcast());
        if packet.version() != 4 || !packet.verify_checksum() || !is_host {
            return Verdict::Drop(Reason::Damaged);
        }
        if packet.more_frags() || packet.frag_offset() != 0 {
            return Verdict::Drop(Reason::Fragment);
        }
        match packet.next_header() {
            IpProtocol::Udp => self.judge_datagram(from, packet.dst_addr(), packet.payload()),
            _ if self.is_for_us(packet.dst_addr()) => Verdict::Stack,
            _ => Verdict::Drop(Reason::Foreign),
        }
    }

    fn judge_datagram<'f>(&self, from: Ipv4Addr, to: Ipv4Addr, datagram: &'f [u8]) -> Verdict<'f> {
        let Ok(datagram) = UdpPacket::new_checked(datagram) else {
            return Verdict::Drop(Reason::Damaged);
        };
        if datagram.dst_port() == self.port && self.is_for_us(to) {
            // A sender that left the checksum out is trusted, as IPv4 has it.
            if !datagram.verify_checksum(&IpAddress::Ipv4(from), &IpAddress::Ipv4(to)) {
                return Verdict::Drop(Reason::Damaged);
            }
            return Verdict::Deliver {
                from: SocketAddrV4::new(from, datagram.src_port()),
                payload: datagram.payload(),
            };
        }
        // It may come to an address that this machine is about to get.
        if datagram.dst_port() == DHCP_CLIENT_PORT {
            return Verdict::Stack;
        }
        Verdict::Drop(Reason::Foreign)
    }

    fn is_for_us(&self, to: Ipv4Addr) -> bool {
        if to.is_multicast() {
            return to == ALL_SYSTEMS || self.groups.contains(&to);
        }
        let is_own = |own: Ipv4Cidr| own.address() == to || own.broadcast() == Some(to);
        to.is_broadcast() || self.address.is_some_and(is_own)
    }
}
