//! Tables, as Markdown for people and as CSV for programs.

use std::fmt::Write as _;

/// A table whose rows all have as many cells as it has columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// The table in Markdown. What looks like a number is aligned to the right.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = line(&self.columns);
        let rules = (0..self.columns.len()).map(|column| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column));
            let right = cells.all(|cell| !cell.starts_with(char::is_alphabetic));
            if right {
                "---:".to_owned()
            } else {
                "---".to_owned()
            }
        });
        text.push_str(&line(&rules.collect::<Vec<_>>()));
        text.extend(self.rows.iter().map(|row| line(row)));
        text
    }

    /// The table as RFC 4180 has it, with line feeds only.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = String::new();
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            // Writing to a string can't fail.
            let _ = writeln!(text, "{}", cells.join(","));
        }
        text
    }
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_and_csv() {
        let mut table = Table::new(["who", "s"]);
        table.row(["ours, \"fast\"", "1.5"]);
        table.row(["stock"]);
        let expected = "| who | s |\n| --- | ---: |\n| ours, \"fast\" | 1.5 |\n| stock |  |\n";
        assert_eq!(table.markdown(), expected);
        assert_eq!(table.csv(), "who,s\n\"ours, \"\"fast\"\"\",1.5\nstock,\n");
    }
}
