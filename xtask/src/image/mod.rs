//! `cargo xtask image`: makes a small bootable Linux out of the distribution's packages, as a thing
//! to cast.
//!
//! It is a real disk image: a GPT with an EFI system partition and an ext4 root file system, booted
//! by systemd-boot, the distribution's kernel and BusyBox, to a login prompt on the screen and the
//! first serial port. It needs neither root nor loop devices to make. Its root file system is only
//! ever mounted read-only, so that a disk still equals the image after it has booted.

mod disk;
pub(crate) mod initramfs;
pub(crate) mod modules;
pub(crate) mod packages;
mod root;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::paths;
use crate::setup::{self, Purpose};

/// What the image prints when it is ready to be logged in to (as `root`, without a password).
pub(crate) const PROMPT: &str = "ironcast-demo login:";

/// The label by which the kernel's first programs find the root file system.
const ROOT_LABEL: &str = "ironcast-root";

/// The host name, the beginning of [`PROMPT`].
const HOST_NAME: &str = "ironcast-demo";

/// To be counted up when the image is to be made anew in every checkout.
const RECIPE: &str = "1";

/// Settings of `cargo xtask image`.
#[derive(Args)]
pub(crate) struct Options {
    /// Make it anew from the newest packages
    #[arg(long)]
    fresh: bool,
}

/// Makes `target/image/linux.img`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.fresh {
        packages::forget()?;
        forget()?;
    }
    provide()
}

/// Makes `target/image/linux.img` if it isn't there.
pub(crate) fn provide() -> Result<()> {
    let image = paths::image();
    let stamp = image.with_extension("recipe");
    let known = fs::read_to_string(&stamp).is_ok_and(|recipe| recipe == RECIPE);
    if known && image.is_file() {
        println!("{}: there already", image.display());
        return Ok(());
    }
    let begin = Instant::now();
    setup::provide(&[Purpose::Image])?;
    make(&image)?;
    fs::write(&stamp, RECIPE).with_context(|| format!("cannot write {}", stamp.display()))?;
    println!(
        "{}: {} MiB, made in {:.0} s",
        image.display(),
        disk::SIZE_MIB,
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

fn make(image: &Path) -> Result<()> {
    let packages = packages::provide()?;
    if let Some(folder) = image.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let work = tempfile::tempdir().context("cannot make a temporary folder")?;
    let kernel = modules::Kernel::new(packages)?;
    let initramfs = initramfs::make(&kernel, work.path())?;
    let root = root::make(&kernel, work.path())?;
    disk::assemble(&kernel, &initramfs, &root, image)
}

fn forget() -> Result<()> {
    match fs::remove_file(paths::image()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", paths::image().display()))
        }
        _ => Ok(()),
    }
}
