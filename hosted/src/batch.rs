//! Many datagrams in one call of the system's: what a call costs is most of what sending costs.
//!
//! Linux cuts one long buffer into datagrams of one length (`UDP_SEGMENT`), and gives those that
//! arrive in a row together again (`UDP_GRO`). Where it does not, each datagram has its own call.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::UdpGroSegment;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
};

/// Bytes of the longest datagram, and of all that one call takes.
const MOST_BYTES: usize = 65_507;

/// The most datagrams that every system with `UDP_SEGMENT` takes at once.
const MOST_DATAGRAMS: usize = 64;

/// Datagrams of one length to one destination, to be sent one behind the other. The last may be
/// shorter. Each has a head, which is kept here, and a payload, for which there is only a `P`: its
/// bytes stay where they are, and are asked for when they are sent.
#[derive(Debug)]
pub struct Batch<P> {
    destination: Option<SocketAddrV4>,
    datagrams: Vec<Datagram<P>>,
    /// All heads, one behind the other.
    heads: Vec<u8>,
    /// Length of each datagram but the last.
    length: usize,
    /// Bytes of all datagrams.
    bytes: usize,
    /// Datagrams that the system has taken.
    sent: usize,
    /// Why the rest goes one by one, if it does.
    refused: Option<Errno>,
}

#[derive(Debug)]
struct Datagram<P> {
    head: Range<usize>,
    payload: P,
    payload_len: usize,
}

impl<P> Default for Batch<P> {
    fn default() -> Self {
        Self {
            destination: None,
            datagrams: Vec::new(),
            heads: Vec::new(),
            length: 0,
            bytes: 0,
            sent: 0,
            refused: None,
        }
    }
}

impl<P> Batch<P> {
    /// Adds a datagram; false, and nothing is added, if this batch has to be sent first.
    #[must_use]
    pub fn push(
        &mut self,
        destination: SocketAddrV4,
        head: &[u8],
        payload: P,
        payload_len: usize,
    ) -> bool {
        let len = head.len() + payload_len;
        if self.is_empty() {
            self.destination = Some(destination);
            self.length = len;
        } else if self.destination != Some(destination) || !self.takes(len) {
            return false;
        }
        let start = self.heads.len();
        self.heads.extend_from_slice(head);
        self.bytes += len;
        self.datagrams.push(Datagram {
            head: start..self.heads.len(),
            payload,
            payload_len,
        });
        true
    }

    /// Whether a datagram of `len` bytes can follow the last one, which is no shorter than the
    /// first.
    fn takes(&self, len: usize) -> bool {
        let is_open = len > 0 && self.bytes == self.datagrams.len() * self.length;
        let has_room = self.bytes + len <= MOST_BYTES && self.datagrams.len() < MOST_DATAGRAMS;
        is_open && has_room && len <= self.length
    }

    /// Whether there is nothing to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.destination.is_none()
    }

    /// The destination, unless it is empty.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddrV4> {
        self.destination
    }

    /// The payloads whose bytes are still needed.
    pub fn payloads(&self) -> impl Iterator<Item = &P> {
        let rest = self.datagrams.get(self.sent..).unwrap_or_default();
        rest.iter().map(|datagram| &datagram.payload)
    }

    /// Has `socket` take the next datagrams in one call, or only one of them if `cuts` says that
    /// the system does not cut; `bytes` gives a payload's bytes. An error is that of the call; what
    /// it was about is lost, unless that is [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`Interrupted`](io::ErrorKind::Interrupted).
    pub(crate) fn send_next<'b>(
        &mut self,
        socket: &UdpSocket,
        cuts: &mut bool,
        bytes: impl Fn(&P) -> &'b [u8],
    ) -> io::Result<()> {
        let rest = self.datagrams.get(self.sent..).unwrap_or_default();
        let is_whole = *cuts && self.refused.is_none();
        let count = if is_whole { rest.len() } else { 1 };
        let next = rest.iter().take(count);
        let parts: Option<Vec<IoSlice<'_>>> = next
            .flat_map(|datagram| {
                let head = self.heads.get(datagram.head.clone());
                let payload = Some(bytes(&datagram.payload));
                // With another length all that follow would be cut at the wrong places.
                let payload = payload.filter(|payload| payload.len() == datagram.payload_len);
                [head, payload].map(|part| part.map(IoSlice::new))
            })
            .collect();
        let sent = match parts {
            Some(parts) => self.send(socket, &parts, count > 1),
            None => Err(Errno::ENODATA),
        };
        match sent {
            Err(error @ (Errno::EINTR | Errno::EAGAIN)) => return Err(error.into()),
            Err(error) if count > 1 => {
                self.refused = Some(error);
                return Ok(());
            }
            Ok(()) | Err(_) => self.sent += count,
        }
        // What goes alone and would not go with others was not refused for a moment only.
        if sent.is_ok() && self.refused.is_some_and(cannot_cut) {
            *cuts = false;
        }
        if self.sent >= self.datagrams.len() {
            self.clear();
        }
        sent.map_err(io::Error::from)
    }

    /// Sends the parts, to be cut into datagrams if they are several.
    fn send(
        &self,
        socket: &UdpSocket,
        parts: &[IoSlice<'_>],
        are_several: bool,
    ) -> nix::Result<()> {
        // Datagrams are shorter than 65,536 bytes.
        let length = self.length as u16;
        let cut = [ControlMessage::UdpGsoSegments(&length)];
        sendmsg(
            socket.as_raw_fd(),
            parts,
            if are_several { &cut } else { &[] },
            MsgFlags::empty(),
            self.destination.map(SockaddrIn::from).as_ref(),
        )
        .map(drop)
    }

    /// Forgets everything but the memory.
    fn clear(&mut self) {
        self.datagrams.clear();
        self.heads.clear();
        self.destination = None;
        self.bytes = 0;
        self.sent = 0;
        self.refused = None;
    }
}

