//! The network boot that started this program: the machine's address, and the server with its
//! files.
//!
//! Both last only until the network card is taken away from the firmware's network stack.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use ironcast_proto::time::Duration;
use ironcast_receiver_nostd::dhcp_answer::DhcpAnswer;
use ironcast_receiver_nostd::settings::AddressSource;
use uefi::{Handle, Status};

use super::clock::Clock;
use super::http::HttpClient;
use super::nic::NicInfo;
use super::pxe::PxeClient;

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
    /// The machine's name; empty if the server has none for it.
    pub(crate) host: String,
}

/// The firmware's network boot, as long as it still works.
#[derive(Debug)]
pub(crate) struct NetworkBoot {
    mac: [u8; 6],
    client: Client,
}

/// What fetches files.
#[derive(Debug)]
enum Client {
    Pxe(PxeClient),
    Http(HttpClient),
}

impl NetworkBoot {
    /// The HTTP boot that loaded this program from `boot_device`, or the PXE boot over the first of
    /// `cards` that there was one over.
    pub(crate) fn find(boot_device: Option<Handle>, cards: &[NicInfo]) -> Option<Self> {
        let http = || {
            let (client, mac) = HttpClient::find(boot_device?)?;
            Some(Self {
                mac,
                client: Client::Http(client),
            })
        };
        let pxe = |card: &NicInfo| {
            let client = Client::Pxe(PxeClient::find(card.mac)?);
            let mac = card.mac;
            Some(Self { mac, client })
        };
        http().or_else(|| cards.iter().find_map(pxe))
    }

    /// The Ethernet address of the card that was booted over.
    pub(crate) fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// What the DHCP server gave, if it is known how long that lasts: the client of HTTP boot
    /// doesn't tell.
    pub(crate) fn lease(&self) -> Option<Lease> {
        match &self.client {
            Client::Pxe(client) => client.lease(),
            Client::Http(_) => None,
        }
    }

    /// Where the file `name` of the boot server would be, for people to find it; `None` if no
    /// server is known.
    pub(crate) fn place(&self, name: &str) -> Option<String> {
        match &self.client {
            Client::Pxe(client) => client.place(name),
            Client::Http(client) => Some(client.place(name)),
        }
    }

    /// Fetches the file `name`, of `limit` bytes at most, from the boot server, out of the folder
    /// of the file that was booted.
    pub(crate) fn fetch(
        &mut self,
        name: &str,
        limit: usize,
        clock: &Clock,
    ) -> Result<Vec<u8>, FetchError> {
        match &mut self.client {
            Client::Pxe(client) => client.fetch(name, limit),
            Client::Http(client) => client.fetch(name, limit, clock),
        }
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

    /// What a DHCP server's acknowledgement gives; `None` if it gives no address.
    pub(crate) fn from_ack(ack: &DhcpAnswer<'_>) -> Option<Self> {
        Some(Self {
            address: ack.address()?,
            prefix: ack.prefix(),
            router: ack.router(),
            duration: ack.duration(),
            host: ack.host_name().unwrap_or_default().into(),
        })
    }
}

/// Why a file did not come from the boot server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// The server says that there is no such file, or that nobody may have it.
    NotThere,
    /// It is larger than what it is for should be.
    TooLarge(
        /// The most bytes that are taken.
        usize,
    ),
    /// The server did not answer, or the network failed.
    Failed(Status),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => f.write_str("there is no such file"),
            Self::TooLarge(limit) => write!(f, "the file has more than {limit} bytes"),
            Self::Failed(status) => write!(f, "it could not be read ({status})"),
        }
    }
}

impl core::error::Error for FetchError {}
