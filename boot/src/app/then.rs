//! What becomes of the machine after the run.
//!
//! After success it does what it was told to. After a failure it does not: restarting could begin
//! the same again without end, and starting a disk that is half written helps nobody.

use alloc::format;

use ironcast_proto::time::Duration;
use uefi::runtime::{self, ResetType};
use uefi::{Status, boot};

use super::arch::DEFAULT_LOADER;
use super::clock::{Clock, Nap};
use super::console::Console;
use super::disks::DiskInfo;
use super::failure::Failure;
use super::loader::Loader;
use super::{boot_next, firmware};

/// How long a failure stays on the screen before the machine switches itself off.
pub(crate) const FAILURE_SHOWN: Duration = Duration::from_secs(600);

/// How often keys and serial lines are looked at.
const REST: Duration = Duration::from_millis(5);

/// How long an operating system's loader may take, as the firmware's boot manager has it.
const LOADER_WATCHDOG: Duration = Duration::from_secs(300);

/// Restarts the machine.
pub(crate) fn reboot(console: &mut Console) -> ! {
    console.line("ironcast: restarting");
    runtime::reset(ResetType::COLD, Status::SUCCESS, None)
}

/// Switches the machine off.
pub(crate) fn power_off(console: &mut Console) -> ! {
    console.line("ironcast: switching off");
    runtime::reset(ResetType::SHUTDOWN, Status::SUCCESS, None)
}

/// Leaves the result on the screen until somebody presses a key, then restarts.
pub(crate) fn wait(console: &mut Console) -> ! {
    console.line("ironcast: done; press any key to restart");
    console.forget_keys();
    let nap = Nap::new();
    while console.key().is_none() {
        nap.wait(REST);
    }
    reboot(console)
}

/// Leaves the failure on the screen for ten minutes, then switches off; a key restarts at once.
/// `meanwhile` is called every few milliseconds.
pub(crate) fn after_failure(
    console: &mut Console,
    clock: &Clock,
    meanwhile: &mut dyn FnMut(&mut Console),
) -> ! {
    let minutes = FAILURE_SHOWN.as_secs() / 60;
    console.line(&format!(
        "ironcast: this machine switches off in {minutes} minutes; press any key to restart it"
    ));
    console.forget_keys();
    let nap = Nap::new();
    let end = clock.now() + FAILURE_SHOWN;
    while clock.now() < end {
        if console.key().is_some() {
            reboot(console);
        }
        meanwhile(console);
        nap.wait(REST);
    }
    power_off(console)
}

/// Starts the system on `disk`, as the firmware would. Comes back only if that fails, or if what
/// was started comes back; then `next` is what to do.
pub(crate) fn start_from(disk: &DiskInfo, next: &'static str, console: &mut Console) -> Failure {
    let name = disk.name();
    let Some(loader) = Loader::find(disk) else {
        let what = format!(
            "{name} can't be started: no file system on it has {DEFAULT_LOADER}, or another loader \
             that is known"
        );
        return Failure::new(what, next);
    };
    let file = &loader.file;
    let loaded = match loader.load() {
        Ok(loaded) => loaded,
        Err(status) => {
            let what = format!("{file} of {name} can't be loaded ({status})");
            return Failure::new(what, next);
        }
    };
    console.line(&format!("ironcast: starting {file} of {name}"));
    console.leave();
    firmware::set_watchdog(LOADER_WATCHDOG);
    let ended = boot::start_image(loaded);
    firmware::set_watchdog(Duration::ZERO);
    let status = ended.map_or_else(|error| error.status(), |()| Status::SUCCESS);
    Failure::new(format!("{file} of {name} came back ({status})"), next)
}

/// Restarts the machine, from `disk` if that has a system which the firmware can start.
pub(crate) fn reboot_into(disk: &DiskInfo, console: &mut Console) -> ! {
    let name = disk.name();
    let line = match Loader::find(disk).map(|loader| boot_next::set(&loader)) {
        Some(Ok(())) => format!("the next start is from {name}"),
        Some(Err(status)) => format!(
            "the firmware takes no order to start from {name} next ({status}); it goes by its own \
             order"
        ),
        None => {
            format!("{name} has no boot loader that is known; the firmware goes by its own order")
        }
    };
    console.line(&format!("ironcast: {line}"));
    reboot(console)
}
