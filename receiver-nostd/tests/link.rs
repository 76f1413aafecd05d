//! The link over a device in memory: what it takes, what it drops, and what it says.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;
mod wire;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ironcast_proto::receiver::Transmit;
use ironcast_proto::time::Instant;
use ironcast_receiver_nostd::link::{
    AddressConfig, AddressSource, Error, Identity, JoinError, Link, LinkMemory, Stats,
};
use lab::Random;
use smoltcp::wire::{ArpOperation, DhcpMessageType, EthernetAddress, IgmpRepr};
use wire::{OWN_IP, OWN_MAC, PEER_IP, PEER_MAC, Route, TestDevice, UDP, to};

const GROUP: Ipv4Addr = Ipv4Addr::new(233, 255, 0, 1);
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(233, 255, 0, 2);

fn identity(address: AddressSource) -> Identity {
    Identity {
        mac: OWN_MAC.0,
        address,
        port: 9000,
        seed: 1,
    }
}

fn fixed() -> AddressSource {
    AddressSource::Static {
        ip: OWN_IP,
        prefix: 24,
        router: Some(Ipv4Addr::new(10, 0, 0, 254)),
    }
}

/// A link, its device, and its clock.
struct Bench {
    link: Link<'static, TestDevice>,
    device: TestDevice,
    now: Instant,
}

