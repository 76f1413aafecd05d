//! Where partclone finds a partition: it wants a file or device that begins with the file system.
//!
//! A disk has a device for each of its partitions. Of an image's file root gets one from a loop
//! device. Everybody else gets a copy, which has holes where the image has them, and shares its
//! blocks with the image on file systems that can.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use crate::error::Error;
use crate::layout::Partition;
use crate::source::Source;

/// The unit of the kernel's places and sizes.
const SYSFS_SECTOR: u64 = 512;

/// A file or device that begins with a partition, as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Keeps what was made for it, which the kernel takes away when this is closed, however that
    /// comes about.
    _keeper: Option<File>,
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A name of an open file, which may have no other.
fn name_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()))
}

/// A place that begins with `partition` of `source`.
pub(super) fn of(source: &Source, partition: &Partition, scratch: &Path) -> Result<Place, Error> {
    let file = source.file();
    // What was unpacked has no name of its own.
    let whole = name_of(file);
    let range = &partition.range;
    let is_disk = file
        .metadata()
        .is_ok_and(|about| about.file_type().is_block_device());
    if range.start == 0 {
        // A device that is mounted is known by its name.
        let path = if is_disk {
            source.path().to_owned()
        } else {
            whole
        };
        return Ok(Place {
            path,
            _keeper: None,
        });
    }
    if is_disk && let Some(path) = node(file, partition) {
        return Ok(Place {
            path,
            _keeper: None,
        });
    }
    let is_root = rustix::process::geteuid().is_root();
    if is_root && let Some(place) = loop_device(&whole, range) {
        return Ok(place);
    }
    let copy = copied(file, range, scratch).map_err(Error::file("write", scratch))?;
    let path = name_of(&copy);
    Ok(Place {
        path,
        _keeper: Some(copy),
    })
}

/// The kernel's device of a partition of a disk, if it has it in the same place.
fn node(disk: &File, partition: &Partition) -> Option<PathBuf> {
    let device = disk.metadata().ok()?.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let folder = fs::read_dir(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let range = &partition.range;
    for entry in folder.flatten() {
        let number = |name: &str| {
            let text = fs::read_to_string(entry.path().join(name)).ok()?;
            text.trim().parse::<u64>().ok()
        };
        let is_it = number("partition") == Some(partition.number.into())
            && number("start") == Some(range.start / SYSFS_SECTOR)
            && number("size") == Some((range.end - range.start) / SYSFS_SECTOR);
        let path = Path::new("/dev").join(entry.file_name());
        if is_it && path.exists() {
            return Some(path);
        }
    }
    None
}

/// A new loop device; `None` if there can't be one.
fn loop_device(whole: &Path, range: &Range<u64>) -> Option<Place> {
    let output = losetup()
        .args(["--read-only", "--show", "--find", "--offset"])
        .arg(range.start.to_string())
        .arg("--sizelimit")
        .arg((range.end - range.start).to_string())
        .arg(whole)
        .output()
        .ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    let path = PathBuf::from(name.trim());
    if !output.status.success() || !path.is_absolute() {
        return None;
    }
    let keeper = File::open(&path);
    // It goes when nobody has it open any more.
    let detached = losetup().arg("--detach").arg(&path).status();
    let _keeper = keeper.ok();
    (_keeper.is_some() && detached.is_ok_and(|status| status.success()))
        .then_some(Place { path, _keeper })
}

fn losetup() -> Command {
    let mut command = Command::new("losetup");
    command.env("PATH", super::partclone::path());
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// A copy of a partition, with its holes.
fn copied(file: &File, range: &Range<u64>, scratch: &Path) -> io::Result<File> {
    use rustix::fs::{SeekFrom, copy_file_range, seek};

    let copy = tempfile::tempfile_in(scratch)?;
    copy.set_len(range.end - range.start)?;
    let mut start = range.start;
    while start < range.end {
        let data = match seek(file, SeekFrom::Data(start)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => break,
            // It has no holes that it could tell of.
            Err(_) => start,
        };
        let end = seek(file, SeekFrom::Hole(data)).unwrap_or(range.end);
        let end = end.min(range.end);
        let (mut from, mut to) = (data, data - range.start);
        while from < end {
            let len = usize::try_from(end - from).unwrap_or(usize::MAX);
            let copied = copy_file_range(file, Some(&mut from), &copy, Some(&mut to), len)?;
            if copied == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        start = end.max(data);
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn a_copy_has_the_bytes_and_the_holes() {
        let folder = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(folder.path()).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(&[7; 8192], 1 << 20).unwrap();
        file.write_all_at(&[8; 8192], (20 << 20) - 4096).unwrap();
        let range = (1 << 20) + 4096..20 << 20;
        let copy = copied(&file, &range, folder.path()).unwrap();
        let mut bytes = vec![0; 19 << 20];
        bytes.truncate((range.end - range.start) as usize);
        copy.read_exact_at(&mut bytes, 0).unwrap();
        let mut expected = vec![0; bytes.len()];
        file.read_exact_at(&mut expected, range.start).unwrap();
        assert!(bytes == expected && bytes.contains(&7) && bytes.contains(&8));
        let about = copy.metadata().unwrap();
        assert_eq!(about.len(), range.end - range.start);
        assert!(about.blocks() * 512 < 1 << 20, "{}", about.blocks());
    }
}
