//! partclone, which knows what file systems use.
//!
//! It is asked for a "domain log" in the format of ddrescue's map files: a line for each run of
//! bytes, with its place, its length, and `+` if they are in use or `?` if they are not.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::layout::FileSystem;

/// The program for a file system; `None` if there is none.
pub(super) fn program(contents: FileSystem) -> Option<&'static str> {
    match contents {
        FileSystem::Ext2 | FileSystem::Ext3 | FileSystem::Ext4 => Some("partclone.extfs"),
        FileSystem::Ntfs => Some("partclone.ntfs"),
        FileSystem::Fat12 | FileSystem::Fat16 | FileSystem::Fat32 => Some("partclone.fat"),
        FileSystem::ExFat => Some("partclone.exfat"),
        FileSystem::Xfs => Some("partclone.xfs"),
        FileSystem::Btrfs => Some("partclone.btrfs"),
        FileSystem::Swap { .. }
        | FileSystem::Lvm
        | FileSystem::Luks
        | FileSystem::BitLocker
        | FileSystem::Raid
        | FileSystem::Zfs
        | FileSystem::SquashFs
        | FileSystem::Iso9660 => None,
    }
}

/// What the file system at `device`, of `len` bytes, does not use; or why `program` does not say.
pub(super) fn unused(
    program: &str,
    device: &Path,
    scratch: &Path,
    len: u64,
) -> Result<Result<Vec<Range<u64>>, String>, Error> {
    let writing = || Error::file("write", scratch);
    let folder = tempfile::tempdir_in(scratch).map_err(writing())?;
    let (domain, log) = (folder.path().join("domain"), folder.path().join("log"));
    let status = Command::new(program)
        .env("PATH", path())
        .env("LC_ALL", "C")
        .args(["--quiet", "--domain", "--offset_domain=0", "--source"])
        .arg(device)
        .arg("--output")
        .arg(&domain)
        .arg("--logfile")
        .arg(&log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| not_run(program, error))?;
    if !status.success() {
        let log = fs::read(&log).unwrap_or_default();
        let words = last_line(&String::from_utf8_lossy(&log)).unwrap_or(status.to_string());
        return Ok(Err(words));
    }
    let text = fs::read_to_string(&domain).map_err(Error::file("read", &domain))?;
    Ok(parse(&text, len).ok_or_else(|| "its list of what is in use contradicts itself".to_owned()))
}

/// Where programs are: an ordinary user's path often lacks the system's.
pub(super) fn path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

fn not_run(program: &str, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::Partclone(program.to_owned()),
        _ => Error::file("run", Path::new(program))(error),
    }
}

/// What it said last, without what would upset a terminal.
fn last_line(log: &str) -> Option<String> {
    let mut lines = log.lines().rev().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && *line != "error exit")?;
    let clean = |one: char| if one.is_control() { ' ' } else { one };
    Some(line.chars().map(clean).collect())
}

/// The runs that are not in use; `None` if the log is not as it should be, above all if its runs
/// are not in order or reach beyond `len` bytes.
fn parse(text: &str, len: u64) -> Option<Vec<Range<u64>>> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    // Where ddrescue would go on.
    lines.next()?;
    let (mut unused, mut last) = (Vec::new(), 0);
    for line in lines {
        let mut words = line.split_whitespace();
        let (start, count) = (number(words.next()?)?, number(words.next()?)?);
        let end = start.checked_add(count)?;
        if start < last || end > len {
            return None;
        }
        last = end;
        match words.next()? {
            "?" => unused.push(start..end),
            "+" => {}
            _ => return None,
        }
    }
    Some(unused)
}

fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "# Domain logfile created by unset_name v0.3.23\n\
        # current_pos  current_status\n\
        0x19100000     ?\n\
        #      pos        size  status\n\
        0x00000000  0x00001000  +\n\
        0x00001000  0x00000400  ?\n\
        0x00001400  0x00000C00  +\n\
        0x00003000  0x00001000  ?\n";

    #[test]
    fn runs_that_are_not_in_use_are_read() {
        assert_eq!(
            parse(LOG, 0x4000),
            Some(vec![0x1000..0x1400, 0x3000..0x4000])
        );
    }

    #[test]
    fn a_log_that_can_not_be_right_is_none() {
        assert_eq!(parse(LOG, 0x3fff), None, "beyond the end");
        for (from, to) in [
            ("0x00003000", "0x00001fff"),
            ("0x00003000", "12288"),
            ("0x00001000  ?", "0xffffffffffffffff  ?"),
            ("0x00001000  ?", "0x00001000  *"),
            ("0x00001000  ?", "0x00001000"),
        ] {
            let wrong = LOG.replace(from, to);
            assert!(wrong != LOG && parse(&wrong, 0x4000).is_none(), "{from}");
        }
        assert_eq!(parse("", 1), None);
    }

    #[test]
    fn a_refusal_is_the_last_line_that_says_something() {
        let log = "Partclone\ndevice (/dev/x) is mounted at /y\nerror exit\n\n";
        assert_eq!(last_line(log).unwrap(), "device (/dev/x) is mounted at /y");
        assert_eq!(last_line("a\x1b[1mb\n").unwrap(), "a [1mb");
        assert_eq!(last_line("\n"), None);
    }
}
