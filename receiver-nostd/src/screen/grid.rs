//! The cells of a screen: what should stand in them, and where that differs from what does.
//!
//! Firmware needs milliseconds for a line of text, so that only what has changed is written, and
//! piece by piece.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// What a piece of text is, which decides its colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Ordinary text, and all cells without any.
    #[default]
    Plain,
    /// What matters most of it.
    Strong,
    /// What stands behind it: what a value is called, lines and bars, what few want to know.
    Label,
    /// The line at the top.
    Title,
    /// A message that somebody should read.
    Warning,
    /// A band that tells of success.
    Good,
    /// A band that tells of a failure.
    Bad,
    /// A band that needs a person.
    Ask,
    /// A band that tells of something that is neither.
    Notice,
}

/// One place for a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    character: char,
    style: Style,
}

const BLANK: Cell = Cell {
    character: ' ',
    style: Style::Plain,
};

/// A screen of cells, each as wide as the others.
///
/// The last cell of the last row is always blank: firmware scrolls when it is written.
#[derive(Clone, Debug)]
pub struct Grid {
    cells: Vec<Cell>,
    columns: usize,
}

/// Cells beside each other that have to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The row, from 0.
    pub row: usize,
    /// The first column, from 0.
    pub column: usize,
    /// What to write there.
    pub text: String,
    /// In what style.
    pub style: Style,
}

/// Equal cells that are written once more rather than to begin anew behind them.
const BRIDGED: usize = 4;

impl Grid {
    /// A blank screen.
    #[must_use]
    pub fn new(columns: usize, rows: usize) -> Self {
        Self {
            cells: alloc::vec![BLANK; columns.saturating_mul(rows)],
            columns,
        }
    }

    /// How many characters there are in a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.cells.len().checked_div(self.columns).unwrap_or(0)
    }

    /// Makes every cell blank.
    pub fn clear(&mut self) {
        self.cells.fill(BLANK);
    }

    /// Gives a whole row a style, without text.
    pub fn fill(&mut self, row: usize, style: Style) {
        for column in 0..self.columns {
            self.set(row, column, ' ', style);
        }
    }

    /// Writes text from a column on. What does not fit is left out.
    pub fn put(&mut self, row: usize, column: usize, text: &str, style: Style) {
        for (at, character) in (column..self.columns).zip(text.chars()) {
            self.set(row, at, shown_as(character), style);
        }
    }

    /// The text of a row, without the blanks at its end.
    #[must_use]
    pub fn text(&self, row: usize) -> String {
        let cells = self.range(row).and_then(|range| self.cells.get(range));
        let text: String = cells.into_iter().flatten().map(|c| c.character).collect();
        text.trim_end().into()
    }

    /// The style of a cell.
    #[must_use]
    pub fn style(&self, row: usize, column: usize) -> Style {
        let cell = self.place(row, column).and_then(|at| self.cells.get(at));
        cell.map_or(Style::Plain, |cell| cell.style)
    }

    /// Takes from `wanted` the next cells at or behind `*from` that differ, in the order of rows,
    /// and says what they are; `None` once nothing differs up to the end. `from` counts cells and
    /// begins with 0; both have to be of the same size.
    pub fn advance(&mut self, wanted: &Self, from: &mut usize) -> Option<Change> {
        let mut rest = self
            .cells
            .get(*from..)?
            .iter()
            .zip(wanted.cells.get(*from..)?);
        let Some(equal) = rest.position(|(shown, wanted)| shown != wanted) else {
            *from = self.cells.len();
            return None;
        };
        let start = *from + equal;
        let row = start.checked_div(self.columns)?;
        let end = self.end_of_change(wanted, start, (row + 1) * self.columns);
        let new = wanted.cells.get(start..end)?;
        self.cells.get_mut(start..end)?.copy_from_slice(new);
        *from = end;
        Some(Change {
            row,
            column: start - row * self.columns,
            text: new.iter().map(|cell| cell.character).collect(),
            style: new.first()?.style,
        })
    }

    /// Where the change that begins at `start` ends, at `limit` at the latest.
    fn end_of_change(&self, wanted: &Self, start: usize, limit: usize) -> usize {
        let style = wanted.cells.get(start).map(|cell| cell.style);
        let mut end = start;
        for at in start..limit {
            let (shown, wanted) = (self.cells.get(at), wanted.cells.get(at));
            if wanted.map(|cell| cell.style) != style || at > end + BRIDGED {
                break;
            }
            if shown != wanted {
                end = at + 1;
            }
        }
        end
    }

    fn set(&mut self, row: usize, column: usize, character: char, style: Style) {
        let is_last = |at: usize| at + 1 == self.cells.len();
        if let Some(at) = self.place(row, column).filter(|&at| !is_last(at))
            && let Some(cell) = self.cells.get_mut(at)
        {
            *cell = Cell { character, style };
        }
    }

    fn place(&self, row: usize, column: usize) -> Option<usize> {
        let start = self.range(row)?.start;
        (column < self.columns).then(|| start + column)
    }

    fn range(&self, row: usize) -> Option<Range<usize>> {
        let start = row.checked_mul(self.columns)?;
        Some(start..start.checked_add(self.columns)?)
    }
}

