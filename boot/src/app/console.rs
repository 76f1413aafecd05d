//! What a person sees: the same lines on every screen and on the serial port.
//!
//! Firmware's own console usually goes to the serial port as well, but breaks lines at the
//! terminal's width, which makes them unreadable for programs. So lines go to each of the
//! firmware's screens by itself, and straight to the serial lines in place of the terminals on
//! them: each line appears once and whole on each. A PC's COM1 gets the lines even where the
//! firmware's console leaves it alone.

use alloc::string::String;
use alloc::vec::Vec;

use ironcast_proto::time::Instant;
use uefi::boot::{self, ScopedProtocol, SearchType};
use uefi::proto::console::text::{Key, Output};
use uefi::proto::device_path::{DeviceSubType, DeviceType};
use uefi::{CString16, Guid, Handle, guid, system};

use super::firmware::{self, Path};
use super::serial::SerialLine;

/// Marks the handles that make up the firmware's console, in firmwares derived from EDK II.
const CONSOLE_OUT_DEVICE: Guid = guid!("d3b36f2c-d551-11d4-9a46-0090273fc14d");

/// Columns that are assumed where a screen doesn't tell.
const USUAL_COLUMNS: usize = 80;

/// The screens and serial lines of the machine.
#[derive(Debug)]
pub(crate) struct Console {
    screens: Vec<ScopedProtocol<Output>>,
    /// Nothing is known of the console's parts: the firmware's console as a whole is the screen.
    whole: bool,
    lines: Vec<SerialLine>,
    /// Characters of the progress line that stands on the screens.
    progress: usize,
    /// Whether lines wait for [`Console::pump`] to go out over serial lines.
    is_busy: bool,
}

impl Console {
    /// Finds the firmware's screens and serial lines.
    pub(crate) fn open() -> Self {
        let mut console = Self {
            screens: Vec::new(),
            whole: false,
            lines: Vec::new(),
            progress: 0,
            is_busy: false,
        };
        let mut has_com1 = false;
        for handle in console_handles() {
            has_com1 |= leads_over_com1(handle);
            match SerialLine::under_console(handle) {
                Some(line) => console.add_line(line),
                None => console
                    .screens
                    .extend(firmware::open_shared::<Output>(handle)),
            }
        }
        console.whole = console.screens.is_empty() && console.lines.is_empty();
        if !has_com1 && let Some(line) = SerialLine::without_firmware() {
            console.add_line(line);
        }
        console
    }

    /// Shows a line. It has no line breaks.
    pub(crate) fn line(&mut self, text: &str) {
        self.show(text, "\r\n");
        self.progress = 0;
        self.queue(text);
    }

    /// Shows a line of progress: on screens in the place of the one before, without scrolling,
    /// which takes many milliseconds on a large one.
    pub(crate) fn progress(&mut self, text: &str) {
        self.show(text, "");
        self.progress = text.len();
        self.queue(text);
    }

    /// From now on, and until this is called with `false`, lines leave over serial lines only by
    /// [`pump`](Self::pump): there is something more urgent than they are.
    pub(crate) fn set_busy(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
        if !is_busy {
            self.lines.iter_mut().for_each(SerialLine::flush);
        }
    }

    /// Sends what the serial lines take now. To be called often while [busy](Self::set_busy).
    pub(crate) fn pump(&mut self, now: Instant) {
        for line in &mut self.lines {
            line.pump(now);
        }
    }

    /// The key that was pressed, if it stands for a character. Does not wait.
    pub(crate) fn key(&mut self) -> Option<char> {
        match system::with_stdin(|input| input.read_key()) {
            Ok(Some(Key::Printable(character))) => Some(character.into()),
            _ => None,
        }
    }

    /// Forgets the keys that were pressed so far.
    pub(crate) fn forget_keys(&mut self) {
        // No buffer of a keyboard is larger.
        for _ in 0..256 {
            if !matches!(system::with_stdin(|input| input.read_key()), Ok(Some(_))) {
                return;
            }
        }
    }

    fn queue(&mut self, text: &str) {
        for line in &mut self.lines {
            line.queue(text);
            if !self.is_busy {
                line.flush();
            }
        }
    }

    fn add_line(&mut self, line: SerialLine) {
        if !self.lines.iter().any(|other| other.is_same_as(&line)) {
            self.lines.push(line);
        }
    }

    /// Writes over the progress line, if there is one.
    fn show(&mut self, text: &str, end: &str) {
        let progress = self.progress;
        if self.whole {
            return system::with_stdout(|screen| show_on(screen, progress, text, end));
        }
        for screen in &mut self.screens {
            show_on(screen, progress, text, end);
        }
    }
}

/// Shows `text` on `screen` in place of a progress line of `old` characters.
fn show_on(screen: &mut Output, old: usize, text: &str, end: &str) {
    let mut shown = String::new();
    let is_progress = end.is_empty();
    if old > 0 || is_progress {
        shown.push('\r');
    }
    if is_progress {
        // A character in the last column would start a new line.
        shown.extend(text.chars().take(columns(screen) - 1));
    } else {
        shown.push_str(text);
    }
    let written = text.len();
    shown.extend(core::iter::repeat_n(' ', old.saturating_sub(written)));
    shown.push_str(end);
    if let Ok(text) = CString16::try_from(shown.as_str()) {
        // A screen that can't show a line must not stop the transfer.
        let _ = screen.output_string_lossy(&text);
    }
}

fn columns(screen: &Output) -> usize {
    let mode = screen.current_mode().ok().flatten();
    mode.map_or(USUAL_COLUMNS, |mode| mode.columns().max(2))
}

fn console_handles() -> Vec<Handle> {
    boot::locate_handle_buffer(SearchType::ByProtocol(&CONSOLE_OUT_DEVICE))
        .map(|handles| handles.to_vec())
        .unwrap_or_default()
}

/// Whether a console's way leads over the first UART of the main board.
fn leads_over_com1(handle: Handle) -> bool {
    /// The node of a device that ACPI names.
    const ACPI: (DeviceType, DeviceSubType) = (DeviceType::ACPI, DeviceSubType::ACPI);
    /// PNP0501, a 16550 UART, with number 0.
    const FIRST_UART: [u8; 8] = [0xd0, 0x41, 0x01, 0x05, 0, 0, 0, 0];
    Path::of(handle)
        .nodes()
        .iter()
        .any(|node| node.kind == ACPI && node.data == FIRST_UART)
}
