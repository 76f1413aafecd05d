//! Virtual machines: QEMU with UEFI firmware, a tap on the lab's bridge, disks on raw files.
//!
//! By default without KVM, since the tests have to pass where there is none; `IRONCAST_QEMU_ACCEL`
//! (`kvm`, or whatever `-accel` takes) overrides it for machines of this computer's architecture.
//! The firmware's console is the serial port, which goes to a file, and a screen only where a test
//! wants one.

mod board;
mod builder;
mod devices;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use crate::monitor::Monitor;
use crate::process::tail;
use crate::{LabError, Running, Screenshot, Tap};

pub use board::Board;
pub use builder::{BootOrder, MachineBuilder};
pub use devices::{DiskKind, Nic};

/// How often the serial log is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A machine that is switched on. It is switched off on drop.
#[derive(Debug)]
pub struct Machine {
    qemu: Running,
    monitor: Monitor,
    serial: PathBuf,
    /// How far into the serial output the last match reached.
    seen: usize,
    mac: String,
    tap: Tap,
    powered_on: Instant,
}

impl Machine {
    /// Begins to put together a machine that is called `name` in logs.
    #[must_use]
    pub fn builder(name: &str) -> MachineBuilder {
        MachineBuilder::new(name)
    }

    /// The name in logs.
    #[must_use]
    pub fn name(&self) -> &str {
        self.qemu.name()
    }

    /// Its network card's address, in lower case with colons.
    #[must_use]
    pub fn mac(&self) -> &str {
        &self.mac
    }

    /// The link between it and the lab's bridge, for losing packets on.
    #[must_use]
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Presses a key at its keyboard, such as `y` or `ret`, as QEMU names them.
    ///
    /// # Errors
    /// If QEMU does not do it, such as for a key that there is not.
    pub fn press(&self, key: &str) -> Result<(), LabError> {
        self.monitor.press(key)
    }

    /// What its [screen](MachineBuilder::screen) shows.
    ///
    /// # Errors
    /// If QEMU gives no picture, such as of a machine without a screen.
    pub fn screenshot(&self) -> Result<Screenshot, LabError> {
        let file = self.serial.with_extension("ppm");
        self.monitor.dump_screen(&file, "ppm")?;
        Screenshot::read(&file)
    }

    /// Writes what its screen shows to a file, as PNG.
    ///
    /// # Errors
    /// The same, and if the file can't be written.
    pub fn save_screenshot(&self, file: &Path) -> Result<(), LabError> {
        self.monitor.dump_screen(file, "png")
    }

    /// When it was switched on.
    #[must_use]
    pub fn powered_on(&self) -> Instant {
        self.powered_on
    }

    /// Everything that came out of its serial port so far, without the terminal's control
    /// sequences.
    #[must_use]
    pub fn serial(&self) -> String {
        let bytes = fs::read(&self.serial).unwrap_or_default();
        without_controls(&String::from_utf8_lossy(&bytes))
    }

    /// Waits until its serial port has sent `text` after what earlier waits have matched, at most
    /// `timeout`.
    ///
    /// # Errors
    /// [`LabError::TimedOut`] or, if the machine went off, [`LabError::Failed`]; both show the end
    /// of the serial log.
    pub fn wait_for_serial(&mut self, text: &str, timeout: Duration) -> Result<(), LabError> {
        self.wait_until(text, timeout, |new| {
            let at = new.find(text)?;
            Some(((), at + text.len()))
        })
    }

    /// Waits until its serial port has sent a whole line with `text` in it after what earlier waits
    /// have matched, at most `timeout`, and gives that line.
    ///
    /// # Errors
    /// The same.
    pub fn wait_for_line(&mut self, text: &str, timeout: Duration) -> Result<String, LabError> {
        self.wait_until(text, timeout, |new| line_with(new, text))
    }

    /// Waits until `find` finds something in what has not been matched yet: what, and where it
    /// ends.
    fn wait_until<T>(
        &mut self,
        text: &str,
        timeout: Duration,
        find: impl Fn(&str) -> Option<(T, usize)>,
    ) -> Result<T, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            let running = self.qemu.is_running();
            let serial = self.serial();
            if let Some((found, end)) = find(serial.get(self.seen..).unwrap_or_default()) {
                self.seen += end;
                return Ok(found);
            }
            if !running || Instant::now() >= deadline {
                return Err(self.missed(text, running, timeout, &serial));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn missed(&self, wanted: &str, running: bool, after: Duration, serial: &str) -> LabError {
        let name = self.name();
        if running {
            return LabError::TimedOut {
                what: format!("{name}'s serial port to send \"{wanted}\""),
                after,
                output: tail(serial),
            };
        }
        LabError::Failed {
            what: format!("{name} went off without sending \"{wanted}\""),
            output: format!("{}\n{}", tail(serial), tail(&self.qemu.log())),
        }
    }

    /// Whether it is still on.
    pub fn is_on(&mut self) -> bool {
        self.qemu.is_running()
    }

    /// Waits until it switches itself off, at most `timeout`.
    ///
    /// # Errors
    /// [`LabError::TimedOut`] with the end of the serial log if it is still on then.
    pub fn wait_off(&mut self, timeout: Duration) -> Result<ExitStatus, LabError> {
        self.qemu.wait(timeout).map_err(|error| match error {
            LabError::TimedOut { after, .. } => LabError::TimedOut {
                what: format!("{} to switch itself off", self.name()),
                after,
                output: tail(&self.serial()),
            },
            other => other,
        })
    }

    /// Pulls the plug.
    pub fn switch_off(&mut self) {
        self.qemu.kill();
    }
}

/// The first whole line that has `wanted` in it, and where it ends.
fn line_with(text: &str, wanted: &str) -> Option<(String, usize)> {
    let at = text.find(wanted)?;
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = at + text[at..].find('\n')?;
    Some((text[start..end].trim().to_owned(), end))
}

/// Leaves out ANSI escape sequences (ESC, `[`, parameters, a final byte) and carriage returns. A
/// sequence that is cut off at the end is left out too, so that more text only ever appends.
fn without_controls(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => {
                if rest.next() == Some('[') {
                    rest.find(|c| ('\x40'..='\x7e').contains(c));
                }
            }
            '\r' => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_do_not_split_words() {
        let text = "\x1b[2J\x1b[01;01Hironcast: \x1b[0m\x1b[37mresult ok\r\nnext\x1b[3";
        assert_eq!(without_controls(text), "ironcast: result ok\nnext");
    }

    #[test]
    fn a_line_is_given_when_it_is_whole() {
        let text = "one\ntwo words\nthree";
        assert_eq!(line_with(text, "words"), Some(("two words".to_owned(), 13)));
        assert_eq!(line_with(text, "thr"), None);
    }
}
