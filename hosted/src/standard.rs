//! Whether a standard descriptor (stdin, stdout) was given at all.

use std::os::fd::AsFd;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor};

/// Whether a standard descriptor was closed when the program started.
///
/// Rust's own start-up has put `/dev/null` in its place by then, for reading and for writing, so
/// that no file that is opened later can be taken for it. A shell's `</dev/null` and `>/dev/null`
/// are open in one direction; who opens it in both by hand is taken for one who closed it, which
/// costs an error where no data would have gone anywhere.
#[must_use]
pub fn is_closed(standard: impl AsFd) -> bool {
    let is_null = fstat(&standard).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3)
    });
    let is_both = |flags: OFlags| flags & OFlags::ACCMODE == OFlags::RDWR;
    is_null && fcntl_getfl(&standard).is_ok_and(is_both)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn only_null_in_both_directions_stands_for_closed() {
        let open = |read, write, path| {
            let file = OpenOptions::new().read(read).write(write).open(path);
            file.unwrap()
        };
        assert!(is_closed(open(true, true, "/dev/null")));
        assert!(!is_closed(open(true, false, "/dev/null")));
        assert!(!is_closed(open(false, true, "/dev/null")));
        assert!(!is_closed(open(true, true, "/dev/zero")));
    }
}
