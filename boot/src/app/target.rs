//! Which disk is written, and whether a person agrees.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use ironcast_proto::time::Duration;
use ironcast_receiver_nostd::screen::{Banner, Kind};
use ironcast_receiver_nostd::settings::{Confirm, DiskChoice, Settings};
use ironcast_receiver_nostd::target::{self, Candidate, ChoiceError};

use super::clock::{Clock, Nap};
use super::console::Console;
use super::disk::DiskError;
use super::disks::{self, DiskInfo};
use super::failure::Failure;
use super::firmware::Path;

/// How long a person has to agree. Without an answer nothing is written.
const TIME_TO_AGREE: Duration = Duration::from_secs(60);

/// How often a line tells the time that is left, in seconds.
const COUNTDOWN: u64 = 10;

/// Shows the machine's disks, and finds the one that `choice` means.
pub(crate) fn choose(
    choice: DiskChoice<'_>,
    boot_device: &Path,
    console: &mut Console,
) -> Result<DiskInfo, Failure> {
    let disks = disks::find(boot_device);
    console.page().disks = disks.iter().map(DiskInfo::line).collect();
    for disk in &disks {
        console.plain_line(&format!("ironcast: disk {disk}"));
        console.plain_line(&format!("ironcast: {}", disk.place()));
    }
    let candidates: Vec<Candidate<'_>> = disks.iter().map(DiskInfo::candidate).collect();
    let chosen = target::choose(&candidates, choice).map_err(|error| not_chosen(choice, error))?;
    let disk = disks[chosen].clone();
    if let Some(line) = console.page().disks.get_mut(chosen) {
        line.is_chosen = true;
    }
    console.page().disk = disk.title();
    console.line(&format!("ironcast: the image goes to {}", disk.name()));
    Ok(disk)
}

/// Asks the person at the machine, if that is wanted.
pub(crate) fn confirm(
    settings: &Settings<'_>,
    disk: &DiskInfo,
    clock: &Clock,
    console: &mut Console,
) -> Result<(), Failure> {
    if settings.confirm == Confirm::No {
        return Ok(());
    }
    let name = disk.name();
    let (kind, what) = match settings.dry_run {
        true => (
            Kind::MayDryRun,
            format!("{name} stays as it is in this dry run"),
        ),
        false => (Kind::MayErase, format!("ALL DATA ON {name} WILL BE LOST")),
    };
    console.plain_line(&format!("ironcast: chosen is {disk}"));
    console.plain_line(&match settings.dry_run {
        true => format!("ironcast: {name} stays as it is in this dry run. Press y to agree"),
        false => format!("ironcast: ALL DATA ON {name} WILL BE LOST. Press y to agree"),
    });
    console.forget_keys();
    let deadline = clock.now() + TIME_TO_AGREE;
    let nap = Nap::new();
    let mut shown = None;
    let mut told = None;
    while clock.now() < deadline {
        let left = deadline.since(clock.now()).as_secs() + 1;
        if shown.replace(left) != Some(left) {
            let keys = format!("Press y to go on with {name}, another key to stop; {left} s left");
            console.page().banner = Some(Banner {
                kind,
                text: vec![what.clone(), keys],
            });
            console.refresh();
        }
        let left = left.next_multiple_of(COUNTDOWN);
        if told.replace(left) != Some(left) {
            console.progress(&format!(
                "ironcast: y to go on with {name}, another key to stop; {left} s left"
            ));
        }
        match console.key() {
            Some('y' | 'Y') => {
                console.page().banner = None;
                console.line(&format!("ironcast: going on with {name}"));
                return Ok(());
            }
            Some(_) => break,
            None => nap.wait(Duration::from_millis(5)),
        }
    }
    let what = format!("{name} was not written: nobody agreed to it");
    let next = "restart this machine and press y, or set confirm=no for machines without a person";
    Err(Failure::new(what, next))
}

/// The disk can't be written, because of `error`.
pub(crate) fn unusable(disk: &DiskInfo, error: &DiskError) -> Failure {
    let what = format!("{} can't be used: {error}", disk.name());
    Failure::new(
        what,
        "choose another disk by disk=, or restart this machine",
    )
}

fn not_chosen(choice: DiskChoice<'_>, error: ChoiceError) -> Failure {
    let next = match error {
        ChoiceError::NoDisk => "name a disk by disk=, or look for it in the firmware's setup",
        ChoiceError::NoSuchDisk => "give disk= one of the names shown above",
        ChoiceError::NoMatch => {
            "compare disk= with the list above; removable and USB disks are taken by name only"
        }
        ChoiceError::Several { .. } => "say which one by disk= and one of the names shown above",
        ChoiceError::ReadOnly => "choose another disk by disk=",
        ChoiceError::BootMedium => "start this program from somewhere else, or choose another disk",
    };
    let what = format!("disk={choice}: {error}, so nothing was written");
    Failure::new(what, next)
}
