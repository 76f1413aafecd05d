//! A text screen of the firmware's: a page on it, or lines where there is no room for a page.
//!
//! Firmware needs milliseconds for what it writes, so that a page is written in pieces, of what has
//! changed only, and whoever has the network to look after does so in between.

use alloc::string::String;
use core::ptr;

use ironcast_receiver_nostd::screen::{Change, Grid, Page, SMALLEST, Style};
use uefi::boot::ScopedProtocol;
use uefi::proto::console::text::{Color, Output};
use uefi::{CString16, cstr16};
use uefi_raw::protocol::console::SimpleTextOutputProtocol;

/// Columns that are assumed where a screen doesn't tell.
const USUAL_COLUMNS: usize = 80;

/// Cells of the largest screen that has a page, so that a mode that makes no sense takes no memory:
/// one of 8K has fewer.
const MOST_CELLS: usize = 1 << 18;

/// A screen that is ours to write on.
#[derive(Debug)]
pub(crate) struct Screen {
    output: ScopedProtocol<Output>,
    /// `None` if it takes lines.
    face: Option<Face>,
}

/// What stands on a screen that has a page.
#[derive(Debug)]
struct Face {
    wanted: Grid,
    shown: Grid,
    /// Cells of both that are known to be the same.
    same: usize,
    /// Whether the screen has the characters that bars and large letters are made of.
    has_blocks: bool,
    /// Whether the screen is as another program left it, or is left to one.
    is_left: bool,
}

impl Screen {
    /// Takes a screen, which stays as it is until something is shown.
    pub(crate) fn new(output: ScopedProtocol<Output>) -> Self {
        let face = Face::of(&output);
        Self { output, face }
    }

    /// Shows a line where there is no page, in the place of a progress line of `old` characters.
    pub(crate) fn line(&mut self, old: usize, text: &str, end: &str) {
        if self.face.is_none() {
            show_line(&mut self.output, old, text, end);
        }
    }

    /// Takes what is to be shown. It appears by [`step`](Self::step).
    pub(crate) fn set_page(&mut self, page: &Page) {
        let size = size(&self.output);
        let is_lost = |face: &Face| face.is_left || Some(face.size()) != size;
        if self.face.as_ref().is_some_and(is_lost) {
            // A program that came back, or a driver, may have changed the screen's mode.
            self.face = Face::of(&self.output);
            self.prepare();
        }
        if let Some(face) = &mut self.face {
            page.draw(&mut face.wanted);
            face.same = 0;
        }
    }

    /// Writes the next piece of the page that has changed; false if there was none.
    pub(crate) fn step(&mut self) -> bool {
        let Some(face) = self.face.as_mut().filter(|face| !face.is_left) else {
            return false;
        };
        let Some(change) = face.shown.advance(&face.wanted, &mut face.same) else {
            return false;
        };
        write(&mut self.output, &change, face.has_blocks);
        true
    }

    /// Leaves the screen blank, as programs expect to find it, until the next page.
    pub(crate) fn leave(&mut self) {
        let Some(face) = &mut self.face else {
            return;
        };
        face.is_left = true;
        clear(&mut self.output);
        let _ = self.output.enable_cursor(true);
    }

    fn prepare(&mut self) {
        if let Some(face) = &mut self.face {
            face.is_left = false;
            face.has_blocks = self.output.test_string(cstr16!("█─")) == Ok(true);
            clear(&mut self.output);
            let _ = self.output.enable_cursor(false);
        }
    }
}

impl Face {
    /// That of a screen with room for a page.
    fn of(output: &Output) -> Option<Self> {
        let (columns, rows) = size(output)?;
        let is_large = columns >= SMALLEST.0 && rows >= SMALLEST.1;
        if !is_large || columns.checked_mul(rows)? > MOST_CELLS {
            return None;
        }
        Some(Self {
            wanted: Grid::new(columns, rows),
            shown: Grid::new(columns, rows),
            same: 0,
            has_blocks: false,
            is_left: true,
        })
    }

    /// Columns and rows.
    fn size(&self) -> (usize, usize) {
        (self.shown.columns(), self.shown.rows())
    }
}

/// Columns and rows of a screen; `None` if it does not tell.
fn size(output: &Output) -> Option<(usize, usize)> {
    let raw: *const SimpleTextOutputProtocol = ptr::from_ref(output).cast();
    // SAFETY: `Output` is a transparent wrapper of the protocol, so that this reads a field of what
    // `output` borrows.
    let mode = unsafe { (*raw).mode };
    if mode.is_null() {
        return None;
    }
    // SAFETY: a console's driver keeps its mode there for as long as the protocol is installed.
    let number = unsafe { (*mode).mode };
    // `Output` takes other negative numbers than -1 for impossible.
    if number < 0 {
        return None;
    }
    let mode = output.current_mode().ok().flatten()?;
    Some((mode.columns(), mode.rows()))
}

/// Shows `text` on `screen` in place of a progress line of `old` characters. With an empty `end` it
/// is a progress line itself.
pub(crate) fn show_line(screen: &mut Output, old: usize, text: &str, end: &str) {
    let mut shown = String::new();
    let is_progress = end.is_empty();
    if old > 0 || is_progress {
        shown.push('\r');
    }
    if is_progress {
        let columns = size(screen).map_or(USUAL_COLUMNS, |(columns, _)| columns.max(2));
        // A character in the last column would start a new line.
        shown.extend(text.chars().take(columns - 1));
    } else {
        shown.push_str(text);
    }
    let written = text.len();
    shown.extend(core::iter::repeat_n(' ', old.saturating_sub(written)));
    shown.push_str(end);
    output(screen, &shown);
}

/// Makes the screen blank, with the colours that firmware begins with.
fn clear(screen: &mut Output) {
    let (text, ground) = colours(Style::Plain);
    let _ = screen.set_color(text, ground);
    let _ = screen.clear();
}

fn write(screen: &mut Output, change: &Change, has_blocks: bool) {
    let (text, ground) = colours(change.style);
    let _ = screen.set_color(text, ground);
    if screen
        .set_cursor_position(change.column, change.row)
        .is_err()
    {
        // Text in another place would scroll the screen, or hide what stands there.
        return;
    }
    match has_blocks {
        true => output(screen, &change.text),
        false => output(screen, &change.text.replace('█', "#").replace('─', "-")),
    }
}

/// A screen that can't show a text must not stop the transfer.
fn output(screen: &mut Output, text: &str) {
    if let Ok(text) = CString16::try_from(text) {
        let _ = screen.output_string_lossy(&text);
    }
}

/// The colours of text and ground. Firmware has eight dark ones for the ground.
fn colours(style: Style) -> (Color, Color) {
    match style {
        Style::Plain => (Color::LightGray, Color::Black),
        Style::Strong => (Color::White, Color::Black),
        Style::Label => (Color::Cyan, Color::Black),
        Style::Warning => (Color::Yellow, Color::Black),
        Style::Title => (Color::Black, Color::LightGray),
        Style::Good => (Color::White, Color::Green),
        Style::Bad => (Color::White, Color::Red),
        Style::Ask => (Color::Black, Color::Brown),
        Style::Notice => (Color::White, Color::Blue),
    }
}
