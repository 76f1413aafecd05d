//! Numbers as people write and read them: sizes, rates, counts.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A count in groups of three digits, as the stock programs print it: `3 000 000`.
#[derive(Clone, Copy, Debug)]
pub struct Spaced(
    /// The count.
    pub u64,
);

impl fmt::Display for Spaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(' ');
            }
            grouped.push(digit);
        }
        f.pad_integral(true, "", &grouped)
    }
}

/// Bytes in a time, shown in megabytes (1,000,000 bytes) a second: `112.4 MB/s`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many bytes.
    pub bytes: u64,
    /// In what time.
    pub time: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.time.as_micros().max(1);
        // A byte in a microsecond is a megabyte in a second.
        let tenths = u128::from(self.bytes) * 10 / micros;
        write!(f, "{}.{} MB/s", tenths / 10, tenths % 10)
    }
}

/// Why a size can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseSizeError;

impl fmt::Display for ParseSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a number of bytes, such as 300000, 512k or 4M")
    }
}

impl Error for ParseSizeError {}

/// Reads a number of bytes, with k, M or G behind it for powers of 1024.
///
/// # Errors
/// [`ParseSizeError`] if it is anything else, or too large for this machine.
pub fn parse_size(text: &str) -> Result<usize, ParseSizeError> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: usize = digits.parse().map_err(|_| ParseSizeError)?;
    number.checked_mul(1 << shift).ok_or(ParseSizeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_padded() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1 000"),
            (3_000_000, "3 000 000"),
        ] {
            assert_eq!(Spaced(count).to_string(), text);
        }
        assert_eq!(format!("{:>12}", Spaced(3_000_000)), "   3 000 000");
    }

    #[test]
    fn rates_are_megabytes_a_second() {
        let rate = |bytes, time| Rate { bytes, time }.to_string();
        assert_eq!(rate(112_450_000, Duration::from_secs(1)), "112.4 MB/s");
        assert_eq!(rate(0, Duration::ZERO), "0.0 MB/s");
        assert_eq!(
            rate(u64::MAX, Duration::from_micros(1)),
            format!("{}.0 MB/s", u64::MAX)
        );
    }

    #[test]
    fn sizes_take_powers_of_1024() {
        assert_eq!(parse_size("300000"), Ok(300_000));
        assert_eq!(parse_size("512k"), Ok(512 << 10));
        assert_eq!(parse_size("4M"), Ok(4 << 20));
        assert_eq!(parse_size("1g"), Ok(1 << 30));
        for wrong in ["", "k", "-1", "4 M", "1.5M", "99999999999G", "Mé"] {
            assert_eq!(parse_size(wrong), Err(ParseSizeError), "{wrong}");
        }
    }
}
