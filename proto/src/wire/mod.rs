//! UDPcast's messages, byte by byte.
//!
//! One file per message family, each with its offsets in a `mod field` and the same three
//! functions:
//!
//! - `parse` reads a received datagram. It never panics, whatever the bytes, and its error names
//!   the reason. It judges form only: what a number may be is the machines' matter.
//! - `buffer_len` is how many bytes `emit` writes.
//! - `emit` writes the message, reserved bytes as zero, to the start of the caller's buffer. It
//!   never panics: a buffer of less than `buffer_len` bytes is an error and stays as it was.
//!
//! What the fields mean is docs/protocol.md, "Messages"; nothing here keeps state. Opcodes that
//! nobody knows survive as [`Message::Unknown`], to be counted and ignored.

mod capabilities;
mod connect;
mod data;
mod error;
mod fec;
mod field;
mod hello;
mod message;
mod ok;
mod opcode;
mod report;
mod reqack;
mod retransmit;
mod signal;
mod tag;

pub use capabilities::Capabilities;
pub use connect::{ConnectReply, ConnectReq};
pub use data::Data;
pub use error::{BufferTooShort, Error};
pub use fec::Fec;
pub use hello::{Hello, HelloKind};
pub use message::Message;
pub use ok::SliceOk;
pub use opcode::Opcode;
pub use report::{MAX_LABEL_LEN, MAX_MESSAGE_LEN, Report, State, Verified};
pub use reqack::ReqAck;
pub use retransmit::Retransmit;
pub use signal::Signal;
pub use tag::{set_tag, tag};

/// Bytes that hold any message but DATA and FEC: what a buffer for transmitting or receiving
/// control messages needs. REPORT is the longest of them.
pub const MAX_CONTROL_LEN: usize = Report::MAX_LEN;
