//! The story of a run: find out what to do, make sure of it, do it, say how it went.
//!
//! Nothing is written before the settings are understood, the disk is chosen beyond doubt, and a
//! person has agreed where that is asked for.

mod arch;
mod boot_next;
mod cast;
mod clock;
mod config;
mod console;
mod disk;
mod disk_identity;
mod disk_options;
mod disks;
mod dry_run;
mod events;
mod failure;
mod files;
mod firmware;
mod first_boot;
mod http;
mod identity;
mod job;
mod loader;
mod memory;
mod network;
mod network_boot;
mod nic;
mod notice;
mod outcome;
mod panic;
mod plan;
mod processor;
mod progress;
mod pxe;
mod random;
mod screen;
mod serial;
mod stats;
mod target;
mod then;
mod transfer;

use alloc::format;
use alloc::string::ToString;

use ironcast_proto::time::Duration;
use ironcast_receiver_nostd::settings::{Settings, Then};
use uefi::prelude::*;

use clock::Clock;
use config::Source;
use console::Console;
use disks::DiskInfo;
use dry_run::DryRun;
use failure::Failure;
use firmware::Path;
use first_boot::FirstBoot;
use job::JobDone;
use network::Network;
use network_boot::NetworkBoot;
use outcome::Done;
use plan::{Installation, Plan, Surroundings};
use stats::Moment;
use transfer::Target;

#[entry]
fn main() -> Status {
    firmware::set_watchdog(Duration::ZERO);
    let clock = Clock::start();
    let mut console = Console::open();
    console.page().program = concat!("ironcast ", env!("CARGO_PKG_VERSION")).into();
    console.page().machine = identity::description();
    console.plain_line(concat!("ironcast: ", env!("CARGO_PKG_VERSION")));
    firmware::connect_all_drivers();
    stats::reach(Moment::Drivers, clock.now());
    run(&clock, &mut console)
}

/// All that this program does.
fn run(clock: &Clock, console: &mut Console) -> ! {
    let boot_handle = firmware::boot_device();
    let boot_device = boot_handle.map(Path::of).unwrap_or_default();
    let mut cards = nic::find(&boot_device);
    let mut network_boot = NetworkBoot::find(boot_handle, &cards);
    let lease = network_boot.as_ref().and_then(NetworkBoot::lease);
    let source = Source::find(network_boot.as_mut(), clock, console);
    let source = source.as_ref().map(Option::as_ref).map_err(Failure::clone);
    let settings = source.clone().and_then(Source::settings);
    stats::reach(Moment::Settings, clock.now());
    let plan = settings.clone().and_then(|settings| {
        show_settings(&settings, source.ok().flatten(), console);
        nic::choose(&mut cards, settings.nic)?;
        let surroundings = Surroundings {
            boot_device: &boot_device,
            cards: &cards,
            network_boot: network_boot.as_mut(),
        };
        Plan::make(&settings, surroundings, clock, console)
    });
    stats::reach(Moment::Plan, clock.now());
    // The firmware's network stack is to give the card away.
    drop(network_boot);
    // A machine whose settings nobody understands looks for senders as one without any.
    let settings = settings.unwrap_or_default();
    let connect =
        |console: &mut Console| Network::connect(&cards, &settings, lease.as_ref(), clock, console);
    let failure = match plan {
        Ok(Plan::Start(done)) => start(&done, console),
        Ok(Plan::Install(installation)) => {
            let network = connect(console);
            stats::reach(Moment::Network, clock.now());
            let done =
                network.and_then(|network| install(installation, &settings, network, console));
            match done {
                Ok((disk, done)) => succeed(&disk, &done, &settings, clock, console),
                Err(failure) => {
                    show_failure(&failure, console);
                    then::after_failure(console, clock, &mut |_| {})
                }
            }
        }
        Err(failure) => failure,
    };
    show_failure(&failure, console);
    match connect(console) {
        Ok(network) => notice::after_failure(&failure, &settings, network, clock, console),
        Err(error) => {
            console.warn(&format!("ironcast: nobody can be told: {error}"));
            then::after_failure(console, clock, &mut |_| {})
        }
    }
}

