//! UDPcast's wire and both ends of a transfer, as machines without sockets, clock or heap.
//!
//! This crate does not open a socket, read a clock, allocate, or touch the image: its callers hand
//! it datagrams and the time, and it says what to send, where received bytes belong, and when to
//! wake it. Sender, hosted receiver, firmware receiver and the simulated network of the tests all
//! run this code.
//!
//! [`cast`] has the beginning of images that say who they are, which that wire carries like any
//! others.
//!
//! Start at [`sender::Sender`] and [`receiver::Receiver`]; [`wire`] has the messages, byte by byte.
#![no_std]
#![forbid(unsafe_code)]

pub mod bits;
pub mod cast;
pub mod fec;
pub mod geometry;
pub mod receiver;
pub mod sender;
pub mod time;
mod told;
pub mod wire;