impl Bench {
    fn new(address: AddressSource) -> Self {
        let device = TestDevice::default();
        let memory = Box::leak(Box::new(LinkMemory::new()));
        let link = Link::new(device.clone(), identity(address), memory, Instant::ZERO);
        Self {
            link: link.expect("the identity is right"),
            device,
            now: Instant::ZERO,
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Polls, and gives what was delivered.
    fn poll(&mut self) -> Vec<(SocketAddrV4, Vec<u8>)> {
        let mut delivered = Vec::new();
        self.link.poll(self.now, &mut |from, payload: &[u8]| {
            delivered.push((from, payload.to_vec()));
        });
        delivered
    }

    fn bring(&mut self, frame: Vec<u8>) -> Vec<(SocketAddrV4, Vec<u8>)> {
        self.device.bring(frame);
        self.poll()
    }

    fn send(&mut self, ip: Ipv4Addr, payload: &[u8]) -> bool {
        let transmit = Transmit {
            destination: SocketAddrV4::new(ip, 9001),
            len: payload.len(),
        };
        self.link.send(&transmit, payload)
    }

    /// Everything that was sent since this was asked last.
    fn sent(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.device.sent()).collect()
    }

    fn sent_dhcp(&self) -> Option<(DhcpMessageType, u32)> {
        self.sent().iter().find_map(|frame| wire::read_dhcp(frame))
    }

    fn lease(&mut self) {
        self.poll();
        let (message, id) = self.sent_dhcp().expect("a search");
        assert_eq!(message, DhcpMessageType::Discover);
        self.bring(wire::dhcp_answer(DhcpMessageType::Offer, id));
        let (message, id) = self.sent_dhcp().expect("a request");
        assert_eq!(message, DhcpMessageType::Request);
        assert_eq!(self.link.address(), None);
        self.bring(wire::dhcp_answer(DhcpMessageType::Ack, id));
    }
}

fn leased() -> AddressConfig {
    AddressConfig {
        ip: OWN_IP,
        prefix: 24,
        router: Some(Ipv4Addr::new(10, 0, 0, 254)),
        server: Some(Ipv4Addr::new(10, 0, 0, 9)),
    }
}

#[test]
fn dhcp_gives_an_address_and_the_server_to_boot_from() {
    let mut bench = Bench::new(AddressSource::Dhcp);
    assert_eq!(bench.link.address(), None);
    assert_eq!(bench.link.broadcast(), None);
    bench.lease();
    assert_eq!(bench.link.address(), Some(leased()));
    assert_eq!(bench.link.broadcast(), Some(Ipv4Addr::new(10, 0, 0, 255)));
    assert_eq!(bench.bring(wire::datagram(to(OWN_IP), b"data")).len(), 1);
}

#[test]
fn dhcp_asks_again_when_nobody_answers() {
    let mut bench = Bench::new(AddressSource::Dhcp);
    bench.poll();
    assert!(bench.sent_dhcp().is_some());
    bench.wait(Duration::from_millis(2900));
    bench.poll();
    assert_eq!(bench.sent_dhcp(), None);
    let due = bench
        .link
        .poll_timeout(bench.now)
        .expect("a time to ask again");
    assert_eq!(due, Instant::from_micros(3_000_000));
    bench.now = due;
    bench.lease();
    assert_eq!(bench.link.address(), Some(leased()));
}

#[test]
fn dhcp_takes_an_address_back() {
    let mut bench = Bench::new(AddressSource::Dhcp);
    bench.lease();
    bench.link.join(GROUP).unwrap();
    bench.wait(Duration::from_secs(3601));
    bench.poll();
    bench.poll();
    assert_eq!(bench.link.address(), None);
    assert!(!bench.send(PEER_IP, b"ok"));
    assert!(bench.bring(wire::datagram(to(OWN_IP), b"data")).is_empty());
    bench.sent();
    bench.wait(Duration::from_secs(4));
    bench.lease();
    assert_eq!(bench.link.address(), Some(leased()));
    bench.poll();
    let reports = bench.sent();
    assert!(
        reports.iter().any(|frame| wire::read_igmp(frame).is_some()),
        "joined again"
    );
}

#[test]
fn datagrams_for_this_machine_are_delivered() {
    let mut bench = Bench::new(fixed());
    bench.link.join(GROUP).unwrap();
    for ip in [
        OWN_IP,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(10, 0, 0, 255),
        GROUP,
        Ipv4Addr::new(224, 0, 0, 1),
    ] {
        let delivered = bench.bring(wire::datagram(to(ip), b"block"));
        let from = SocketAddrV4::new(PEER_IP, 9001);
        assert_eq!(delivered, [(from, b"block".to_vec())], "{ip}");
    }
    let mut unchecked = wire::datagram(to(OWN_IP), b"block");
    unchecked[UDP + 6..UDP + 8].fill(0);
    assert_eq!(bench.bring(unchecked).len(), 1, "without a checksum");
    let mut padded = wire::datagram(to(OWN_IP), b"ok");
    padded.resize(60, 0xaa);
    assert_eq!(bench.bring(padded)[0].1, b"ok", "padded to the least frame");
    let long = vec![7; 1472];
    assert_eq!(bench.bring(wire::datagram(to(OWN_IP), &long))[0].1, long);
    assert_eq!(bench.link.stats().delivered, 8);
    assert_eq!(bench.link.stats().frames, 8);
    assert!(
        bench
            .sent()
            .iter()
            .all(|frame| wire::read_igmp(frame).is_some()),
        "nobody is answered but the router of multicast"
    );
}

fn good() -> Vec<u8> {
    wire::datagram(to(OWN_IP), b"block")
}

fn changed(at: usize, bits: u8) -> Vec<u8> {
    let mut frame = good();
    frame[at] ^= bits;
    frame
}

/// Brings frames of which none may be delivered or answered, and gives the link's counts.
fn dropped(frames: &[Vec<u8>]) -> Stats {
    let mut bench = Bench::new(fixed());
    bench.link.join(GROUP).expect("there is room for a group");
    bench.poll();
    bench.sent();
    for frame in frames {
        assert!(bench.bring(frame.clone()).is_empty(), "{frame:02x?}");
        assert!(bench.sent().is_empty(), "{frame:02x?}");
    }
    let stats = *bench.link.stats();
    assert_eq!(bench.bring(good()).len(), 1, "and it goes on");
    stats
}

#[test]
fn p6_what_is_damaged_is_dropped() {
    let from = |ip| Route {
        from: SocketAddrV4::new(ip, 9001),
        ..to(OWN_IP)
    };
    let frames = [
        changed(UDP + 6, 1),
        changed(UDP + 8, 0x80),
        changed(24, 1),
        changed(14, 0x20),
        good()[..40].to_vec(),
        good()[..13].to_vec(),
        wire::datagram(from(Ipv4Addr::UNSPECIFIED), b"block"),
        wire::datagram(from(Ipv4Addr::BROADCAST), b"block"),
        wire::datagram(from(GROUP), b"block"),
    ];
    assert_eq!(dropped(&frames).damaged, frames.len() as u64);
}

#[test]
fn what_is_for_others_is_dropped() {
    let to_port = |port| {
        let mut route = to(OWN_IP);
        route.to.set_port(port);
        route
    };
    let to_mac = |mac| Route {
        to_mac: EthernetAddress(mac),
        ..to(OWN_IP)
    };
    let frames = [
        wire::datagram(to_port(9001), b"block"),
        wire::datagram(to_port(53), b"block"),
        wire::datagram(to(OTHER_GROUP), b"block"),
        wire::datagram(to(Ipv4Addr::new(10, 0, 0, 8)), b"block"),
        wire::datagram(to(Ipv4Addr::new(10, 0, 1, 255)), b"block"),
        wire::datagram(to_mac([2, 0, 0, 0, 0, 8]), b"block"),
        changed(12, 0x80),
    ];
    assert_eq!(dropped(&frames).foreign, frames.len() as u64);
}

#[test]
fn fragments_are_dropped_and_counted() {
    let frames = [
        wire::with_header(good(), |packet| packet.set_more_frags(true)),
        wire::with_header(good(), |packet| packet.set_frag_offset(1480)),
    ];
    assert_eq!(dropped(&frames).fragments, frames.len() as u64);
}

#[test]
fn joining_is_reported_and_so_is_leaving() {
    let mut bench = Bench::new(fixed());
    bench.link.join(GROUP).unwrap();
    bench.link.join(GROUP).unwrap();
    bench.poll();
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    let report = wire::read_igmp(&sent[0]).expect("a report");
    assert!(matches!(report, IgmpRepr::MembershipReport { group_addr, .. } if group_addr == GROUP));

    bench.bring(wire::igmp_query());
    bench.wait(Duration::from_secs(1));
    bench.poll();
    let report = bench.sent().iter().find_map(|frame| wire::read_igmp(frame));
    assert!(
        matches!(report, Some(IgmpRepr::MembershipReport { .. })),
        "{report:?}"
    );

    bench.link.leave(GROUP);
    bench.poll();
    let left = bench.sent().iter().find_map(|frame| wire::read_igmp(frame));
    assert!(matches!(left, Some(IgmpRepr::LeaveGroup { group_addr }) if group_addr == GROUP));
    assert!(bench.bring(wire::datagram(to(GROUP), b"block")).is_empty());
}

#[test]
fn joining_before_there_is_an_address_is_reported_later() {
    let mut bench = Bench::new(AddressSource::Dhcp);
    bench.link.join(GROUP).unwrap();
    bench.lease();
    bench.poll();
    let report = bench.sent().iter().find_map(|frame| wire::read_igmp(frame));
    assert!(matches!(report, Some(IgmpRepr::MembershipReport { .. })));
    assert_eq!(bench.bring(wire::datagram(to(GROUP), b"block")).len(), 1);
}

#[test]
fn groups_have_bounds() {
    let mut bench = Bench::new(fixed());
    assert_eq!(
        bench.link.join(PEER_IP),
        Err(JoinError::NotMulticast(PEER_IP))
    );
    let group = |last| Ipv4Addr::new(239, 0, 0, last);
    for last in 0..4 {
        assert_eq!(bench.link.join(group(last)), Ok(()));
    }
    assert_eq!(bench.link.join(group(4)), Err(JoinError::TooMany));
    bench.poll();
    bench.link.leave(group(0));
    bench.poll();
    assert_eq!(bench.link.join(group(4)), Ok(()));
}

#[test]
fn arp_is_answered() {
    let mut bench = Bench::new(fixed());
    bench.bring(wire::arp(ArpOperation::Request, PEER_IP, OWN_IP));
    let sent = bench.sent();
    let answer = wire::read_arp(&sent[0]);
    assert_eq!(answer, Some((ArpOperation::Reply, OWN_IP, PEER_IP)));
    bench.bring(wire::arp(
        ArpOperation::Request,
        PEER_IP,
        Ipv4Addr::new(10, 0, 0, 8),
    ));
    assert!(bench.sent().is_empty());
}

#[test]
fn what_is_sent_to_all_goes_out_at_once() {
    let mut bench = Bench::new(fixed());
    for ip in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 255), GROUP] {
        assert!(bench.send(ip, b"here"));
        assert!(!bench.link.is_all_sent());
        bench.poll();
        assert!(bench.link.is_all_sent());
        let (route, payload) = wire::read_datagram(&bench.sent()[0]).expect("a datagram");
        assert_eq!(route.from, SocketAddrV4::new(OWN_IP, 9000));
        assert_eq!(route.to, SocketAddrV4::new(ip, 9001));
        assert_eq!(route.to_mac, to(ip).to_mac);
        assert_eq!(payload, b"here");
    }
}

