//! What a receiver hands to its caller: blocks, datagrams, events, the reasons of failures, and
//! counts.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

use crate::time::Duration;
use crate::wire::Capabilities;

/// A block of the image, to be copied to its place before the machine is called again: the machine
/// counts it as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'d> {
    /// Where the bytes belong, counted from the start of the stream. At most
    /// [`Config::capacity`](super::Config::capacity) bytes from the last offset given to
    /// [`Receiver::release`](super::Receiver::release).
    pub offset: u64,
    /// The bytes.
    pub payload: &'d [u8],
}

/// A datagram to be sent, its bytes in the buffer that
/// [`Receiver::poll_transmit`](super::Receiver::poll_transmit) was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to; from the receiver's port, which is
    /// [`Config::port_base`](super::Config::port_base).
    pub destination: SocketAddrV4,
    /// How many bytes of the buffer.
    pub len: usize,
}

/// Something that the caller should know or do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A sender's HELLO was heard; it has been asked for a connection. Told of each sender once,
    /// and of one more each 10 s at most when there are more than eight.
    Heard {
        /// The sender's address and port.
        sender: SocketAddrV4,
    },
    /// A sender is followed without a word: it takes no answers (`--async`), or this receiver is
    /// [passive](super::Config::passive).
    Asynchronous {
        /// The sender's address and port.
        sender: SocketAddrV4,
        /// Bytes in a block.
        block_size: u16,
    },
    /// Another sender uses the same port. It is ignored. Told as often as
    /// [`Heard`](Self::Heard).
    Other {
        /// Its address and port.
        sender: SocketAddrV4,
    },
    /// A transfer is under way that this receiver does not
    /// [join late](super::Config::late_join); a sender is looked for again.
    TooLate {
        /// The sender's address and port.
        sender: SocketAddrV4,
    },
    /// The stream begins in the middle of the sender's: with this slice.
    Joined {
        /// The slice's number; its first byte is at stream offset 0.
        slice: u32,
    },
    /// Bytes were lost that nobody will send again, and zeroes are in their place
    /// ([`Config::ignore_lost_data`](super::Config::ignore_lost_data)).
    DataLost {
        /// From where on the stream is not whole.
        offset: u64,
    },
    /// A sender knows this receiver now, and will wait for it.
    Connected {
        /// The sender's address and port.
        sender: SocketAddrV4,
        /// This receiver's number, from 0.
        number: u16,
        /// Bytes in a block.
        block_size: u16,
        /// What every party of the transfer understands, as far as the sender knows.
        capabilities: Capabilities,
    },
    /// The data will come to this group: join it.
    Join {
        /// The multicast group.
        group: Ipv4Addr,
    },
    /// The sender fell silent before the transfer started; a sender is looked for again.
    Lost,
    /// The transfer has started.
    Started,
    /// The whole stream has arrived: put it where it belongs, then call
    /// [`Receiver::confirm`](super::Receiver::confirm).
    Ended {
        /// Length of the stream.
        bytes: u64,
    },
    /// The receiver is done; nothing follows.
    Finished(Result<(), Failure>),
}

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller called [`Receiver::abort`](super::Receiver::abort).
    Aborted,
    /// The sender has as many receivers as it can have.
    Refused,
    /// The sender cuts blocks of a size that no sender may use.
    BlockSize(
        /// The size in bytes.
        u32,
    ),
    /// The transfer did not start within [`Config::start_timeout`](super::Config::start_timeout).
    NotStarted,
    /// The sender said nothing for so long during the transfer.
    Silent {
        /// How long.
        waited: Duration,
        /// Stream bytes that had arrived.
        received: u64,
    },
    /// The sender began another transfer before this one had ended.
    Restarted {
        /// Stream bytes that had arrived.
        received: u64,
    },
    /// The sender went on without this receiver.
    Dropped {
        /// Stream bytes that had arrived.
        received: u64,
    },
    /// Bytes were lost that nobody will send again.
    DataLost {
        /// Stream bytes that had arrived.
        received: u64,
    },
    /// A transfer that was under way ended before a whole slice had arrived.
    JoinedTooLate,
    /// Everything had arrived, and was not put where it belongs within
    /// [`Config::finish_timeout`](super::Config::finish_timeout).
    NotFinished {
        /// How long it took already.
        waited: Duration,
    },
    /// A slice is larger than the memory for blocks.
    SliceTooLarge {
        /// Bytes of the slice.
        slice: u32,
        /// [`Config::capacity`](super::Config::capacity).
        capacity: u64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("the transfer was given up here"),
            Self::Refused => f.write_str("the sender has no place for another receiver"),
            Self::BlockSize(size) => write!(f, "the sender uses an impossible block size, {size}"),
            Self::NotStarted => f.write_str("no transfer started in the time set for it"),
            Self::Silent { waited, received } => write!(
                f,
                "the sender said nothing for {} s, after {received} bytes had arrived",
                waited.as_secs()
            ),
            Self::Restarted { received } => write!(
                f,
                "the sender began another transfer, after {received} bytes of this one had arrived"
            ),
            Self::Dropped { received } => {
                write!(
                    f,
                    "the sender dropped this receiver, after {received} bytes had arrived"
                )
            }
            Self::DataLost { received } => write!(
                f,
                "data were lost that nobody will send again, after {received} bytes had arrived"
            ),
            Self::JoinedTooLate => {
                f.write_str("the transfer ended before a whole slice of it had arrived here")
            }
            Self::NotFinished { waited } => write!(
                f,
                "everything has arrived, but {} s did not do to put it where it belongs",
                waited.as_secs()
            ),
            Self::SliceTooLarge { slice, capacity } => write!(
                f,
                "the sender's slices of {slice} bytes don't fit the receiver's memory of \
                 {capacity} bytes"
            ),
        }
    }
}

impl core::error::Error for Failure {}

/// What a receiver has counted. Counts wrap only after centuries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams handed in.
    pub datagrams: u64,
    /// Blocks that were new.
    pub blocks: u64,
    /// FEC blocks that were taken in place of data blocks.
    pub fec_blocks: u64,
    /// Data blocks that were rebuilt from FEC blocks.
    pub rebuilt: u64,
    /// Bytes that were passed over, as far as it is known how many.
    pub lost_bytes: u64,
    /// Slices of unknown length that were passed over.
    pub lost_slices: u32,
    /// Blocks that had arrived before.
    pub duplicates: u64,
    /// Blocks passed over since the caller's memory was full, or their place not known yet.
    pub no_room: u64,
    /// Datagrams that are no message, or contradict what was told before.
    pub invalid: u64,
    /// Datagrams from others than the sender, or of no use in this state.
    pub foreign: u64,
    /// RETRANSMIT messages sent.
    pub retransmits: u64,
    /// Data blocks that were missing when a later one of their slice came, or when the sender asked
    /// for the whole slice. Each counts once, however often it was lost.
    pub missing: u64,
}
