//! Puts the parts together: a GPT, an EFI system partition, and the root file system.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::ROOT_LABEL;
use super::modules::Kernel;
use crate::disk_image::{self, Partition, SMALLEST_ESP_MIB};
use crate::run::{command, quietly};

/// The image's size in MiB: small, since the tests cast it over and over.
pub(crate) const SIZE_MIB: u64 = 64;

/// Where the EFI system partition begins, in MiB.
const ESP_START_MIB: u64 = 1;

/// Where the root file system begins, in MiB.
const ROOT_START_MIB: u64 = ESP_START_MIB + SMALLEST_ESP_MIB;

/// The root file system's size in MiB. The last MiB has the second copy of the GPT.
const ROOT_MIB: u64 = SIZE_MIB - ROOT_START_MIB - 1;

/// Where the boot loader looks, and what it finds.
const LOADER_SETTINGS: &str = "timeout 0\ndefault linux.conf\neditor no\n";
const LOADER_ENTRY: &str = "title Ironcast demo\nlinux /vmlinuz\ninitrd /initramfs.img\n\
    options console=tty0 console=ttyS0,115200 ro panic=30 loglevel=4\n";

/// Makes `image` of `kernel`, the first file system and the tree of the root file system.
pub(crate) fn assemble(kernel: &Kernel, initramfs: &Path, root: &Path, image: &Path) -> Result<()> {
    let work = root
        .parent()
        .context("the root file system's tree has no folder")?;
    let esp = esp(kernel, initramfs, work)?;
    let root = root_file_system(root, work)?;
    let partitions = [
        Partition {
            start_mib: ESP_START_MIB,
            mib: SMALLEST_ESP_MIB,
            kind: "ef00",
            name: "EFI system",
            contents: &esp,
        },
        Partition {
            start_mib: ROOT_START_MIB,
            mib: ROOT_MIB,
            kind: "8304",
            name: "root",
            contents: &root,
        },
    ];
    disk_image::assemble(image, SIZE_MIB, &partitions)
}

fn esp(kernel: &Kernel, initramfs: &Path, work: &Path) -> Result<PathBuf> {
    let (settings, entry) = (work.join("loader.conf"), work.join("linux.conf"));
    fs::write(&settings, LOADER_SETTINGS).context("cannot write the loader's settings")?;
    fs::write(&entry, LOADER_ENTRY).context("cannot write the loader's entry")?;
    let image = work.join("esp.img");
    let folders = ["::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries"];
    let files = [
        (kernel.packages.loader()?, "::/EFI/BOOT/BOOTX64.EFI"),
        (settings, "::/loader/loader.conf"),
        (entry, "::/loader/entries/linux.conf"),
        (kernel.packages.kernel()?, "::/vmlinuz"),
        (initramfs.to_path_buf(), "::/initramfs.img"),
    ];
    disk_image::make_fat(&image, SMALLEST_ESP_MIB, &folders, &files)?;
    Ok(image)
}

fn root_file_system(tree: &Path, work: &Path) -> Result<PathBuf> {
    let image = work.join("root.img");
    disk_image::make_sized(&image, ROOT_MIB)?;
    // The files are to belong to root on the image: to a user namespace's root they do.
    let mut format = if rustix::process::geteuid().is_root() {
        command("mkfs.ext4")
    } else {
        let mut unshare = command("unshare");
        unshare.args(["--user", "--map-root-user", "mkfs.ext4"]);
        unshare
    };
    // Without a journal, since it is never written to.
    format.args([
        "-q",
        "-F",
        "-m",
        "0",
        "-O",
        "^has_journal",
        "-L",
        ROOT_LABEL,
    ]);
    quietly(
        format
            .args(["-E", "root_owner=0:0", "-d"])
            .arg(tree)
            .arg(&image),
    )?;
    Ok(image)
}
