//! The time of a signature: `20201125T104400Z`, to the second.
//!
//! Made by signers, parsed by verifiers. It knows no clock.

use std::{fmt, str::FromStr};

use weir_core::{
    calendar::{Date, SECS_PER_DAY},
    clock::WallMs,
};

/// Seconds since 1970 that print in ISO 8601's basic form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

/// Text that is no stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form 20201125T104400Z")]
pub struct StampError;

impl Stamp {
    /// The stamp of a moment.
    pub fn at(time: WallMs) -> Self {
        Self(time.secs())
    }

    /// Seconds since 1970.
    pub fn secs(self) -> u64 {
        self.0
    }

    /// This many seconds later.
    pub fn plus(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// This many seconds earlier.
    pub fn minus(self, secs: u64) -> Self {
        Self(self.0.saturating_sub(secs))
    }

    /// Days since 1970: what a signing key is good for.
    pub fn day(self) -> u64 {
        self.0 / SECS_PER_DAY
    }

    /// The date alone: `20201125`.
    pub fn date(self) -> String {
        let Date { year, month, day } = Date::of_day(self.day());
        format!("{year:04}{month:02}{day:02}")
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = Date::of_day(self.day());
        let secs = self.0 % SECS_PER_DAY;
        let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

impl FromStr for Stamp {
    type Err = StampError;
    fn from_str(text: &str) -> Result<Self, StampError> {
        let bytes: &[u8; 16] = text.as_bytes().try_into().map_err(|_| StampError)?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return Err(StampError);
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0u64, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')).ok_or(StampError)
            })
        };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
        let days = Date { year, month, day }.days().ok_or(StampError)?;
        if hour > 23 || minute > 59 || second > 59 {
            return Err(StampError);
        }
        Ok(Self(days * SECS_PER_DAY + hour * 3_600 + minute * 60 + second))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments_print_as_their_date() {
        assert_eq!(Stamp::at(WallMs(0)).to_string(), "19700101T000000Z");
        assert_eq!(Stamp::at(WallMs(1_440_938_160_999)).to_string(), "20150830T123600Z");
        assert_eq!(Stamp::at(WallMs(1_582_934_400_000)).date(), "20200229");
    }

    #[test]
    fn dates_that_no_calendar_has_are_refused() {
        for text in [
            "20210229T000000Z",
            "20201301T000000Z",
            "20200431T000000Z",
            "20201125T240000Z",
            "20201125 104400Z",
            "20201125T104400",
            "19691231T235959Z",
            "２0201125T1044Z",
            "",
        ] {
            assert_eq!(text.parse::<Stamp>(), Err(StampError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_stamp_reads_back_what_it_prints(secs in 0..253_402_300_800u64) {
            let stamp = Stamp(secs);
            prop_assert_eq!(stamp.to_string().parse(), Ok(stamp));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = text.parse::<Stamp>();
        }
    }
}