/// Whether the system may say so when it can't cut: not at all, or not over this interface, or not
/// datagrams of this length.
fn cannot_cut(error: Errno) -> bool {
    use Errno::{EINVAL, EIO, EMSGSIZE, ENOPROTOOPT, EOPNOTSUPP};
    matches!(error, EINVAL | EIO | EMSGSIZE | ENOPROTOOPT | EOPNOTSUPP)
}

/// Datagrams that have arrived together, to be taken one by one.
#[derive(Debug)]
pub(crate) struct Arrived {
    buffer: Vec<u8>,
    from: Option<SocketAddrV4>,
    /// Where the next one begins.
    start: usize,
    /// Where the last one ends.
    end: usize,
    /// Length of each but the last.
    length: usize,
}

impl Default for Arrived {
    fn default() -> Self {
        Self {
            buffer: vec![0; usize::from(u16::MAX)],
            from: None,
            start: 0,
            end: 0,
            length: 0,
        }
    }
}

impl Arrived {
    /// Has `socket` give datagrams together, if the system does that.
    pub(crate) fn enable(socket: &UdpSocket) {
        // Without it each comes alone.
        let _ = setsockopt(socket, UdpGroSegment, &true);
    }

    /// Whether there is one to be taken.
    pub(crate) fn is_there(&self) -> bool {
        self.from.is_some()
    }

    /// The next datagram and its source; `None` if all have been taken.
    pub(crate) fn next(&mut self) -> Option<(SocketAddrV4, &[u8])> {
        let from = self.from?;
        let start = self.start;
        let end = self.end.min(start + self.length);
        self.start = end;
        if end >= self.end {
            self.from = None;
        }
        Some((from, self.buffer.get(start..end)?))
    }

