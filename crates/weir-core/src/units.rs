//! Values with units as people write them: `64MiB`, `250ms`, `200/s`.
//!
//! Used by the command line and by scenarios, both to read and to print. A number without its unit is refused, never
//! guessed at.

use std::{fmt, marker::PhantomData, str::FromStr, time::Duration};

use serde::{
    Deserialize, Serialize,
    de::{self, Visitor},
};

/// Text that is no value of the unit asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: write {example}")]
pub struct UnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then_some((number, text[end..].trim()))
}

/// Reads a value with its unit, and says of a bare number which unit to write.
struct WithUnit<T> {
    what: &'static str,
    unit: &'static str,
    value: PhantomData<T>,
}

impl<T: FromStr<Err = UnitError>> Visitor<'_> for WithUnit<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} with its unit", self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Err(E::custom(format!("{number} has no unit: write \"{number}{}\"", self.unit)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        Err(E::custom(format!("{number} has no unit: write \"{number}{}\"", self.unit)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        Err(E::custom(format!("{number} has no unit: write \"{number}{}\"", self.unit)))
    }
}

macro_rules! text_serde {
    ($name:ident, $what:literal, $unit:literal) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(WithUnit { what: $what, unit: $unit, value: PhantomData })
            }
        }
    };
}

/// A number of bytes: `512B`, `64KiB`, `1.5MiB`, `2GiB` (and the decimal `kB`, `MB`, `GB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UnitError { text: text.to_owned(), what: "size", example: "64MiB or 512B" };
        let (number, unit) = split(text).ok_or_else(error)?;
        let scale = match unit {
            "B" => 1.0,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            "kB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            _ => return Err(error()),
        };
        Ok(Self((number * scale).round() as u64))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scale, unit) in [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= scale && self.0.is_multiple_of(scale) {
                return write!(f, "{}{unit}", self.0 / scale);
            }
        }
        write!(f, "{}B", self.0)
    }
}

text_serde!(Size, "size", "B");

/// A length of time: `250ms`, `1.5s`, `2m`, `1h`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UnitError { text: text.to_owned(), what: "time", example: "250ms or 5s" };
        let (number, unit) = split(text).ok_or_else(error)?;
        let scale = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(error()),
        };
        Duration::try_from_secs_f64(number * scale).map(Self).map_err(|_| error())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros >= 1_000_000 && micros.is_multiple_of(1_000) {
            write!(f, "{}s", self.0.as_secs_f64())
        } else if micros.is_multiple_of(1_000) {
            write!(f, "{}ms", micros / 1_000)
        } else {
            write!(f, "{micros}us")
        }
    }
}

text_serde!(Span, "time", "s");

/// Events a second: `200/s`, `1.5/s`, `300/m`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

impl FromStr for Rate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UnitError { text: text.to_owned(), what: "rate", example: "200/s" };
        let (number, unit) = split(text).ok_or_else(error)?;
        match unit {
            "/s" => Ok(Self(number)),
            "/m" => Ok(Self(number / 60.0)),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

text_serde!(Rate, "rate", "/s");

/// Bytes a second: `1MiB/s`, `512KiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRate(pub u64);

impl FromStr for ByteRate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UnitError { text: text.to_owned(), what: "rate of bytes", example: "1MiB/s" };
        let size: Size = text.strip_suffix("/s").ok_or_else(error)?.parse().map_err(|_| error())?;
        Ok(Self(size.0))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Size(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_what_they_print() {
        for text in ["64MiB", "512B", "3GiB", "1023KiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["250ms", "1.5s", "120s", "7us"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("300/m".parse::<Rate>().unwrap().to_string(), "5/s");
        assert_eq!("1MiB/s".parse::<ByteRate>().unwrap(), ByteRate(1 << 20));
        assert_eq!("512KiB/s".parse::<ByteRate>().unwrap().to_string(), "512KiB/s");
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_an_example() {
        let error = "64".parse::<Size>().unwrap_err().to_string();
        assert!(error.contains("64MiB"), "{error}");
        assert!("5".parse::<Span>().is_err());
        assert!("5".parse::<Rate>().is_err());
        assert!("5MiB".parse::<ByteRate>().unwrap_err().to_string().contains("1MiB/s"));
        assert!("-5s".parse::<Span>().is_err());
    }
}
