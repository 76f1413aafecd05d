//! The firmware's network card as a device of smoltcp.
//!
//! The card is opened exclusively, which takes it away from the firmware's own network stack: that
//! would steal frames otherwise. A boot loader that started this program may have done so already:
//! then the card is used beside it, since it does nothing meanwhile. Drivers keep a frame's memory
//! until they say that it was sent, so the frames to be sent have memory of their own, which is
//! touched again only after that.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::network::EfiMacAddr;
use uefi::proto::network::snp::{NetworkState, ReceiveFlags, SimpleNetwork};
use uefi::{Handle, Status};

use super::arch::ticks;
use super::failure::Failure;
use super::firmware::{self, Path};
use super::memory::{MemoryError, Pages};
use super::stats;

/// Frames that may wait to be sent at once. Drivers hold 15 to 64 at least.
const TRANSMIT_BUFFERS: usize = 12;

/// Bytes of the largest Ethernet frame that is sent, without its check sequence.
const LARGEST_FRAME: usize = 1514;

/// Bytes of the smallest Ethernet frame, without its check sequence. Some drivers don't pad.
const SMALLEST_FRAME: usize = 60;

/// Memory for a frame that was received; larger than any card's, since a frame that doesn't fit
/// would block the ones behind it.
const RECEIVE_BUFFER: usize = 16 << 10;

/// The group that routers ask for members of groups in.
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// A network card that the firmware knows.
#[derive(Clone, Debug)]
pub(crate) struct NicInfo {
    handle: Handle,
    /// Its Ethernet address.
    pub(crate) mac: [u8; 6],
    /// Whether a cable is plugged in, as far as the driver can tell.
    pub(crate) has_link: bool,
    /// Whether this program was booted over it.
    pub(crate) booted_from: bool,
}

impl fmt::Display for NicInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EthernetAddress(self.mac).fmt(f)?;
        if !self.has_link {
            f.write_str(" (no link)")?;
        }
        Ok(())
    }
}

/// The machine's network cards, the likeliest first: the one that was booted from, then those with
/// a link.
pub(crate) fn find(boot_device: &Path) -> Vec<NicInfo> {
    let boot_mac = boot_device.ethernet_address();
    let mut found: Vec<(Path, NicInfo)> = Vec::new();
    for handle in firmware::handles_of::<SimpleNetwork>() {
        let Some(network) = firmware::open_shared::<SimpleNetwork>(handle) else {
            continue;
        };
        let mode = network.mode();
        let Some(&mac) = mode.current_address.0.first_chunk::<6>() else {
            continue;
        };
        let info = NicInfo {
            handle,
            mac,
            has_link: !bool::from(mode.media_present_supported) || mode.media_present.into(),
            booted_from: boot_mac == Some(mac),
        };
        // Network boot hangs children with the same protocol below a card: the card itself has the
        // shortest path.
        let path = Path::of(handle);
        let is_same = |other: &Path| path.leads_through(other) || other.leads_through(&path);
        let same = found
            .iter_mut()
            .find(|(other, card)| card.mac == mac && is_same(other));
        match same {
            Some(card) if path.nodes().len() < card.0.nodes().len() => *card = (path, info),
            Some(_) => {}
            None => found.push((path, info)),
        }
    }
    let mut cards: Vec<NicInfo> = found.into_iter().map(|(_, info)| info).collect();
    cards.sort_by_key(|card| (!card.booted_from, !card.has_link, card.mac));
    cards
}

/// Leaves of `cards` only the one with the address `wanted`, if one is wanted.
pub(crate) fn choose(
    cards: &mut Vec<NicInfo>,
    wanted: Option<EthernetAddress>,
) -> Result<(), Failure> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    if cards.iter().any(|card| card.mac == wanted.0) {
        cards.retain(|card| card.mac == wanted.0);
        return Ok(());
    }
    let there: Vec<String> = cards.iter().map(ToString::to_string).collect();
    let there = match there.as_slice() {
        [] => "no network card at all".to_owned(),
        cards => format!("only {}", cards.join(" and ")),
    };
    let what = format!("nic={wanted}: the firmware drives {there}, so nothing was written");
    let next = "correct nic= or enable the card in the firmware's setup";
    Err(Failure::new(what, next))
}

