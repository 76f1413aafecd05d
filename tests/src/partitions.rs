//! Disk images with a GUID partition table, by the distribution's own tools, which judge disks too.
//!
//! fdisk makes and checks tables for sectors of any size; sgdisk looks closer, at those of 512
//! bytes.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::image::{demand_starts_with, demand_starts_with_changed, write_random};
use crate::{LabError, find_tool};

/// What fdisk says of a table that does not fit its disk.
const COMPLAINTS: [&str; 4] = ["mismatch", "not on the end", "corrupt", "will be corrected"];

/// A table's identity: the disk's GUID, and those of its first two partitions.
pub type Guids = [[u8; 16]; 3];

/// Writes a disk image of `length` bytes for sectors of `sector` bytes: random bytes under a GPT
/// with two partitions, of which the last one reaches as far as it can.
///
/// # Errors
/// [`LabError`] if it can't be written, or if fdisk is not there or fails.
pub fn write_gpt_image(path: &Path, length: u64, sector: u32, seed: u64) -> Result<(), LabError> {
    write_random(path, length, seed)?;
    let words = "g\nn\n1\n\n+4M\nn\n2\n\n\nw\n";
    let said = fdisk(path, sector, words)?;
    match said.contains("has been altered") {
        true => Ok(()),
        false => Err(failed("fdisk", path, said)),
    }
}

/// Demands that a disk with sectors of `sector` bytes has a GPT that is right for it: both headers,
/// both arrays of entries, all checksums, and the protective MBR.
///
/// # Errors
/// [`LabError::Failed`] with what is wrong.
pub fn demand_right_table(disk: &Path, sector: u32) -> Result<(), LabError> {
    let said = fdisk(disk, sector, "v\nq\n")?;
    let is_right = said.contains("No errors detected") && said.contains("Header version: 1.0");
    if !is_right || COMPLAINTS.iter().any(|words| said.contains(words)) {
        return Err(failed("fdisk", disk, said));
    }
    if sector == 512 {
        let mut sgdisk = Command::new(find_tool("sgdisk")?);
        let said = run(sgdisk.arg("--verify").arg(disk), "")?;
        if !said.contains("No problems found") {
            return Err(failed("sgdisk", disk, said));
        }
    }
    Ok(())
}

/// Demands that `disk` has `image`: to the byte, save what a table that was made right for another
/// size of disk has to have otherwise, which is the length of the protective MBR, places and
/// checksum in the header, and the copy at the image's end. Whether that is right is for
/// [`demand_right_table`]. True if the table was moved.
///
/// # Errors
/// [`LabError::Wrong`] with the first offset that differs.
pub fn demand_installed(image: &Path, disk: &Path, sector: u32) -> Result<bool, LabError> {
    let is_moved = length(image)? != length(disk)? && has_table(image, sector)?;
    if !is_moved {
        demand_starts_with(image, disk)?;
        return Ok(false);
    }
    let found = read_start(disk, sector)?;
    let header = u64::from(sector);
    let as_found = |start: u64, end: u64| {
        let range = start as usize..end as usize;
        (start, found.get(range).unwrap_or_default().to_vec())
    };
    let copy = length(image)? - header;
    let changes = [
        // EndingCHS and SizeInLBA of the protective partition.
        as_found(451, 454),
        as_found(458, 462),
        // HeaderCRC32, AlternateLBA, LastUsableLBA.
        as_found(header + 16, header + 20),
        as_found(header + 32, header + 40),
        as_found(header + 48, header + 56),
        (copy, vec![0; sector as usize]),
    ];
    demand_starts_with_changed(image, &changes, disk).map(|()| true)
}

/// The GUIDs of a disk with sectors of `sector` bytes.
///
/// # Errors
/// [`LabError::Io`] if it can't be read, [`LabError::Wrong`] if it has no table.
pub fn guids(disk: &Path, sector: u32) -> Result<Guids, LabError> {
    if !has_table(disk, sector)? {
        return Err(LabError::wrong(format!("{} has no GPT", disk.display())));
    }
    let sector = u64::from(sector);
    let file = File::open(disk).map_err(|e| LabError::io("open the disk", e))?;
    let mut guids = [[0; 16]; 3];
    let places = [sector + 56, 2 * sector + 16, 2 * sector + 128 + 16];
    for (guid, place) in guids.iter_mut().zip(places) {
        file.read_exact_at(guid, place)
            .map_err(|e| LabError::io("read the table", e))?;
    }
    Ok(guids)
}

