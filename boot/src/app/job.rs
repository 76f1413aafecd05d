//! The job that this machine has had, in a variable of the firmware's that outlasts power cuts.
//!
//! It is deleted before the first byte of another image is written, so that it never speaks of a
//! disk that is half overwritten, and set only when all is proved.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use ironcast_receiver_nostd::job::{JobName, JobRecord};
use uefi::runtime::{self, VariableVendor};
use uefi::{CStr16, Status, cstr16, guid};

use super::disks::{self, DiskInfo};
use super::failure::Failure;
use super::firmware::{self, Path};

/// The variable. The installed system may read it, and delete it to have the machine imaged again.
const NAME: &CStr16 = cstr16!("IroncastJob");
const VENDOR: VariableVendor = VariableVendor(guid!("6d9e4c5f-6f4b-4c0e-9d0e-2b7a51c3a8d4"));

/// What to do about a machine that has had its job and can't start what that brought.
pub(crate) const AGAIN: &str =
    "put its disk back, or have the machine imaged again under another name of the job";

/// A job that is done here already.
#[derive(Debug)]
pub(crate) struct JobDone {
    /// Its name.
    pub(crate) name: String,
    /// The disk that got its image.
    pub(crate) disk: DiskInfo,
    /// BLAKE3 of the stream that brought it.
    pub(crate) hash: String,
}

/// Whether this machine has had the job `name`.
///
/// # Errors
/// If it had, and the disk is gone: what to do then is for a person to say. If the firmware does
/// not tell.
pub(crate) fn done(name: JobName<'_>, boot_device: &Path) -> Result<Option<JobDone>, Failure> {
    let variable = read().map_err(|status| {
        let what = format!("the firmware can't tell whether job {name} is done ({status})");
        Failure::new(what, "restart this machine, or leave job= out")
    })?;
    let record = variable.as_deref().and_then(JobRecord::parse);
    let Some(record) = record.filter(|record| record.name == name) else {
        return Ok(None);
    };
    let disks = disks::find(boot_device);
    let is_it = |disk: &DiskInfo| disk.path_text() == record.disk && disk.bytes() == record.bytes;
    let Some(disk) = disks.into_iter().find(is_it) else {
        let path = record.disk;
        let what = format!("job {name} was done on the disk {path}, which is not there any more");
        return Err(Failure::new(what, AGAIN));
    };
    Ok(Some(JobDone {
        name: name.to_string(),
        disk,
        hash: record.hash.into(),
    }))
}

/// Remembers that the job `name` is done: `disk` has the image whose hash is `hash`.
///
/// # Errors
/// If the firmware does not keep it, or says so and does not.
pub(crate) fn remember(name: JobName<'_>, hash: &str, disk: &DiskInfo) -> Result<(), Status> {
    let record = JobRecord {
        name,
        hash,
        disk: disk.path_text(),
        bytes: disk.bytes(),
    };
    let text = record.to_string();
    if JobRecord::parse(text.as_bytes()) != Some(record) {
        // Such as on a firmware that has no text for a disk's path.
        return Err(Status::UNSUPPORTED);
    }
    firmware::keep_variable(NAME, &VENDOR, text.as_bytes())?;
    match read()? {
        Some(kept) if *kept == *text.as_bytes() => Ok(()),
        _ => Err(Status::DEVICE_ERROR),
    }
}

/// Forgets whatever was remembered.
///
/// # Errors
/// If the firmware keeps it all the same.
pub(crate) fn forget() -> Result<(), Status> {
    let Err(error) = runtime::delete_variable(NAME, &VENDOR) else {
        return Ok(());
    };
    match read()? {
        Some(_) => Err(error.status()),
        None => Ok(()),
    }
}

/// The variable, if there is one; a firmware that keeps none has none.
fn read() -> Result<Option<Box<[u8]>>, Status> {
    match runtime::get_variable_boxed(NAME, &VENDOR) {
        Ok((variable, _)) => Ok(Some(variable)),
        Err(error) => match error.status() {
            Status::NOT_FOUND | Status::UNSUPPORTED => Ok(None),
            status => Err(status),
        },
    }
}
