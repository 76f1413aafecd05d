//! What was seen, as the table of docs/hardware.md.

use std::env;
use std::fmt;
use std::fs;
use std::path::Path;

use ironcast_tests::LabError;

use crate::cells::Cell;

/// What stands before the table in the document.
const BEGIN: &str = "<!-- `cargo xtask hardware` writes from here -->\n";

/// What stands behind it.
const END: &str = "<!-- to here -->\n";

/// If it is set, the document gets the table and is not compared with it.
const WRITE: &str = "IRONCAST_WRITE_HARDWARE";

const HEAD: &str = "\
| hardware | how | outcome |
| --- | --- | --- |
";

/// What became of a machine, the better the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// There is none, since this QEMU doesn't have the piece.
    NoSuchDevice,
    /// Its firmware has no driver for the piece: nothing was written.
    NoDriver,
    /// It has its image, but had to be started from a USB stick.
    WorksFromStick,
    /// It has its image.
    Works,
}

impl Outcome {
    const ALL: [(Self, &'static str); 4] = [
        (
            Self::NoSuchDevice,
            "not tried: this QEMU has no such device",
        ),
        (Self::NoDriver, "fails: the firmware has no driver"),
        (
            Self::WorksFromStick,
            "works, but the firmware does not boot over it",
        ),
        (Self::Works, "works"),
    ];
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Self::ALL.into_iter().find(|(outcome, _)| outcome == self);
        f.write_str(words.map_or("", |(_, words)| words))
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The piece of hardware, and how it is used.
    words: [String; 2],
    outcome: Outcome,
}

impl Row {
    /// What became of a cell.
    pub fn new(cell: Cell, outcome: Outcome) -> Self {
        let words = cell.words();
        Self { words, outcome }
    }

    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", hardware, how, outcome, ""] = cells.as_slice() else {
            return None;
        };
        let words = [(*hardware).to_owned(), (*how).to_owned()];
        let known = Outcome::ALL.into_iter().find(|(_, words)| words == outcome);
        let (outcome, _) = known?;
        Some(Self { words, outcome })
    }

    /// Whether what was `seen` agrees with this line of the document.
    ///
    /// Another QEMU may lack the piece, and another firmware may have one driver more: neither
    /// makes the document wrong about what we do.
    fn agrees(&self, seen: &Self) -> bool {
        let is_as_good = seen.outcome >= self.outcome || seen.outcome == Outcome::NoSuchDevice;
        self.words == seen.words && is_as_good
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([hardware, how], outcome) = (&self.words, self.outcome);
        writeln!(f, "| {hardware} | {how} | {outcome} |")
    }
}

/// The table.
pub fn text(rows: &[Row]) -> String {
    let lines = rows.iter().map(Row::to_string);
    HEAD.to_owned() + &lines.collect::<String>()
}

/// Demands that the document says what was seen, or writes it there.
pub fn compare_or_write(seen: &[Row]) -> Result<(), LabError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/hardware.md");
    let document =
        fs::read_to_string(&path).map_err(|e| LabError::io("read docs/hardware.md", e))?;
    let no_table = || LabError::wrong("docs/hardware.md has no place for the table");
    let (before, rest) = document.split_once(BEGIN).ok_or_else(no_table)?;
    let (table, after) = rest.split_once(END).ok_or_else(no_table)?;
    if env::var_os(WRITE).is_some() {
        let document = [before, BEGIN, &text(seen), END, after].concat();
        return fs::write(&path, document).map_err(|e| LabError::io("write docs/hardware.md", e));
    }
    compare(table, seen)
}

fn compare(table: &str, seen: &[Row]) -> Result<(), LabError> {
    let rows = table.strip_prefix(HEAD).unwrap_or_default();
    let documented: Option<Vec<Row>> = rows.lines().map(Row::parse).collect();
    let documented = documented.unwrap_or_default();
    let is_same = documented.len() == seen.len()
        && documented
            .iter()
            .zip(seen)
            .all(|(row, seen)| row.agrees(seen));
    match is_same {
        true => Ok(()),
        false => Err(LabError::wrong(format!(
            "docs/hardware.md does not have what was seen; if that is right, `cargo xtask \
             hardware` writes it there. Documented is\n{table}\nand seen was\n{}",
            text(seen)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(outcomes: &[Outcome]) -> Vec<Row> {
        let cells = Cell::all();
        let rows = cells.into_iter().zip(outcomes);
        rows.map(|(cell, &outcome)| Row::new(cell, outcome))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all: Vec<Outcome> = Outcome::ALL.map(|(outcome, _)| outcome).into();
        let rows = table(&all);
        let lines = text(&rows);
        let lines = lines.strip_prefix(HEAD).unwrap_or_default();
        let read: Vec<Row> = lines.lines().filter_map(Row::parse).collect();
        assert_eq!(read, rows);
        assert_eq!(Row::parse("| a | b | sometimes |"), None);
    }

    #[test]
    fn a_table_that_promises_more_or_has_other_lines_is_wrong() {
        use Outcome::{NoDriver, NoSuchDevice, Works, WorksFromStick};
        let documented = text(&table(&[Works, NoDriver, NoSuchDevice]));
        let agrees = |seen: &[Outcome]| compare(&documented, &table(seen)).is_ok();
        assert!(agrees(&[Works, NoDriver, NoSuchDevice]));
        assert!(agrees(&[NoSuchDevice, WorksFromStick, Works]));
        assert!(!agrees(&[WorksFromStick, NoDriver, NoSuchDevice]));
        assert!(!agrees(&[NoDriver, NoDriver, NoSuchDevice]));
        assert!(!agrees(&[Works, NoDriver]));
        assert!(compare("", &table(&[Works])).is_err());
        let mut others = table(&[Works, NoDriver, NoSuchDevice]);
        others.swap(0, 1);
        assert!(compare(&documented, &others).is_err());
    }
}
