//! Words in letters of five rows, which are read from across a room.

use super::grid::{Grid, Style};

/// Rows of a letter.
pub(super) const HEIGHT: usize = 5;

/// Dots from a letter to the next.
const PITCH: usize = 5;

/// The dots of a letter's rows; the lowest bit is the last of four.
type Letter = [u8; HEIGHT];

/// A dot is one column wide on small screens, and two, which makes it nearly square.
const DOTS: [&str; 2] = ["██", "█"];

/// How a word is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lettering {
    word: &'static str,
    dot: &'static str,
}

impl Lettering {
    /// The largest lettering of `word` that leaves a margin in `columns`; `None` if none does.
    pub(super) fn new(word: &'static str, columns: usize) -> Option<Self> {
        let fits = |dot: &&str| width(word, dot) + 2 <= columns;
        let dot = DOTS.into_iter().find(fits)?;
        Some(Self { word, dot })
    }

    /// Writes it into the middle of the rows from `top` on.
    pub(super) fn draw(&self, grid: &mut Grid, top: usize, style: Style) {
        let step = self.dot.chars().count();
        let start = grid.columns().saturating_sub(width(self.word, self.dot)) / 2;
        for (place, character) in self.word.chars().enumerate() {
            for (down, dots) in letter(character).into_iter().enumerate() {
                let is_set = |dot: &usize| dots >> (PITCH - 2 - dot) & 1 == 1;
                for dot in (0..PITCH - 1).filter(is_set) {
                    let column = start + (place * PITCH + dot) * step;
                    grid.put(top + down, column, self.dot, style);
                }
            }
        }
    }
}

/// Columns of a word, without the gap behind its last letter.
fn width(word: &str, dot: &str) -> usize {
    (word.chars().count() * PITCH).saturating_sub(1) * dot.chars().count()
}

/// The letters of the words that there are; others are blank.
fn letter(character: char) -> Letter {
    match character {
        'A' => [0b0110, 0b1001, 0b1111, 0b1001, 0b1001],
        'D' => [0b1110, 0b1001, 0b1001, 0b1001, 0b1110],
        'E' => [0b1111, 0b1000, 0b1110, 0b1000, 0b1111],
        'F' => [0b1111, 0b1000, 0b1110, 0b1000, 0b1000],
        'I' => [0b1110, 0b0100, 0b0100, 0b0100, 0b1110],
        'K' => [0b1001, 0b1010, 0b1100, 0b1010, 0b1001],
        'L' => [0b1000, 0b1000, 0b1000, 0b1000, 0b1111],
        'N' => [0b1001, 0b1101, 0b1011, 0b1001, 0b1001],
        'O' => [0b0110, 0b1001, 0b1001, 0b1001, 0b0110],
        'P' => [0b1110, 0b1001, 0b1110, 0b1000, 0b1000],
        'R' => [0b1110, 0b1001, 0b1110, 0b1010, 0b1001],
        'S' => [0b0111, 0b1000, 0b0110, 0b0001, 0b1110],
        'T' => [0b1110, 0b0100, 0b0100, 0b0100, 0b0100],
        'U' => [0b1001, 0b1001, 0b1001, 0b1001, 0b0110],
        'Y' => [0b1001, 0b1001, 0b0111, 0b0001, 0b0110],
        '?' => [0b1110, 0b0001, 0b0110, 0b0000, 0b0100],
        _ => [0; HEIGHT],
    }
}

#[cfg(test)]
mod tests {
    use super::super::banner::Kind;
    use super::*;

    #[test]
    fn every_word_has_its_letters_and_fits_the_usual_screen() {
        for kind in Kind::ALL {
            let word = kind.word();
            let blank = |c: &char| *c != ' ' && letter(*c) == [0; HEIGHT];
            assert!(!word.chars().any(|c| blank(&c)), "{word}");
            assert_eq!(Lettering::new(word, 80).unwrap().dot, DOTS[0], "{word}");
            assert!(Lettering::new(word, 41).is_some(), "{word}");
            assert!(Lettering::new(word, 10).is_none(), "{word}");
        }
    }

    #[test]
    fn a_word_stands_in_the_middle() {
        let mut grid = Grid::new(13, 7);
        let lettering = Lettering::new("OK", 13).unwrap();
        lettering.draw(&mut grid, 1, Style::Good);
        let rows = [
            "",
            "   ██  █  █",
            "  █  █ █ █",
            "  █  █ ██",
            "  █  █ █ █",
            "   ██  █  █",
            "",
        ];
        for (row, text) in rows.into_iter().enumerate() {
            assert_eq!(grid.text(row), text);
        }
    }
}