fn has_table(path: &Path, sector: u32) -> Result<bool, LabError> {
    let start = read_start(path, sector)?;
    let header = start.get(sector as usize..).unwrap_or_default();
    Ok(header.starts_with(b"EFI PART"))
}

/// The first two sectors.
fn read_start(path: &Path, sector: u32) -> Result<Vec<u8>, LabError> {
    let mut start = vec![0; 2 * sector as usize];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut start, 0))
        .map_err(|e| LabError::io(format!("read {}", path.display()), e))?;
    Ok(start)
}

fn length(path: &Path) -> Result<u64, LabError> {
    let metadata = path.metadata();
    let metadata = metadata.map_err(|e| LabError::io(format!("look at {}", path.display()), e))?;
    Ok(metadata.len())
}

/// What fdisk prints when it is told `words`, its complaints included.
fn fdisk(path: &Path, sector: u32, words: &str) -> Result<String, LabError> {
    let mut fdisk = Command::new(find_tool("fdisk")?);
    fdisk.env("LC_ALL", "C");
    fdisk.args(["--sector-size", &sector.to_string()]).arg(path);
    run(&mut fdisk, words)
}

/// Runs a program with `input`, and gives all that it printed.
fn run(command: &mut Command, input: &str) -> Result<String, LabError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let refused = |e| LabError::io(format!("run {name}"), e);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(refused)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(refused)?;
    }
    let output = child.wait_with_output().map_err(refused)?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(said),
        false => Err(LabError::Failed {
            what: format!("{name} ended with {}", output.status),
            output: said,
        }),
    }
}

fn failed(tool: &str, path: &Path, output: String) -> LabError {
    LabError::Failed {
        what: format!("{tool} is not content with {}", path.display()),
        output,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_table_that_does_not_fit_its_disk_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        for sector in [512, 4096] {
            write_gpt_image(&image, 16 * MIB, sector, 1).unwrap();
            demand_right_table(&image, sector).unwrap();
            let file = File::options().write(true).open(&image).unwrap();
            file.set_len(17 * MIB).unwrap();
            assert!(demand_right_table(&image, sector).is_err());
            file.set_len(16 * MIB).unwrap();
            demand_right_table(&image, sector).unwrap();
            file.write_all_at(b"x", u64::from(sector) + 60).unwrap();
            assert!(demand_right_table(&image, sector).is_err());
        }
    }

    #[test]
    fn what_differs_beside_the_table_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (image, disk) = (folder.path().join("image"), folder.path().join("disk"));
        write_gpt_image(&image, 16 * MIB, 512, 1).unwrap();
        std::fs::copy(&image, &disk).unwrap();
        assert!(!demand_installed(&image, &disk, 512).unwrap());
        let file = File::options().write(true).open(&disk).unwrap();
        file.set_len(17 * MIB).unwrap();
        let copy = 16 * MIB - 512;
        let error = demand_installed(&image, &disk, 512).unwrap_err();
        assert!(
            error.to_string().contains(&format!("byte {copy}")),
            "{error}"
        );
        file.write_all_at(&[0; 512], copy).unwrap();
        file.write_all_at(&[9; 4], 512 + 16).unwrap();
        assert!(demand_installed(&image, &disk, 512).unwrap());
        for place in [0, 457, 512 + 24, 1024, 2 * MIB, copy - 1] {
            let mut byte = [0];
            let read = File::open(&disk).unwrap();
            read.read_exact_at(&mut byte, place).unwrap();
            file.write_all_at(&[byte[0] ^ 1], place).unwrap();
            let error = demand_installed(&image, &disk, 512).unwrap_err();
            assert!(
                error.to_string().contains(&format!("byte {place}")),
                "{error}"
            );
            file.write_all_at(&byte, place).unwrap();
        }
    }

    #[test]
    fn guids_are_those_of_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        write_gpt_image(&image, 16 * MIB, 4096, 1).unwrap();
        let [disk, first, second] = guids(&image, 4096).unwrap();
        assert!(disk != first && first != second && second != disk);
        assert!(guids(&image, 512).is_err());
    }
}
