//! The newer stock programs, which the tests run beside the installed ones.
//!
//! Debian's testing and unstable have a udpcast ten years younger than the stable releases, with
//! differences on the wire. It needs a newer C library than this machine may have: so both packages
//! are unpacked into a folder, and the programs run through that library's own loader. Nothing is
//! installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{PrivateApt, unpack};
use crate::paths;
use crate::sources;

/// The suite that always has the newest.
const SUITE: &str = "sid";

const PACKAGES: [&str; 2] = ["udpcast", "libc6"];

const PROGRAMS: [&str; 2] = ["udp-sender", "udp-receiver"];

/// The folder with the programs `udp-sender` and `udp-receiver`.
pub(crate) fn folder() -> PathBuf {
    paths::cache().join("newer-udpcast").join("bin")
}

/// Sees to it that they are there.
pub(crate) fn provide() -> Result<()> {
    let bin = folder();
    if PROGRAMS.iter().all(|program| bin.join(program).exists()) {
        return Ok(());
    }
    let root = paths::cache().join("newer-udpcast");
    fetch(&root).with_context(|| {
        format!("cannot get the packages {PACKAGES:?} of {SUITE}, which the tests run")
    })?;
    let loader = find_loader(&root)?;
    fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    for program in PROGRAMS {
        write_script(&bin.join(program), &root, &loader, program)?;
    }
    Ok(())
}

fn fetch(root: &Path) -> Result<()> {
    eprintln!("fetching {PACKAGES:?} of {SUITE}");
    let release = sources::of_this_release()?;
    let source = release.first().context("this machine has no apt source")?;
    let apt = PrivateApt::open(SUITE, &[source.with_suite(SUITE)])?;
    for package in PACKAGES {
        let file = apt.download(package, &root.join("packages").join(package))?;
        unpack(&file, &root.join("files"))?;
    }
    Ok(())
}

/// The loader, relative to the root: where it is depends on the package's age.
fn find_loader(root: &Path) -> Result<PathBuf> {
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    [format!("usr/lib/{machine}"), format!("lib/{machine}")]
        .iter()
        .map(|folder| root.join("files").join(folder))
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("ld-linux-")
        })
        .context("the package libc6 has no loader")
}

fn write_script(path: &Path, root: &Path, loader: &Path, program: &str) -> Result<()> {
    let libraries = loader.parent().unwrap_or(root);
    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        root.join("files/usr/bin").join(program).display(),
    );
    let error = || format!("cannot write {}", path.display());
    fs::write(path, script).with_context(error)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(error)
}
