//! A disk in memory that can be small, slow, or broken in the ways that disks are.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use embedded_io::{Error, ErrorKind, ErrorType, Seek, SeekFrom, Write};
use ironcast_receiver_nostd::Disk;

/// What a disk says when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskError;

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("medium error")
    }
}

impl std::error::Error for DiskError {}

impl Error for DiskError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No byte at or past this offset can be written.
    WriteAt(u64),
    /// From this offset on it takes nothing and says nothing.
    StuckAt(u64),
    /// It says that it took more than it was given.
    Boast,
    Flush,
    Seek,
}

/// A write that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub offset: u64,
    pub len: usize,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    position: u64,
    capacity: Option<u64>,
    fault: Option<Fault>,
    /// Most bytes that one write takes.
    piece: Option<usize>,
    /// Microseconds that a KiB takes.
    slowness: u64,
    /// Microseconds spent and not yet accounted for.
    spent: u64,
    writes: Vec<Written>,
    /// Whether it says that it keeps nothing.
    dry_run: bool,
    /// How many writes had been made before each flush.
    flushes: Vec<usize>,
}

/// A handle to the disk: the test keeps one, the engine has another.
#[derive(Clone, Debug, Default)]
pub struct TestDisk(Rc<RefCell<State>>);

impl TestDisk {
    /// A disk without limits, as a file is.
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(capacity: u64) -> Self {
        let disk = Self::new();
        disk.0.borrow_mut().capacity = Some(capacity);
        disk
    }

    pub fn failing(self, fault: Fault) -> Self {
        self.0.borrow_mut().fault = Some(fault);
        self
    }

    pub fn in_pieces_of(self, piece: usize) -> Self {
        self.0.borrow_mut().piece = Some(piece);
        self
    }

    pub fn taking(self, micros_per_kib: u64) -> Self {
        self.0.borrow_mut().slowness = micros_per_kib;
        self
    }

    pub fn keeping_nothing(self) -> Self {
        self.0.borrow_mut().dry_run = true;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    pub fn writes(&self) -> Vec<Written> {
        self.0.borrow().writes.clone()
    }

    pub fn flushes(&self) -> Vec<usize> {
        self.0.borrow().flushes.clone()
    }

    /// The time that writing has taken since this was asked last.
    pub fn take_spent(&self) -> u64 {
        std::mem::take(&mut self.0.borrow_mut().spent)
    }
}

impl ErrorType for TestDisk {
    type Error = DiskError;
}

impl Write for TestDisk {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, DiskError> {
        let mut state = self.0.borrow_mut();
        let start = state.position;
        let end = start + bytes.len() as u64;
        match state.fault {
            Some(Fault::WriteAt(offset)) if end > offset => return Err(DiskError),
            Some(Fault::StuckAt(offset)) if end > offset => return Ok(0),
            Some(Fault::Boast) => return Ok(bytes.len() + 1),
            _ => {}
        }
        let len = bytes.len().min(state.piece.unwrap_or(usize::MAX));
        assert!(
            state.capacity.is_none_or(|capacity| end <= capacity),
            "a write past the end was tried"
        );
        let place = start as usize..start as usize + len;
        if state.bytes.len() < place.end {
            state.bytes.resize(place.end, 0xee);
        }
        state.bytes[place].copy_from_slice(&bytes[..len]);
        state.position += len as u64;
        state.spent += state.slowness * (len as u64).div_ceil(1024);
        state.writes.push(Written { offset: start, len });
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let mut state = self.0.borrow_mut();
        if state.fault == Some(Fault::Flush) {
            return Err(DiskError);
        }
        let writes = state.writes.len();
        state.flushes.push(writes);
        Ok(())
    }
}

impl Seek for TestDisk {
    fn seek(&mut self, position: SeekFrom) -> Result<u64, DiskError> {
        let mut state = self.0.borrow_mut();
        match position {
            SeekFrom::Start(offset) if state.fault != Some(Fault::Seek) => {
                state.position = offset;
                Ok(offset)
            }
            _ => Err(DiskError),
        }
    }
}

impl Disk for TestDisk {
    fn capacity(&self) -> Option<u64> {
        self.0.borrow().capacity
    }

    fn is_dry_run(&self) -> bool {
        self.0.borrow().dry_run
    }
}
