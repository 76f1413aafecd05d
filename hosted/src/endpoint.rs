//! One end of a transfer on the network: its sockets, all at one port of one interface.
//!
//! A socket for each address that datagrams may be sent to, and none for "any address": so a
//! transfer on one interface hears nothing of another on the next, and programs at the same port of
//! different addresses get along. The socket at the interface's own address sends everything, hence
//! peers see one and the same source address whatever a message's destination.
//!
//! Which group the data come to is for a sender to say, and so for anybody: there is a socket for
//! one such group at a time.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use socket2::{Domain, InterfaceIndexOrAddress, SockAddr, SockRef, Socket, Type};

use crate::batch::{Arrived, Batch};
use crate::interface::Interface;

/// How long to wait for an address that is in use, and how often to try. Chosen: a program that was
/// ended may take a moment to be gone, and a script that starts it anew does not wait. Two that
/// live may not share the address (SO_REUSEADDR): only one would get what is sent there, and nobody
/// would be told.
const BIND_PATIENCE: Duration = Duration::from_secs(3);
const BIND_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of the system's memory for a socket; `None` leaves the system's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct BufferSizes {
    /// For datagrams that have arrived.
    pub receive: Option<usize>,
    /// For datagrams that are to be sent.
    pub send: Option<usize>,
}

/// What became of a datagram that was to be sent.
#[derive(Debug)]
pub enum Sent {
    /// The system took it.
    Done,
    /// There is no room for it now: try again when [`wait`](crate::wait) says so.
    Blocked,
    /// It is lost, as any datagram may be. It was not sent for this reason.
    Lost(io::Error),
}

/// The sockets of one program at one port.
#[derive(Debug)]
pub struct Endpoint {
    interface: Interface,
    port: u16,
    sizes: BufferSizes,
    /// The first one is at the interface's own address.
    listeners: Vec<Listener>,
    /// The group that is followed, if there is a listener for that only.
    followed: Option<Ipv4Addr>,
    /// The listener whose turn it is.
    next: usize,
    /// What the last call gave.
    arrived: Arrived,
    /// Whether the system cuts what is sent into datagrams.
    cuts: bool,
}

/// A socket and what it listens to.
#[derive(Debug)]
struct Listener {
    address: Ipv4Addr,
    socket: UdpSocket,
    /// Whether it may have a datagram.
    is_ready: bool,
}

impl Endpoint {
    /// Opens sockets at `port` for datagrams to the interface's own address and to broadcast.
    /// Multicast goes out with the time to live `ttl`.
    ///
    /// # Errors
    /// [`EndpointError::Bind`], above all if another program has the port.
    pub fn open(
        interface: &Interface,
        port: u16,
        ttl: u32,
        sizes: BufferSizes,
    ) -> Result<Self, EndpointError> {
        let mut endpoint = Self {
            interface: interface.clone(),
            port,
            sizes,
            listeners: Vec::new(),
            followed: None,
            next: 0,
            arrived: Arrived::default(),
            cuts: true,
        };
        endpoint.listen(interface.address)?;
        if let Some(broadcast) = interface.broadcast {
            endpoint.listen(broadcast)?;
            endpoint.listen(Ipv4Addr::BROADCAST)?;
        }
        let sending = SockRef::from(&endpoint.listeners[0].socket);
        sending
            .set_broadcast(true)
            .and_then(|()| sending.set_multicast_if_v4(&interface.address))
            .and_then(|()| sending.set_multicast_ttl_v4(ttl))
            .map_err(|source| endpoint.bind_error(interface.address, source))?;
        Ok(endpoint)
    }

    /// Joins a multicast group on the interface, for as long as the endpoint is open. Another time
    /// is harmless, and so is an address that is no group: what is sent to it arrives anyway, or
    /// can't.
    ///
    /// # Errors
    /// [`EndpointError::Join`], or [`EndpointError::Bind`].
    pub fn join(&mut self, group: Ipv4Addr) -> Result<(), EndpointError> {
        self.followed = self.followed.filter(|&followed| followed != group);
        if !group.is_multicast() || self.is_listening(group) {
            return Ok(());
        }
        self.listen(group)
    }