/// Receives the image and writes it.
fn install(
    installation: Installation<'_>,
    settings: &Settings<'_>,
    mut network: Network,
    console: &mut Console,
) -> Result<(DiskInfo, Done), Failure> {
    let Installation {
        transfer,
        buffers,
        mut target,
        seed,
    } = installation;
    let disk = target.info().clone();
    let has_seed = seed.is_some();
    if let Some(seed) = seed {
        target.set_first_boot(FirstBoot {
            seed: seed.of_card(network.mac())?,
            identity: identity::of_this_machine(&network, &disk.name()),
            job: settings.job.map(|job| job.to_string()).unwrap_or_default(),
        });
    }
    let mut dry_run = DryRun::new(disk.bytes(), disk.sector());
    let target: &mut Target = match settings.dry_run {
        true => &mut dry_run,
        false => &mut target,
    };
    let mut done = transfer.run(buffers, &mut network, target, &disk, console)?;
    if has_seed {
        done = done.with_a_seed();
    }
    Ok((disk, done))
}

/// Shows what is on `disk` now, remembers the job, and does what was to be done then.
fn succeed(
    disk: &DiskInfo,
    done: &Done,
    settings: &Settings<'_>,
    clock: &Clock,
    console: &mut Console,
) -> ! {
    let (name, word, hash) = (disk.name(), done.word(), done.hash);
    console.page().banner = Some(done.banner(&name));
    console.plain_line(&format!(
        "ironcast: result {word} {done} disk={name} blake3={hash}{}",
        done.care()
    ));
    if let Some(job) = settings.job.filter(|_| done.is_installed())
        && let Err(status) = job::remember(job, &hash.to_string(), disk)
    {
        let then = settings.then;
        console.warn(&format!(
            "ironcast: the firmware can't remember job {job} ({status}), so the next start of this \
             program would image the machine again; then={then} is not followed"
        ));
        then::after_failure(console, clock, &mut |_| {})
    }
    match settings.then {
        Then::Reboot if done.is_installed() => then::reboot_into(disk, console),
        Then::Reboot => then::reboot(console),
        // What is there is not all of a system.
        Then::Boot if done.is_partial() => then::reboot(console),
        Then::PowerOff => then::power_off(console),
        Then::Wait => then::wait(console),
        Then::Boot => start_from(disk, clock, console),
    }
}

/// Starts the system of a job that this machine has had; comes back only if that fails.
fn start(done: &JobDone, console: &mut Console) -> Failure {
    let JobDone { name, disk, hash } = done;
    console.line(&format!(
        "ironcast: job {name} is done: the image with blake3={hash} was put on {}, which stays as \
         it is",
        disk.name()
    ));
    then::start_from(disk, job::AGAIN, console)
}

fn start_from(disk: &DiskInfo, clock: &Clock, console: &mut Console) -> ! {
    let failure = then::start_from(disk, "restart the machine to boot it", console);
    // An image that is on the disk all the same stays what is seen first.
    console.page().banner.get_or_insert(failure.banner());
    console.warn(&format!("ironcast: {failure}"));
    then::after_failure(console, clock, &mut |_| {})
}

fn show_failure(failure: &Failure, console: &mut Console) {
    console.page().banner = Some(failure.banner());
    console.plain_line(&format!("ironcast: result failed: {failure}"));
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
    let job = settings.job.map(|job| format!(" job={job}"));
    let seed = settings.seed.map(|seed| format!(" seed={seed}"));
    let (job, seed) = (job.unwrap_or_default(), seed.unwrap_or_default());
    console.line(&format!(
        "ironcast: disk={disk} portbase={port} verify={verify} {choices}{dry_run}{job}{seed}"
    ));
}
