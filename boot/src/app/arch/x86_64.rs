//! PCs: the time stamp counter, and COM1 by its registers.

use core::arch::asm;
use core::arch::x86_64::_rdtsc;

use uefi::{CStr16, cstr16};

/// The program that firmware starts on a disk which it has no boot entry for.
pub(crate) const DEFAULT_LOADER: &CStr16 = cstr16!(r"\EFI\BOOT\BOOTX64.EFI");

/// Where systems keep their own loaders, in a folder of their own below `\EFI`: the likelier first.
pub(crate) const SYSTEM_LOADERS: [&str; 4] = [
    "shimx64.efi",
    "grubx64.efi",
    "systemd-bootx64.efi",
    r"Boot\bootmgfw.efi",
];

/// The UART that PCs call COM1.
const COM1: u16 = 0x3f8;

/// Register of a UART: its state.
const LINE_STATUS: u16 = 5;

/// Register of a UART that only remembers.
const SCRATCH: u16 = 7;

/// Bit of the state: the transmitter is empty.
const TRANSMITTER_EMPTY: u8 = 0x20;

/// Whether the firmware's services for several processors are used.
pub(crate) const HAS_PROCESSORS: bool = true;

/// The time stamp counter.
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and firmware runs in ring 0, where no
    // setting can forbid it.
    unsafe { _rdtsc() }
}

/// The counter's speed: only few processors tell, so that it has to be measured.
pub(crate) fn ticks_per_second() -> Option<u64> {
    None
}

/// COM1. Its speed and format are left as they are: a firmware that set them up did so for whoever
/// listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uart(());

impl Uart {
    /// COM1, if something answers there.
    pub(crate) fn find() -> Option<Self> {
        for pattern in [0x5a, 0xa5] {
            write_port(COM1 + SCRATCH, pattern);
            if read_port(COM1 + SCRATCH) != pattern {
                return None;
            }
        }
        Some(Self(()))
    }

    /// Whether it has sent all that it was given.
    pub(crate) fn is_empty(self) -> bool {
        read_port(COM1 + LINE_STATUS) & TRANSMITTER_EMPTY != 0
    }

    /// Waits until it has sent all that it was given; whether it did so within a second.
    pub(crate) fn becomes_empty(self) -> bool {
        /// Reading a register of a UART takes a microsecond on every PC.
        const READS: u32 = 1_000_000;
        (0..READS).any(|_| self.is_empty())
    }

    /// Gives it a byte to send.
    pub(crate) fn send(self, byte: u8) {
        write_port(COM1, byte);
    }
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
