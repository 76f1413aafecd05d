//! What an operator can set about a sender.
//!
//! One place for the defaults, so that the program, the simulator and the documents agree.

use core::net::Ipv4Addr;

use super::size::SliceSize;
use crate::fec::Layout;
use crate::geometry;
use crate::time::Duration;

/// Settings of a [`Sender`](super::Sender).
#[derive(Clone, Debug)]
pub struct Config {
    /// The receivers' port; the sender's own is the next one. Even; default 9000.
    pub port_base: u16,
    /// Where HELLO goes: broadcast, the rendez-vous group, or the only receiver's own address.
    /// Default 255.255.255.255.
    pub control_address: Ipv4Addr,
    /// The multicast group for data. Default 233.255.0.1; [`data_group`] derives one that fits the
    /// sender's address.
    pub data_address: Ipv4Addr,
    /// Whom data is addressed to.
    pub addressing: Addressing,
    /// Bytes in a block; see [`geometry::check_block_size`]. Default 1456.
    pub block_size: u16,
    /// Whether a slice is sent while the one before it waits for answers.
    pub duplex: Duplex,
    /// Blocks in a slice.
    pub slice_blocks: SliceBlocks,
    /// When the transfer starts.
    pub start: StartRules,
    /// Rounds of REQACK for one slice, after which receivers that are not ready are dropped.
    /// Default 200, as stock's.
    pub retries_until_drop: u32,
    /// How long a receiver that is waited for may say nothing before it is dropped; `None` for as
    /// long as `retries_until_drop` takes. Default 5 s.
    pub drop_after: Option<Duration>,
    /// How long a receiver may take for one slice, counted from the first REQACK, before it is
    /// dropped though it is alive; `None` for as long as it likes. Default 30 s. It may hold most
    /// of the others up for so long in all; what such receivers take beyond that may come to a
    /// quarter of the transfer's time. The end has limits of its own (docs/protocol.md, "Waits").
    pub stall_limit: Option<Duration>,
    /// Forward error correction; `None`, the default, for none.
    pub fec: Option<Layout>,
    /// Transfers without a way back: nobody connects, nobody is asked.
    pub asynchronous: bool,
    /// Receivers may join while the transfer goes on; the number is how many blocks before the end
    /// of each slice they are told so. `None`, the default, if they may not.
    pub streaming: Option<u16>,
    /// Most bits a second, counted as IP packets; `None`, the default, for no limit.
    pub max_bitrate: Option<u64>,
    /// What tells this transfer from others; to be chosen at random. Default 0, which tells nothing
    /// (docs/protocol.md, "Transfer tag").
    pub tag: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port_base: 9000,
            control_address: Ipv4Addr::BROADCAST,
            data_address: Ipv4Addr::new(233, 255, 0, 1),
            addressing: Addressing::Automatic,
            block_size: geometry::DEFAULT_BLOCK_SIZE,
            duplex: Duplex::Full,
            slice_blocks: SliceBlocks::default(),
            start: StartRules::default(),
            retries_until_drop: 200,
            drop_after: Some(Duration::from_secs(5)),
            stall_limit: Some(Duration::from_secs(30)),
            fec: None,
            asynchronous: false,
            streaming: None,
            max_bitrate: None,
            tag: 0,
        }
    }
}

impl Config {
    /// Most bytes that a slice will have with these settings. Two slices are in flight at most
    /// (docs/protocol.md, "Geometry").
    #[must_use]
    pub fn max_slice_len(&self) -> u32 {
        u32::from(SliceSize::new(self).most_blocks()) * u32::from(self.block_size)
    }
}

/// The data group that stock senders of 2023 and later derive from their own address
/// (docs/protocol.md, "Ports and addresses").
#[must_use]
pub fn data_group(own: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(own.to_bits() & 0x0001_ffff | 0xe9fe_0000)
}

/// Whom data is addressed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// The only receiver, if exactly one is connected at the start; else the group.
    #[default]
    Automatic,
    /// The group, even for one receiver (`--nopointopoint`).
    Multicast,
    /// The control address (`--broadcast`).
    Broadcast,
    /// The only receiver; further ones are refused (`--pointopoint`).
    PointToPoint,
}

/// Whether a slice is sent while the one before it waits for answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplex {
    /// It is.
    #[default]
    Full,
    /// It waits. Slices grow while nothing is lost, and shrink on loss.
    Half,
}

/// Blocks in a slice, each from 1 to 1024. The defaults are for blocks of up to 1456 bytes; of
/// larger ones a slice gets fewer, so that it takes no more memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SliceBlocks {
    /// To begin with; if `None`, as many as the receivers' buffers hold in full duplex (112, as
    /// stock's, if they don't say), and 130 in half duplex, as stock's.
    pub default: Option<u16>,
    /// Least that half duplex shrinks to. Default 32.
    pub min: Option<u16>,
    /// Most that half duplex grows to. Default 1024.
    pub max: Option<u16>,
}

/// When the transfer starts. Any rule that is met starts it; so do GO from a connected receiver and
/// [`Sender::start`](super::Sender::start). Never without a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartRules {
    /// As soon as so many are connected.
    pub min_receivers: Option<u16>,
    /// But not sooner than this after the first connected. Default 0.
    pub min_wait: Duration,
    /// This long after the first connected, however many there are.
    pub max_wait: Option<Duration>,
    /// After so many HELLOs.
    pub autostart: Option<u32>,
    /// Time between HELLOs; `None`, the default, for a second.
    pub hello_interval: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_group_is_the_newer_stock_derivation() {
        assert_eq!(
            data_group(Ipv4Addr::new(10, 77, 0, 1)),
            Ipv4Addr::new(233, 255, 0, 1)
        );
        assert_eq!(
            data_group(Ipv4Addr::new(192, 168, 3, 4)),
            Ipv4Addr::new(233, 254, 3, 4)
        );
    }
}
