//! What the firmware learnt when it booted over the network: the machine's address and the server.
//!
//! The firmware's network stack keeps the DHCP server's answer, but loses it when the network card
//! is taken away from it. So it is read first, and with it the files of the TFTP server, which only
//! the firmware's stack can fetch.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};

use ironcast_proto::time::Duration;
use ironcast_receiver_nostd::dhcp_answer::DhcpAnswer;
use ironcast_receiver_nostd::settings::AddressSource;
use uefi::boot::ScopedProtocol;
use uefi::proto::network::pxe::{BaseCode, Mode, Packet};
use uefi::{CStr8, Status};

use super::firmware;

/// Bytes of the largest file that is fetched: settings are a few lines.
const LARGEST_FILE: usize = 8192;

/// What a DHCP server gave to the firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The machine's address.
    pub(crate) address: Ipv4Addr,
    /// How many bits of it name the network.
    pub(crate) prefix: u8,
    /// The way out of the network.
    pub(crate) router: Option<Ipv4Addr>,
    /// How long the address is the machine's; `None` for ever.
    pub(crate) duration: Option<Duration>,
}

/// The firmware's network boot, as long as it still works.
#[derive(Debug)]
pub(crate) struct NetworkBoot {
    base_code: ScopedProtocol<BaseCode>,
    mac: [u8; 6],
    /// Where the files are.
    server: Option<Ipv4Addr>,
    /// The name of the file that was booted, empty if it isn't told.
    boot_file: String,
    /// What the DHCP server gave.
    pub(crate) lease: Option<Lease>,
}

impl NetworkBoot {
    /// The network boot over the card with this Ethernet address, if there was one.
    pub(crate) fn find(mac: [u8; 6]) -> Option<Self> {
        firmware::handles_of::<BaseCode>()
            .into_iter()
            .filter(|&handle| firmware::Path::of(handle).ethernet_address() == Some(mac))
            .filter_map(firmware::open_shared::<BaseCode>)
            .find_map(|base_code| Self::from_protocol(base_code, mac))
    }

    /// The Ethernet address of the card that was booted over.
    pub(crate) fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Fetches the file `name` from the boot server, out of the folder of the file that was booted.
    pub(crate) fn fetch(&mut self, name: &str) -> Result<Vec<u8>, FetchError> {
        let server = self.server.ok_or(FetchError::NoServer)?;
        let folder = self.boot_file.rfind(['/', '\\']).map_or(0, |at| at + 1);
        let mut path: Vec<u8> = self.boot_file.as_bytes()[..folder].to_vec();
        path.extend(name.bytes());
        path.push(0);
        let path = CStr8::from_bytes_with_nul(&path).map_err(|_| FetchError::NotThere)?;
        let mut contents = alloc::vec![0; LARGEST_FILE];
        let fetched = self
            .base_code
            .tftp_read_file(&IpAddr::V4(server), path, Some(&mut contents));
        match fetched {
            Ok(length) => {
                contents.truncate(usize::try_from(length).unwrap_or(LARGEST_FILE));
                Ok(contents)
            }
            Err(error) => Err(match error.status() {
                // The last two are what iPXE makes of a server's refusals.
                Status::TFTP_ERROR
                | Status::NOT_FOUND
                | Status::ACCESS_DENIED
                | Status::UNSUPPORTED => FetchError::NotThere,
                Status::BUFFER_TOO_SMALL => FetchError::TooLarge,
                status => FetchError::Failed(status),
            }),
        }
    }

    /// The server that files come from.
    pub(crate) fn server(&self) -> Option<Ipv4Addr> {
        self.server
    }

    fn from_protocol(base_code: ScopedProtocol<BaseCode>, mac: [u8; 6]) -> Option<Self> {
        let mode = base_code.mode();
        if !mode.started() || mode.using_ipv6() || !mode.dhcp_ack_received() {
            return None;
        }
        let answers = || answers(mode).filter_map(DhcpAnswer::new);
        let boot_file = answers().find_map(|answer| answer.boot_file().map(String::from));
        let server = answers().find_map(|answer| answer.file_server());
        let lease =
            DhcpAnswer::new(packet_bytes(mode.dhcp_ack())).and_then(|ack| Lease::from_ack(&ack));
        Some(Self {
            mac,
            server,
            boot_file: boot_file.unwrap_or_default(),
            lease,
            base_code,
        })
    }
}

impl Lease {
    /// The address as a setting of the link.
    pub(crate) fn source(&self) -> AddressSource {
        AddressSource::Static {
            ip: self.address,
            prefix: self.prefix,
            router: self.router,
        }
    }

    fn from_ack(ack: &DhcpAnswer<'_>) -> Option<Self> {
        Some(Self {
            address: ack.address()?,
            prefix: ack.prefix(),
            router: ack.router(),
            duration: ack.duration(),
        })
    }
}

/// The answers that may name the server and its file, the most particular first.
fn answers(mode: &Mode) -> impl Iterator<Item = &[u8]> {
    let reply = mode.pxe_reply_received().then(|| mode.pxe_reply());
    let proxy = mode.proxy_offer_received().then(|| mode.proxy_offer());
    [reply, proxy, Some(mode.dhcp_ack())]
        .into_iter()
        .flatten()
        .map(packet_bytes)
}

fn packet_bytes(packet: &Packet) -> &[u8] {
    let bytes: &[u8; 1472] = packet.as_ref();
    bytes
}

/// Why a file did not come from the boot server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// No server was named.
    NoServer,
    /// The server says that there is no such file, or that nobody may have it.
    NotThere,
    /// It is far too large for what it should be.
    TooLarge,
    /// The server did not answer, or the network failed.
    Failed(Status),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str("no boot server is known"),
            Self::NotThere => f.write_str("the boot server has no such file"),
            Self::TooLarge => write!(f, "the file has more than {LARGEST_FILE} bytes"),
            Self::Failed(status) => write!(f, "the boot server could not be asked ({status})"),
        }
    }
}

impl core::error::Error for FetchError {}
