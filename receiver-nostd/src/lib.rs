//! What a machine does with a transmission: link, decompression, disk, without std or a heap.
//!
//! This crate drives no hardware, reads no clock and allocates nothing: its callers hand it memory,
//! a network device (`smoltcp`), a disk (`embedded-io`) and the time. It runs in firmware, in the
//! hosted receiver, and on anything else that has those. Only with the feature `alloc` some of
//! its decoders and the page for a screen use a heap, and nothing else does.
//!
//! - `cast`, with the feature `alloc`, reads cast streams and proves their chunks.
//! - [`decode`] has the decoders of compressed images.
//! - [`engine`] takes datagrams, and writes the image: the machine of `ironcast-proto`, memory for
//!   blocks, hash, decompression and disk writer in one.
//! - [`link`] makes datagrams of a network device's frames: DHCP, ARP, IGMP, UDP.
//! - `screen`, with the feature `alloc`, lays out what a person sees on a text screen.
//! - [`settings`] is the grammar of what an operator can set.
//!
//! A program has one loop: poll the link and hand what it delivers to the engine; send what the
//! engine wants sent; one piece of the engine's work; look at its events.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod boot_url;
pub mod calendar;
#[cfg(feature = "alloc")]
pub mod cast;
pub mod contents;
pub mod decode;
pub mod dhcp_answer;
pub mod disk;
mod disk_choice;
pub mod disk_identity;
pub mod engine;
pub mod first_boot;
pub mod gpt;
pub mod image;
pub mod job;
pub mod link;
pub mod load_options;
pub mod mbr;
#[cfg(feature = "alloc")]
pub mod screen;
pub mod settings;
pub mod silence;
pub mod smbios;
pub mod target;
mod volume;

pub use disk::Disk;
pub use engine::Engine;
pub use link::Link;
pub use settings::Settings;
