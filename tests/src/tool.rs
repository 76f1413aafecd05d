//! Finds the programs that the laboratory runs, and names the Debian package of one that is not
//! there. `/usr/sbin` is searched as well, since an ordinary user's `PATH` leaves it out.

use std::env;
use std::path::{Path, PathBuf};

use crate::LabError;

/// Programs and the Debian packages that have them.
const PACKAGES: &[(&str, &str)] = &[
    ("b3sum", "b3sum"),
    ("cat", "coreutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("fdisk", "fdisk"),
    ("gzip", "gzip"),
    ("ip", "iproute2"),
    ("lz4", "lz4"),
    ("lzop", "lzop"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.vfat", "dosfstools"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkntfs", "ntfs-3g"),
    ("mcopy", "mtools"),
    ("mmove", "mtools"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("partclone.extfs", "partclone"),
    ("python3", "python3"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("sbsign", "sbsigntool"),
    ("sbverify", "sbsigntool"),
    ("setpriv", "util-linux"),
    ("sgdisk", "gdisk"),
    ("sh", "dash"),
    ("udp-receiver", "udpcast"),
    ("udp-sender", "udpcast"),
    ("unshare", "util-linux"),
    ("zstd", "zstd"),
];

/// Finds `program` in `PATH`, `/usr/sbin` and `/sbin`; a path with a slash is taken as it is.
///
/// # Errors
/// [`LabError::MissingTool`] if it is nowhere, with the Debian package to install.
pub fn find_tool(program: impl AsRef<Path>) -> Result<PathBuf, LabError> {
    let program = program.as_ref();
    if program.components().count() > 1 {
        return Ok(program.to_path_buf());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| missing(program))
}

fn missing(program: &Path) -> LabError {
    let tool = program.display().to_string();
    let package = PACKAGES
        .iter()
        .find(|(name, _)| *name == tool)
        .map_or("(the package that has it)", |(_, package)| package);
    LabError::MissingTool { tool, package }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_in_sbin_is_found() {
        assert!(find_tool("nft").unwrap().is_file());
    }

    #[test]
    fn a_missing_tool_names_its_package() {
        let error = missing(Path::new("udp-sender"));
        assert_eq!(
            error.to_string(),
            "udp-sender is not installed: apt-get install udpcast"
        );
        assert!(find_tool("no-such-program-anywhere").is_err());
    }
}
