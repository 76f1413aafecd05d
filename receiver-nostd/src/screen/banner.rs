//! The coloured band that is seen from across a room: how it ended, or what is asked.

use alloc::string::String;
use alloc::vec::Vec;

use super::grid::{Grid, Style};
use super::letters::{HEIGHT, Lettering};
use super::words;

/// Columns that stay free at either side.
const MARGIN: usize = 2;

/// Rows of large letters and of the free ones above and below them.
const LETTERED: usize = HEIGHT + 2;

/// What a band is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The disk has the image.
    Done,
    /// It does not.
    Failed,
    /// The disk has what was sent after this machine had joined, and that is not all.
    Partial,
    /// All went well, and nothing was to be written.
    DryRun,
    /// Whether a disk may be overwritten.
    MayErase,
    /// Whether a dry run may begin.
    MayDryRun,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Failed,
        Self::Partial,
        Self::DryRun,
        Self::MayErase,
        Self::MayDryRun,
    ];

    /// The word in large letters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "OK",
            Self::Failed => "FAILED",
            Self::Partial => "PARTIAL",
            Self::DryRun => "DRY RUN",
            Self::MayErase => "ERASE?",
            Self::MayDryRun => "DRY RUN?",
        }
    }

    /// How the band looks.
    #[must_use]
    pub fn style(self) -> Style {
        match self {
            Self::Done => Style::Good,
            Self::Failed | Self::Partial => Style::Bad,
            Self::DryRun => Style::Notice,
            Self::MayErase | Self::MayDryRun => Style::Ask,
        }
    }
}

/// A band with a word and some text below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner {
    /// What it is about.
    pub kind: Kind,
    /// What there is to be said about it, each on lines of its own.
    pub text: Vec<String>,
}

impl Banner {
    /// Draws it from the row `top` on, in `limit` rows at most, and gives the row behind it.
    pub(super) fn draw(&self, grid: &mut Grid, top: usize, limit: usize) -> usize {
        let width = grid.columns().saturating_sub(2 * MARGIN);
        let lines: usize = self.text.iter().map(|t| words::height(t, width)).sum();
        let is_lettered = LETTERED + lines < limit;
        let style = self.kind.style();
        let lettering = Lettering::new(self.kind.word(), grid.columns()).filter(|_| is_lettered);
        let (text, height) = match lettering {
            Some(_) => (LETTERED, LETTERED + lines + 1),
            None => (1, (1 + lines).min(limit)),
        };
        let end = top + height;
        (top..end).for_each(|row| grid.fill(row, style));
        match lettering {
            Some(lettering) => lettering.draw(grid, top + 1, style),
            None => grid.put(top, MARGIN, self.kind.word(), style),
        }
        let lines = self.text.iter().flat_map(|text| words::wrap(text, width));
        for (row, line) in (top + text..end).zip(lines) {
            grid.put(row, MARGIN, line, style);
        }
        end
    }
}
