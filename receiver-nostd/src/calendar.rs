//! Seconds since 1970 of a date, as clocks of machines show it.

/// Seconds from 1970-01-01 00:00 to a date (year, month, day) and time (hour, minute, second) of
/// the Gregorian calendar; `None` before 1970, or if there is no such month.
#[must_use]
pub fn seconds(date: (u16, u8, u8), time: (u8, u8, u8)) -> Option<u64> {
    let (year, month, day) = date;
    let (hour, minute, second) = time;
    let is_month = (1..=12).contains(&month);
    let year = u64::from(year).checked_sub(1970).filter(|_| is_month)?;
    let days = days_before_year(year) + days_before_month(year, month) + u64::from(day);
    let hours = days.checked_sub(1)? * 24 + u64::from(hour);
    Some((hours * 60 + u64::from(minute)) * 60 + u64::from(second))
}

/// Days from 1970 to the year that comes so many years later.
fn days_before_year(years: u64) -> u64 {
    let year = 1970 + years;
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    years * 365 + leap_days(year - 1) - leap_days(1969)
}

fn days_before_month(years: u64, month: u8) -> u64 {
    const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = DAYS.iter().take(usize::from(month) - 1).sum::<u64>();
    let is_leap = days_before_year(years + 1) - days_before_year(years) == 366;
    before + u64::from(is_leap && month > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_others_have_counted() {
        let midnight = (0, 0, 0);
        for (date, time, expected) in [
            ((1970, 1, 1), midnight, 0),
            ((1970, 1, 1), (23, 59, 59), 86_399),
            ((2000, 2, 29), midnight, 951_782_400),
            ((2000, 3, 1), midnight, 951_868_800),
            ((2001, 9, 9), (1, 46, 40), 1_000_000_000),
            ((2026, 11, 27), (17, 34, 14), 1_795_800_854),
            ((2100, 3, 1), midnight, 4_107_542_400),
        ] {
            assert_eq!(seconds(date, time), Some(expected), "{date:?} {time:?}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        let midnight = (0, 0, 0);
        for date in [(1969, 12, 31), (2000, 0, 1), (2000, 13, 1), (1970, 1, 0)] {
            assert_eq!(seconds(date, midnight), None, "{date:?}");
        }
    }
}
