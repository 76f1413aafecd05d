//! `ironcast.efi`: receives a disk image on a bare machine, started by its firmware.
//!
//! On any other target there is nothing to build, and the program only says so: the workspace still
//! builds as a whole on a host.

#![cfg_attr(target_os = "uefi", no_std, no_main)]

#[cfg(target_os = "uefi")]
extern crate alloc;

#[cfg(target_os = "uefi")]
mod app;

#[cfg(not(target_os = "uefi"))]
fn main() -> std::process::ExitCode {
    eprintln!("this program runs in UEFI firmware only; `cargo xtask efi` builds it for that");
    std::process::ExitCode::FAILURE
}