    /// Joins a multicast group in place of the one that was followed before, which is left. Those
    /// that were [joined](Self::join) stay.
    ///
    /// # Errors
    /// [`EndpointError::Join`], or [`EndpointError::Bind`]; then no group is followed.
    pub fn follow(&mut self, group: Ipv4Addr) -> Result<(), EndpointError> {
        if self.followed == Some(group) {
            return Ok(());
        }
        if let Some(old) = self.followed.take() {
            self.listeners.retain(|listener| listener.address != old);
        }
        if group.is_multicast() && !self.is_listening(group) {
            self.listen(group)?;
            self.followed = Some(group);
        }
        Ok(())
    }

    /// Sends the parts as one datagram, without waiting.
    #[must_use]
    pub fn send(&self, destination: SocketAddrV4, parts: &[IoSlice<'_>]) -> Sent {
        let sending = SockRef::from(&self.listeners[0].socket);
        loop {
            match sending.send_to_vectored(parts, &SockAddr::from(destination)) {
                Ok(_) => return Sent::Done,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Sent::Blocked,
                // Also a full queue of the interface: no socket tells when it has room again.
                Err(error) => return Sent::Lost(error),
            }
        }
    }

    /// Sends the batch without waiting; `bytes` gives a payload's bytes. It is empty then, unless
    /// it is [`Sent::Blocked`].
    /// [`Sent::Lost`] tells of the last datagrams only: those that come behind a misfortune may
    /// have better luck.
    #[must_use]
    pub fn send_batch<'b, P>(
        &mut self,
        batch: &mut Batch<P>,
        bytes: impl Fn(&P) -> &'b [u8],
    ) -> Sent {
        let mut sent = Sent::Done;
        while !batch.is_empty() {
            sent = match batch.send_next(&self.listeners[0].socket, &mut self.cuts, &bytes) {
                Ok(()) => Sent::Done,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Sent::Blocked,
                Err(error) => Sent::Lost(error),
            };
        }
        sent
    }

    /// Takes the next of the datagrams that have arrived as of the last [`wait`](crate::wait), and
    /// its source. Sockets take turns, so that a flood at one address keeps nothing out at another.
    #[must_use]
    pub fn receive(&mut self) -> Option<(SocketAddrV4, &[u8])> {
        while !self.arrived.is_there() {
            let index = self.next_ready()?;
            let listener = &mut self.listeners[index];
            match self.arrived.receive(&listener.socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing more, or word of an earlier datagram's misfortune: either way the next
                // wait tells if there is something.
                Err(_) => listener.is_ready = false,
                Ok(()) => {}
            }
        }
        self.arrived.next()
    }