#[test]
fn what_is_sent_to_one_waits_for_arp() {
    let mut bench = Bench::new(fixed());
    assert!(bench.send(PEER_IP, b"ok"));
    bench.poll();
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    let request = wire::read_arp(&sent[0]);
    assert_eq!(request, Some((ArpOperation::Request, OWN_IP, PEER_IP)));
    bench.bring(wire::arp(ArpOperation::Reply, PEER_IP, OWN_IP));
    let (route, payload) = wire::read_datagram(&bench.sent()[0]).expect("a datagram");
    assert_eq!((route.to_mac, &payload[..]), (PEER_MAC, &b"ok"[..]));

    let router = Ipv4Addr::new(10, 0, 0, 254);
    assert!(bench.send(Ipv4Addr::new(192, 168, 1, 1), b"far"));
    bench.wait(Duration::from_secs(2));
    bench.poll();
    let request = wire::read_arp(&bench.sent()[0]);
    assert_eq!(request, Some((ArpOperation::Request, OWN_IP, router)));
}

#[test]
fn p4_a_stranger_who_does_not_exist_holds_nobody_up() {
    let mut bench = Bench::new(fixed());
    bench.bring(wire::arp(ArpOperation::Request, PEER_IP, OWN_IP));
    bench.sent();
    assert!(bench.send(Ipv4Addr::new(10, 0, 0, 99), b"hello?"));
    while bench.send(PEER_IP, b"ok") {}
    for _ in 0..40 {
        bench.poll();
        bench.wait(Duration::from_millis(100));
    }
    assert_eq!(bench.link.stats().unsent, 1);
    assert!(bench.link.is_all_sent());
    bench.sent();
    assert!(bench.send(PEER_IP, b"ok"));
    bench.poll();
    assert_eq!(
        wire::read_datagram(&bench.sent()[0]).expect("a datagram").1,
        b"ok"
    );
}

