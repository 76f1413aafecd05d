//! The boot loaders that the tests start the UEFI application from.
//!
//! Installed they would add themselves to this machine's own boot menu, so their packages are only
//! unpacked.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::apt::{PrivateApt, unpack};
use crate::{paths, sources};

/// The packages, with a file of each.
const PACKAGES: &[(&str, &str)] = &[
    ("ipxe", "usr/lib/ipxe/snponly.efi"),
    (
        "grub-efi-amd64-bin",
        "usr/lib/grub/x86_64-efi/monolithic/grubnetx64.efi",
    ),
];

/// The folder with the files of the packages.
pub(crate) fn folder() -> PathBuf {
    paths::cache().join("boot-loaders")
}

/// Sees to it that they are there.
pub(crate) fn provide() -> Result<()> {
    for (package, file) in PACKAGES {
        if folder().join(file).exists() {
            continue;
        }
        eprintln!("fetching the package {package}");
        let apt = PrivateApt::open("release", &sources::of_this_release()?)?;
        let archive = paths::cache().join("boot-loader-packages").join(package);
        apt.download(package, &archive)
            .and_then(|archive| unpack(&archive, &folder()))
            .with_context(|| format!("cannot get the package {package}, which the tests use"))?;
    }
    Ok(())
}
