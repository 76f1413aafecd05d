//! Serial lines, fed a few bytes at a time.
//!
//! A line of text takes 10 ms at 115200 bit/s. Waiting for that would lose a megabyte of a fast
//! transfer, so bytes wait in a queue and leave as fast as the line takes them, between other work.

use alloc::collections::VecDeque;

use ironcast_proto::time::{Duration, Instant};
use uefi::Handle;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::console::serial::Serial;
use uefi::proto::device_path::DevicePath;

use super::arch::Uart;
use super::firmware;

/// Bytes of the longest line; the rest of a longer one is cut off.
const LONGEST_LINE: usize = 2048;

/// Bytes that wait at most; what comes on top is lost, since nobody could read that much anyway.
const QUEUE: usize = 8192;

/// Bytes that a UART's transmitter takes at once.
const FIFO: usize = 16;

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
    /// The registers of a UART.
    Uart(Uart),
}

impl SerialLine {
    /// The serial line that the device path of `console` leads over, if it does.
    pub(crate) fn under_console(console: Handle) -> Option<Self> {
        let path = firmware::open_shared::<DevicePath>(console)?;
        let handle = boot::locate_device_path::<Serial>(&mut &*path).ok()?;
        let serial = firmware::open_shared::<Serial>(handle)?;
        Some(Self::new(Port::Driver { handle, serial }))
    }

    /// The UART that is where every machine of its kind has one, if there is such a place and
    /// something answers there.
    pub(crate) fn without_firmware() -> Option<Self> {
        Uart::find().map(|uart| Self::new(Port::Uart(uart)))
    }

    /// Whether both are lines of the same driver.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        match (&self.port, &other.port) {
            (Port::Driver { handle: a, .. }, Port::Driver { handle: b, .. }) => a == b,
            (Port::Uart(a), Port::Uart(b)) => a == b,
            _ => false,
        }
    }

    /// Puts `line` and the end of a line into the queue.
    pub(crate) fn queue(&mut self, line: &str) {
        let room = QUEUE.saturating_sub(self.queue.len() + 2);
        if self.is_dead || room == 0 {
            return;
        }
        self.queue.extend(line.bytes().take(room.min(LONGEST_LINE)));
        self.queue.extend(b"\r\n");
    }

    /// Sends everything that waits, however long the line takes.
    pub(crate) fn flush(&mut self) {
        while !self.queue.is_empty() {
            if let Port::Uart(uart) = self.port
                && !uart.becomes_empty()
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
            Port::Uart(uart) if !uart.is_empty() => {}
            Port::Uart(_) => self.send_chunk(),
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
            Port::Uart(uart) => chunk[..count].iter().for_each(|&byte| uart.send(byte)),
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
