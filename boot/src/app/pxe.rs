//! The firmware's PXE client: what DHCP told it, and files from its TFTP server.
//!
//! The firmware's network stack keeps the DHCP server's answers, but loses them when the network
//! card is taken away from it. So they are read first, and with them the files, which only the
//! firmware's stack can fetch.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use ironcast_receiver_nostd::dhcp_answer::DhcpAnswer;
use uefi::boot::ScopedProtocol;
use uefi::proto::network::pxe::{BaseCode, Mode, Packet};
use uefi::{CStr8, Status};

use super::firmware;
use super::network_boot::{FetchError, Lease};

/// The PXE client of a network card, as long as it still works.
#[derive(Debug)]
pub(crate) struct PxeClient {
    base_code: ScopedProtocol<BaseCode>,
    /// Where the files are.
    server: Option<Ipv4Addr>,
    /// The folder of the file that was booted, with a slash at its end; empty if it isn't told.
    folder: String,
}

impl PxeClient {
    /// That of the card with this Ethernet address, if it got an address.
    pub(crate) fn find(mac: [u8; 6]) -> Option<Self> {
        firmware::handles_of::<BaseCode>()
            .into_iter()
            .filter(|&handle| firmware::Path::of(handle).ethernet_address() == Some(mac))
            .filter_map(firmware::open_shared::<BaseCode>)
            .find_map(Self::from_protocol)
    }

    /// What the DHCP server gave.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let ack = self.base_code.mode().dhcp_ack();
        Lease::from_ack(&DhcpAnswer::new(packet_bytes(ack))?)
    }

    /// Where the file `name` would be, for people to find it; `None` if no server is known.
    pub(crate) fn place(&self, name: &str) -> Option<String> {
        let (server, folder) = (self.server?, self.folder.trim_start_matches('/'));
        Some(format!("tftp://{server}/{folder}{name}"))
    }

    /// Fetches the file `name`, of `limit` bytes at most, out of the folder of the file that was
    /// booted.
    pub(crate) fn fetch(&mut self, name: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let server = self.server.ok_or(FetchError::NotThere)?;
        let path = format!("{}{name}\0", self.folder);
        let path = CStr8::from_bytes_with_nul(path.as_bytes()).map_err(|_| FetchError::NotThere)?;
        let mut contents = alloc::vec![0; limit];
        let fetched = self
            .base_code
            .tftp_read_file(&IpAddr::V4(server), path, Some(&mut contents));
        match fetched {
            Ok(length) => {
                contents.truncate(usize::try_from(length).unwrap_or(limit));
                Ok(contents)
            }
            Err(error) => Err(match error.status() {
                // The last two are what iPXE makes of a server's refusals.
                Status::TFTP_ERROR
                | Status::NOT_FOUND
                | Status::ACCESS_DENIED
                | Status::UNSUPPORTED => FetchError::NotThere,
                Status::BUFFER_TOO_SMALL => FetchError::TooLarge(limit),
                status => FetchError::Failed(status),
            }),
        }
    }

    fn from_protocol(base_code: ScopedProtocol<BaseCode>) -> Option<Self> {
        let mode = base_code.mode();
        if !mode.started() || mode.using_ipv6() || !mode.dhcp_ack_received() {
            return None;
        }
        let answers = || answers(mode).filter_map(DhcpAnswer::new);
        let boot_file = answers().find_map(|answer| answer.boot_file().map(String::from));
        let mut folder = boot_file.unwrap_or_default();
        folder.truncate(folder.rfind(['/', '\\']).map_or(0, |at| at + 1));
        let server = answers().find_map(|answer| answer.file_server());
        Some(Self {
            server,
            folder,
            base_code,
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
