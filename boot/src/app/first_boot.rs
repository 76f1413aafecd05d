//! The files that the installed system finds at its first boot: fetched before anything is written,
//! and put on the disk when the image is proved.
//!
//! They are written by the firmware's own FAT driver to the disk's EFI system partition, then read
//! back by a driver that has not seen them before.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use ironcast_proto::receiver::Identity;
use ironcast_receiver_nostd::first_boot::{MAX_SEED_LEN, MachineFile, SeedFile};
use uefi::boot;
use uefi::fs::{self, FileSystem};
use uefi::proto::media::fs::SimpleFileSystem;
use uefi::proto::media::partition::PartitionInfo;
use uefi::{CStr16, Handle, Status, cstr16};

use super::clock::Clock;
use super::disks::DiskInfo;
use super::failure::Failure;
use super::files;
use super::firmware;
use super::loader::{self, Loader};
use super::network_boot::{FetchError, NetworkBoot};

/// Where the files go.
const FOLDER: &CStr16 = cstr16!(r"ironcast");
const SEED: &CStr16 = cstr16!(r"ironcast\seed");
const MACHINE: &CStr16 = cstr16!(r"ironcast\machine.json");

/// The words about it for the sender's list.
pub(crate) const NOTE: &str = "with a seed on its EFI system partition";

/// What a machine gets at its first boot.
#[derive(Debug)]
pub(crate) struct FirstBoot {
    /// The operator's file.
    pub(crate) seed: Vec<u8>,
    /// Who the machine is.
    pub(crate) identity: Identity,
    /// What it is imaged as; empty if that has no name.
    pub(crate) job: String,
}

/// The operator's file, for one machine or for all.
#[derive(Debug)]
pub(crate) struct Seed {
    contents: Vec<u8>,
    /// The Ethernet address of the machine that it is for; `None` if it is for all.
    mac: Option<[u8; 6]>,
}

impl Seed {
    /// Fetches the file of `seed=` for the machine with the address `mac`: from the server that it
    /// was booted from, or from beside this program.
    ///
    /// # Errors
    /// If there is no such file, or it is too large.
    pub(crate) fn fetch(
        file: SeedFile<'_>,
        boot: Option<&mut NetworkBoot>,
        mac: [u8; 6],
        clock: &Clock,
    ) -> Result<Self, Failure> {
        let mut name = String::new();
        // A string takes everything.
        let _ = file.write(mac, &mut name);
        let (place, fetched) = match boot {
            Some(boot) => {
                let place = boot.place(&name).unwrap_or_else(|| name.clone());
                (place, boot.fetch(&name, MAX_SEED_LEN, clock))
            }
            None => files::beside_the_program(&name, MAX_SEED_LEN),
        };
        let contents = fetched.map_err(|error| {
            let what = format!("seed={file}: {place}: {error}, so nothing was written");
            let next = match error {
                FetchError::TooLarge(_) => "let the system fetch the rest itself at its first boot",
                FetchError::NotThere => "put it there, or correct seed=",
                FetchError::Failed(_) => "look at the server and restart this machine",
            };
            Failure::new(what, next)
        })?;
        let mac = file.is_of_one_machine().then_some(mac);
        Ok(Self { contents, mac })
    }

    /// The file, for a machine that takes part with the card `card`.
    ///
    /// # Errors
    /// If it was fetched for another card.
    pub(crate) fn of_card(self, card: [u8; 6]) -> Result<Vec<u8>, Failure> {
        if self.mac.is_none_or(|mac| mac == card) {
            return Ok(self.contents);
        }
        Err(Failure::new(
            "the seed is that of another network card than the one that has an address".into(),
            "say by nic= which card it is",
        ))
    }
}

impl FirstBoot {
    /// Puts the files on `disk`, which nobody has opened; `hash` is the image's.
    pub(crate) fn write(&self, disk: &DiskInfo, hash: &str) -> Result<(), FirstBootError> {
        let volume = system_partition(disk).ok_or(FirstBootError::NoSystemPartition)?;
        let machine = self.machine_file(hash);
        let files = [(SEED, self.seed.as_slice()), (MACHINE, machine.as_bytes())];
        let failed = FirstBootError::Failed;
        let mut system = file_system(volume)?;
        system
            .create_dir_all(FOLDER)
            .map_err(|error| failed(status(&error)))?;
        for (name, contents) in files {
            let written = system.write(name, contents);
            written.map_err(|error| failed(status(&error)))?;
        }
        drop(system);
        let released = boot::disconnect_controller(disk.handle(), None, None);
        released.map_err(|error| failed(error.status()))?;
        let volume = system_partition(disk).ok_or(FirstBootError::NoSystemPartition)?;
        let mut system = file_system(volume)?;
        for (name, contents) in files {
            let read = system.read(name).map_err(|error| failed(status(&error)))?;
            if read != contents {
                return Err(FirstBootError::Differs);
            }
        }
        Ok(())
    }

    fn machine_file(&self, hash: &str) -> String {
        let Identity {
            mac,
            uuid,
            serial,
            product,
            host,
            ..
        } = &self.identity;
        let file = MachineFile {
            mac: *mac,
            uuid: *uuid,
            serial,
            product,
            host,
            job: &self.job,
            hash,
        };
        file.to_string()
    }
}

/// The EFI system partition of `disk`: the one that is called so, or else the one that its loader
/// is on.
fn system_partition(disk: &DiskInfo) -> Option<Handle> {
    let is_system = |volume: &Handle| {
        firmware::open_shared::<PartitionInfo>(*volume).is_some_and(|info| info.is_system())
    };
    let system = loader::volumes(disk).into_iter().find(is_system);
    system.or_else(|| Loader::find(disk).map(|loader| loader.volume))
}

fn file_system(volume: Handle) -> Result<FileSystem, FirstBootError> {
    firmware::open_shared::<SimpleFileSystem>(volume)
        .map(FileSystem::new)
        .ok_or(FirstBootError::NoSystemPartition)
}

fn status(error: &fs::Error) -> Status {
    match error {
        fs::Error::Io(error) => error.uefi_error.status(),
        fs::Error::Path(_) | fs::Error::Utf8Encoding(_) => Status::INVALID_PARAMETER,
    }
}

/// Why a machine did not get its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstBootError {
    /// There is nowhere to put them.
    NoSystemPartition,
    /// The file system's driver refused.
    Failed(Status),
    /// What it keeps is something else.
    Differs,
}

impl fmt::Display for FirstBootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file of seed= could not be put on its EFI system partition: ")?;
        match self {
            Self::NoSystemPartition => f.write_str("the image has none that the firmware reads"),
            Self::Failed(Status::VOLUME_FULL) => f.write_str("it is full"),
            Self::Failed(status) => write!(f, "the firmware's driver reports {status}"),
            Self::Differs => f.write_str("read back, it is not what was written"),
        }
    }
}

impl core::error::Error for FirstBootError {}