    /// Takes from `socket` what came next; nothing, if it came from no IPv4 address.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let mut control = cmsg_space!(i32);
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let message = recvmsg::<SockaddrIn>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let mut length = message.bytes;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::UdpGroSegments(segment) = control {
                length = usize::try_from(segment).unwrap_or(length);
            }
        }
        self.from = message.address.map(SocketAddrV4::from);
        self.start = 0;
        self.end = message.bytes;
        self.length = length.max(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn address(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    /// A batch whose payloads are their own bytes.
    type Bytes = Batch<&'static [u8]>;

    /// Adds a datagram that is all payload.
    fn add(batch: &mut Bytes, to: SocketAddrV4, payload: &'static [u8]) -> bool {
        batch.push(to, b"", payload, payload.len())
    }

    /// What `batch` comes to at a socket that takes datagrams together.
    fn sent(batch: impl FnOnce(SocketAddrV4) -> Bytes, mut cuts: bool) -> Vec<Vec<u8>> {
        let [from, to] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        Arrived::enable(&to);
        to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut batch = batch(address(to.local_addr().unwrap().port()));
        let mut left = batch.bytes;
        while !batch.is_empty() {
            batch.send_next(&from, &mut cuts, |bytes| bytes).unwrap();
        }
        let mut datagrams = Vec::new();
        let mut arrived = Arrived::default();
        while left > 0 {
            arrived.receive(&to).unwrap();
            while let Some((source, datagram)) = arrived.next() {
                assert_eq!(source.port(), from.local_addr().unwrap().port());
                left -= datagram.len();
                datagrams.push(datagram.to_vec());
            }
        }
        datagrams
    }

    /// `count` datagrams of 1000 bytes and a shorter one.
    fn with_a_short_end(to: SocketAddrV4, count: u8) -> Bytes {
        let mut batch = Bytes::default();
        for number in 0..count {
            assert!(batch.push(to, &[number; 16], &[7; 984], 984));
        }
        assert!(batch.push(to, b"e", b"nd", 2));
        batch
    }

    #[test]
    fn datagrams_arrive_as_they_were_whether_the_system_cuts_or_not() {
        let whole: Vec<Vec<u8>> = (0..20)
            .map(|number| [vec![number; 16], vec![7; 984]].concat())
            .collect();
        for cuts in [true, false] {
            let datagrams = sent(|to| with_a_short_end(to, 20), cuts);
            assert_eq!(datagrams[..20], whole[..], "cuts: {cuts}");
            assert_eq!(datagrams[20..], [b"end".to_vec()], "cuts: {cuts}");
        }
    }

    #[test]
    fn what_the_system_does_not_cut_goes_one_by_one() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = address(socket.local_addr().unwrap().port());
        let mut batch = with_a_short_end(to, 3);
        // A length that contradicts the bytes: the system refuses to cut so many.
        batch.length = 1;
        let mut cuts = true;
        batch.send_next(&socket, &mut cuts, |bytes| bytes).unwrap();
        assert_eq!(batch.sent, 0);
        batch.send_next(&socket, &mut cuts, |bytes| bytes).unwrap();
        assert!(!cuts && batch.sent == 1);
    }

    #[test]
    fn what_can_not_be_sent_at_all_says_nothing_of_cutting() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let own = address(socket.local_addr().unwrap().port());
        let mut cuts = true;
        // Broadcast is not allowed unless it is asked for.
        let mut batch = with_a_short_end(SocketAddrV4::new(Ipv4Addr::BROADCAST, 9), 3);
        let mut lost = 0;
        while !batch.is_empty() {
            let sent = batch.send_next(&socket, &mut cuts, |bytes| bytes);
            lost += u32::from(sent.is_err());
        }
        assert_eq!((lost, cuts), (4, true));
        let mut batch = with_a_short_end(own, 3);
        batch.send_next(&socket, &mut cuts, |bytes| bytes).unwrap();
        assert!(batch.is_empty(), "in one call");
    }

    #[test]
    fn bytes_that_are_gone_are_lost_and_nothing_else() {
        let [from, to] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut batch = with_a_short_end(address(to.local_addr().unwrap().port()), 1);
        assert_eq!(batch.payloads().count(), 2);
        let mut cuts = true;
        let gone = |bytes: &&'static [u8]| if bytes.len() == 2 { *bytes } else { &[] };
        batch.send_next(&from, &mut cuts, gone).unwrap();
        assert_eq!(batch.payloads().count(), 2);
        assert!(batch.send_next(&from, &mut cuts, gone).is_err());
        batch.send_next(&from, &mut cuts, gone).unwrap();
        assert!(batch.is_empty() && cuts);
        let mut buffer = [0; 10];
        assert_eq!(to.recv(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"end");
    }

    #[test]
    fn nothing_follows_a_shorter_datagram_or_goes_elsewhere_or_is_longer() {
        let mut batch = Batch::default();
        assert!(add(&mut batch, address(1), b"1234"));
        assert!(!add(&mut batch, address(2), b"1234"), "elsewhere");
        assert!(!add(&mut batch, address(1), b"12345"), "longer");
        assert!(!add(&mut batch, address(1), b""), "empty");
        assert!(add(&mut batch, address(1), b"12"));
        assert!(!add(&mut batch, address(1), b"12"), "behind a shorter one");
        assert_eq!(batch.bytes, 6);
    }

    #[test]
    fn a_batch_is_no_larger_than_what_every_system_takes() {
        for (len, most) in [(1, 64), (1472, 44), (60_000, 1), (MOST_BYTES, 1)] {
            let mut batch = Batch::default();
            let count = (0..100)
                .take_while(|_| batch.push(address(1), &[], (), len))
                .count();
            assert_eq!(count, most, "of {len} bytes");
        }
    }

    #[test]
    fn an_empty_datagram_goes_alone() {
        let mut batch = Batch::default();
        assert!(add(&mut batch, address(1), b""));
        assert!(!add(&mut batch, address(1), b"") && !add(&mut batch, address(1), b"1"));
    }
}
