//! The distribution's packages that the image is made of, unpacked into the user's cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt::{PrivateApt, unpack};
use crate::{paths, sources};

/// The package that names the newest kernel: Debian's, and Ubuntu's for virtual machines.
const KERNELS: &[&str] = &["linux-image-amd64", "linux-image-virtual"];

/// The packages beside the kernel: all programs in one, and the boot loader.
const OTHERS: &[&str] = &["busybox-static", "systemd-boot-efi"];

/// Packages unpacked in one folder.
pub(crate) struct Packages {
    folder: PathBuf,
}

impl Packages {
    /// The kernel itself.
    pub(crate) fn kernel(&self) -> Result<PathBuf> {
        let boot = self.folder.join("boot");
        find(&boot, |name| name.starts_with("vmlinuz-"))
    }

    /// The folder with the kernel's modules, named after its version.
    pub(crate) fn modules(&self) -> Result<PathBuf> {
        let merged = self.folder.join("usr/lib/modules");
        let modules = if merged.is_dir() {
            merged
        } else {
            self.folder.join("lib/modules")
        };
        find(&modules, |_| true)
    }

    /// BusyBox without libraries.
    pub(crate) fn busybox(&self) -> Result<PathBuf> {
        let names = ["usr/bin/busybox", "bin/busybox"];
        self.first_of(&names)
    }

    /// The boot loader, systemd-boot.
    pub(crate) fn loader(&self) -> Result<PathBuf> {
        self.first_of(&["usr/lib/systemd/boot/efi/systemd-bootx64.efi"])
    }

    /// systemd's stub, which makes one EFI file of a kernel and what it needs.
    pub(crate) fn stub(&self) -> Result<PathBuf> {
        self.first_of(&["usr/lib/systemd/boot/efi/linuxx64.efi.stub"])
    }

    /// The copyright files of all of them.
    pub(crate) fn documents(&self) -> PathBuf {
        self.folder.join("usr/share/doc")
    }

    fn first_of(&self, names: &[&str]) -> Result<PathBuf> {
        let mut paths = names.iter().map(|name| self.folder.join(name));
        let found = paths.find(|path| path.is_file());
        found.with_context(|| format!("the packages have no {}", names.join(" nor ")))
    }
}

/// Gives the packages, fetched if they aren't in the cache.
pub(crate) fn provide() -> Result<Packages> {
    let folder = folder();
    if !folder.is_dir() {
        fetch(&folder)?;
    }
    Ok(Packages { folder })
}

/// Drops the packages from the cache, so that they are fetched anew.
pub(crate) fn forget() -> Result<()> {
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

fn folder() -> PathBuf {
    paths::cache().join("image-packages")
}

fn fetch(folder: &Path) -> Result<()> {
    eprintln!("fetching the image's packages (kernel, BusyBox, boot loader) by apt");
    let apt = PrivateApt::open("release", &sources::of_this_release()?)?;
    let mut packages = newest_kernel(&apt)?;
    packages.extend(OTHERS.iter().map(|&name| name.to_owned()));
    // Unpacked beside and renamed when it is whole, so that a half one is never used.
    let whole = folder.with_extension("new");
    if whole.exists() {
        fs::remove_dir_all(&whole).with_context(|| format!("cannot empty {}", whole.display()))?;
    }
    for package in packages {
        let file = apt.download(&package, &whole.join("archives").join(&package))?;
        unpack(&file, &whole)?;
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    fs::rename(&whole, folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// The packages with the newest kernel and its modules.
fn newest_kernel(apt: &PrivateApt) -> Result<Vec<String>> {
    let newest = first_offered(apt, KERNELS)?;
    let dependencies = apt.dependencies(newest)?;
    let named = |name: &&String| name.starts_with("linux-image-");
    let Some(image) = dependencies.iter().find(named) else {
        bail!("the package {newest} depends on no kernel");
    };
    let mut packages = vec![image.clone()];
    // Ubuntu's modules are in a package of their own.
    let needs = apt.dependencies(image)?;
    packages.extend(
        needs
            .into_iter()
            .filter(|name| name.starts_with("linux-modules-")),
    );
    Ok(packages)
}

fn first_offered<'a>(apt: &PrivateApt, names: &[&'a str]) -> Result<&'a str> {
    for name in names {
        if !apt.versions(name)?.is_empty() {
            return Ok(name);
        }
    }
    bail!("the distribution has no package {}", names.join(" nor "))
}

fn find(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let found = entries
        .flatten()
        .find(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path());
    found.with_context(|| format!("not found in {}", folder.display()))
}
