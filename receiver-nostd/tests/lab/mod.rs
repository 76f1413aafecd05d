//! A sender and engines on a network that is not there, in a time that is not either.
//!
//! Seeded and event-driven: a run of minutes takes milliseconds, and the same seed gives the same
//! run. What is simulated is what matters to an engine: loss, duplicates, reordering, a wire that
//! carries one frame at a time, and a network card whose frames pile up while the disk keeps the
//! machine busy.
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    reason = "each test program uses its own part, and fails where it can't go on"
)]

pub mod cast;
mod disk;
pub mod gpt;
mod machine;
mod network;
pub mod stream;

pub use disk::{DiskError, Fault, TestDisk, Written};
pub use machine::{Machine, Setup};
pub use network::{Network, Random, Trouble, receiver_address};

/// Bytes that look like no others: an image whose pieces can't be taken for each other.
pub fn image(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64 + 1);
    (0..len).map(|_| random.next() as u8).collect()
}
