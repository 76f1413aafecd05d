//! What differs from one processor architecture to the next: a counter for the clock, a serial port
//! without the firmware, and the name of a disk's boot loader.
//!
//! Each architecture has the same items in a module of its own; everything else is the same.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{
    DEFAULT_LOADER, HAS_PROCESSORS, SYSTEM_LOADERS, Uart, ticks, ticks_per_second,
};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{
    DEFAULT_LOADER, HAS_PROCESSORS, SYSTEM_LOADERS, Uart, ticks, ticks_per_second,
};
