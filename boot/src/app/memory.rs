//! Memory in whole pages, asked from the firmware.
//!
//! The big buffer for the image's bytes comes from here, fitted to what the machine has; so do the
//! buffers that drivers read and write, since pages satisfy every alignment that a driver may want.

use alloc::boxed::Box;
use alloc::format;
use core::fmt;
use core::ptr::NonNull;

use ironcast_receiver_nostd::decode::gzip;
use ironcast_receiver_nostd::engine::WRITE_SIZE;
use uefi::boot::{self, AllocateType, MemoryType, PAGE_SIZE};
use uefi::mem::memory_map::MemoryMap;

use super::failure::Failure;

/// The most that the ring takes: more only helps a disk that stops for seconds.
const LARGEST_RING: usize = 128 << 20;

/// The least that the ring takes: two of the largest slices that senders make, 1024 blocks of 1456
/// bytes each, and what is being written.
const SMALLEST_RING: usize = 4 << 20;

/// What is left to the firmware of the largest free block, for its drivers and the system that is
/// started after.
const LEFT_OVER: usize = 6 << 20;

/// Pages of memory that belong to this program; given back on drop.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    count: usize,
}

impl Pages {
    /// Takes memory for `bytes` bytes, filled with zeros.
    pub(crate) fn allocate(bytes: usize) -> Result<Self, MemoryError> {
        let mut pages = Self::allocate_unfilled(bytes)?;
        pages.as_mut_slice().fill(0);
        Ok(pages)
    }

    /// Takes memory for `bytes` bytes, with whatever was left in it.
    ///
    /// To fill a large one costs more than it seems: a virtual machine gets its memory from the
    /// host page by page, at the first touch, and may never need all of it.
    fn allocate_unfilled(bytes: usize) -> Result<Self, MemoryError> {
        let count = bytes.div_ceil(PAGE_SIZE);
        let start = boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, count)
            .map_err(|_| MemoryError { wanted: bytes })?;
        Ok(Self { start, count })
    }

    /// The memory.
    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: the pages are ours until drop. What is in them was left by the firmware, a
        // program that the compiler knows nothing of: bytes with some value, whichever.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.count * PAGE_SIZE) }
    }

    /// The memory, to be written.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `&mut self` is the only way to the pages. What is in them was left by the
        // firmware, a program that the compiler knows nothing of: bytes with some value, whichever.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.count * PAGE_SIZE) }
    }

    /// Where the memory begins, to be compared only.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `start` and `count` are those of the allocation, and no borrow outlives `self`.
        // Should the firmware refuse, the pages stay taken until the machine restarts.
        let _ = unsafe { boot::free_pages(self.start, self.count) };
    }
}

/// Takes the ring that holds the image's bytes between the network and the disk: as large as the
/// machine's free memory reasonably gives, 4 to 128 MiB, a multiple of [`WRITE_SIZE`].
///
/// Half of the free memory stays free, for a decoder: which one it is and what it needs is known
/// only when the image comes. With the usual settings of the programs that compress that is 9 MiB
/// at most for LZ4 and 29 for Zstandard.
fn allocate_ring() -> Result<Pages, MemoryError> {
    let free = FreeMemory::now();
    let mut size = free
        .largest
        .saturating_sub(LEFT_OVER)
        .min(free.all / 2)
        .min(LARGEST_RING);
    loop {
        size -= size % WRITE_SIZE;
        if size < SMALLEST_RING {
            return Err(MemoryError {
                wanted: SMALLEST_RING,
            });
        }
        match Pages::allocate_unfilled(size) {
            Ok(ring) => return Ok(ring),
            // The map is only a hint: firmware may refuse what it shows as free.
            Err(_) => size /= 2,
        }
    }
}

/// What the firmware has free, in bytes.
#[derive(Clone, Copy, Debug)]
struct FreeMemory {
    all: usize,
    /// In one piece.
    largest: usize,
}

impl FreeMemory {
    fn now() -> Self {
        let Ok(map) = boot::memory_map(MemoryType::LOADER_DATA) else {
            let (all, largest) = (usize::MAX, LARGEST_RING);
            return Self { all, largest };
        };
        let blocks = map
            .entries()
            .filter(|entry| entry.ty == MemoryType::CONVENTIONAL)
            .map(|entry| usize::try_from(entry.page_count).unwrap_or(0) * PAGE_SIZE);
        let nothing = Self { all: 0, largest: 0 };
        blocks.fold(nothing, |free, block| Self {
            all: free.all + block,
            largest: free.largest.max(block),
        })
    }
}

/// The firmware has not enough memory left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryError {
    /// Bytes that were asked for.
    pub(crate) wanted: usize,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the firmware has no {} KiB of memory left in one piece",
            self.wanted / 1024
        )
    }
}

impl core::error::Error for MemoryError {}

/// The memory of a transfer: most of the machine's.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// For blocks.
    pub(crate) ring: Pages,
    /// For what is decompressed.
    pub(crate) write_buffer: Pages,
    /// For images that are compressed by gzip.
    pub(crate) gzip: Box<gzip::Decoder>,
}

impl Buffers {
    /// Takes it.
    ///
    /// # Errors
    /// If the machine has too little.
    pub(crate) fn allocate() -> Result<Self, Failure> {
        Ok(Self {
            ring: allocate_ring().map_err(no_memory)?,
            write_buffer: Pages::allocate(WRITE_SIZE).map_err(no_memory)?,
            gzip: Box::new(gzip::Decoder::new()),
        })
    }
}

fn no_memory(error: MemoryError) -> Failure {
    Failure::new(
        format!("{error}"),
        "this machine needs more memory, 64 MiB at least",
    )
}
