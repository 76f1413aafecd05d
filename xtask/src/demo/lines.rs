//! Prints what a source says while it runs, each line with the source's name before it.

/// A source of lines, and how much of it has been printed.
pub(super) struct Lines {
    name: String,
    seen: usize,
    last: String,
}

impl Lines {
    /// A source of which nothing has been printed.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            seen: 0,
            last: String::new(),
        }
    }

    /// The source's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Prints the whole lines at the end of `text` that were not there the last time, and gives
    /// everything that was not, with the unfinished last line, which comes again.
    ///
    /// Empty lines are left out, and lines that repeat the one before: firmware consoles that are
    /// both screen and serial port say everything twice.
    pub(super) fn print_new<'t>(&mut self, text: &'t str) -> &'t str {
        let new = text.get(self.seen..).unwrap_or_default();
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        for line in new[..whole].lines().map(str::trim) {
            if !line.is_empty() && line != self.last {
                self.say(line);
                line.clone_into(&mut self.last);
            }
        }
        self.seen += whole;
        new
    }

    /// Prints a line of our own about the source.
    pub(super) fn say(&self, line: &str) {
        println!("[{}] {line}", self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_comes_once_and_an_unfinished_one_again() {
        let mut lines = Lines::new("machine 1");
        assert_eq!(lines.print_new("one\ntw"), "one\ntw");
        assert_eq!(lines.print_new("one\ntwo\nlog"), "two\nlog");
        assert_eq!(lines.print_new("one\ntwo\nlogin:"), "login:");
        assert_eq!(lines.name(), "machine 1");
    }
}
