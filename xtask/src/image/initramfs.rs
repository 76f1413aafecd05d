//! The first file system: finds the disk's root file system and goes over to it.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::ROOT_LABEL;
use super::modules::Kernel;
use crate::run::command;

/// Drivers of the disks that the image boots from, and its file system.
pub(super) const DISK_MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "ahci",
    "nvme",
    "sd_mod",
    "xhci_pci",
    "uas",
    "usb_storage",
    "ext4",
];

/// What ext4 needs too, in kernels that have it as a module without saying so.
pub(super) const CHECKSUM_MODULES: &[&str] = &["crc32c_generic"];

/// How long the root file system is waited for, in seconds: USB disks take some.
const PATIENCE: u32 = 30;

/// Makes the compressed archive below `work` and gives its path.
pub(crate) fn make(kernel: &Kernel, work: &Path) -> Result<PathBuf> {
    let root = work.join("initramfs");
    fill(kernel, &root).context("cannot make the first file system")?;
    let archive = work.join("initramfs.img");
    pack(kernel, &root, &archive, &Compressor::Gzip)?;
    Ok(archive)
}

fn fill(kernel: &Kernel, root: &Path) -> Result<()> {
    for folder in ["bin", "dev", "proc", "sys", "root"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(kernel.packages.busybox()?, root.join("bin/busybox"))?;
    // The kernel looks for it there when it wants a module itself.
    symlink("bin", root.join("sbin"))?;
    for applet in ["sh", "modprobe"] {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    let script = root.join("init");
    fs::write(&script, init())?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let mut modules = kernel.offered(CHECKSUM_MODULES);
    modules.extend(DISK_MODULES);
    kernel.install(&modules, root)
}

fn init() -> String {
    format!(
        "#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in {modules}; do modprobe -q $module; done
waited=0
until disk=$(findfs LABEL={ROOT_LABEL} 2>/dev/null); do
    if [ $waited -ge {ticks} ]; then
        echo 'no disk has a file system labelled {ROOT_LABEL}; found:'
        cat /proc/partitions
        exec sh
    fi
    waited=$((waited + 1))
    usleep 100000
done
echo \"root file system: $disk\"
mount -t ext4 -o ro $disk /root || exec sh
mount --move /dev /root/dev
mount --move /proc /root/proc
mount --move /sys /root/sys
exec switch_root /root /sbin/init
",
        // What isn't there or is built in is passed over by modprobe.
        modules = [CHECKSUM_MODULES, DISK_MODULES].concat().join(" "),
        ticks = PATIENCE * 10,
    )
}

/// What an archive is compressed by.
pub(crate) enum Compressor {
    /// For every kernel.
    Gzip,
    /// Smaller, and quicker to unpack, for Linux 5.9 and later.
    Zstd,
}

impl Compressor {
    fn command(&self) -> &'static str {
        match self {
            Self::Gzip => "gzip -9 -n",
            Self::Zstd => "zstd -q -19",
        }
    }
}

/// Packs `root` into a compressed cpio archive of root's files, whoever packs it.
pub(crate) fn pack(
    kernel: &Kernel,
    root: &Path,
    archive: &Path,
    compressor: &Compressor,
) -> Result<()> {
    let busybox = kernel.packages.busybox()?;
    let file =
        File::create(archive).with_context(|| format!("cannot make {}", archive.display()))?;
    let status = command("sh")
        .args([
            "-c",
            &format!(
                "find . | LC_ALL=C sort | \"$0\" cpio -o -H newc -R 0:0 | {}",
                compressor.command()
            ),
        ])
        .arg(busybox)
        .current_dir(root)
        .stdout(file)
        .stderr(Stdio::null())
        .status()
        .context("cannot start a shell to pack the first file system")?;
    if !status.success() {
        bail!("packing the first file system failed: {status}");
    }
    Ok(())
}
