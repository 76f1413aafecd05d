//! The DHCP servers that the manual has configurations for, which the tests run.
//!
//! Installed they would start on this machine, so their packages are only unpacked, with the
//! libraries that they need and this machine has not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{PrivateApt, unpack};
use crate::{paths, sources};

/// The packages, with the program of each.
const PACKAGES: &[(&str, &str)] = &[
    ("isc-dhcp-server", "usr/sbin/dhcpd"),
    ("kea-dhcp4-server", "usr/sbin/kea-dhcp4"),
];

/// The folder with the files of the packages.
pub(crate) fn folder() -> PathBuf {
    paths::cache().join("dhcp-servers")
}

/// Sees to it that they are there.
pub(crate) fn provide() -> Result<()> {
    let folder = folder();
    if PACKAGES.iter().all(|(_, file)| folder.join(file).exists()) {
        return Ok(());
    }
    // Unpacked beside and renamed when it is whole: a program without its libraries is no use.
    let whole = folder.with_extension("new");
    fetch(&whole).context("cannot get the DHCP servers, which the tests of the manual run")?;
    fs::rename(&whole, &folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn fetch(whole: &Path) -> Result<()> {
    if whole.exists() {
        fs::remove_dir_all(whole).with_context(|| format!("cannot empty {}", whole.display()))?;
    }
    let names: Vec<&str> = PACKAGES.iter().map(|&(package, _)| package).collect();
    eprintln!("fetching the packages {}", names.join(" "));
    let apt = PrivateApt::open("dhcp-servers", &sources::of_this_release()?)?;
    for package in &names {
        // They are fetched even where they are installed, and nothing more is needed then.
        let archive = paths::cache().join("dhcp-server-packages").join(package);
        unpack(&apt.download(package, &archive)?, whole)?;
    }
    for package in apt.download_with_needs(&names)? {
        unpack(&package, whole)?;
    }
    Ok(())
}
