//! A medium that machines start from without a network boot: a USB stick, or any disk.
//!
//! It has nothing but an EFI system partition with the application for each architecture, where
//! firmwares look on media that they have never seen, and the settings beside it.

use std::fs::{self, File};
use std::path::{self, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Arch;
use crate::disk_image::{self, Partition, SMALLEST_ESP_MIB};

/// Where the partition begins, in MiB. As many are after it.
const START_MIB: u64 = 1;

/// Makes `image`, with the applications for `archs` and with the settings of the file `conf`.
///
/// Fails if `image` is there already and no plain file, a device for one.
pub(super) fn make(image: &Path, archs: &[Arch], conf: Option<&Path>) -> Result<()> {
    if fs::metadata(image).is_ok_and(|found| !found.is_file()) {
        bail!(
            "{} is no plain file; name a new one, and copy that to the stick: \
             dd if=FILE of=/dev/sdX bs=1M conv=fsync",
            image.display()
        );
    }
    let mut files: Vec<(PathBuf, &str)> = archs
        .iter()
        .map(|arch| (arch.file(), arch.place_on_media()))
        .collect();
    if let Some(conf) = conf {
        let conf = readable(conf)?;
        files.push((conf, "::/EFI/BOOT/ironcast.conf"));
    }
    let work = tempfile::tempdir().context("cannot make a folder")?;
    let esp = work.path().join("esp.img");
    let folders = ["::/EFI", "::/EFI/BOOT"];
    disk_image::make_fat(&esp, SMALLEST_ESP_MIB, &folders, &files)?;
    let partition = Partition {
        start_mib: START_MIB,
        mib: SMALLEST_ESP_MIB,
        kind: "ef00",
        name: "Ironcast",
        contents: &esp,
    };
    let image = path::absolute(image).context("cannot find the image's folder")?;
    disk_image::assemble(&image, START_MIB + SMALLEST_ESP_MIB + 1, &[partition])?;
    println!("{}: for a USB stick", image.display());
    if conf.is_none() {
        println!("it has no settings; they go to EFI/BOOT/ironcast.conf on the stick");
    }
    Ok(())
}

/// The file's absolute path, if it can be read: the tools run elsewhere.
fn readable(file: &Path) -> Result<PathBuf> {
    File::open(file)
        .and_then(|_| path::absolute(file))
        .with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_not_replaced_by_a_file() {
        let error = make(Path::new("/dev/null"), Arch::ALL, None).unwrap_err();
        assert!(error.to_string().contains("no plain file"), "{error}");
    }
}
