//! What a sender tells its caller: events, the end, and counts.

use core::net::SocketAddrV4;

/// Something that the caller should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The fate of one receiver changed.
    Receiver {
        /// Its number, from 0.
        number: u16,
        /// Its address and port.
        address: SocketAddrV4,
        /// What it is now.
        standing: Standing,
    },
    /// A receiver was turned away: there are 1024 of them, or one under `--pointopoint`. Told of
    /// each once, and of one more each 10 s at most when there are more than eight.
    Refused {
        /// Its address and port.
        address: SocketAddrV4,
    },
    /// The transfer has started.
    Started {
        /// How many receivers take part.
        receivers: u16,
    },
    /// The sender is done; nothing follows.
    Finished(Outcome),
}

/// What a receiver is to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes part.
    Connected,
    /// It acknowledged the whole stream.
    Completed,
    /// It came after the start, and acknowledged the stream from there on.
    Partial,
    /// It sent DISCONNECT before it had acknowledged the whole stream.
    Left,
    /// It answered, but did not get all of a slice in
    /// [so many rounds](super::Config::retries_until_drop), and the transfer goes on without it.
    Dropped,
    /// It took [too long](super::Config::stall_limit) for a slice, or for several together, and the
    /// transfer goes on without it.
    Stalled,
    /// It was silent for [too long](super::Config::drop_after), and the transfer goes on without
    /// it.
    Silent,
    /// It asked for a connection as if it were new: it was restarted, and knows nothing of the
    /// transfer any more.
    Restarted,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Receivers that acknowledged the whole stream: none of an asynchronous transfer, where nobody
    /// can.
    pub completed: u16,
    /// Receivers that came after the start, and acknowledged the stream from there on.
    pub partial: u16,
    /// Receivers that took part and did not.
    pub lost: u16,
    /// Stream bytes that every remaining receiver acknowledged.
    pub bytes: u64,
}

/// What a sender has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// DATA messages, the retransmitted ones included.
    pub blocks: u64,
    /// FEC messages.
    pub fec_blocks: u64,
    /// DATA messages that were retransmissions.
    pub retransmitted: u64,
    /// REQACK messages.
    pub requests: u64,
    /// RETRANSMIT messages that came too late for their round.
    pub stale: u64,
    /// Datagrams that are no message, or of no use, or from strangers.
    pub ignored: u64,
}