    /// Bytes that the system keeps for datagrams that have arrived.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        SockRef::from(&self.listeners[0].socket)
            .recv_buffer_size()
            .unwrap_or(0)
    }

    /// Whether something has arrived that was not taken yet, though the system has handed it over.
    pub(crate) fn has_arrived(&self) -> bool {
        self.arrived.is_there()
    }

    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners
            .iter()
            .map(|listener| listener.socket.as_fd())
    }

    pub(crate) fn sending(&self) -> BorrowedFd<'_> {
        self.listeners[0].socket.as_fd()
    }

    /// Notes for each of the [sockets](Self::sockets) whether it may have a datagram.
    pub(crate) fn set_ready(&mut self, ready: impl IntoIterator<Item = bool>) {
        for (listener, is_ready) in self.listeners.iter_mut().zip(ready) {
            listener.is_ready = is_ready;
        }
    }

    /// The listener whose turn it is of those that may have a datagram.
    fn next_ready(&mut self) -> Option<usize> {
        let (earlier, later) = self.listeners.split_at(self.next.min(self.listeners.len()));
        let is_ready = |listener: &Listener| listener.is_ready;
        let index = match later.iter().position(is_ready) {
            Some(place) => earlier.len() + place,
            None => earlier.iter().position(is_ready)?,
        };
        self.next = index + 1;
        Some(index)
    }

    fn is_listening(&self, address: Ipv4Addr) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.address == address)
    }

    /// Opens a socket for datagrams to `address`, and joins it if it is a group.
    fn listen(&mut self, address: Ipv4Addr) -> Result<(), EndpointError> {
        let socket = self
            .open_socket(address)
            .map_err(|source| self.bind_error(address, source))?;
        if address.is_multicast() {
            let interface = InterfaceIndexOrAddress::Address(self.interface.address);
            SockRef::from(&socket)
                .join_multicast_v4_n(&address, &interface)
                .map_err(|source| EndpointError::Join {
                    group: address,
                    interface: self.interface.clone(),
                    source,
                })?;
        }
        self.listeners.push(Listener {
            address,
            socket,
            is_ready: false,
        });
        Ok(())
    }

    fn open_socket(&self, address: Ipv4Addr) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        if address != self.interface.address {
            // Several programs may listen to a group or to broadcast: each gets every datagram. But
            // at the own address only one of two would get it, so that the second is better
            // refused.
            socket.set_reuse_address(true)?;
            socket.set_multicast_all_v4(false)?;
            // Keeps other interfaces' broadcasts out. Old kernels let only root do it, and who has
            // two interfaces in one network there has to live with it.
            let _ = socket.bind_device(Some(self.interface.name.as_bytes()));
        }
        set_buffers(&socket, self.sizes);
        bind(&socket, SocketAddrV4::new(address, self.port))?;
        let socket = socket.into();
        Arrived::enable(&socket);
        Ok(socket)
    }

    fn bind_error(&self, address: Ipv4Addr, source: io::Error) -> EndpointError {
        EndpointError::Bind {
            address: SocketAddrV4::new(address, self.port),
            source,
        }
    }
}

/// Binds a socket, also if it takes a moment until a program that was ended just now has left the
/// address.
fn bind(socket: &Socket, address: SocketAddrV4) -> io::Result<()> {
    let deadline = Instant::now() + BIND_PATIENCE;
    loop {
        match socket.bind(&SockAddr::from(address)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(BIND_INTERVAL);
            }
            result => return result,
        }
    }
}

/// Asks for buffers of the sizes given: beyond the system's limit if the user may, else up to it.
fn set_buffers(socket: &Socket, sizes: BufferSizes) {
    if let Some(size) = sizes.receive
        && sockopt::set_socket_recv_buffer_size_force(socket, size).is_err()
    {
        // The system takes any size, and cuts it down to its limit.
        let _ = socket.set_recv_buffer_size(size);
    }
    if let Some(size) = sizes.send
        && sockopt::set_socket_send_buffer_size_force(socket, size).is_err()
    {
        let _ = socket.set_send_buffer_size(size);
    }
}

/// Why a program can't take part on the network.
#[derive(Debug)]
pub enum EndpointError {
    /// A socket could not be opened at this address.
    Bind {
        /// The address and port.
        address: SocketAddrV4,
        /// Why.
        source: io::Error,
    },
    /// The interface could not join the group.
    Join {
        /// The group.
        group: Ipv4Addr,
        /// The interface.
        interface: Interface,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, source } if source.kind() == ErrorKind::AddrInUse => write!(
                f,
                "UDP port {address} is in use: end the other program there, or take another \
                 --portbase on both sides"
            ),
            Self::Bind { address, .. } => write!(f, "can't open UDP port {address}"),
            Self::Join {
                group, interface, ..
            } => write!(f, "can't join the multicast group {group} with {interface}"),
        }
    }
}

