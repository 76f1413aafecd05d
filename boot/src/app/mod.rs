//! The story of a run: find out what to do, make sure of it, do it, say how it went.
//!
//! Nothing is written before the settings are understood, the disk is chosen beyond doubt, and a
//! person has agreed where that is asked for.

mod arch;
mod clock;
mod config;
mod console;
mod disk;
mod disk_identity;
mod disks;
mod dry_run;
mod failure;
mod firmware;
mod http;
mod identity;
mod memory;
mod network;
mod network_boot;
mod nic;
mod outcome;
mod panic;
mod pxe;
mod random;
mod serial;
mod target;
mod then;
mod transfer;

use alloc::format;

use ironcast_proto::time::Duration;
use ironcast_receiver_nostd::settings::{Settings, Then};
use uefi::prelude::*;

use clock::Clock;
use config::Source;
use console::Console;
use disk::TargetDisk;
use disks::DiskInfo;
use dry_run::DryRun;
use failure::Failure;
use firmware::Path;
use network::Network;
use network_boot::NetworkBoot;
use outcome::Done;
use transfer::{Target, Transfer};

#[entry]
fn main() -> Status {
    firmware::set_watchdog(Duration::ZERO);
    let clock = Clock::start();
    let mut console = Console::open();
    console.line(concat!("ironcast: ", env!("CARGO_PKG_VERSION")));
    firmware::connect_all_drivers();
    match install(&clock, &mut console) {
        Ok((disk, done, then)) => {
            let name = disk.name();
            let (word, hash) = (done.word(), done.hash);
            console.line(&format!(
                "ironcast: result {word} {done} disk={name} blake3={hash}{}",
                done.care()
            ));
            follow(then, &disk, &clock, &mut console)
        }
        Err(failure) => {
            console.line(&format!("ironcast: result failed: {failure}"));
            then::after_failure(&mut console, &clock)
        }
    }
}

/// Receives the image and writes it.
fn install(clock: &Clock, console: &mut Console) -> Result<(DiskInfo, Done, Then), Failure> {
    let boot_handle = firmware::boot_device();
    let boot_device = boot_handle.map(Path::of).unwrap_or_default();
    let cards = nic::find(&boot_device);
    let mut network_boot = NetworkBoot::find(boot_handle, &cards);
    let source = Source::find(network_boot.as_mut(), clock, console)?;
    let settings = Source::settings(source.as_ref())?;
    show_settings(&settings, source.as_ref(), console);
    let lease = network_boot.and_then(|boot| boot.lease());

    let transfer = Transfer::new(&settings, clock)?;
    let disk = target::choose(settings.disk, &boot_device, console)?;
    target::confirm(&settings, &disk, clock, console)?;
    let mut target = TargetDisk::open(&disk).map_err(|error| target::unusable(&disk, &error))?;
    let mut dry_run = DryRun::new(disk.bytes(), disk.sector());
    let mut network = Network::connect(&cards, &settings, lease, clock, console)?;
    let target: &mut Target = match settings.dry_run {
        true => &mut dry_run,
        false => &mut target,
    };
    let done = transfer.run(&mut network, target, &disk, console)?;
    Ok((disk, done, settings.then))
}

/// Says what the machine goes by, so that nobody has to guess.
fn show_settings(settings: &Settings<'_>, source: Option<&Source>, console: &mut Console) {
    match source {
        Some(source) => {
            console.line(&format!(
                "ironcast: settings of {}: {}",
                source.name,
                source.words()
            ));
        }
        None => {
            console.line("ironcast: no settings found; the disk is overwritten only if you agree")
        }
    }
    let (disk, port) = (settings.disk, settings.port_base);
    // Their names in the program are the words of the settings, but for the case.
    let verify = if settings.verify { "yes" } else { "no" };
    let choices = format!(
        "confirm={:?} gpt={:?} guid={:?} on-failure={:?} then={:?}",
        settings.confirm, settings.gpt, settings.guid, settings.on_failure, settings.then
    );
    let choices = choices.to_ascii_lowercase();
    let dry_run = if settings.dry_run { " dry-run=yes" } else { "" };
    console.line(&format!(
        "ironcast: disk={disk} portbase={port} verify={verify} {choices}{dry_run}"
    ));
}

/// Does what was to be done after success.
fn follow(then: Then, disk: &DiskInfo, clock: &Clock, console: &mut Console) -> ! {
    match then {
        Then::Reboot => then::reboot(console),
        Then::PowerOff => then::power_off(console),
        Then::Wait => then::wait(console),
        Then::Boot => {
            let failure = then::start_from(disk, console);
            console.line(&format!("ironcast: {failure}"));
            then::after_failure(console, clock)
        }
    }
}
