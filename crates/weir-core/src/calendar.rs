//! Days as dates, in UTC.
//!
//! Signatures, Kinesis's texts and tables for people carry dates; they are made here and nowhere else. It knows no clock and
//! no time zone.

use crate::clock::WallMs;

/// Seconds of a day.
pub const SECS_PER_DAY: u64 = 86_400;

/// A date of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The year, from 1970 on.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
}

impl Date {
    /// The date of a day since 1970, by Hinnant's algorithm: its years start in March, so that the leap day is last.
    pub fn of_day(days: u64) -> Self {
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Self { year: year_of_era + era * 400 + u64::from(month <= 2), month, day }
    }

    /// Days since 1970; `None` for a date that no calendar has.
    pub fn days(self) -> Option<u64> {
        let Self { year, month, day } = self;
        if !(1970..=9_999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let shifted_year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        let days = (era * 146_097 + of_era).checked_sub(719_468)?;
        (Self::of_day(days) == self).then_some(days)
    }
}

/// A time for people and programs (RFC 3339): `2020-11-25T10:44:00.123Z`.
pub fn timestamp(time: WallMs) -> String {
    let (secs, ms) = (time.0 / 1_000, time.0 % 1_000);
    let Date { year, month, day } = Date::of_day(secs / SECS_PER_DAY);
    let (hour, minute, second) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_days_have_their_dates() {
        let date = |year, month, day| Date { year, month, day };
        for (days, expected) in
            [(0, date(1970, 1, 1)), (16_677, date(2015, 8, 30)), (18_321, date(2020, 2, 29))]
        {
            assert_eq!(Date::of_day(days), expected);
            assert_eq!(expected.days(), Some(days));
        }
        for none in
            [date(2021, 2, 29), date(2020, 13, 1), date(2020, 4, 31), date(1969, 12, 31), date(2100, 2, 29)]
        {
            assert_eq!(none.days(), None, "{none:?}");
        }
    }

    #[test]
    fn a_time_is_told_as_the_standard_has_it() {
        assert_eq!(timestamp(WallMs(1_606_301_040_123)), "2020-11-25T10:44:00.123Z");
        assert_eq!(timestamp(WallMs(0)), "1970-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn a_date_is_of_the_day_that_it_came_from(days in 0..2_932_897u64) {
            prop_assert_eq!(Date::of_day(days).days(), Some(days));
        }
    }
}
