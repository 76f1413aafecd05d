//! Disk images: a GPT, and partitions that are made as files of their own and copied to their
//! places, which needs no root, no loop device and no mount.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{command, quietly};

/// Bytes of a MiB, in which partitions are measured.
pub(crate) const MIB: u64 = 1024 * 1024;

/// The least size of an EFI system partition in MiB: FAT32, which all firmwares can read, needs
/// 65,525 clusters.
pub(crate) const SMALLEST_ESP_MIB: u64 = 34;

/// A partition and what it holds.
#[derive(Debug)]
pub(crate) struct Partition<'a> {
    /// Where it begins, in MiB.
    pub(crate) start_mib: u64,
    /// How many MiB it has.
    pub(crate) mib: u64,
    /// What it is, as sgdisk has it.
    pub(crate) kind: &'a str,
    /// Its name in the table.
    pub(crate) name: &'a str,
    /// Its contents, of the same size.
    pub(crate) contents: &'a Path,
}

/// Makes `image` of `size_mib` MiB with `partitions`. The first and the last MiB belong to the GPT.
pub(crate) fn assemble(image: &Path, size_mib: u64, partitions: &[Partition<'_>]) -> Result<()> {
    // Made beside and renamed when it is whole, so that a half one is never used.
    let whole = image.with_extension("new");
    let file = File::create(&whole).with_context(|| format!("cannot make {}", whole.display()))?;
    file.set_len(size_mib * MIB)
        .context("cannot size the image")?;
    let mut sgdisk = command("sgdisk");
    sgdisk.args(["--clear"]);
    for (number, partition) in (1..).zip(partitions) {
        sgdisk.args(["--new", &partition.range(number)]);
        sgdisk.arg("--typecode");
        sgdisk.arg(format!("{number}:{}", partition.kind));
        sgdisk.arg("--change-name");
        sgdisk.arg(format!("{number}:{}", partition.name));
    }
    quietly(sgdisk.arg(&whole))?;
    for partition in partitions {
        copy_to(partition.contents, &file, partition.start_mib * MIB)?;
    }
    fs::rename(&whole, image).with_context(|| format!("cannot make {}", image.display()))
}

impl Partition<'_> {
    /// Its place as sgdisk takes it: number, first and last sector of 512 bytes.
    fn range(&self, number: u32) -> String {
        let sector = |mib: u64| mib * MIB / 512;
        let (start, end) = (self.start_mib, self.start_mib + self.mib);
        format!("{number}:{}:{}", sector(start), sector(end) - 1)
    }
}

/// Makes `image`, a FAT32 file system of `mib` MiB, with `folders` and then `files`: each one's
/// source, and its path in the file system. Paths begin with `::/`.
pub(crate) fn make_fat(
    image: &Path,
    mib: u64,
    folders: &[&str],
    files: &[(PathBuf, &str)],
) -> Result<()> {
    make_sized(image, mib)?;
    let mut format = command("mkfs.vfat");
    format.args(["-F", "32", "-s", "1", "-n", "IRONCAST"]);
    quietly(format.arg(image))?;
    quietly(mtools("mmd", image).args(folders))?;
    for (from, to) in files {
        quietly(mtools("mcopy", image).arg(from).arg(to))?;
    }
    Ok(())
}

/// Makes an empty file of `mib` MiB.
pub(crate) fn make_sized(path: &Path, mib: u64) -> Result<()> {
    File::create(path)
        .and_then(|file| file.set_len(mib * MIB))
        .with_context(|| format!("cannot make {}", path.display()))
}

fn mtools(program: &str, image: &Path) -> Command {
    let mut tool = command(program);
    tool.arg("-i").arg(image);
    tool
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
