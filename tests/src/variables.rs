//! Changes what a virtual machine's firmware remembers, before it is switched on.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::LabError;
use crate::process::run;
use crate::programs::{cached, existing};

/// Writes the variables in `blank` to `file` with `changes`, which are options of `virt-fw-vars`.
///
/// # Errors
/// [`LabError::MissingFile`] without it, [`LabError::Failed`] if it refuses.
pub fn change(blank: &Path, file: &Path, changes: &[&OsStr]) -> Result<(), LabError> {
    let mut vars = Command::new(virt_fw_vars()?);
    vars.arg("--input").arg(blank).arg("--output").arg(file);
    run(vars.args(changes)).map(drop)
}

/// Writes the variables in `blank` to `file`, and that the firmware is to begin with a boot by
/// HTTP, as a person can set it. By itself it would try everything else before.
///
/// # Errors
/// As [`change`], and [`LabError::Io`].
pub fn boot_by_http(blank: &Path, file: &Path) -> Result<(), LabError> {
    /// The owner of boot entries.
    const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    /// A boot entry as the UEFI specification has it (section 3.1.3): it counts; its path has 8
    /// bytes; its name is "H"; the path is a URI that is empty, which stands for whatever the DHCP
    /// server names, and the end.
    const ENTRY: &str = concat!("01000000", "0800", "48000000", "03180400", "7fff0400");
    /// Kept, and there in and after boot.
    const ATTRIBUTES: u32 = 7;
    let variable = |name: &str, data: &str| {
        format!(
            r#"{{"name": "{name}", "guid": "{GLOBAL}", "attr": {ATTRIBUTES}, "data": "{data}"}}"#
        )
    };
    let variables = [variable("Boot0099", ENTRY), variable("BootNext", "9900")].join(", ");
    let json = file.with_extension("json");
    fs::write(
        &json,
        format!(r#"{{"version": 2, "variables": [{variables}]}}"#),
    )
    .map_err(|e| LabError::io(format!("write {}", json.display()), e))?;
    change(blank, file, &["--set-json".as_ref(), json.as_os_str()])
}

/// `IRONCAST_VIRT_FW_VARS`, or where `cargo xtask setup` leaves it.
fn virt_fw_vars() -> Result<PathBuf, LabError> {
    let path = env::var_os("IRONCAST_VIRT_FW_VARS").map(PathBuf::from);
    existing(
        path.unwrap_or_else(|| cached("virt-firmware/bin/virt-fw-vars")),
        "`cargo xtask setup` fetches it, or set IRONCAST_VIRT_FW_VARS to where it is",
    )
}
