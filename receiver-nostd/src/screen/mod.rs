//! The page that a machine shows on a text screen of any size: what should stand where.
//!
//! Pure layout, so that it can be tried on any computer: a [`Page`] is what there is to be shown, a
//! [`Grid`] a screen full of it. Whoever drives a screen draws the one into the other, and writes
//! to the screen what has [changed](Grid::advance).
//!
//! From top to bottom there are a title; a band in colour when the run has ended or needs a person;
//! what is known of machine, network, sender and disk; how far the transfer is, or before it the
//! list of disks; and the last messages. On small screens the lines that matter least are left out,
//! never the band and the last message.

mod banner;
mod disks;
mod figures;
mod grid;
mod letters;
mod log;
mod words;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub use banner::{Banner, Kind};
pub use disks::DiskLine;
pub use figures::Figures;
pub use grid::{Change, Grid, Style};
pub use log::Log;

/// The smallest screen that a page is readable on, in columns and rows.
pub const SMALLEST: (usize, usize) = (40, 12);

/// Columns of a label.
const LABEL: usize = 12;

/// Columns that stay free at the left.
const MARGIN: usize = 1;

/// Rows for messages at the least, on screens of the usual height and on lower ones.
const MESSAGES: usize = 4;
const FEW_MESSAGES: usize = 2;

/// Rows of a screen of the usual height.
const USUAL_ROWS: usize = 25;

/// What there is to be shown. Texts that are empty are not known.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The program and its version.
    pub program: String,
    /// What this machine is.
    pub machine: String,
    /// Its addresses in the network.
    pub network: String,
    /// Where the image comes from.
    pub sender: String,
    /// Where it goes to.
    pub disk: String,
    /// What is waited for or done, while there is no transfer.
    pub status: String,
    /// The machine's disks. They are shown while there is no transfer.
    pub disks: Vec<DiskLine>,
    /// How far the transfer is.
    pub figures: Option<Figures>,
    /// How it ended, or what is asked.
    pub banner: Option<Banner>,
    /// Messages.
    pub log: Log,
}

/// A row between the title or band and the messages.
#[derive(Clone, Debug)]
enum Row<'p> {
    Blank,
    Status(&'p str),
    /// Thousandths that are done.
    Bar(u16),
    Field {
        label: &'static str,
        value: Cow<'p, str>,
        importance: u8,
    },
}

impl Page {
    /// Draws the page over whatever is in `grid`.
    pub fn draw(&self, grid: &mut Grid) {
        grid.clear();
        grid.fill(0, Style::Title);
        grid.put(0, MARGIN, &self.program, Style::Title);
        let messages = match grid.rows() {
            USUAL_ROWS.. => MESSAGES,
            _ => FEW_MESSAGES,
        };
        // One more for the line above the messages.
        let limit = grid.rows().saturating_sub(messages + 1);
        let mut row = 1;
        if let Some(banner) = &self.banner {
            row = banner.draw(grid, row, limit.saturating_sub(row));
        }
        row = self.draw_rows(grid, row, limit);
        row = disks::draw(self.listed(), grid, row, limit.saturating_sub(row));
        // Messages have no use for more than half of a screen.
        let rule = row.max(grid.rows() / 2).min(limit);
        for column in 0..grid.columns() {
            grid.put(rule, column, "─", Style::Label);
        }
        self.log.draw(grid, rule + 1);
    }

    /// The disks that are shown.
    fn listed(&self) -> &[DiskLine] {
        match self.figures {
            None => &self.disks,
            Some(_) => &[],
        }
    }

    /// Draws rows from `top` on before `limit`, and leaves out what has no room.
    fn draw_rows(&self, grid: &mut Grid, top: usize, limit: usize) -> usize {
        let mut rows = self.rows();
        let room = limit.saturating_sub(top);
        // On screens of usual width a disk has three lines.
        let room = room - (3 * self.listed().len()).min(room * 3 / 4);
        while rows.len() > room {
            let by_importance = rows.iter().enumerate().rev();
            let least = by_importance.min_by_key(|(_, row)| row.importance());
            rows.remove(least.map_or(0, |(at, _)| at));
        }
        for (at, row) in (top..).zip(&rows) {
            row.draw(grid, at);
        }
        top + rows.len()
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = alloc::vec![Row::Blank];
        for (label, value, importance) in [
            ("Machine", &self.machine, 3),
            ("Network", &self.network, 2),
            ("Sender", &self.sender, 6),
            ("Disk", &self.disk, 8),
        ] {
            if !value.is_empty() {
                rows.push(Row::Field {
                    label,
                    value: value.into(),
                    importance,
                });
            }
        }
        rows.push(Row::Blank);
        let is_over = self.banner.is_some();
        match &self.figures {
            Some(figures) if is_over => rows.extend(figure_rows(figures, is_over)),
            Some(figures) => {
                rows.push(Row::Status(figures.stage()));
                rows.extend(figures.done().map(Row::Bar));
                rows.push(Row::Blank);
                rows.extend(figure_rows(figures, is_over));
            }
            None if is_over || self.status.is_empty() => return rows,
            None => rows.push(Row::Status(&self.status)),
        }
        rows.push(Row::Blank);
        rows
    }
}

fn figure_rows(figures: &Figures, is_over: bool) -> impl Iterator<Item = Row<'_>> {
    // The last ones matter least.
    let importance = (1..=7).rev();
    let lines = figures.lines(is_over).into_iter().zip(importance);
    lines.map(|((label, value), importance)| Row::Field {
        label,
        value: value.into(),
        importance,
    })
}

impl Row<'_> {
    /// Of too many rows those go first that have the least.
    fn importance(&self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Field { importance, .. } => *importance,
            Self::Bar(_) => 9,
            Self::Status(_) => 10,
        }
    }

    fn draw(&self, grid: &mut Grid, row: usize) {
        let room = grid.columns().saturating_sub(LABEL + 2 * MARGIN);
        match self {
            Self::Blank => {}
            Self::Status(text) => {
                let text = words::cut(text, room + LABEL);
                grid.put(row, MARGIN, &text, Style::Strong);
            }
            Self::Bar(thousandths) => draw_bar(grid, row, *thousandths),
            Self::Field { label, value, .. } => {
                grid.put(row, MARGIN, label, Style::Label);
                let value = words::cut(value, room);
                grid.put(row, MARGIN + LABEL, &value, Style::Plain);
            }
        }
    }
}

fn draw_bar(grid: &mut Grid, row: usize, thousandths: u16) {
    /// Columns of ` 100 %`.
    const PERCENT: usize = 6;
    let length = grid.columns().saturating_sub(2 * MARGIN + PERCENT);
    let done = length * usize::from(thousandths) / 1000;
    for at in 0..length {
        let dot = if at < done { "█" } else { "─" };
        grid.put(row, MARGIN + at, dot, Style::Label);
    }
    let percent = format!(" {:>3} %", thousandths / 10);
    grid.put(row, MARGIN + length, &percent, Style::Strong);
}

#[cfg(test)]
mod tests;
