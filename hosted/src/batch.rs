//! Many datagrams in one call of the system's: what a call costs is most of what sending costs.
//!
//! Linux cuts one long buffer into datagrams of one length (`UDP_SEGMENT`), and gives those that
//! arrive in a row together again (`UDP_GRO`). Where it does not, each datagram has its own call.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::UdpGroSegment;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
};

/// Bytes of the longest datagram, and of all that one call takes or gives.
pub(crate) const MOST_BYTES: usize = 65_507;

/// The most datagrams that every system with `UDP_SEGMENT` takes at once.
const MOST_DATAGRAMS: usize = 64;

/// Datagrams of one length to one destination, to be sent one behind the other. The last may be
/// shorter.
#[derive(Debug, Default)]
pub struct Batch {
    destination: Option<SocketAddrV4>,
    bytes: Vec<u8>,
    /// Length of each datagram but the last.
    length: usize,
    /// Bytes that the system has taken.
    sent: usize,
    /// Whether nothing fits behind the last one.
    is_closed: bool,
}

impl Batch {
    /// Adds the parts as one datagram; false, and nothing is added, if this batch has to be sent
    /// first.
    #[must_use]
    pub fn push(&mut self, destination: SocketAddrV4, parts: &[&[u8]]) -> bool {
        let len = parts.iter().map(|part| part.len()).sum();
        if self.is_empty() {
            self.clear();
            self.destination = Some(destination);
            self.length = len;
        } else {
            let is_full = self.bytes.len() + len > MOST_BYTES
                || self.bytes.len() / self.length.max(1) >= MOST_DATAGRAMS;
            if self.is_closed
                || is_full
                || self.destination != Some(destination)
                || len > self.length
            {
                return false;
            }
        }
        self.is_closed = len < self.length || len == 0;
        parts
            .iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        true
    }

    /// Whether there is nothing to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.destination.is_none()
    }

    /// Whether there is room for another datagram like the last one.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.is_closed && self.bytes.len() + self.length <= MOST_BYTES
    }

    /// The destination, unless it is empty.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddrV4> {
        self.destination
    }

    /// Has `socket` take what it can, in calls of many datagrams as long as `cuts` says that the
    /// system does that. An error is that of one call; what it was about is lost.
    pub(crate) fn send(&mut self, socket: &UdpSocket, cuts: &mut bool) -> io::Result<()> {
        let Some(destination) = self.destination else {
            return Ok(());
        };
        let address = SockaddrIn::from(destination);
        loop {
            let rest = &self.bytes[self.sent..];
            let is_one = rest.len() <= self.length;
            let taken = if is_one || !*cuts {
                self.length.min(rest.len())
            } else {
                rest.len()
            };
            // Datagrams are shorter than 65,536 bytes.
            let length = self.length as u16;
            let cut = [ControlMessage::UdpGsoSegments(&length)];
            let control = if taken > self.length {
                cut.as_slice()
            } else {
                &[]
            };
            let parts = [IoSlice::new(&rest[..taken])];
            match sendmsg(
                socket.as_raw_fd(),
                &parts,
                control,
                MsgFlags::empty(),
                Some(&address),
            ) {
                Ok(_) => self.sent += taken,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Err(ErrorKind::WouldBlock.into()),
                // It can't cut: not at all, or not over this interface, or not datagrams of this
                // length.
                Err(_) if taken > self.length => {
                    *cuts = false;
                    continue;
                }
                Err(error) => {
                    self.sent += taken;
                    if self.sent >= self.bytes.len() {
                        self.clear();
                    }
                    return Err(error.into());
                }
            }
            if self.sent >= self.bytes.len() {
                self.clear();
                return Ok(());
            }
        }
    }

    fn clear(&mut self) {
        self.destination = None;
        self.bytes.clear();
        self.length = 0;
        self.sent = 0;
        self.is_closed = false;
    }
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
