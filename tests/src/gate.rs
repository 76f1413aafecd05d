//! Keeps the number of virtual machines that run at once to what the processors can bear.
//!
//! Tests run on many threads and, under some runners, in many processes. A machine whose receiver
//! gets no processor time loses packets and misses its bounds, so tests take a place here first.
//! The places are locks on files: the system frees them when the process ends in whatever way.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::LabError;

/// How many machines may run at once on this computer: as many as it has processors, at least 2
/// since some tests need two.
#[must_use]
pub fn places() -> usize {
    thread::available_parallelism().map_or(2, |count| count.get().max(2))
}

/// Places for machines, free again on drop.
#[derive(Debug)]
pub struct Places {
    _held: Vec<File>,
}

/// Waits for `count` places, at most `timeout`.
///
/// # Errors
/// [`LabError::Wrong`] if there never are so many, [`LabError::TimedOut`] if others keep them all.
pub fn take(count: usize, timeout: Duration) -> Result<Places, LabError> {
    if count > places() {
        return Err(LabError::wrong(format!(
            "{count} machines at once are too many for this computer: {} is the most",
            places()
        )));
    }
    let deadline = Instant::now() + timeout;
    let folder = folder()?;
    // Only who holds the queue's lock collects places: two that each hold one and wait for the
    // other's can't be.
    let queue = open(&folder.join("queue"))?;
    let mut held = Vec::new();
    while !try_lock(&queue)? {
        wait(deadline, timeout)?;
    }
    while held.len() < count {
        if let Some(place) = free_place(&folder)? {
            held.push(place);
        } else {
            wait(deadline, timeout)?;
        }
    }
    Ok(Places { _held: held })
}

fn free_place(folder: &std::path::Path) -> Result<Option<File>, LabError> {
    for number in 0..places() {
        let file = open(&folder.join(format!("place{number}")))?;
        if try_lock(&file)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn folder() -> Result<PathBuf, LabError> {
    let user = rustix::process::geteuid().as_raw();
    let folder = env::temp_dir().join(format!("ironcast-machines-{user}"));
    fs::create_dir_all(&folder)
        .map_err(|e| LabError::io(format!("make {}", folder.display()), e))?;
    Ok(folder)
}

fn open(path: &std::path::Path) -> Result<File, LabError> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| LabError::io(format!("open {}", path.display()), e))
}

fn try_lock(file: &File) -> Result<bool, LabError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(LabError::io("lock a machine's place", e)),
    }
}

fn wait(deadline: Instant, timeout: Duration) -> Result<(), LabError> {
    if Instant::now() >= deadline {
        return Err(LabError::TimedOut {
            what: "a free place for a machine".to_owned(),
            after: timeout,
            output: String::new(),
        });
    }
    thread::sleep(Duration::from_millis(50));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_all_places_are_refused() {
        assert!(take(places() + 1, Duration::ZERO).is_err());
    }
}
