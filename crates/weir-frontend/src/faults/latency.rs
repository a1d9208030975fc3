//! How long a call is held up: a fixed time, or one drawn from a distribution.

use std::{fmt, time::Duration};

use rand::RngExt;
use serde::{
    Deserialize, Serialize,
    de::{self, Visitor, value::MapAccessDeserializer},
};
use weir_core::{entropy::Rng, units::Span};

/// No call is held up for longer: a call that never ends is a connection that is cut.
pub(super) const LATENCY_MAX: Duration = Duration::from_secs(300);
/// The 99th percentile of a normal distribution, in deviations from its mean.
const P99_DEVIATIONS: f64 = 2.326_347_874;

/// How long.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Latency {
    /// Always so long.
    Fixed(Span),
    /// By these.
    Drawn(Distribution),
}

/// A distribution, by the two numbers that it is told by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Distribution {
    /// Uniform: at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min: Option<Span>,
    /// Uniform: less than.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<Span>,
    /// Normal: around, never below zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mean: Option<Span>,
    /// Normal: by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deviation: Option<Span>,
    /// Log-normal: half of the calls take less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) median: Option<Span>,
    /// Log-normal: one in a hundred takes more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99: Option<Span>,
}

impl Latency {
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let Self::Drawn(drawn) = self else { return Ok(()) };
        match drawn {
            Distribution {
                min: Some(min),
                max: Some(max),
                mean: None,
                deviation: None,
                median: None,
                p99: None,
            } => {
                if min.0 < max.0 {
                    Ok(())
                } else {
                    Err("min must be below max")
                }
            }
            Distribution {
                min: None,
                max: None,
                mean: Some(_),
                deviation: Some(_),
                median: None,
                p99: None,
            } => Ok(()),
            Distribution {
                min: None,
                max: None,
                mean: None,
                deviation: None,
                median: Some(median),
                p99: Some(p99),
            } => {
                let rises = !median.0.is_zero() && median.0 <= p99.0;
                if rises { Ok(()) } else { Err("median must be above zero and p99 at least the median") }
            }
            _ => Err("write a time, or min and max, or mean and deviation, or median and p99"),
        }
    }

    /// One time.
    pub(super) fn draw(&self, random: &mut Rng) -> Duration {
        let secs = match self {
            Self::Fixed(span) => span.0.as_secs_f64(),
            Self::Drawn(drawn) => {
                let of = |span: &Option<Span>| span.map_or(0.0, |span| span.0.as_secs_f64());
                if drawn.max.is_some() {
                    let (min, max) = (of(&drawn.min), of(&drawn.max));
                    min + (max - min) * random.random::<f64>()
                } else if drawn.mean.is_some() {
                    of(&drawn.mean) + of(&drawn.deviation) * normal(random)
                } else {
                    let (median, p99) = (of(&drawn.median), of(&drawn.p99));
                    median * ((p99 / median).ln() / P99_DEVIATIONS * normal(random)).exp()
                }
            }
        };
        Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(LATENCY_MAX).min(LATENCY_MAX)
    }
}

/// A draw of the standard normal distribution (Box and Muller).
fn normal(random: &mut Rng) -> f64 {
    let (radius, angle) = (1.0 - random.random::<f64>(), random.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeOrTable;
        impl<'de> Visitor<'de> for TimeOrTable {
            type Value = Latency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a time with its unit, as \"200ms\", or a table, as { min = \"1ms\", max = \"9ms\" }",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Latency, E> {
                text.parse().map(Latency::Fixed).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Latency, A::Error> {
                Distribution::deserialize(MapAccessDeserializer::new(map)).map(Latency::Drawn)
            }
        }
        deserializer.deserialize_any(TimeOrTable)
    }
}

#[cfg(test)]
mod tests {
    use weir_core::entropy::seeded;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Of {
        latency: Latency,
    }

    fn read(text: &str) -> Latency {
        toml::from_str::<Of>(&format!("latency = {text}")).unwrap().latency
    }

    /// The given percentiles of ten thousand draws, in milliseconds.
    fn percentiles(text: &str, wanted: &[usize]) -> Vec<f64> {
        let (latency, mut random) = (read(text), seeded(3, "latency"));
        latency.check().unwrap();
        let mut drawn: Vec<_> = (0..10_000).map(|_| latency.draw(&mut random).as_secs_f64() * 1e3).collect();
        drawn.sort_by(f64::total_cmp);
        wanted.iter().map(|percent| drawn[percent * 100]).collect()
    }

    fn near(measured: f64, expected: f64) -> bool {
        (measured / expected - 1.0).abs() < 0.1
    }

    #[test]
    fn times_are_drawn_as_their_distribution_says() {
        assert_eq!(percentiles("\"20ms\"", &[0, 99]), [20.0, 20.0]);
        let uniform = percentiles("{ min = \"10ms\", max = \"30ms\" }", &[0, 50, 99]);
        assert!(
            uniform[0] >= 10.0 && near(uniform[1], 20.0) && (29.0..30.0).contains(&uniform[2]),
            "{uniform:?}"
        );
        let normal = percentiles("{ mean = \"100ms\", deviation = \"20ms\" }", &[16, 50, 84]);
        assert!(near(normal[0], 80.0) && near(normal[1], 100.0) && near(normal[2], 120.0), "{normal:?}");
        let long = percentiles("{ median = \"10ms\", p99 = \"1s\" }", &[50, 99]);
        assert!(near(long[0], 10.0) && (700.0..1_400.0).contains(&long[1]), "{long:?}");
        assert_eq!(
            percentiles("{ mean = \"0ms\", deviation = \"9h\" }", &[0, 99]),
            [0.0, 300_000.0],
            "bounded"
        );
    }

    #[test]
    fn a_distribution_of_mixed_numbers_is_none() {
        for text in [
            "{}",
            "{ min = \"1ms\" }",
            "{ min = \"2ms\", max = \"1ms\" }",
            "{ min = \"1ms\", p99 = \"1ms\" }",
            "{ median = \"2ms\", p99 = \"1ms\" }",
            "{ median = \"0s\", p99 = \"1ms\" }",
        ] {
            assert!(read(text).check().is_err(), "{text}");
        }
        assert!(toml::from_str::<Of>("latency = 5").is_err());
        let unknown = toml::from_str::<Of>("latency = { mni = \"1ms\" }").unwrap_err();
        assert!(unknown.to_string().contains("unknown field `mni`"), "{unknown}");
    }
}
