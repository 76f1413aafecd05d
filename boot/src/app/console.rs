//! What a person sees: a page on every screen, and lines on the serial port.
//!
//! Firmware's own console usually goes to the serial port as well, but breaks lines at the
//! terminal's width, which makes them unreadable for programs. So each of the firmware's screens
//! gets its page by itself, and the serial lines get theirs in place of the terminals on them: each
//! line appears once and whole. A PC's COM1 gets the lines even where the firmware's console leaves
//! it alone. Screens without room for a page get the lines too.

use alloc::vec::Vec;

use ironcast_proto::time::{Duration, Instant};
use ironcast_receiver_nostd::screen::Page;
use uefi::boot::{self, SearchType};
use uefi::proto::console::text::{Key, Output};
use uefi::proto::device_path::{DeviceSubType, DeviceType};
use uefi::{Guid, Handle, guid, system};

use super::firmware::{self, Path};
use super::screen::{self, Screen};
use super::serial::SerialLine;

/// Marks the handles that make up the firmware's console, in firmwares derived from EDK II.
const CONSOLE_OUT_DEVICE: Guid = guid!("d3b36f2c-d551-11d4-9a46-0090273fc14d");

/// What every line begins with. On the page it goes without saying.
const PREFIX: &str = "ironcast: ";

/// How often a page changes at the most while there is something more urgent.
const REDRAW: Duration = Duration::from_secs(1);

/// The screens and serial lines of the machine.
#[derive(Debug)]
pub(crate) struct Console {
    page: Page,
    /// Whether the page has changed since the screens have taken it.
    is_stale: bool,
    /// When the screens may take it again while busy.
    draw_at: Instant,
    screens: Vec<Screen>,
    /// Nothing is known of the console's parts: the firmware's console as a whole is the screen.
    whole: bool,
    lines: Vec<SerialLine>,
    /// Characters of the progress line that stands on screens without a page.
    progress: usize,
    /// Whether lines and pages wait for [`Console::pump`] to go out.
    is_busy: bool,
}

impl Console {
    /// Finds the firmware's screens and serial lines.
    pub(crate) fn open() -> Self {
        let mut console = Self {
            page: Page::default(),
            is_stale: false,
            draw_at: Instant::ZERO,
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
                None => {
                    let output = firmware::open_shared::<Output>(handle);
                    console.screens.extend(output.map(Screen::new));
                }
            }
        }
        console.whole = console.screens.is_empty() && console.lines.is_empty();
        if !has_com1 && let Some(line) = SerialLine::without_firmware() {
            console.add_line(line);
        }
        console
    }

    /// What the page shows, to be changed. It appears with the next line of whatever kind, or
    /// by [`refresh`](Self::refresh).
    pub(crate) fn page(&mut self) -> &mut Page {
        self.is_stale = true;
        &mut self.page
    }

    /// Shows a line. It has no line breaks.
    pub(crate) fn line(&mut self, text: &str) {
        self.message(text, false);
    }

    /// Shows a line that somebody should read.
    pub(crate) fn warn(&mut self, text: &str) {
        self.message(text, true);
    }

    /// Shows a line of what the page has in its own way.
    pub(crate) fn plain_line(&mut self, text: &str) {
        // Texts of networks and disks may be in it, and terminals obey control characters.
        let text = text.replace(char::is_control, "?");
        self.show(&text, "\r\n");
        self.progress = 0;
        self.queue(&text);
    }

    /// Shows a line of progress: on screens without a page in the place of the one before, without
    /// scrolling, which takes many milliseconds on a large one.
    pub(crate) fn progress(&mut self, text: &str) {
        self.show(text, "");
        self.progress = text.len();
        self.queue(text);
    }

    /// Shows what has changed on the page, if there is nothing more urgent.
    pub(crate) fn refresh(&mut self) {
        if !self.is_busy {
            self.draw();
        }
    }

    /// Leaves the screens blank, for a program that is started. The next line brings the page back.
    pub(crate) fn leave(&mut self) {
        self.screens.iter_mut().for_each(Screen::leave);
    }

    /// From now on, and until this is called with `false`, serial lines and pages go on only by
    /// [`pump`](Self::pump): there is something more urgent than they are.
    pub(crate) fn set_busy(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
        if !is_busy {
            self.lines.iter_mut().for_each(SerialLine::flush);
            self.draw();
        }
    }

    /// Sends what the serial lines take now, and writes one piece of the page to each screen. To be
    /// called often while [busy](Self::set_busy).
    pub(crate) fn pump(&mut self, now: Instant) {
        if self.is_stale && now >= self.draw_at {
            self.draw_at = now + REDRAW;
            self.set_page();
        }
        for screen in &mut self.screens {
            screen.step();
        }
        for line in &mut self.lines {
            line.pump(now);
        }
    }

    /// The key that was pressed, if one was: a zero if it stands for no character. Does not wait.
    pub(crate) fn key(&mut self) -> Option<char> {
        match system::with_stdin(|input| input.read_key()) {
            Ok(Some(Key::Printable(character))) => Some(character.into()),
            // It stands for no character, but somebody has pressed it.
            Ok(Some(Key::Special(_))) => Some('\0'),
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

    fn message(&mut self, text: &str, is_warning: bool) {
        let message = text.strip_prefix(PREFIX).unwrap_or(text);
        self.page().log.add(message, is_warning);
        self.plain_line(text);
    }

    /// Writes over the progress line, if there is one, where there is no page, and shows the page.
    fn show(&mut self, text: &str, end: &str) {
        let progress = self.progress;
        if self.whole {
            system::with_stdout(|screen| screen::show_line(screen, progress, text, end));
        }
        for screen in &mut self.screens {
            screen.line(progress, text, end);
        }
        self.refresh();
    }

    /// Brings all screens up to date.
    fn draw(&mut self) {
        if self.is_stale {
            self.set_page();
        }
        for screen in &mut self.screens {
            while screen.step() {}
        }
    }

    fn set_page(&mut self) {
        self.is_stale = false;
        for screen in &mut self.screens {
            screen.set_page(&self.page);
        }
    }
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
