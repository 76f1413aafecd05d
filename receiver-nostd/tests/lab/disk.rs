//! A disk in memory that can be small, slow, or broken in the ways that disks are.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use embedded_io::{Error, ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
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
    /// This byte is kept wrong, whatever is written.
    Flip(u64),
    /// These five bytes are kept wrong in a way that no CRC-32 sees.
    Forge(u64),
    /// No byte at or past this offset can be read.
    ReadAt(u64),
    /// From this offset on it gives nothing and says nothing.
    EndsAt(u64),
    /// This byte can't be read before it is written.
    Pending(u64),
    /// From this write on, counted from 0, the power is gone.
    PowerCut(usize),
    Flush,
    Seek,
    Prepare,
    Complete,
}

/// A write or read that was made.
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
    sector_size: Option<u32>,
    is_blind: bool,
    fault: Option<Fault>,
    /// Most bytes that one write takes.
    piece: Option<usize>,
    /// Microseconds that a KiB takes to be written.
    slowness: u64,
    /// Microseconds that a KiB takes to be read.
    read_slowness: u64,
    /// Microseconds spent and not yet accounted for.
    spent: u64,
    writes: Vec<Written>,
    /// Whether it says that it keeps nothing.
    dry_run: bool,
    reads: Vec<Written>,
    /// How many writes had been made before each flush.
    flushes: Vec<usize>,
    /// How many writes had been made when it was completed, and the hash that it was told.
    completed: Option<(usize, blake3::Hash)>,
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

    /// With so many bytes on it already.
    pub fn holding(self, bytes: Vec<u8>) -> Self {
        self.0.borrow_mut().bytes = bytes;
        self
    }

    pub fn with_sectors_of(self, bytes: u32) -> Self {
        self.0.borrow_mut().sector_size = Some(bytes);
        self
    }

    /// A disk that can't be read.
    pub fn blind(self) -> Self {
        self.0.borrow_mut().is_blind = true;
        self
    }

    pub fn failing(self, fault: Fault) -> Self {
        self.0.borrow_mut().fault = Some(fault);
        self
    }

    /// How many writes had been made when it was completed, and the hash that it was told.
    pub fn completed(&self) -> Option<(usize, blake3::Hash)> {
        self.0.borrow().completed
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

    pub fn taking_to_read(self, micros_per_kib: u64) -> Self {
        self.0.borrow_mut().read_slowness = micros_per_kib;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    pub fn writes(&self) -> Vec<Written> {
        self.0.borrow().writes.clone()
    }

    pub fn reads(&self) -> Vec<Written> {
        self.0.borrow().reads.clone()
    }

    pub fn flushes(&self) -> Vec<usize> {
        self.0.borrow().flushes.clone()
    }

    /// The time that writing and reading have taken since this was asked last.
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
            Some(Fault::PowerCut(writes)) if state.writes.len() >= writes => return Err(DiskError),
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
        state.bytes[place.clone()].copy_from_slice(&bytes[..len]);
        if let Some(Fault::Pending(offset)) = state.fault
            && place.contains(&(offset as usize))
        {
            state.fault = None;
        }
        if let Some(Fault::Flip(offset)) = state.fault
            && place.contains(&(offset as usize))
        {
            state.bytes[offset as usize] ^= 1;
        }
        if let Some(Fault::Forge(offset)) = state.fault
            && place.contains(&(offset as usize))
        {
            // The generator polynomial, x^32 first, as bits go through the checksum.
            let polynomial = (0xedb8_8320_u64 << 1 | 1).to_le_bytes();
            let bytes = &mut state.bytes[offset as usize..offset as usize + 5];
            for (byte, wrong) in bytes.iter_mut().zip(polynomial) {
                *byte ^= wrong;
            }
        }
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

impl Read for TestDisk {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let mut state = self.0.borrow_mut();
        assert!(!state.is_blind, "a disk that can't be read was");
        let start = state.position;
        let len = buffer.len().min(state.piece.unwrap_or(usize::MAX));
        let end = start + len as u64;
        match state.fault {
            Some(Fault::ReadAt(offset)) if end > offset => return Err(DiskError),
            Some(Fault::EndsAt(offset)) if end > offset => return Ok(0),
            Some(Fault::Pending(offset)) if (start..end).contains(&offset) => {
                return Err(DiskError);
            }
            _ => {}
        }
        assert!(
            state.capacity.is_none_or(|capacity| end <= capacity),
            "a read past the end was tried"
        );
        let place = start as usize..end as usize;
        // What was never written reads as it would be written past the end.
        let bytes = state.bytes.get(place.start..).unwrap_or_default();
        let known = bytes.len().min(len);
        buffer[..known].copy_from_slice(&bytes[..known]);
        buffer[known..len].fill(0xee);
        state.position = end;
        state.spent += state.read_slowness * (len as u64).div_ceil(1024);
        state.reads.push(Written { offset: start, len });
        Ok(len)
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

    fn sector_size(&self) -> Option<u32> {
        self.0.borrow().sector_size
    }

    fn reader(&mut self) -> Option<&mut dyn Read<Error = DiskError>> {
        let is_blind = self.0.borrow().is_blind;
        (!is_blind).then_some(self as _)
    }

    fn prepare(&mut self) -> Result<(), DiskError> {
        let state = self.0.borrow();
        assert!(state.writes.is_empty(), "it comes before all writes");
        match state.fault {
            Some(Fault::Prepare) => Err(DiskError),
            _ => Ok(()),
        }
    }

    fn complete(&mut self, hash: &blake3::Hash) -> Result<&'static str, DiskError> {
        let mut state = self.0.borrow_mut();
        let writes = state.writes.len();
        state.completed = Some((writes, *hash));
        match state.fault {
            Some(Fault::Complete) => Err(DiskError),
            _ => Ok("made its own"),
        }
    }
}