/// A network card that is ours alone, until it is dropped.
#[derive(Debug)]
pub(crate) struct Nic {
    network: ScopedProtocol<SimpleNetwork>,
    received: Pages,
    transmit: Transmit,
    groups: Vec<Ipv4Addr>,
}

/// The frames that are to be sent or on their way.
#[derive(Debug)]
struct Transmit {
    free: Vec<Pages>,
    /// Frames that the driver reads at its own time, until it has given them back.
    sent: Vec<Pages>,
    /// Where frames go that nothing has room for: networks lose frames, and every sender copes.
    spare: Pages,
}

impl Nic {
    /// Takes the card away from the firmware and starts it.
    pub(crate) fn open(info: &NicInfo) -> Result<Self, NicError> {
        let mut nic = Self {
            network: take(info.handle)?,
            received: Pages::allocate(RECEIVE_BUFFER)?,
            transmit: Transmit::allocate()?,
            groups: alloc::vec![ALL_HOSTS],
        };
        nic.start()?;
        nic.allow_broadcast();
        Ok(nic)
    }

    fn start(&mut self) -> Result<(), NicError> {
        // A driver that was never told to stop says so by an error; what counts is the state after.
        let started = self.network.start();
        let initialized = self.network.initialize(0, 0);
        if self.network.mode().state == NetworkState::INITIALIZED {
            return Ok(());
        }
        let status = initialized
            .and(started)
            .map_or_else(|e| e.status(), |()| Status::NOT_STARTED);
        Err(NicError::NotStarted(status))
    }

    /// Lets the frames of `group` through, besides those for this card, broadcasts, and the
    /// questions of routers about groups.
    pub(crate) fn join(&mut self, group: Ipv4Addr) {
        if !self.groups.contains(&group) {
            self.groups.push(group);
        }
        self.allow_groups();
    }

    /// Lets the frames of `group` through no longer.
    pub(crate) fn leave(&mut self, group: Ipv4Addr) {
        self.groups.retain(|&other| other != group);
        self.allow_groups();
    }

    /// Starts the card anew: it forgets all frames, and whatever keeps it from receiving any.
    ///
    /// # Errors
    /// If it does not stop, or start any more.
    pub(crate) fn restart(&mut self) -> Result<(), NicError> {
        let stopped = self.network.shutdown();
        stopped.map_err(|error| NicError::NotStarted(error.status()))?;
        // The driver has no frame any more.
        self.transmit.free.append(&mut self.transmit.sent);
        self.start()?;
        self.allow_broadcast();
        self.allow_groups();
        Ok(())
    }

    /// Lets the frames of all groups that were joined through.
    ///
    /// Drivers answer this with errors although they did it, and with success although they can't.
    /// So all groups are asked for as well as the one, and whatever the answers, the transfer goes
    /// on: the addresses of every frame are checked anyway.
    fn allow_groups(&mut self) {
        let basic = ReceiveFlags::UNICAST | ReceiveFlags::BROADCAST;
        let can = ReceiveFlags::from_bits_truncate(self.network.mode().receive_filter_mask);
        let groups: Vec<_> = self.groups.iter().map(group_address).collect();
        let tries = [
            ReceiveFlags::MULTICAST | ReceiveFlags::PROMISCUOUS_MULTICAST,
            ReceiveFlags::MULTICAST,
            ReceiveFlags::PROMISCUOUS_MULTICAST,
            ReceiveFlags::PROMISCUOUS,
        ];
        for flags in tries.into_iter().filter(|&flags| can.contains(flags)) {
            let list = flags
                .contains(ReceiveFlags::MULTICAST)
                .then_some(groups.as_slice());
            let disable = ReceiveFlags::empty();
            if self
                .network
                .receive_filters(basic | flags, disable, false, list)
                .is_ok()
            {
                return;
            }
        }
    }

    fn allow_broadcast(&mut self) {
        let basic = ReceiveFlags::UNICAST | ReceiveFlags::BROADCAST;
        // Where this fails, the driver lets frames through as it likes; DHCP shows whether it does.
        let _ = self
            .network
            .receive_filters(basic, ReceiveFlags::empty(), true, None);
    }
}

/// Opens the card exclusively, or beside the boot loader that has it.
///
/// iPXE and GRUB keep the card while the program that they have started runs. iPXE offers it anew
/// below, but some versions hang when that is taken away from the firmware.
fn take(card: Handle) -> Result<ScopedProtocol<SimpleNetwork>, NicError> {
    boot::open_protocol_exclusive::<SimpleNetwork>(card).or_else(|error| {
        let status = error.status();
        let held = (status == Status::ACCESS_DENIED).then(|| firmware::open_shared(card));
        held.flatten().ok_or(NicError::InUse(status))
    })
}

