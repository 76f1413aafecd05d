//! Text for a given width, and numbers for people.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// The lines of `text` that have `width` characters at most, broken between words where that goes.
pub(super) fn wrap(text: &str, width: usize) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    core::iter::from_fn(move || {
        if rest.is_empty() || width == 0 {
            return None;
        }
        let end = rest.char_indices().nth(width).map(|(at, _)| at);
        let end = end.map_or(rest.len(), |end| break_before(rest, end));
        let (line, more) = rest.split_at_checked(end)?;
        rest = more.trim_start();
        Some(line.trim_end())
    })
}

/// Where a line of `text` ends that may be `end` bytes long: behind a word, if there is one.
fn break_before(text: &str, end: usize) -> usize {
    let (line, more) = text.split_at_checked(end).unwrap_or((text, ""));
    if more.starts_with(' ') {
        return end;
    }
    line.rfind(' ').filter(|&at| at > 0).unwrap_or(end)
}

/// How many lines [`wrap`] makes of it.
pub(super) fn height(text: &str, width: usize) -> usize {
    wrap(text, width).count()
}

/// `text`, or as much of it as `width` characters have room for, with dots at its end then.
pub(super) fn cut(text: &str, width: usize) -> String {
    const DOTS: &str = "...";
    if text.chars().count() <= width {
        return text.into();
    }
    let kept = width.saturating_sub(DOTS.len());
    let start: String = text.chars().take(kept).collect();
    let dots: String = DOTS.chars().take(width).collect();
    start.trim_end().chars().chain(dots.chars()).collect()
}

/// A number of bytes with one decimal.
pub(super) fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000_000 => (1000, "kB"),
        1_000_000..10_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    let tenths = bytes / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Bytes in a second.
pub(super) fn rate(bytes_per_second: u64) -> String {
    // One unit for all of them, so that figures beside each other can be compared.
    let tenths = bytes_per_second / 100_000;
    format!("{}.{} MB/s", tenths / 10, tenths % 10)
}

/// A time in minutes and seconds, and hours if there are any.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn lines(text: &str, width: usize) -> Vec<&str> {
        wrap(text, width).collect()
    }

    #[test]
    fn lines_break_between_words_and_long_words_anywhere() {
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("one two three", 8), ["one two", "three"]);
        assert_eq!(lines("  a   b ", 2), ["a", "b"]);
        assert_eq!(lines("PciRoot(0x0)/Pci", 6), ["PciRoo", "t(0x0)", "/Pci"]);
        assert_eq!(lines("äöü ßß", 3), ["äöü", "ßß"]);
        assert_eq!(lines("äöüß", 3), ["äöü", "ß"]);
        assert_eq!(lines("", 3), [""; 0]);
        assert_eq!(lines("text", 0), [""; 0]);
        assert_eq!(height("one two three", 7), 2);
    }

    #[test]
    fn what_is_cut_shows_it() {
        assert_eq!(cut("a disk", 6), "a disk");
        assert_eq!(cut("a large disk", 9), "a larg...");
        assert_eq!(cut("a large disk", 5), "a...");
        assert_eq!(cut("öööö", 3), "...");
        assert_eq!(cut("text", 2), "..");
        assert_eq!(cut("text", 0), "");
    }

    #[test]
    fn numbers_are_rounded_down() {
        assert_eq!(bytes(0), "0.0 kB");
        assert_eq!(bytes(999_999), "999.9 kB");
        assert_eq!(bytes(20_000_001), "20.0 MB");
        assert_eq!(bytes(512_110_190_592), "512.1 GB");
        assert_eq!(rate(117_250_000), "117.2 MB/s");
        assert_eq!(bytes(u64::MAX), "18446744073.7 GB");
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(clock(Duration::from_secs(7265)), "2:01:05");
    }
}
