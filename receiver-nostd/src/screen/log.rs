//! The last messages, of which warnings stay longest.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::grid::{Grid, Style};
use super::words;

/// Messages that are kept.
const KEPT: usize = 64;

/// Messages in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Log {
    messages: VecDeque<Message>,
}

#[derive(Clone, Debug)]
struct Message {
    text: String,
    is_warning: bool,
}

impl Log {
    /// Adds a message. Of too many the oldest is forgotten that is no warning.
    pub fn add(&mut self, text: &str, is_warning: bool) {
        if self.messages.len() >= KEPT {
            let plain = self.messages.iter().position(|other| !other.is_warning);
            self.messages.remove(plain.unwrap_or(0));
        }
        self.messages.push_back(Message {
            text: text.into(),
            is_warning,
        });
    }

    /// Draws the last messages into the rows from `top` on, with the last one at the bottom.
    ///
    /// Warnings that would have left the rows keep half of them.
    pub(super) fn draw(&self, grid: &mut Grid, top: usize) {
        let rows = grid.rows().saturating_sub(top);
        // The last cell of the last row can't be used.
        let width = grid.columns().saturating_sub(2);
        let chosen = self.choose(rows, width);
        let lines: Vec<(&str, Style)> = self
            .messages
            .iter()
            .zip(chosen)
            .flat_map(|(message, lines)| {
                let style = match message.is_warning {
                    true => Style::Warning,
                    false => Style::Plain,
                };
                let all = words::wrap(&message.text, width);
                all.take(lines).map(move |line| (line, style))
            })
            .collect();
        for (row, (line, style)) in (top..).zip(lines) {
            grid.put(row, 1, line, style);
        }
    }

    /// How many lines each message gets of `rows`: the last one first, then warnings up to half of
    /// the rows, then what still fits.
    fn choose(&self, rows: usize, width: usize) -> Vec<usize> {
        let mut chosen = alloc::vec![0; self.messages.len()];
        let mut left = rows;
        let mut choose = |kept_free: usize, is_meant: &dyn Fn(&Message) -> bool, count: usize| {
            let newest_first = self.messages.iter().zip(&mut chosen).rev();
            for (message, lines) in newest_first.take(count) {
                if *lines == 0 && is_meant(message) {
                    let height = words::height(&message.text, width);
                    *lines = height.min(left.saturating_sub(kept_free));
                    left -= *lines;
                }
            }
        };
        choose(0, &|_| true, 1);
        choose(rows / 2, &|message| message.is_warning, KEPT);
        choose(0, &|_| true, KEPT);
        chosen
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::vec::Vec;

    use super::*;

    fn drawn(log: &Log, columns: usize, rows: usize) -> Vec<String> {
        let mut grid = Grid::new(columns, rows);
        log.draw(&mut grid, 0);
        (0..rows).map(|row| grid.text(row)).collect()
    }

    #[test]
    fn the_last_messages_are_there() {
        let mut log = Log::default();
        assert_eq!(drawn(&log, 20, 2), ["", ""]);
        log.add("one", false);
        assert_eq!(drawn(&log, 20, 2), [" one", ""]);
        for text in ["two", "a message of two lines"] {
            log.add(text, false);
        }
        let lines = [" two", " a message of two", " lines"];
        assert_eq!(drawn(&log, 20, 3), lines);
        assert_eq!(drawn(&log, 20, 1), [" a message of two"]);
        assert_eq!(drawn(&log, 1, 3), ["", "", ""]);
    }

    #[test]
    fn a_warning_stays_when_others_have_gone() {
        let mut log = Log::default();
        log.add("bytes were lost", true);
        for number in 0..2 * KEPT {
            log.add(&format!("message {number}"), false);
        }
        let lines = [
            " bytes were lost",
            " message 125",
            " message 126",
            " message 127",
        ];
        assert_eq!(drawn(&log, 20, 4), lines);
        for number in 0..9 {
            log.add(&format!("warning {number}"), true);
        }
        log.add("the end", false);
        let lines = [" warning 6", " warning 7", " warning 8", " the end"];
        assert_eq!(drawn(&log, 20, 4), lines);
    }
}
