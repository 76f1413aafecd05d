//! Where things lie: the workspace, what it builds, and what was fetched from the network.
//!
//! Products go below `target/` at fixed places whatever `CARGO_TARGET_DIR` says, because the tests
//! and the README name them. Fetched files go to the user's cache, so that neither `cargo clean`
//! nor a second checkout needs the network again.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the checkout.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo builds.
pub(crate) fn cargo_target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || workspace().join("target"),
        // A relative folder is meant from where cargo was started.
        |folder| env::current_dir().unwrap_or_default().join(folder),
    )
}

/// Where the UEFI applications are.
pub(crate) fn efi_folder() -> PathBuf {
    workspace().join("target/efi")
}

/// The UEFI application that trusts the tests' key.
pub(crate) fn trusting_efi() -> PathBuf {
    efi_folder().join("trusting.efi")
}

/// The medium that tests boot from. It is not for a real stick: it asks nobody.
pub(crate) fn test_medium() -> PathBuf {
    workspace().join("target/image/test-medium.img")
}

/// The bootable image.
pub(crate) fn image() -> PathBuf {
    workspace().join("target/image/linux.img")
}

/// What a machine is imaged by in the usual way, for the benchmarks.
pub(crate) fn linux_receiver() -> PathBuf {
    workspace().join("target/bench/linux")
}

/// Fetched packages and sources: `$XDG_CACHE_HOME/ironcast`, else `~/.cache/ironcast`, else
/// `target/cache`.
pub(crate) fn cache() -> PathBuf {
    let home = |name| env::var_os(name).map(PathBuf::from);
    home("XDG_CACHE_HOME")
        .or_else(|| home("HOME").map(|home| home.join(".cache")))
        .filter(|folder| folder.is_absolute())
        .map_or_else(
            || workspace().join("target/cache"),
            |folder| folder.join("ironcast"),
        )
}
