//! A page of results: text, tables and plots in Markdown, with the raw figures beside it as CSV.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::table::Table;

/// What a part has measured.
#[derive(Clone, Debug)]
pub struct Page {
    /// The files' name, without an ending.
    name: &'static str,
    title: &'static str,
    /// The parts to measure for it.
    parts: &'static str,
    pieces: Vec<Piece>,
    /// Every single measurement.
    raw: Table,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Table(Table),
    Plot {
        name: String,
        title: String,
        svg: String,
    },
}

impl Page {
    /// A page with nothing on it. `name` is what its files are called, and the part that it is of.
    #[must_use]
    pub fn new(name: &'static str, title: &'static str, raw: Table) -> Self {
        Self {
            name,
            title,
            parts: name,
            pieces: Vec::new(),
            raw,
        }
    }

    /// Says that it is of these parts, separated by commas, and not of one with its name.
    #[must_use]
    pub fn of(mut self, parts: &'static str) -> Self {
        self.parts = parts;
        self
    }

    /// Adds a paragraph, a heading or a list, in Markdown.
    pub fn text(&mut self, text: impl Into<String>) {
        self.pieces.push(Piece::Text(text.into()));
    }

    /// Adds a table.
    pub fn table(&mut self, table: Table) {
        self.pieces.push(Piece::Table(table));
    }

    /// Adds a plot; its file is called like the page, with `name` behind.
    pub fn plot(&mut self, name: &str, title: &str, svg: String) {
        self.pieces.push(Piece::Plot {
            name: format!("{}-{name}.svg", self.name),
            title: title.to_owned(),
            svg,
        });
    }

    /// The whole page. `computer` is the list that describes the machine.
    #[must_use]
    pub fn markdown(&self, computer: &str) -> String {
        let mut text = format!("# {}\n", self.title);
        for piece in &self.pieces {
            let piece = match piece {
                Piece::Text(text) => format!("{}\n", text.trim_end()),
                Piece::Table(table) => table.markdown(),
                Piece::Plot { name, title, .. } => format!("![{title}]({name})\n"),
            };
            text.push('\n');
            text.push_str(&piece);
        }
        let csv = format!("{}.csv", self.name);
        format!(
            "{text}\n## The machine\n\n{computer}\nEvery single figure is in [{csv}]({csv}). \
             `cargo xtask bench --only {}` measures anew.\n",
            self.parts
        )
    }

    /// Writes the page, its plots and its figures into `folder`.
    ///
    /// Fails if a file can't be written.
    pub fn write(&self, folder: &Path, computer: &str) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write(&format!("{}.md", self.name), &self.markdown(computer))?;
        write(&format!("{}.csv", self.name), &self.raw.csv())?;
        for piece in &self.pieces {
            if let Piece::Plot { name, svg, .. } = piece {
                write(name, svg)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut page = Page::new("copy", "Copies", Table::new(["s"]));
        page.text("A word.");
        page.plot("time", "Time", "<svg/>".to_owned());
        page.write(folder.path(), "- CPU: one\n").unwrap();
        let text = fs::read_to_string(folder.path().join("copy.md")).unwrap();
        assert!(text.starts_with("# Copies\n\nA word.\n\n![Time](copy-time.svg)\n"));
        assert!(text.contains("- CPU: one"));
        for name in ["copy.csv", "copy-time.svg"] {
            assert!(folder.path().join(name).is_file());
        }
    }
}
