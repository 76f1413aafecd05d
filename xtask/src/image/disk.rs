//! Puts the parts together: a GPT, an EFI system partition, and the root file system.
//!
//! Partitions are made as files of their own and copied to their places, which needs no root, no
//! loop device and no mount.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::ROOT_LABEL;
use super::modules::Kernel;
use crate::run::{command, quietly};

/// The image's size in MiB: small, since the tests cast it over and over.
pub(crate) const SIZE_MIB: u64 = 64;

/// Where the EFI system partition begins, in MiB.
const ESP_START_MIB: u64 = 1;

/// The EFI system partition's size in MiB: FAT32, which all firmwares can read, needs 65,525
/// clusters.
const ESP_MIB: u64 = 34;

/// Where the root file system begins, in MiB.
const ROOT_START_MIB: u64 = ESP_START_MIB + ESP_MIB;

/// The root file system's size in MiB. The last MiB has the second copy of the GPT.
const ROOT_MIB: u64 = SIZE_MIB - ROOT_START_MIB - 1;

const MIB: u64 = 1024 * 1024;

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
    // Made beside and renamed when it is whole, so that a half one is never cast.
    let whole = image.with_extension("new");
    let file = File::create(&whole).with_context(|| format!("cannot make {}", whole.display()))?;
    file.set_len(SIZE_MIB * MIB)
        .context("cannot size the image")?;
    partition(&whole)?;
    copy_to(&esp, &file, ESP_START_MIB * MIB)?;
    copy_to(&root, &file, ROOT_START_MIB * MIB)?;
    fs::rename(&whole, image).with_context(|| format!("cannot make {}", image.display()))
}

fn esp(kernel: &Kernel, initramfs: &Path, work: &Path) -> Result<PathBuf> {
    let (settings, entry) = (work.join("loader.conf"), work.join("linux.conf"));
    fs::write(&settings, LOADER_SETTINGS).context("cannot write the loader's settings")?;
    fs::write(&entry, LOADER_ENTRY).context("cannot write the loader's entry")?;
    let image = sized(work.join("esp.img"), ESP_MIB)?;
    let mut format = command("mkfs.vfat");
    format.args(["-F", "32", "-s", "1", "-n", "IRONCAST"]);
    quietly(format.arg(&image))?;
    let folders = ["::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries"];
    quietly(mtools("mmd", &image).args(folders))?;
    let files = [
        (kernel.packages.loader()?, "::/EFI/BOOT/BOOTX64.EFI"),
        (settings, "::/loader/loader.conf"),
        (entry, "::/loader/entries/linux.conf"),
        (kernel.packages.kernel()?, "::/vmlinuz"),
        (initramfs.to_path_buf(), "::/initramfs.img"),
    ];
    for (from, to) in files {
        quietly(mtools("mcopy", &image).arg(from).arg(to))?;
    }
    Ok(image)
}

fn root_file_system(tree: &Path, work: &Path) -> Result<PathBuf> {
    let image = sized(work.join("root.img"), ROOT_MIB)?;
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

fn partition(image: &Path) -> Result<()> {
    let mut sgdisk = command("sgdisk");
    sgdisk.args(["--clear"]);
    sgdisk.args(["--new", &range(1, ESP_START_MIB, ESP_MIB)]);
    sgdisk.args(["--typecode", "1:ef00", "--change-name", "1:EFI system"]);
    sgdisk.args(["--new", &range(2, ROOT_START_MIB, ROOT_MIB)]);
    sgdisk.args(["--typecode", "2:8304", "--change-name", "2:root"]);
    quietly(sgdisk.arg(image))
}

/// A partition as sgdisk takes it: its number, first and last sector of 512 bytes.
fn range(number: u32, start_mib: u64, mib: u64) -> String {
    let sector = |mib: u64| mib * MIB / 512;
    format!(
        "{number}:{}:{}",
        sector(start_mib),
        sector(start_mib + mib) - 1
    )
}

fn mtools(program: &str, image: &Path) -> Command {
    let mut tool = command(program);
    tool.arg("-i").arg(image);
    tool
}

fn sized(path: PathBuf, mib: u64) -> Result<PathBuf> {
    File::create(&path)
        .and_then(|file| file.set_len(mib * MIB))
        .with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// Copies `part` into `image` at `offset`.
fn copy_to(part: &Path, mut image: &File, offset: u64) -> Result<()> {
    let mut copy = || -> io::Result<()> {
        image.seek(SeekFrom::Start(offset))?;
        io::copy(&mut File::open(part)?, &mut image)?;
        Ok(())
    };
    copy().with_context(|| format!("cannot copy {} into the image", part.display()))
}
