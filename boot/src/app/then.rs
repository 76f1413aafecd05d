//! What becomes of the machine after the run.
//!
//! After success it does what it was told to. After a failure it does not: restarting could begin
//! the same again without end, and starting a disk that is half written helps nobody.

use alloc::format;
use alloc::vec::Vec;

use ironcast_proto::time::Duration;
use uefi::boot::{self, LoadImageSource};
use uefi::proto::BootPolicy;
use uefi::proto::device_path::DevicePath;
use uefi::proto::device_path::build::{DevicePathBuilder, media};
use uefi::proto::media::fs::SimpleFileSystem;
use uefi::runtime::{self, ResetType};
use uefi::{Handle, Status};

use super::arch::DEFAULT_LOADER;
use super::clock::{Clock, Nap};
use super::console::Console;
use super::disks::DiskInfo;
use super::failure::Failure;
use super::firmware::{self, Path};

/// How long a failure stays on the screen before the machine switches itself off.
const FAILURE_SHOWN: Duration = Duration::from_secs(600);

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
pub(crate) fn after_failure(console: &mut Console, clock: &Clock) -> ! {
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
        nap.wait(REST);
    }
    power_off(console)
}

/// Starts what was written to `disk`, as the firmware would. Comes back only if that fails, or if
/// what was started comes back.
pub(crate) fn start_from(disk: &DiskInfo, console: &mut Console) -> Failure {
    const NEXT: &str = "restart the machine to boot it";
    // The drivers have not seen the new partition table yet.
    let connected = boot::connect_controller(disk.handle(), &[], None, true);
    let Some(system) = loader_volume(disk.path()) else {
        let status = connected.map_or_else(|error| error.status(), |()| Status::NOT_FOUND);
        let name = disk.name();
        let what = format!("{name} can't be started: no partition has {DEFAULT_LOADER} ({status})");
        return Failure::new(what, NEXT);
    };
    let loaded = match load(system) {
        Ok(loaded) => loaded,
        Err(status) => {
            let name = disk.name();
            let what = format!("{DEFAULT_LOADER} of {name} can't be loaded ({status})");
            return Failure::new(what, NEXT);
        }
    };
    console.line(&format!(
        "ironcast: starting {DEFAULT_LOADER} of {}",
        disk.name()
    ));
    firmware::set_watchdog(LOADER_WATCHDOG);
    let ended = boot::start_image(loaded);
    firmware::set_watchdog(Duration::ZERO);
    let status = ended.map_or_else(|error| error.status(), |()| Status::SUCCESS);
    let name = disk.name();
    Failure::new(
        format!("{DEFAULT_LOADER} of {name} came back ({status})"),
        NEXT,
    )
}

/// The file system on the disk at `path` that has the loader.
fn loader_volume(path: &Path) -> Option<Handle> {
    use uefi::proto::media::file::{File, FileAttribute, FileMode};
    firmware::handles_of::<SimpleFileSystem>()
        .into_iter()
        .filter(|&handle| Path::of(handle).leads_through(path))
        .find(|&handle| {
            let root = firmware::open_shared::<SimpleFileSystem>(handle)
                .and_then(|mut system| system.open_volume().ok());
            root.is_some_and(|mut root| {
                root.open(DEFAULT_LOADER, FileMode::Read, FileAttribute::empty())
                    .is_ok()
            })
        })
}

fn load(system: Handle) -> Result<Handle, Status> {
    let path = firmware::open_shared::<DevicePath>(system).ok_or(Status::NOT_FOUND)?;
    let mut memory = Vec::new();
    let mut builder = DevicePathBuilder::with_vec(&mut memory);
    for node in path.node_iter() {
        builder = builder.push(&node).map_err(|_| Status::BAD_BUFFER_SIZE)?;
    }
    let file = media::FilePath {
        path_name: DEFAULT_LOADER,
    };
    let full = builder
        .push(&file)
        .and_then(DevicePathBuilder::finalize)
        .map_err(|_| Status::BAD_BUFFER_SIZE)?;
    let source = LoadImageSource::FromDevicePath {
        device_path: full,
        boot_policy: BootPolicy::BootSelection,
    };
    boot::load_image(boot::image_handle(), source).map_err(|error| error.status())
}