/// What stands for a character: firmware has not every one, and some are wider than a cell.
fn shown_as(character: char) -> char {
    match character {
        ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' | '█' | '─' => character,
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn changes(shown: &mut Grid, wanted: &Grid) -> Vec<Change> {
        let mut from = 0;
        core::iter::from_fn(|| shown.advance(wanted, &mut from)).collect()
    }

    fn change(row: usize, column: usize, text: &str, style: Style) -> Change {
        Change {
            row,
            column,
            text: text.into(),
            style,
        }
    }

    #[test]
    fn only_what_differs_is_written() {
        let (mut shown, mut wanted) = (Grid::new(20, 3), Grid::new(20, 3));
        assert_eq!(changes(&mut shown, &wanted), []);
        wanted.put(1, 2, "12 of 99", Style::Plain);
        let all = [change(1, 2, "12 of 99", Style::Plain)];
        assert_eq!(changes(&mut shown, &wanted), all);
        wanted.put(1, 3, "3", Style::Plain);
        wanted.put(1, 15, "end", Style::Plain);
        let two = [
            change(1, 3, "3", Style::Plain),
            change(1, 15, "end", Style::Plain),
        ];
        assert_eq!(changes(&mut shown, &wanted), two);
        assert_eq!(changes(&mut shown, &wanted), []);
    }

    #[test]
    fn a_change_has_one_style_and_ends_with_its_row() {
        let (mut shown, mut wanted) = (Grid::new(4, 3), Grid::new(4, 3));
        wanted.put(0, 2, "ab", Style::Good);
        wanted.put(1, 0, "c", Style::Good);
        wanted.put(1, 1, "de", Style::Bad);
        let expected = [
            change(0, 2, "ab", Style::Good),
            change(1, 0, "c", Style::Good),
            change(1, 1, "de", Style::Bad),
        ];
        assert_eq!(changes(&mut shown, &wanted), expected);
    }

    #[test]
    fn the_cell_whose_writing_scrolls_stays_blank() {
        let mut grid = Grid::new(3, 2);
        grid.put(1, 0, "abc", Style::Plain);
        grid.put(0, 0, "xyz123", Style::Plain);
        grid.fill(2, Style::Bad);
        assert_eq!(
            (grid.text(0).as_str(), grid.text(1).as_str()),
            ("xyz", "ab")
        );
        grid.fill(1, Style::Bad);
        assert_eq!(grid.style(1, 1), Style::Bad);
        assert_eq!(grid.style(1, 2), Style::Plain);
    }

    #[test]
    fn no_size_panics() {
        for (columns, rows) in [(0, 0), (0, 9), (9, 0), (1, 1), (1, 2)] {
            let (mut shown, mut wanted) = (Grid::new(columns, rows), Grid::new(columns, rows));
            wanted.put(0, 0, "abc", Style::Label);
            wanted.fill(usize::MAX, Style::Label);
            wanted.put(rows, usize::MAX - 1, "a", Style::Label);
            let written: usize = changes(&mut shown, &wanted)
                .iter()
                .map(|change| change.text.len())
                .sum();
            assert_eq!(written, usize::from((columns, rows) == (1, 2)));
        }
    }

    #[test]
    fn characters_that_a_cell_has_no_room_for_are_replaced() {
        let mut grid = Grid::new(9, 2);
        grid.put(0, 0, "a\u{4e2d}\tß\u{ad}█", Style::Plain);
        assert_eq!(grid.text(0), "a??ß?█");
    }
}
