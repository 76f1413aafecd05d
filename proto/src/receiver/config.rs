//! What an operator can set about a receiver.
//!
//! One place for the defaults, so that both programs, the firmware and the documents agree.

use core::net::Ipv4Addr;

use crate::time::Duration;

/// Settings of a [`Receiver`](super::Receiver).
#[derive(Clone, Debug)]
pub struct Config {
    /// The receiver's port; the sender's is the next one. Even; default 9000.
    pub port_base: u16,
    /// Where to ask for a sender: broadcast, the rendez-vous group, or a sender's own address.
    /// Default 255.255.255.255.
    pub control_address: Ipv4Addr,
    /// Bytes that the network side can hold for a moment, told to the sender; 0 if not known, which
    /// is the default.
    pub receive_buffer: u32,
    /// Bytes of the caller's memory for blocks: at least two of the sender's slices, or it has to
    /// wait. Slices of stock senders have 112 blocks unless set, and 1024 at most. Default 4 MiB.
    pub capacity: u64,
    /// How long to wait for an answer before asking for a connection again. Default 1 s.
    pub connect_interval: Duration,
    /// How long to go on answering after the end. Default 500 ms, as stock's.
    pub exit_wait: Duration,
    /// How long a sender may say nothing before it counts as gone. Default 60 s. In the transfer
    /// that ends it; before, the receiver looks for a sender again.
    pub sender_timeout: Duration,
    /// How long the last bytes may take to be put where they belong once all have arrived. Default
    /// 1 hour: a large disk is read back, or the system's memory written out.
    pub finish_timeout: Duration,
    /// How long to wait for the first block; `None`, the default, for ever.
    pub start_timeout: Option<Duration>,
    /// Whether to send nothing at all, and take what comes. Default false.
    pub passive: bool,
    /// Whether to join a streaming transfer that is under way, and take what is left of it. Default
    /// true, as stock's.
    pub late_join: bool,
    /// Whether to go on when data was lost that nobody will send again, with zeroes in its place.
    /// Default false.
    pub ignore_lost_data: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port_base: 9000,
            control_address: Ipv4Addr::BROADCAST,
            receive_buffer: 0,
            capacity: 4 << 20,
            connect_interval: Duration::from_secs(1),
            exit_wait: Duration::from_millis(500),
            sender_timeout: Duration::from_secs(60),
            finish_timeout: Duration::from_secs(3600),
            start_timeout: None,
            passive: false,
            late_join: true,
            ignore_lost_data: false,
        }
    }
}
