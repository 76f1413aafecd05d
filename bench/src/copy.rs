//! The lower bound: how long this machine takes to copy an image from one file to many, in memory.
//!
//! No transfer can be faster than the copies that it ends in. One thread for each copy, so that all
//! processors take part.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Bytes that are read and written at a time.
const PIECE: usize = 256 << 10;

/// How long it takes to copy `source` to `copies` new files in `folder`, which go afterwards.
///
/// Fails if a file can't be read or written.
pub fn copy_time(source: &Path, folder: &Path, copies: usize) -> Result<Duration> {
    let folder = tempfile::tempdir_in(folder).context("cannot make a folder for copies")?;
    let start = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..copies)
            .map(|number| {
                let target = folder.path().join(number.to_string());
                scope.spawn(move || copy(source, &target))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| anyhow::bail!("a copying thread panicked"))
        })
    })?;
    Ok(start.elapsed())
}

fn copy(source: &Path, target: &Path) -> Result<()> {
    let doing = || format!("cannot copy {} to {}", source.display(), target.display());
    let mut source = File::open(source).with_context(doing)?;
    let mut target = File::create(target).with_context(doing)?;
    let mut piece = vec![0; PIECE];
    loop {
        let len = source.read(&mut piece).context("cannot read the image")?;
        if len == 0 {
            return Ok(());
        }
        target
            .write_all(&piece[..len])
            .context("cannot write a copy of the image")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_made_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("image");
        std::fs::write(&source, vec![7; PIECE + 1]).unwrap();
        let target = folder.path().join("copy");
        copy(&source, &target).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), vec![7; PIECE + 1]);
        assert!(copy_time(&source, folder.path(), 3).unwrap() > Duration::ZERO);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
