//! Makes the GPT of an image right for the disk that the image was unpacked to.
//!
//! A disk of another size has its end elsewhere, where the table's second copy belongs. The copy is
//! written before the table itself, so that one of the two is whole at any time.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use ironcast_receiver_nostd::gpt::{Header, Odd};
use ironcast_receiver_nostd::mbr;

/// What became of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// There is none, or it was right.
    Right,
    /// It was made right.
    Moved,
    /// It is not right, since it is odd.
    Odd(
        /// In what way.
        Odd,
    ),
}

/// Makes the table of an image right that is on a disk of `capacity` bytes.
pub(crate) fn fit(disk: &File, capacity: u64, sector_size: u32) -> io::Result<Fit> {
    let sector = sector_size as usize;
    let mut start = vec![0; 2 * sector];
    disk.read_exact_at(&mut start, 0)?;
    let sent = match Header::primary(&start, sector_size) {
        Ok(Some(header)) => header,
        Ok(None) => return Ok(Fit::Right),
        Err(odd) => return Ok(Fit::Odd(odd)),
    };
    let fitted = match sent.fitted_to(capacity) {
        Ok(fitted) if fitted == sent => return Ok(Fit::Right),
        Ok(fitted) => fitted,
        Err(odd) => return Ok(Fit::Odd(odd)),
    };
    let place = fitted.array();
    let mut array = vec![0; length(&place)];
    disk.read_exact_at(&mut array, place.start)?;
    if let Err(odd) = fitted.check_array(&array) {
        return Ok(Fit::Odd(odd));
    }
    // Programs that look for lost tables would find it.
    let old = sent.alternate();
    let mut copy = vec![0; sector];
    if old.saturating_add(u64::from(sector_size)) <= capacity {
        disk.read_exact_at(&mut copy, old)?;
        if Header::parse(&copy) != Ok(None) {
            disk.write_all_at(&vec![0; sector], old)?;
        }
    }
    let (protective, header) = start.split_at_mut(sector);
    copy.copy_from_slice(header);
    fitted.backup().emit(&mut copy);
    disk.write_all_at(&array, fitted.backup().array().start)?;
    disk.write_all_at(&copy, fitted.alternate())?;
    fitted.emit(header);
    mbr::protect(protective, capacity / u64::from(sector_size));
    disk.write_all_at(&start, 0)?;
    Ok(Fit::Moved)
}

/// No more than a table may have that can be moved.
fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::{Layout, Source};

    const SIZE: u64 = 64 << 20;

    fn sgdisk(path: &Path, words: &str) -> String {
        let path_of_programs = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = Command::new("sgdisk");
        command
            .env("PATH", path_of_programs)
            .args(words.split(' '))
            .arg(path);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn a_table_is_right_on_larger_disks_and_on_the_smallest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        File::create(&path).unwrap().set_len(SIZE).unwrap();
        sgdisk(&path, "-n1:0:+20M -n2:0:+10M");
        let source = Source::open(&path, folder.path()).unwrap();
        let least = Layout::read(&source, None)
            .unwrap()
            .least_disk(&source)
            .unwrap();
        let image = std::fs::read(&path).unwrap();
        for size in [least, least + 512, SIZE - 512, SIZE + 512, 2 * SIZE, SIZE] {
            std::fs::write(&path, &image).unwrap();
            let disk = File::options().read(true).write(true).open(&path).unwrap();
            disk.set_len(size).unwrap();
            let expected = if size == SIZE { Fit::Right } else { Fit::Moved };
            assert_eq!(fit(&disk, size, 512).unwrap(), expected, "{size}");
            let said = sgdisk(&path, "--verify");
            assert!(said.contains("No problems found"), "{size}: {said}");
            assert_eq!(fit(&disk, size, 512).unwrap(), Fit::Right);
        }
        std::fs::write(&path, &image).unwrap();
        let disk = File::options().read(true).write(true).open(&path).unwrap();
        disk.set_len(least - 512).unwrap();
        let odd = fit(&disk, least - 512, 512).unwrap();
        assert_eq!(odd, Fit::Odd(Odd::Partition(2)));
        assert!(std::fs::read(&path).unwrap() == image[..least as usize - 512]);
    }
}
