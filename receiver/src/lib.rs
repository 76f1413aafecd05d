//! The receiving of an image on a host with an operating system, as `ironcast-receiver` does it.
//!
//! The work is `ironcast_receiver_nostd`'s [`Engine`](ironcast_receiver_nostd::Engine), the same
//! that firmware runs; here are the [loop](receive) between it and the sockets, and the command
//! line.

#![forbid(unsafe_code)]

pub mod options;

mod background;
mod display;
mod gathering;
mod job;
mod transfer;

pub use display::Display;
pub use transfer::{Ending, Observer, Progress, ReceiveError, Settings, Summary, receive};
