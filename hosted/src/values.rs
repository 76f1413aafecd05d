//! The values of options, as people write them: numbers, times, rates.
//!
//! As the stock programs do, a number beyond what can be used is taken for the most that can. They
//! read as much of a value as is a number; here the rest is an error, unless it is a unit.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ironcast_proto::time::Duration;

/// The most bits a second that a rate can be.
const MAX_BITRATE: f64 = 1e15;

/// Reads a number without a fraction.
///
/// # Errors
/// If it is none.
pub fn parse_whole(text: &str) -> Result<u64, String> {
    let text = text.trim_start();
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if text.strip_prefix('-').is_some_and(is_number) {
        return Err("it is below 0".to_owned());
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    match is_number(digits) {
        true => Ok(digits.parse().unwrap_or(u64::MAX)),
        false => Err("it is no whole number".to_owned()),
    }
}

/// Reads a number without a fraction; one outside of `range` is taken for the nearest in it.
///
/// # Errors
/// If it is none.
pub fn parse_clamped<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: Copy + Into<u64> + TryFrom<u64>,
{
    let number = parse_whole(text)?;
    let nearest = number.clamp((*range.start()).into(), (*range.end()).into());
    Ok(T::try_from(nearest).unwrap_or(*range.end()))
}

/// Reads a rate in bits a second: a number, and perhaps k, m or g for thousands, millions and
/// thousands of millions, which may be spelt kbit, Mbit/s and the like. It may be 0.
///
/// # Errors
/// If it is none.
pub fn parse_bitrate(text: &str) -> Result<u64, String> {
    let error = || "not a rate in bits a second, such as 900k, 80m or 1.5g".to_owned();
    let unit_at = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix("/s").unwrap_or(&unit);
    let unit = unit
        .strip_suffix("bit")
        .or(unit.strip_suffix("bps"))
        .unwrap_or(unit);
    let factor = match unit {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        _ => return Err(error()),
    };
    let number: f64 = number.trim_end().parse().map_err(|_| error())?;
    let bitrate = (number * factor).min(MAX_BITRATE);
    if bitrate != 0.0 && !(1.0..=MAX_BITRATE).contains(&bitrate) {
        return Err(error());
    }
    // In range, so nothing but a fraction of a bit is cut off.
    Ok(bitrate as u64)
}

/// Reads a number of seconds, which may have a fraction or another unit: 5, 0.5, 500ms, 2s, 1m.
///
/// # Errors
/// If it is none.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    parse_time(text, 1.0).ok_or_else(|| "not a time in seconds, such as 5, 0.5 or 500ms".to_owned())
}

/// Reads after how long without a word to give up, in seconds or another unit: 0 for not at all, or
/// a second or more, for in less than that nobody can be told from one who is slow.
///
/// # Errors
/// If it is none.
pub fn parse_silence(text: &str) -> Result<Duration, String> {
    parse_time(text, 1.0)
        .filter(|time| time.is_zero() || *time >= Duration::from_secs(1))
        .ok_or_else(|| "not a time of 1 second or more, such as 5 or 2m, nor 0".to_owned())
}

/// Reads a number of milliseconds, which may have another unit: 500, 2s, 1m.
///
/// # Errors
/// If it is none.
pub fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    parse_time(text, 1e-3).ok_or_else(|| "not a time in milliseconds, such as 500 or 2s".to_owned())
}

/// Reads a time; without a unit its number counts so many seconds.
fn parse_time(text: &str, usual: f64) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "" => usual,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// Reads an address.
///
/// # Errors
/// If it is none.
pub fn parse_address(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| "it is no IPv4 address".to_owned())
}

/// Reads the lower of two neighbouring ports.
///
/// # Errors
/// If it is none.
pub fn parse_port_base(text: &str) -> Result<u16, String> {
    let even = |port: &u16| *port >= 2 && port.is_multiple_of(2);
    text.parse()
        .ok()
        .filter(even)
        .ok_or_else(|| "not an even number from 2 to 65534".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_stock_does_where_they_mean_something() {
        for (text, number) in [
            ("3", 3),
            (" 3", 3),
            ("+3", 3),
            ("007", 7),
            ("99999999999999999999999", u64::MAX),
        ] {
            assert_eq!(parse_whole(text), Ok(number), "{text}");
        }
        for wrong in ["", "2x", "x", "-", "+-1", "1.5", "3 4"] {
            assert!(parse_whole(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_whole("-1"), Err("it is below 0".to_owned()));
        assert_eq!(parse_clamped("2000", 0..=1024_u16), Ok(1024));
        assert_eq!(parse_clamped("0", 1..=1024_u16), Ok(1));
        assert_eq!(parse_clamped("7", 1..=1024_u16), Ok(7));
    }

    #[test]
    fn rates_and_times_have_units() {
        for (text, bits) in [
            ("9600", 9600),
            ("10m", 10_000_000),
            ("1.5G", 1_500_000_000),
            ("900kbit/s", 900_000),
            ("80Mbps", 80_000_000),
            ("0", 0),
            ("99999999999m", 1_000_000_000_000_000),
        ] {
            assert_eq!(parse_bitrate(text), Ok(bits), "{text}");
        }
        for wrong in ["", "m", "10x", "-1", "0.5", "nan", "10 m b"] {
            assert!(parse_bitrate(wrong).is_err(), "{wrong}");
        }
        for (text, millis) in [("5", 5000), ("0.25", 250), ("750ms", 750), ("2m", 120_000)] {
            let time = Duration::from_millis(millis);
            assert_eq!(parse_seconds(text), Ok(time), "{text}");
        }
        assert_eq!(parse_milliseconds("250"), parse_seconds("0.25"));
        assert_eq!(parse_milliseconds("2s"), parse_seconds("2"));
        assert_eq!(parse_silence("0"), parse_seconds("0"));
        assert_eq!(parse_silence("1500ms"), parse_seconds("1.5"));
        assert!(parse_silence("999ms").is_err());
        for wrong in ["", "s", "-1", "nan", "inf", "1h", "1e40"] {
            assert!(parse_silence(wrong).is_err(), "{wrong}");
            assert!(parse_seconds(wrong).is_err(), "{wrong}");
            assert!(parse_milliseconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn port_bases_are_even() {
        assert_eq!(parse_port_base("9000"), Ok(9000));
        assert_eq!(parse_port_base("65534"), Ok(65_534));
        for wrong in ["0", "9001", "65536", "x", ""] {
            assert!(parse_port_base(wrong).is_err(), "{wrong}");
        }
    }
}
