//! 64-bit Arm: the generic timer, and no serial port but the firmware's.

use core::arch::asm;

use uefi::{CStr16, cstr16};

/// The program that firmware starts on a disk which it has no boot entry for.
pub(crate) const DEFAULT_LOADER: &CStr16 = cstr16!(r"\EFI\BOOT\BOOTAA64.EFI");

/// Where systems keep their own loaders, in a folder of their own below `\EFI`: the likelier first.
pub(crate) const SYSTEM_LOADERS: [&str; 4] = [
    "shimaa64.efi",
    "grubaa64.efi",
    "systemd-bootaa64.efi",
    r"Boot\bootmgfw.efi",
];

/// Whether the firmware's services for several processors are used: not tried here.
pub(crate) const HAS_PROCESSORS: bool = false;

/// The generic timer's counter.
pub(crate) fn ticks() -> u64 {
    let count;
    // SAFETY: every processor of the architecture has the counter, which firmware may always read;
    // the barrier before it only keeps the processor from reading early.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack)) };
    count
}

/// The counter's speed, as the firmware has set it for every program to read; `None` if it forgot
/// to.
pub(crate) fn ticks_per_second() -> Option<u64> {
    let frequency: u64;
    // SAFETY: reading the register, which is there beside the counter, has no effect on anything.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack)) };
    (frequency != 0).then_some(frequency)
}

/// There is none: a serial port is at no address that all machines share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uart {}

impl Uart {
    /// Finds none.
    pub(crate) fn find() -> Option<Self> {
        None
    }

    /// Can't be asked.
    pub(crate) fn is_empty(self) -> bool {
        match self {}
    }

    /// Can't be asked.
    pub(crate) fn becomes_empty(self) -> bool {
        match self {}
    }

    /// Can't be asked.
    pub(crate) fn send(self, _byte: u8) {
        match self {}
    }
}