impl Error for EndpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Join { source, .. } => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::wait::{Wake, wait};

    fn loopback() -> Interface {
        Interface::find(Some("127.0.0.1")).unwrap()
    }

    /// An endpoint at a port that nobody has.
    fn any_port() -> Endpoint {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Endpoint::open(&loopback(), port, 1, BufferSizes::default()).unwrap()
    }

    #[test]
    fn parts_arrive_as_one_datagram_from_the_own_address() {
        let (from, mut to) = (any_port(), any_port());
        let destination = SocketAddrV4::new(Ipv4Addr::LOCALHOST, to.port);
        let parts = [IoSlice::new(b"head"), IoSlice::new(b"payload")];
        assert!(matches!(from.send(destination, &parts), Sent::Done));
        let now = Clock::start().now();
        let wake = Wake::At(now + Duration::from_secs(5));
        wait(&mut to, [], false, now, wake).unwrap();
        let source = SocketAddrV4::new(Ipv4Addr::LOCALHOST, from.port);
        assert_eq!(to.receive(), Some((source, &b"headpayload"[..])));
        assert_eq!(to.receive(), None);
    }

    #[test]
    fn a_port_in_use_is_refused_with_a_word_of_advice() {
        let first = any_port();
        let second = Endpoint::open(&loopback(), first.port, 1, BufferSizes::default());
        let message = second.unwrap_err().to_string();
        assert!(
            message.contains("is in use") && message.contains("--portbase"),
            "{message}"
        );
    }

    const CONTROL: Ipv4Addr = Ipv4Addr::new(233, 254, 1, 1);

    /// The data group with this number.
    fn group(number: u16) -> Ipv4Addr {
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(233, 255, high, low)
    }

    /// Waits for a datagram.
    fn receive_one(endpoint: &mut Endpoint) -> Option<Vec<u8>> {
        let now = Clock::start().now();
        let wake = Wake::At(now + Duration::from_secs(5));
        wait(endpoint, [], false, now, wake).unwrap();
        let (_, datagram) = endpoint.receive()?;
        Some(datagram.to_vec())
    }

    #[test]
    fn a_group_is_joined_once() {
        let mut endpoint = any_port();
        endpoint.join(CONTROL).unwrap();
        endpoint.join(CONTROL).unwrap();
        endpoint.join(Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(endpoint.listeners.len(), 2);
    }

    #[test]
    fn p6_of_many_groups_that_are_named_the_last_is_heard_and_no_other_kept() {
        let (from, mut to) = (any_port(), any_port());
        to.join(CONTROL).unwrap();
        for number in 0..100 {
            to.follow(group(number)).unwrap();
        }
        to.follow(group(99)).unwrap();
        assert_eq!(to.listeners.len(), 3);
        for (destination, text) in [(group(98), "left"), (group(99), "followed")] {
            let parts = [IoSlice::new(text.as_bytes())];
            let destination = SocketAddrV4::new(destination, to.port);
            assert!(matches!(from.send(destination, &parts), Sent::Done));
        }
        assert_eq!(receive_one(&mut to).as_deref(), Some(&b"followed"[..]));
    }

    #[test]
    fn a_group_that_was_joined_is_not_left_for_another_that_is_followed() {
        let mut endpoint = any_port();
        endpoint.follow(CONTROL).unwrap();
        endpoint.join(CONTROL).unwrap();
        for address in [group(1), CONTROL, Ipv4Addr::LOCALHOST] {
            endpoint.follow(address).unwrap();
        }
        assert!(endpoint.is_listening(CONTROL));
        assert_eq!(endpoint.listeners.len(), 2);
    }

    #[test]
    fn any_number_of_sockets_is_waited_for() {
        let (from, mut to) = (any_port(), any_port());
        for number in 0..40 {
            to.join(group(number)).unwrap();
        }
        let parts = [IoSlice::new(b"text")];
        let destination = SocketAddrV4::new(group(39), to.port);
        assert!(matches!(from.send(destination, &parts), Sent::Done));
        assert_eq!(receive_one(&mut to).as_deref(), Some(&b"text"[..]));
        assert_eq!(to.receive(), None);
    }

    #[test]
    fn a_flood_at_one_address_keeps_nothing_out_at_another() {
        let (from, mut to) = (any_port(), any_port());
        to.follow(group(1)).unwrap();
        let own = Ipv4Addr::LOCALHOST;
        for (address, text) in [(own, "flood"), (own, "flood"), (group(1), "data")] {
            let parts = [IoSlice::new(text.as_bytes())];
            let destination = SocketAddrV4::new(address, to.port);
            assert!(matches!(from.send(destination, &parts), Sent::Done));
        }
        assert_eq!(receive_one(&mut to).as_deref(), Some(&b"flood"[..]));
        assert_eq!(receive_one(&mut to).as_deref(), Some(&b"data"[..]));
    }
}
