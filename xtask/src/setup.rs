//! `cargo xtask setup`: installs, most of it by apt, what the other tasks need.
//!
//! Whether something is missing is seen by looking for its programs and files, so that a machine
//! that has all needs neither the network nor root.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use ironcast_tests::find_tool;

use crate::{apt, boot_loaders, dhcp_servers, fuzz, newer, run, virt_firmware};

/// Settings of `cargo xtask setup`.
#[derive(Args)]
pub(crate) struct Options {}

/// What a tool is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To compile at all.
    Build,
    /// To make the bootable image.
    Image,
    /// To run a private network with virtual machines.
    Lab,
    /// To test against the stock programs, and on more kinds of machines.
    Test,
    /// To sign for Secure Boot.
    Sign,
    /// To fuzz.
    Fuzz,
    /// To measure; not among what all other tasks need.
    Bench,
}

/// A program or file that has to be there, by the Debian and Ubuntu package that has it.
struct Tool {
    purpose: Purpose,
    package: &'static str,
    /// A program's name, or a file's path if it begins with a slash.
    probe: &'static str,
}

const fn tool(purpose: Purpose, package: &'static str, probe: &'static str) -> Tool {
    Tool {
        purpose,
        package,
        probe,
    }
}

/// Everything that has to be there, by what it is for.
const TOOLS: &[Tool] = &[
    tool(Purpose::Build, "gcc", "cc"),
    tool(Purpose::Build, "libc6-dev", "/usr/include/stdio.h"),
    tool(Purpose::Image, "dosfstools", "mkfs.vfat"),
    tool(Purpose::Image, "dpkg", "dpkg-deb"),
    tool(Purpose::Image, "e2fsprogs", "mkfs.ext4"),
    tool(Purpose::Image, "gdisk", "sgdisk"),
    tool(Purpose::Image, "mtools", "mcopy"),
    tool(Purpose::Image, "xz-utils", "xz"),
    tool(Purpose::Image, "zstd", "zstd"),
    tool(Purpose::Lab, "dnsmasq-base", "dnsmasq"),
    tool(
        Purpose::Lab,
        "ipxe-qemu",
        "/usr/lib/ipxe/qemu/efi-e1000e.rom",
    ),
    tool(Purpose::Lab, "iproute2", "ip"),
    tool(Purpose::Lab, "nftables", "nft"),
    tool(Purpose::Lab, "ovmf", "/usr/share/OVMF/OVMF_CODE_4M.fd"),
    tool(Purpose::Lab, "ovmf", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    tool(Purpose::Lab, "qemu-system-x86", "qemu-system-x86_64"),
    tool(Purpose::Lab, "util-linux", "unshare"),
    tool(Purpose::Lab, "util-linux", "nsenter"),
    tool(Purpose::Lab, "util-linux", "setpriv"),
    tool(Purpose::Test, "fdisk", "fdisk"),
    tool(Purpose::Test, "gdisk", "sgdisk"),
    tool(Purpose::Test, "gzip", "gzip"),
    tool(Purpose::Test, "xz-utils", "xz"),
    tool(Purpose::Test, "lz4", "lz4"),
    tool(Purpose::Test, "lzop", "lzop"),
    tool(Purpose::Test, "mount", "losetup"),
    tool(Purpose::Test, "zstd", "zstd"),
    tool(Purpose::Test, "b3sum", "b3sum"),
    tool(Purpose::Test, "btrfs-progs", "mkfs.btrfs"),
    tool(Purpose::Test, "ntfs-3g", "mkntfs"),
    tool(Purpose::Test, "partclone", "partclone.extfs"),
    tool(Purpose::Test, "python3", "python3"),
    tool(Purpose::Test, "qemu-utils", "qemu-img"),
    tool(Purpose::Test, "xfsprogs", "mkfs.xfs"),
    tool(
        Purpose::Test,
        "qemu-efi-aarch64",
        "/usr/share/AAVMF/AAVMF_CODE.fd",
    ),
    tool(Purpose::Test, "qemu-system-arm", "qemu-system-aarch64"),
    tool(Purpose::Test, "udpcast", "udp-sender"),
    tool(Purpose::Test, "udpcast", "udp-receiver"),
    tool(Purpose::Test, "openssl", "openssl"),
    tool(Purpose::Sign, "sbsigntool", "sbsign"),
    tool(Purpose::Fuzz, "g++", "c++"),
    tool(Purpose::Bench, "b3sum", "b3sum"),
    tool(Purpose::Bench, "binutils", "objcopy"),
    tool(Purpose::Bench, "binutils", "objdump"),
    tool(Purpose::Bench, "e2fsprogs", "mkfs.ext4"),
    tool(Purpose::Bench, "iproute2", "ip"),
    tool(Purpose::Bench, "libc-bin", "ldd"),
    tool(Purpose::Bench, "lz4", "lz4"),
    tool(Purpose::Bench, "mount", "losetup"),
    tool(Purpose::Bench, "nftables", "nft"),
    tool(Purpose::Bench, "partclone", "partclone.ext4"),
    tool(Purpose::Bench, "udpcast", "udp-sender"),
    tool(Purpose::Bench, "uftp", "uftp"),
    tool(Purpose::Bench, "uftp", "uftpd"),
    tool(Purpose::Bench, "util-linux", "unshare"),
    tool(Purpose::Bench, "util-linux", "nsenter"),
    tool(Purpose::Bench, "util-linux", "setpriv"),
    tool(Purpose::Bench, "valgrind", "valgrind"),
    tool(Purpose::Bench, "zstd", "zstd"),
];

/// What all tasks but `bench` together need.
pub(crate) const EVERYTHING: &[Purpose] = &[
    Purpose::Build,
    Purpose::Image,
    Purpose::Lab,
    Purpose::Test,
    Purpose::Sign,
    Purpose::Fuzz,
];

/// Installs everything.
pub(crate) fn run(_options: &Options) -> Result<()> {
    provide(EVERYTHING)?;
    println!("all tools are there");
    Ok(())
}

/// Sees to it that what `purposes` need is there.
///
/// Fails if something is missing that can't be installed, naming its package, and if a laboratory
/// is wanted where this user may make no namespaces.
pub(crate) fn provide(purposes: &[Purpose]) -> Result<()> {
    let missing = missing(purposes);
    if !missing.is_empty() {
        let mut packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
        packages.sort_unstable();
        packages.dedup();
        apt::install(&packages)?;
    }
    if let Some(tool) = self::missing(purposes).first() {
        bail!(
            "{} is still missing, although the package {} should have it",
            tool.probe,
            tool.package
        );
    }
    if purposes.contains(&Purpose::Test) {
        newer::provide()?;
        virt_firmware::provide()?;
        boot_loaders::provide()?;
        dhcp_servers::provide()?;
    }
    if purposes.contains(&Purpose::Fuzz) {
        fuzz::provide()?;
    }
    if purposes.contains(&Purpose::Lab) {
        namespaces_allowed()?;
    }
    Ok(())
}

fn missing(purposes: &[Purpose]) -> Vec<&'static Tool> {
    TOOLS
        .iter()
        .filter(|tool| purposes.contains(&tool.purpose) && !is_there(tool.probe))
        .collect()
}

fn is_there(probe: &str) -> bool {
    if probe.starts_with('/') {
        Path::new(probe).exists()
    } else {
        find_tool(probe).is_ok()
    }
}

fn namespaces_allowed() -> Result<()> {
    let mut unshare = run::command("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    if let Err(error) = run::quietly(unshare.args(["--net", "true"])) {
        bail!(
            "this user may make no network namespaces ({error:#}); run it as root, or allow them: \
             sysctl -w kernel.unprivileged_userns_clone=1 on Debian, \
             sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu"
        );
    }
    let device = "/dev/net/tun";
    if let Err(error) = File::options().read(true).write(true).open(device) {
        bail!(
            "cannot open {device} ({error}), which the virtual machines' network needs; as root: \
             modprobe tun; chmod 666 {device}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_noticed() {
        assert!(is_there("sh") && is_there("/etc/os-release"));
        assert!(!is_there("no-such-program-anywhere") && !is_there("/no/such/file"));
    }
}