impl Drop for Nic {
    fn drop(&mut self) {
        // The driver forgets its frames by this; if it fails, the memory must stay as it is.
        let stopped = self.network.shutdown().is_ok();
        let _ = self.network.stop();
        if !stopped {
            self.transmit.sent.drain(..).for_each(core::mem::forget);
        }
    }
}

impl Transmit {
    fn allocate() -> Result<Self, MemoryError> {
        let free: Result<_, _> = (0..TRANSMIT_BUFFERS)
            .map(|_| Pages::allocate(LARGEST_FRAME))
            .collect();
        Ok(Self {
            free: free?,
            sent: Vec::with_capacity(TRANSMIT_BUFFERS),
            spare: Pages::allocate(LARGEST_FRAME)?,
        })
    }

    /// Takes back the frames that the driver has sent.
    fn recycle(&mut self, network: &mut SimpleNetwork) {
        // One frame a call; the bound keeps a driver that never says "no more" from holding us.
        for _ in 0..2 * TRANSMIT_BUFFERS {
            let Ok(Some(done)) = network.get_recycled_transmit_buffer_status() else {
                return;
            };
            if let Some(index) = self.sent.iter().position(|pages| pages.address() == done) {
                self.free.push(self.sent.swap_remove(index));
            }
        }
    }
}

/// By reference, since links come and go over the same card.
impl Device for &mut Nic {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sending<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let buffer = self.received.as_mut_slice();
        let before = ticks();
        let length = self.network.receive(buffer, None, None, None, None).ok()?;
        stats::NIC.add(ticks().wrapping_sub(before), length);
        let frame = self.received.as_slice().get(..length)?;
        let sending = Sending {
            network: &mut self.network,
            transmit: &mut self.transmit,
        };
        Some((Received { frame }, sending))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        if !self.transmit.sent.is_empty() {
            self.transmit.recycle(&mut self.network);
        }
        if self.transmit.free.is_empty() {
            return None;
        }
        Some(Sending {
            network: &mut self.network,
            transmit: &mut self.transmit,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LARGEST_FRAME;
        capabilities.checksum.ipv4 = Checksum::Both;
        capabilities
    }
}

/// A frame that has arrived.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    frame: &'a [u8],
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.frame)
    }
}

/// Room for a frame to be sent.
pub(crate) struct Sending<'a> {
    network: &'a mut SimpleNetwork,
    transmit: &'a mut Transmit,
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        if self.transmit.free.is_empty() {
            self.transmit.recycle(self.network);
        }
        let Transmit { free, sent, spare } = self.transmit;
        let Some(mut pages) = free.pop() else {
            return f(&mut spare.as_mut_slice()[..length]);
        };
        let padded = length.max(SMALLEST_FRAME);
        let frame = &mut pages.as_mut_slice()[..padded];
        frame[length..].fill(0);
        let result = f(&mut frame[..length]);
        let network = self.network;
        match stats::NIC.time(padded, || network.transmit(0, frame, None, None, None)) {
            // The driver reads the frame until it hands it back.
            Ok(()) => sent.push(pages),
            // A full driver has not taken it; the frame is lost like any other on a network.
            Err(_) => free.push(pages),
        }
        result
    }
}

/// The Ethernet address that frames for a multicast group go to (RFC 1112, section 6.4).
fn group_address(group: &Ipv4Addr) -> EfiMacAddr {
    let [_, b, c, d] = group.octets();
    let mut address = EfiMacAddr([0; 32]);
    address.0[..6].copy_from_slice(&[0x01, 0x00, 0x5e, b & 0x7f, c, d]);
    address
}

/// Why a network card can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NicError {
    /// The firmware does not give it away.
    InUse(Status),
    /// It does not start.
    NotStarted(Status),
    /// There is no memory for its frames.
    Memory(MemoryError),
}

impl From<MemoryError> for NicError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl fmt::Display for NicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(status) => write!(f, "the firmware does not give the card away ({status})"),
            Self::NotStarted(status) => write!(f, "its driver does not start it ({status})"),
            Self::Memory(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NicError {}
