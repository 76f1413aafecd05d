//! The laboratory of the end-to-end tests: private networks, machines, stock and own programs.
//!
//! It is a library of its own so that the tests and `cargo xtask demo` share one way of making a
//! network, starting a PXE server and booting a machine. It tests nothing by itself and knows
//! nothing of the wire: that is the programs' business. Everything it starts is a process that dies
//! with the value that stands for it, and at the latest with the process that made it.

#![forbid(unsafe_code)]

mod error;
mod monitor;
mod tool;

pub mod gate;
pub mod image;
pub mod lab;
pub mod machine;
pub mod partitions;
pub mod process;
pub mod programs;
pub mod pxe;
pub mod room;
pub mod screenshot;
pub mod signing;
pub mod transfer;
pub mod variables;

pub use error::LabError;
pub use lab::{Counter, Direction, Host, Lab, Port, Tap};
pub use machine::{Board, BootOrder, DiskKind, Machine, MachineBuilder, Nic};
pub use process::{Running, processor_time, wait_exit};
pub use programs::{
    Architecture, Kind, Program, boot_loader, dhcp_server, ironcast_efi, os_image, test_key,
    test_medium, trusting_efi,
};
pub use pxe::{PxeServer, PxeSettings};
pub use screenshot::{Colour, Screenshot};
pub use tool::find_tool;
pub use transfer::{Receiver, Transfer, Transferring};
