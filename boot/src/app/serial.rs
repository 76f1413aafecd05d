//! Serial lines, fed a few bytes at a time.
//!
//! A line of text takes 10 ms at 115200 bit/s. Waiting for that would lose a megabyte of a fast
//! transfer, so bytes wait in a queue and leave as fast as the line takes them, between other work.

use alloc::collections::VecDeque;
use core::arch::asm;

use ironcast_proto::time::{Duration, Instant};
use uefi::Handle;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::console::serial::Serial;
use uefi::proto::device_path::DevicePath;

use super::firmware;

/// Bytes that wait at most; what comes on top is lost, since nobody could read that much anyway.
const QUEUE: usize = 8192;

/// Bytes that a UART's transmitter takes at once.
const FIFO: usize = 16;

/// The UART that PCs call COM1.
const COM1: u16 = 0x3f8;

/// Register of a UART: its state.
const LINE_STATUS: u16 = 5;

/// Register of a UART that only remembers.
const SCRATCH: u16 = 7;

/// Bit of the state: the transmitter is empty.
const TRANSMITTER_EMPTY: u8 = 0x20;

/// A serial line for output.
#[derive(Debug)]
pub(crate) struct SerialLine {
    port: Port,
    queue: VecDeque<u8>,
    /// When the transmitter will be empty, for ports that don't tell.
    ready_at: Instant,
    /// Whether it took nothing for so long that it is better left alone.
    is_dead: bool,
}

/// What drives the line.
#[derive(Debug)]
enum Port {
    /// The firmware's driver.
    Driver {
        handle: Handle,
        serial: ScopedProtocol<Serial>,
    },
    /// The registers of COM1.
    Com1,
}

impl SerialLine {
    /// The serial line that the device path of `console` leads over, if it does.
    pub(crate) fn under_console(console: Handle) -> Option<Self> {
        let path = firmware::open_shared::<DevicePath>(console)?;
        let handle = boot::locate_device_path::<Serial>(&mut &*path).ok()?;
        let serial = firmware::open_shared::<Serial>(handle)?;
        Some(Self::new(Port::Driver { handle, serial }))
    }

    /// COM1, if something answers there. Its speed and format are left as they are: a firmware that
    /// set them up did so for whoever listens.
    pub(crate) fn com1() -> Option<Self> {
        for pattern in [0x5a, 0xa5] {
            write_port(COM1 + SCRATCH, pattern);
            if read_port(COM1 + SCRATCH) != pattern {
                return None;
            }
        }
        Some(Self::new(Port::Com1))
    }

    /// Whether both are lines of the same driver.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        match (&self.port, &other.port) {
            (Port::Driver { handle: a, .. }, Port::Driver { handle: b, .. }) => a == b,
            (Port::Com1, Port::Com1) => true,
            _ => false,
        }
    }

    /// Puts `line` and the end of a line into the queue.
    pub(crate) fn queue(&mut self, line: &str) {
        if !self.is_dead && self.queue.len() + line.len() + 2 <= QUEUE {
            self.queue.extend(line.bytes());
            self.queue.extend(b"\r\n");
        }
    }

    /// Sends everything that waits, however long the line takes.
    pub(crate) fn flush(&mut self) {
        while !self.queue.is_empty() {
            if let Port::Com1 = self.port
                && !com1_becomes_empty()
            {
                return self.give_up();
            }
            self.send_chunk();
        }
    }

    /// Sends what the transmitter takes at `now` without waiting.
    pub(crate) fn pump(&mut self, now: Instant) {
        if self.queue.is_empty() || now < self.ready_at {
            return;
        }
        match &self.port {
            Port::Com1 if !com1_is_empty() => {}
            Port::Com1 => self.send_chunk(),
            Port::Driver { serial, .. } => {
                let count = self.queue.len().min(FIFO);
                self.ready_at = now + time_of(count, serial.io_mode().baud_rate);
                self.send_chunk();
            }
        }
    }

    /// Hands as much to the transmitter as it takes when it is empty.
    fn send_chunk(&mut self) {
        let count = self.queue.len().min(FIFO);
        let mut chunk = [0; FIFO];
        for (place, byte) in chunk.iter_mut().zip(self.queue.drain(..count)) {
            *place = byte;
        }
        match &mut self.port {
            Port::Driver { serial, .. } => {
                // Each try would take a second, and the text is on the screen too.
                if serial.write(&chunk[..count]).is_err() {
                    self.give_up();
                }
            }
            Port::Com1 => chunk[..count]
                .iter()
                .for_each(|&byte| write_port(COM1, byte)),
        }
    }

    fn give_up(&mut self) {
        self.is_dead = true;
        self.queue.clear();
    }

    fn new(port: Port) -> Self {
        Self {
            port,
            queue: VecDeque::with_capacity(QUEUE),
            ready_at: Instant::ZERO,
            is_dead: false,
        }
    }
}

/// How long a line needs for `bytes` bytes, each of ten bits with its start and stop bit.
fn time_of(bytes: usize, bits_per_second: u64) -> Duration {
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX) * 10;
    Duration::from_micros((bits * 1_000_000).checked_div(bits_per_second).unwrap_or(0))
}

fn com1_is_empty() -> bool {
    read_port(COM1 + LINE_STATUS) & TRANSMITTER_EMPTY != 0
}

/// Waits until COM1 has sent what it was given, a second at most.
fn com1_becomes_empty() -> bool {
    /// Reading a register of a UART takes a microsecond on every PC.
    const READS: u32 = 1_000_000;
    (0..READS).any(|_| com1_is_empty())
}

fn read_port(port: u16) -> u8 {
    let value;
    // SAFETY: the ports of this module are those of COM1, where a PC has a UART or nothing; reading
    // either changes no memory, and firmware runs in ring 0, where `in` is allowed.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack)) };
    value
}

fn write_port(port: u16, value: u8) {
    // SAFETY: only COM1's scratch and transmit registers are written, which touch no memory.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) };
}
