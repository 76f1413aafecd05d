//! The story of a run: find out what to do, make sure of it, do it, say how it went.
//!
//! Nothing is written before the settings are understood, the disk is chosen beyond doubt, and a
//! person has agreed where that is asked for.

mod clock;
mod config;
mod console;
mod disk;
mod failure;
mod firmware;
mod lease;
mod memory;
mod nic;
mod serial;
mod then;

use alloc::format;
use alloc::vec::Vec;
use core::panic::PanicInfo;

use ironcast_receiver_nostd::settings::{Settings, Then};
use uefi::boot;
use uefi::prelude::*;

use clock::Clock;
use config::Source;
use console::Console;
use failure::Failure;
use firmware::Path;

#[entry]
fn main() -> Status {
    let _ = boot::set_watchdog_timer(0, 0x1_0000, None);
    let clock = Clock::start();
    let mut console = Console::open();
    console.line(concat!("ironcast: ", env!("CARGO_PKG_VERSION")));
    firmware::connect_all_drivers();
    let boot_device = firmware::boot_device().map(Path::of).unwrap_or_default();
    let cards = nic::find(&boot_device);
    for card in &cards {
        console.line(&format!("ironcast: card {card:?}"));
        let net = lease::NetworkBoot::find(card.mac);
        console.line(&format!("ironcast: boot {net:?}"));
        let mut net = net;
        let source = Source::find(net.as_mut().map(|net| (net, card.mac)), &mut |n| console.line(n));
        console.line(&format!("ironcast: source {source:?}"));
    }
    for disk in disk::find(&boot_device) {
        console.line(&format!("ironcast: disk {disk}"));
    }
    then::after_failure(&mut console, &clock)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    uefi::println!("ironcast: result failed: {info}");
    loop {}
}
