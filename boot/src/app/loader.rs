//! The program that starts the system on a disk: where it is, and how firmware is told of it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use uefi::boot::{self, LoadImageSource};
use uefi::proto::BootPolicy;
use uefi::proto::device_path::DevicePath;
use uefi::proto::device_path::build::{DevicePathBuilder, media};
use uefi::proto::media::file::{Directory, File, FileAttribute, FileMode};
use uefi::proto::media::fs::SimpleFileSystem;
use uefi::{CStr16, CString16, Handle, Status, cstr16};

use super::arch::{DEFAULT_LOADER, SYSTEM_LOADERS};
use super::disks::DiskInfo;
use super::firmware::{self, Path};

/// Where systems have their folders.
const FOLDER: &CStr16 = cstr16!(r"\EFI");

/// How many folders are looked into: more than systems fit on a disk, and an end for a file system
/// that goes round in circles.
const MOST_FOLDERS: usize = 64;

/// A loader on a disk.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    /// The file system that has it.
    pub(crate) volume: Handle,
    /// Its path there.
    pub(crate) file: CString16,
}

impl Loader {
    /// The loader of the system on `disk`: the file that firmware starts on a disk that it has no
    /// boot entry for, or else that of a system which counts on such an entry. `None` if there is
    /// neither.
    pub(crate) fn find(disk: &DiskInfo) -> Option<Self> {
        let volumes = volumes(disk);
        let default = || volumes.iter().find_map(|&volume| default_of(volume));
        default().or_else(|| volumes.iter().find_map(|&volume| of_system(volume)))
    }

    /// Its device path, as the bytes that firmware has it in.
    pub(crate) fn device_path(&self) -> Result<Vec<u8>, Status> {
        let mut memory = Vec::new();
        self.build_path(&mut memory)
            .map(|path| path.as_bytes().to_vec())
    }

    /// Loads it as the firmware's boot manager would, its signature checked where that is the rule.
    pub(crate) fn load(&self) -> Result<Handle, Status> {
        let mut memory = Vec::new();
        let source = LoadImageSource::FromDevicePath {
            device_path: self.build_path(&mut memory)?,
            boot_policy: BootPolicy::BootSelection,
        };
        boot::load_image(boot::image_handle(), source).map_err(|error| error.status())
    }

    fn build_path<'m>(&self, memory: &'m mut Vec<u8>) -> Result<&'m DevicePath, Status> {
        let volume = firmware::open_shared::<DevicePath>(self.volume).ok_or(Status::NOT_FOUND)?;
        let mut builder = DevicePathBuilder::with_vec(memory);
        for node in volume.node_iter() {
            builder = builder.push(&node).map_err(|_| Status::BAD_BUFFER_SIZE)?;
        }
        let path_name = &self.file;
        builder
            .push(&media::FilePath { path_name })
            .and_then(DevicePathBuilder::finalize)
            .map_err(|_| Status::BAD_BUFFER_SIZE)
    }
}

/// The file systems on `disk`, in the order of their partitions. Drivers are told to look at it
/// again: after a transfer it has a partition table that they have not seen.
pub(crate) fn volumes(disk: &DiskInfo) -> Vec<Handle> {
    // A disk without anything to connect to is refused; then there are no file systems.
    let _ = boot::connect_controller(disk.handle(), &[], None, true);
    let mut volumes: Vec<(Path, Handle)> = firmware::handles_of::<SimpleFileSystem>()
        .into_iter()
        .map(|handle| (Path::of(handle), handle))
        .filter(|(path, _)| path.leads_through(disk.path()))
        .collect();
    volumes.sort();
    volumes.into_iter().map(|(_, handle)| handle).collect()
}

fn default_of(volume: Handle) -> Option<Loader> {
    let file = CString16::from(DEFAULT_LOADER);
    has_file(&mut root_of(volume)?, &file).then_some(Loader { volume, file })
}

fn of_system(volume: Handle) -> Option<Loader> {
    let mut root = root_of(volume)?;
    let mut systems = root
        .open(FOLDER, FileMode::Read, FileAttribute::empty())
        .ok()?
        .into_directory()?;
    let folders: Vec<String> = (0..MOST_FOLDERS)
        .map_while(|_| systems.read_entry_boxed().ok().flatten())
        .filter(|entry| entry.is_directory())
        .map(|entry| entry.file_name().to_string())
        .collect();
    let paths = folders
        .iter()
        .flat_map(|folder| SYSTEM_LOADERS.map(|name| format!(r"\EFI\{folder}\{name}")));
    paths
        .filter_map(|path| CString16::try_from(path.as_str()).ok())
        .find(|file| has_file(&mut root, file))
        .map(|file| Loader { volume, file })
}

fn root_of(volume: Handle) -> Option<Directory> {
    firmware::open_shared::<SimpleFileSystem>(volume)?
        .open_volume()
        .ok()
}

fn has_file(root: &mut Directory, file: &CStr16) -> bool {
    root.open(file, FileMode::Read, FileAttribute::empty())
        .is_ok()
}
