//! Makes a disk useless that has not got what was sent, so that no machine starts half an image.
//!
//! The first MiB goes first: only with it would the disk start, and if the power fails between the
//! two, what is left at the end is no table that firmware takes without a boot sector. Each write
//! is flushed and read back, since a disk that has just failed is not believed.

use core::ops::Range;

use super::device::Device;
use super::options::Leftover;
use super::{Error, WRITE_SIZE};
use crate::disk::Disk;

/// Bytes that are cleared at each end. Chosen: boot sectors, both copies of a partition table, and
/// the first sectors of whatever file system fills a disk without one.
const CLEARED_LEN: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Clearing<E> {
    /// The next write's number.
    next: u64,
    /// The first that went wrong.
    error: Option<Error<E>>,
}

impl<E> Clearing<E> {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            error: None,
        }
    }

    /// Makes the next write; what came of it all, if none is left. One that fails does not hold up
    /// the others.
    pub(super) fn step<D: Disk<Error = E>>(
        &mut self,
        device: &mut Device<D>,
        capacity: u64,
        verify: bool,
        scratch: &mut [u8],
    ) -> Option<Leftover<Error<E>>> {
        let Some(place) = place(self.next, capacity) else {
            let error = self.error.take();
            return Some(error.map_or(Leftover::Cleared, Leftover::NotCleared));
        };
        if self.next == 0 {
            device.forget_errors();
        }
        self.next += 1;
        let (zeros, check) = scratch.split_at_mut(scratch.len().min(WRITE_SIZE));
        // No longer than a write.
        let len = (place.end - place.start) as usize;
        let zeros = zeros.get_mut(..len).unwrap_or_default();
        zeros.fill(0);
        let check = (verify && device.can_be_read()).then_some(check);
        if let Err(error) = device.store(place.start, zeros, check) {
            self.error.get_or_insert(error);
        }
        None
    }
}

/// Where write `number` goes on a disk of `capacity` bytes; `None` after the last.
fn place(number: u64, capacity: u64) -> Option<Range<u64>> {
    let write = WRITE_SIZE as u64;
    let count = CLEARED_LEN / write;
    let (offset, end) = match number < count {
        true => (number * write, CLEARED_LEN.min(capacity)),
        false => {
            let start = capacity.saturating_sub(CLEARED_LEN);
            (start + (number - count) * write, capacity)
        }
    };
    match number < 2 * count {
        // A small disk has fewer pieces.
        true => Some(offset.min(end)..(offset + write).min(end)),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use embedded_io::{ErrorKind, ErrorType, Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn both_ends_of_any_disk_are_covered_and_nothing_else() {
        for capacity in [0, 512, WRITE_SIZE as u64 + 4096, CLEARED_LEN, 5 << 20] {
            let mut covered = 0;
            for number in 0.. {
                let Some(place) = place(number, capacity) else {
                    break;
                };
                assert!(place.end - place.start <= WRITE_SIZE as u64);
                assert!(place.end <= CLEARED_LEN || place.start + CLEARED_LEN >= capacity);
                covered += place.end - place.start;
            }
            assert_eq!(covered, 2 * CLEARED_LEN.min(capacity), "{capacity}");
        }
    }

    /// A disk that tells of errors later, as one does that writes in the background.
    struct Late {
        bytes: Vec<u8>,
        position: usize,
        errors: u32,
    }

    impl Late {
        fn tell(&mut self) -> Result<(), ErrorKind> {
            let is_due = self.errors > 0;
            self.errors = self.errors.saturating_sub(1);
            (!is_due).then_some(()).ok_or(ErrorKind::Other)
        }
    }

    impl ErrorType for Late {
        type Error = ErrorKind;
    }

    impl Write for Late {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
            self.tell()?;
            self.bytes[self.position..][..bytes.len()].copy_from_slice(bytes);
            self.position += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<(), ErrorKind> {
            self.tell()
        }
    }

    impl Seek for Late {
        fn seek(&mut self, to: SeekFrom) -> Result<u64, ErrorKind> {
            let SeekFrom::Start(offset) = to else {
                return Err(ErrorKind::Other);
            };
            self.position = offset as usize;
            Ok(offset)
        }
    }

    impl Disk for Late {
        fn capacity(&self) -> Option<u64> {
            Some(self.bytes.len() as u64)
        }
    }

    #[test]
    fn what_went_wrong_before_keeps_nothing_from_being_cleared() {
        let capacity = 3 << 20;
        for errors in 0..=2 {
            let mut device = Device::new(Late {
                bytes: vec![7; capacity],
                position: 0,
                errors,
            });
            let mut clearing = Clearing::new();
            let mut scratch = vec![0; WRITE_SIZE];
            let leftover = loop {
                let step = clearing.step(&mut device, capacity as u64, false, &mut scratch);
                if let Some(leftover) = step {
                    break leftover;
                }
            };
            assert!(matches!(leftover, Leftover::Cleared), "{errors}");
            let left = device.disk().bytes.iter().filter(|&&byte| byte == 7);
            assert_eq!(left.count(), 1 << 20, "{errors}");
        }
    }
}
