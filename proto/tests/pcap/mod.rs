//! Reads the UDP datagrams of a recorded transfer.
//!
//! Just what `captures/` needs: classic pcap, little-endian, microseconds, Ethernet, IPv4 without
//! fragments. Anything else is not skipped but fails the test, since then the recording is not what
//! the test takes it for.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

/// A UDP datagram with its addresses and when it passed.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// Microseconds since the recording's first datagram.
    pub micros: u64,
    /// Who sent it.
    pub source: SocketAddrV4,
    /// Where to; perhaps broadcast or a group.
    pub destination: SocketAddrV4,
    /// The UDP payload.
    pub payload: Vec<u8>,
}

/// The datagrams of `captures/NAME.pcap`, in the order in which they passed.
///
/// # Panics
/// If the file can't be read or has anything else in it than this reader is for.
pub(crate) fn read(name: &str) -> Vec<Datagram> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let path = folder.join(name).with_extension("pcap");
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rest = file.as_slice();
    assert_eq!(
        little_endian(take(&mut rest, 4)),
        0xa1b2_c3d4,
        "{name}: pcap's magic"
    );
    take(&mut rest, 16);
    assert_eq!(
        little_endian(take(&mut rest, 4)),
        1,
        "{name}: link type Ethernet"
    );

    let mut datagrams = Vec::new();
    let mut start = None;
    while !rest.is_empty() {
        let micros =
            little_endian(take(&mut rest, 4)) * 1_000_000 + little_endian(take(&mut rest, 4));
        let start = *start.get_or_insert(micros);
        let captured = little_endian(take(&mut rest, 4));
        let length = little_endian(take(&mut rest, 4));
        assert_eq!(captured, length, "{name}: frame recorded whole");
        let frame = take(&mut rest, usize::try_from(captured).unwrap());
        datagrams.push(datagram(frame, micros - start));
    }
    datagrams
}

fn datagram(frame: &[u8], micros: u64) -> Datagram {
    let mut rest = frame;
    take(&mut rest, 12);
    assert_eq!(take(&mut rest, 2), [0x08, 0x00], "ether type IPv4");
    let mut packet = rest;
    let header_words = usize::from(packet[0] & 0x0f);
    let mut header = take(&mut packet, header_words * 4);
    take(&mut header, 6);
    assert_eq!(big_endian(take(&mut header, 2)) & 0x3fff, 0, "no fragment");
    take(&mut header, 1);
    assert_eq!(take(&mut header, 1), [17], "protocol UDP");
    take(&mut header, 2);
    let source = address(take(&mut header, 4));
    let destination = address(take(&mut header, 4));
    let source = SocketAddrV4::new(source, big_endian(take(&mut packet, 2)));
    let destination = SocketAddrV4::new(destination, big_endian(take(&mut packet, 2)));
    let length = usize::from(big_endian(take(&mut packet, 2)));
    take(&mut packet, 2);
    let payload = take(&mut packet, length - 8).to_vec();
    Datagram {
        micros,
        source,
        destination,
        payload,
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(len);
    *rest = left;
    taken
}

fn little_endian(bytes: &[u8]) -> u64 {
    u64::from(u32::from_le_bytes(bytes.try_into().unwrap()))
}

fn big_endian(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(bytes.try_into().unwrap())
}

fn address(bytes: &[u8]) -> Ipv4Addr {
    Ipv4Addr::from(<[u8; 4]>::try_from(bytes).unwrap())
}
