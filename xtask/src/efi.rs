//! `cargo xtask efi`: builds the UEFI application and holds it to its size.

use std::fs;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::core_library::{Builder, Target};
use crate::paths;
use crate::run::run as run_command;

/// The most that `ironcast.efi` may measure, in bytes: firmwares fetch it by TFTP, and it has to
/// fit beside the image's buffers in a machine of 128 MiB.
const SIZE_LIMIT: u64 = 500 * 1024;

/// What firmwares of PCs run.
const TARGET: Target = Target {
    name: "x86_64-unknown-uefi",
    crates: "core,alloc,compiler_builtins",
};

/// Settings of `cargo xtask efi`.
#[derive(Args)]
pub(crate) struct Options {}

/// Builds `target/efi/ironcast.efi`.
pub(crate) fn run(_options: &Options) -> Result<()> {
    build()
}

/// Builds `target/efi/ironcast.efi`.
pub(crate) fn build() -> Result<()> {
    let builder = Builder::find(TARGET)?;
    run_command(
        builder
            .cargo("build")
            .args(["--package", "ironcast-boot", "--profile", "efi"]),
    )?;
    let made = builder.products("efi").join("ironcast.efi");
    let kept = paths::efi();
    if let Some(folder) = kept.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let size = fs::copy(&made, &kept)
        .with_context(|| format!("cannot copy {} to {}", made.display(), kept.display()))?;
    println!(
        "{}: {size} bytes (core library: {:?})",
        kept.display(),
        builder.way()
    );
    if size > SIZE_LIMIT {
        bail!("ironcast.efi has {size} bytes, more than the {SIZE_LIMIT} it may have");
    }
    Ok(())
}

/// Lints the UEFI application for its own target.
pub(crate) fn lint() -> Result<()> {
    let mut clippy = Builder::find(TARGET)?.cargo("clippy");
    clippy.args(["--package", "ironcast-boot", "--", "-D", "warnings"]);
    run_command(&mut clippy)
}

/// Builds the UEFI application's documentation, for its own target.
pub(crate) fn document() -> Result<()> {
    let mut doc = Builder::find(TARGET)?.cargo("doc");
    doc.args(["--package", "ironcast-boot", "--no-deps"]);
    run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