#[test]
fn nothing_is_lost_while_the_device_is_full() {
    let mut bench = Bench::new(fixed());
    bench.device.limit(Some(0));
    assert!(bench.send(Ipv4Addr::BROADCAST, b"here"));
    bench.poll();
    assert!(bench.sent().is_empty());
    bench.device.limit(None);
    bench.poll();
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn one_poll_takes_a_bounded_number_of_frames() {
    let mut bench = Bench::new(fixed());
    for _ in 0..100 {
        bench.device.bring(wire::datagram(to(OWN_IP), b"block"));
    }
    assert_eq!(bench.poll().len(), 32);
    assert_eq!(bench.device.waiting(), 68);
    while !bench.poll().is_empty() {}
    assert!(
        !bench.link.poll(bench.now, &mut |_, _: &[u8]| ()),
        "nothing is left"
    );
    assert!(bench.link.device_mut().sent().is_none());
}

#[test]
fn an_identity_that_can_not_be_is_refused() {
    let try_with = |device: TestDevice, identity: Identity| {
        let memory = Box::leak(Box::new(LinkMemory::new()));
        Link::new(device, identity, memory, Instant::ZERO).map(|_| ())
    };
    let new = |identity| try_with(TestDevice::default(), identity);
    let good = identity(fixed());
    assert_eq!(new(good), Ok(()));
    let mac = [1, 0, 0x5e, 0, 0, 1];
    assert_eq!(new(Identity { mac, ..good }), Err(Error::Mac(mac)));
    for port in [0, 68] {
        assert_eq!(new(Identity { port, ..good }), Err(Error::Port(port)));
    }
    for (ip, prefix) in [(GROUP, 24), (Ipv4Addr::UNSPECIFIED, 24), (OWN_IP, 33)] {
        let address = AddressSource::Static {
            ip,
            prefix,
            router: None,
        };
        assert_eq!(new(identity(address)), Err(Error::Address(ip, prefix)));
    }
    assert_eq!(
        try_with(TestDevice::with_mtu(500), good),
        Err(Error::Mtu(500))
    );
}

#[test]
fn p6_noise_on_the_wire_does_no_harm() {
    let mut random = Random::new(9);
    for address in [fixed(), AddressSource::Dhcp] {
        let mut bench = Bench::new(address);
        bench.poll();
        let id = bench.sent_dhcp().map_or(0, |(_, id)| id);
        let patterns = [
            wire::datagram(to(OWN_IP), b"some bytes of a block"),
            wire::arp(ArpOperation::Request, PEER_IP, OWN_IP),
            wire::igmp_query(),
            wire::dhcp_answer(DhcpMessageType::Offer, id),
            wire::dhcp_answer(DhcpMessageType::Ack, id),
            vec![0; 64],
        ];
        for _ in 0..20_000 {
            let mut frame = patterns[random.below(6) as usize].clone();
            for _ in 0..random.below(6) {
                let at = random.below(frame.len() as u64) as usize;
                frame[at] = random.next() as u8;
            }
            frame.truncate(random.below(2 * frame.len() as u64) as usize);
            if random.below(4) > 0 {
                frame = wire::with_right_sums(frame);
            }
            bench.bring(frame);
            bench.wait(Duration::from_millis(random.below(2000)));
        }
    }
}
