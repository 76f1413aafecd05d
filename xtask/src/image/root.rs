//! The root file system: BusyBox, a log-in on the screen and the serial port, and drivers.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::HOST_NAME;
use super::initramfs::{CHECKSUM_MODULES, DISK_MODULES};
use super::modules::Kernel;
use crate::run::{command, output};

/// Drivers of common wired network cards, so that the system is of use on a real machine too.
const NETWORK_MODULES: &[&str] = &[
    "virtio_net",
    "e1000",
    "e1000e",
    "igb",
    "igc",
    "ixgbe",
    "r8169",
    "tg3",
    "bnx2x",
    "bnxt_en",
    "atlantic",
    "alx",
    "sky2",
    "forcedeth",
    "8139too",
    "8139cp",
    "vmxnet3",
    "ax88179_178a",
    "cdc_ether",
    "r8152",
];

/// Other drivers and file systems that one looks for when a disk has arrived on a real machine.
const OTHER_MODULES: &[&str] = &["vfat", "nls_ascii", "nls_cp437", "usbhid"];

/// Files of the system by path and content; those in `bin` and `etc/init.d` can be run.
const FILES: &[(&str, &str)] = &[
    ("etc/passwd", "root::0:0:root:/root:/bin/sh\n"),
    ("etc/group", "root:x:0:\ntty:x:5:\n"),
    ("etc/hostname", "HOST_NAME\n"),
    ("etc/hosts", "127.0.0.1 localhost HOST_NAME\n"),
    (
        "etc/issue",
        "This disk was written by Ironcast. Log in as root, without a password.\n",
    ),
    (
        "etc/inittab",
        "::sysinit:/etc/init.d/start\n\
         ttyS0::respawn:/sbin/getty -L 115200 ttyS0 vt100\n\
         tty1::respawn:/sbin/getty 38400 tty1 linux\n\
         ::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r\n",
    ),
    (
        "etc/init.d/start",
        "#!/bin/sh
hostname -F /etc/hostname
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
ip link set lo up
find /sys/devices -name modalias -exec cat {} + | sort -u | xargs modprobe -a -q 2>/dev/null
for card in /sys/class/net/*; do
    name=${card##*/}
    [ \"$name\" = lo ] && continue
    ip link set \"$name\" up
    udhcpc -b -q -S -i \"$name\" -s /etc/udhcpc.script >/dev/null 2>&1 &
done
echo \"HOST_NAME: root file system is $(grep ' / ' /proc/mounts | cut -d ' ' -f 1,3,4)\"
",
    ),
    (
        "etc/udhcpc.script",
        "#!/bin/sh
[ \"$1\" = bound ] || [ \"$1\" = renew ] || exit 0
ip addr flush dev \"$interface\"
ip addr add \"$ip/$mask\" dev \"$interface\"
[ -n \"$router\" ] && ip route add default via \"${router%% *}\"
for server in $dns; do echo \"nameserver $server\"; done > /run/resolv.conf
",
    ),
    (
        "etc/profile",
        "export PATH=/sbin:/bin PS1='\\u@\\h:\\w# '\n",
    ),
];

/// Makes the root file system's tree below `work` and gives its path.
pub(crate) fn make(kernel: &Kernel, work: &Path) -> Result<PathBuf> {
    let root = work.join("root");
    fill(kernel, &root).context("cannot make the root file system")?;
    Ok(root)
}

fn fill(kernel: &Kernel, root: &Path) -> Result<()> {
    for folder in [
        "bin",
        "dev",
        "etc/init.d",
        "proc",
        "sys",
        "run",
        "tmp",
        "root",
        "usr",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    symlink("bin", root.join("sbin"))?;
    symlink("../bin", root.join("usr/bin"))?;
    symlink("../bin", root.join("usr/sbin"))?;
    symlink("/run/resolv.conf", root.join("etc/resolv.conf"))?;
    for (name, text) in FILES {
        let path = root.join(name);
        fs::write(&path, text.replace("HOST_NAME", HOST_NAME))?;
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    install_busybox(kernel, root)?;
    copy_documents(&kernel.packages.documents(), &root.join("usr/share/doc"))?;
    let mut modules = DISK_MODULES.to_vec();
    for wished in [CHECKSUM_MODULES, NETWORK_MODULES, OTHER_MODULES] {
        modules.extend(kernel.offered(wished));
    }
    kernel.install(&modules, root)
}

fn install_busybox(kernel: &Kernel, root: &Path) -> Result<()> {
    let busybox = kernel.packages.busybox()?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    for applet in output(command(&busybox).arg("--list"))?.lines() {
        if applet != "busybox" {
            symlink("busybox", root.join("bin").join(applet))?;
        }
    }
    Ok(())
}

/// The packages' licences have to come with them.
fn copy_documents(from: &Path, to: &Path) -> Result<()> {
    for package in fs::read_dir(from)?.flatten() {
        let copyright = package.path().join("copyright");
        if copyright.is_file() {
            let folder = to.join(package.file_name());
            fs::create_dir_all(&folder)?;
            fs::copy(copyright, folder.join("copyright"))?;
        }
    }
    Ok(())
}
