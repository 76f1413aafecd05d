//! Tells the firmware to start the installed system the next time, whatever comes first otherwise.
//!
//! Machines that netboot before they try their disks would only come back here. The entry that this
//! needs is not added to the order of boot entries, which is the operator's; the next run writes it
//! anew.

use alloc::format;
use alloc::vec::Vec;

use uefi::runtime::{self, VariableVendor};
use uefi::{CStr16, CString16, Status, cstr16};

use super::firmware;
use super::loader::Loader;

/// What the entry is called in the firmware's menus.
const DESCRIPTION: &CStr16 = cstr16!("Installed by Ironcast");

/// Where the number of the entry is looked for: firmwares and systems count theirs from 0.
const NUMBERS: core::ops::RangeInclusive<u16> = 0x1c00..=0x1cff;

/// An entry that counts (UEFI specification, `LOAD_OPTION_ACTIVE`).
const ACTIVE: u32 = 1;

/// Sets `BootNext` to an entry for `loader`.
///
/// # Errors
/// The firmware's word; [`Status::OUT_OF_RESOURCES`] if all numbers are taken.
pub(crate) fn set(loader: &Loader) -> Result<(), Status> {
    let option = load_option(&loader.device_path()?);
    for number in NUMBERS {
        let name = CString16::try_from(format!("Boot{number:04X}").as_str())
            .map_err(|_| Status::INVALID_PARAMETER)?;
        if is_free(&name) {
            let vendor = VariableVendor::GLOBAL_VARIABLE;
            firmware::keep_variable(&name, &vendor, &option)?;
            let number = number.to_le_bytes();
            return firmware::keep_variable(cstr16!("BootNext"), &vendor, &number);
        }
    }
    Err(Status::OUT_OF_RESOURCES)
}

/// Whether there is no such entry, or one that an earlier run has made.
fn is_free(name: &CStr16) -> bool {
    let entry = runtime::get_variable_boxed(name, &VariableVendor::GLOBAL_VARIABLE);
    match entry {
        Ok((entry, _)) => entry
            .get(size_of::<u32>() + size_of::<u16>()..)
            .is_some_and(|rest| rest.starts_with(DESCRIPTION.as_bytes())),
        Err(error) => error.status() == Status::NOT_FOUND,
    }
}

/// An entry as firmware keeps it (UEFI specification, `EFI_LOAD_OPTION`).
fn load_option(path: &[u8]) -> Vec<u8> {
    // Paths have some dozens of bytes.
    let path_len = path.len() as u16;
    let mut option = Vec::new();
    option.extend(ACTIVE.to_le_bytes());
    option.extend(path_len.to_le_bytes());
    option.extend(DESCRIPTION.as_bytes());
    option.extend(path);
    option
}
