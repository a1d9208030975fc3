//! The limits as somebody has chosen them: AWS's, but for those that were set, scaled or lifted.
//!
//! Made by the command line or read from a control plane's configuration, carried to every front end, so that a fleet keeps
//! one set of numbers. Written down only where it differs from AWS's.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use weir_core::{
    nearest::nearest,
    units::{ByteRate, Rate},
};

use super::{Description, Family, Limit, PER_SECOND_GRAIN, Unit, VALUE_MAX};

/// The word for a limit that is not kept.
const LIFTED: &str = "off";

/// A limit's value, in its unit; `None` is none at all.
pub type Value = Option<u64>;

/// The limits that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BTreeMap<String, String>", try_from = "BTreeMap<String, String>")]
pub struct ServiceLimits {
    /// Those that are not AWS's.
    changed: BTreeMap<Limit, Value>,
}

/// Why a limit cannot be set so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no `=`.
    #[error("{0:?} sets nothing: write NAME=VALUE, as CreateStream=20/s or shard-write-bytes=4MiB/s")]
    NoValue(String),
    /// Nobody knows the name.
    #[error(
        "there is no limit {name:?}{}; `weir serve --list-limits` shows all",
        .nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"))
    )]
    Unknown {
        /// What was written.
        name: String,
        /// The name most like it.
        nearest: Option<String>,
    },
    /// The value is none of that limit.
    #[error("{name}={value:?}: write {mend}, or off")]
    Value {
        /// The limit.
        name: String,
        /// What was written.
        value: String,
        /// What to write.
        mend: &'static str,
    },
    /// The factor makes no sense.
    #[error("limits cannot be scaled by {0}: write a number between 0.001 and 1000")]
    Scale(String),
}

impl ServiceLimits {
    /// Those of AWS for shards, and no others: what an experiment's fleet keeps, whose load must never wait for the rate
    /// of a call.
    pub fn of_shards() -> Self {
        let mut limits = Self::default();
        limits.lift(Family::Calls);
        limits.lift(Family::Quotas);
        limits
    }

    /// The value of a limit; `None`: it is not kept.
    pub fn get(&self, limit: Limit) -> Value {
        match self.changed.get(&limit) {
            Some(value) => *value,
            None => limit.description().map(|described| described.default),
        }
    }

    /// How many there may be, for those who must have a bound.
    pub fn quota(&self, limit: Limit) -> usize {
        let max = limit.description().map_or(u64::MAX, |described| described.max);
        usize::try_from(self.get(limit).unwrap_or(max)).unwrap_or(usize::MAX)
    }

    /// Is any limit of a family kept?
    pub fn keeps(&self, family: Family) -> bool {
        self.changed.is_empty()
            || Limit::all()
                .iter()
                .any(|(limit, described)| described.family == family && self.get(*limit).is_some())
    }

    /// Sets one limit.
    pub fn set(&mut self, limit: Limit, value: Value) {
        if limit.description().is_some_and(|described| value == Some(described.default)) {
            self.changed.remove(&limit);
        } else {
            self.changed.insert(limit, value);
        }
    }

    /// Keeps none of a family.
    pub fn lift(&mut self, family: Family) {
        for (limit, _) in Limit::all().iter().filter(|(_, described)| described.family == family) {
            self.set(*limit, None);
        }
    }

    /// Multiplies every limit that is kept. None becomes less than one of its grains, none more than can be counted.
    ///
    /// # Errors
    /// When the factor is not between a thousandth and a thousand.
    pub fn scale(&mut self, factor: f64) -> Result<(), LimitError> {
        if !(0.001..=1_000.0).contains(&factor) {
            return Err(LimitError::Scale(factor.to_string()));
        }
        for (limit, described) in Limit::all() {
            if let Some(value) = self.get(limit) {
                let scaled = (value as f64 * factor).round() as u64;
                self.set(limit, Some(scaled.clamp(1, described.max)));
            }
        }
        Ok(())
    }

    /// Takes over what somebody has written.
    pub fn assign(&mut self, assignment: &Assignment) {
        self.set(assignment.limit, assignment.value);
    }
}

/// `NAME=VALUE`, as the command line takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    limit: Limit,
    value: Value,
}

impl FromStr for Assignment {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or_else(|| LimitError::NoValue(text.to_owned()))?;
        let (name, value) = (name.trim(), value.trim());
        let all = Limit::all();
        let Some((limit, described)) = all.iter().find(|(_, described)| described.name == name) else {
            let nearest = nearest(name, all.iter().map(|(_, described)| described.name));
            return Err(LimitError::Unknown { name: name.to_owned(), nearest });
        };
        Ok(Self { limit: *limit, value: described.read(value)? })
    }
}

impl Description {
    /// A value of this limit, as people write it.
    pub fn show(&self, value: Value) -> String {
        match (value, self.unit) {
            (None, _) => LIFTED.to_owned(),
            (Some(value), Unit::PerSecond) => Rate(value as f64 / PER_SECOND_GRAIN as f64).to_string(),
            (Some(value), Unit::BytesPerSecond) => ByteRate(value).to_string(),
            (Some(value), Unit::Count) => value.to_string(),
        }
    }

    fn read(&self, text: &str) -> Result<Value, LimitError> {
        if text == LIFTED {
            return Ok(None);
        }
        let (value, mend) = match self.unit {
            Unit::PerSecond => (
                text.parse().ok().map(|Rate(rate)| (rate * PER_SECOND_GRAIN as f64).round() as u64),
                "a rate between 0.001/s and 1000000/s",
            ),
            Unit::BytesPerSecond => (
                text.parse().ok().map(|ByteRate(bytes)| bytes),
                "a rate of bytes between 1B/s and 1000MB/s, as 4MiB/s",
            ),
            Unit::Count if self.max < VALUE_MAX => (text.parse().ok(), "a whole number between 1 and 10000"),
            Unit::Count => (text.parse().ok(), "a whole number between 1 and 1000000000"),
        };
        match value.filter(|value| (1..=self.max).contains(value)) {
            Some(value) => Ok(Some(value)),
            None => Err(LimitError::Value { name: self.name.to_owned(), value: text.to_owned(), mend }),
        }
    }
}

impl From<ServiceLimits> for BTreeMap<String, String> {
    fn from(limits: ServiceLimits) -> Self {
        let shown = limits.changed.into_iter().filter_map(|(limit, value)| {
            limit.description().map(|described| (described.name.to_owned(), described.show(value)))
        });
        shown.collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for ServiceLimits {
    type Error = LimitError;

    fn try_from(written: BTreeMap<String, String>) -> Result<Self, LimitError> {
        let mut limits = Self::default();
        for (name, value) in written {
            limits.assign(&format!("{name}={value}").parse()?);
        }
        Ok(limits)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shards => "shards",
            Self::Calls => "calls",
            Self::Quotas => "quotas",
        })
    }
}

impl fmt::Display for super::Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Stream => "stream",
            Self::Shard => "shard",
            Self::ConsumerAndShard => "consumer and shard",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinesis::operation::Operation;

    fn set(text: &str) -> ServiceLimits {
        let mut limits = ServiceLimits::default();
        limits.assign(&text.parse().unwrap());
        limits
    }

    #[test]
    fn a_limit_is_aws_own_until_it_is_set() {
        let create = Limit::Calls(Operation::CreateStream);
        assert_eq!(ServiceLimits::default().get(create), Some(5_000));
        assert_eq!(set("CreateStream=0.5/s").get(create), Some(500));
        assert_eq!(set("CreateStream=off").get(create), None);
        assert_eq!(set("shard-write-bytes=4MiB/s").get(Limit::ShardWriteBytes), Some(4 << 20));
        assert_eq!(
            set("shard-count-updates=off").quota(Limit::ShardCountUpdates),
            10_000,
            "a bound all the same"
        );
        assert_eq!(set("account-shards=7").get(Limit::AccountShards), Some(7));
        assert_eq!(ServiceLimits::default().get(Limit::Calls(Operation::PutRecords)), None);
    }

    #[test]
    fn what_cannot_be_set_is_told_with_its_mend() {
        let told = |text: &str| text.parse::<Assignment>().unwrap_err().to_string();
        assert!(told("CreateStrem=5/s").contains("did you mean \"CreateStream\"?"));
        assert!(told("PutRecords=5/s").contains("there is no limit \"PutRecords\""));
        assert!(told("CreateStream").contains("NAME=VALUE"));
        assert!(told("CreateStream=5").contains("0.001/s"));
        assert!(told("CreateStream=0/s").contains("or off"));
        assert!(told("shard-write-bytes=9/s").contains("4MiB/s"));
        assert!(told("account-shards=-1").contains("whole number"));
        assert!(told("encryption-changes=10001").contains("between 1 and 10000"));
    }

    #[test]
    fn a_scale_moves_what_is_kept_and_leaves_what_is_lifted() {
        let mut limits = set("ListStreams=off");
        limits.scale(0.1).unwrap();
        assert_eq!(limits.get(Limit::Calls(Operation::DescribeStream)), Some(1_000));
        assert_eq!(limits.get(Limit::StreamsInTransition), Some(1), "half a stream is one");
        assert_eq!(limits.get(Limit::Calls(Operation::ListStreams)), None);
        assert!(limits.scale(0.0).is_err());
        assert!(limits.scale(f64::NAN).is_err());
    }

    #[test]
    fn limits_read_back_what_they_write_and_write_only_what_differs() {
        let mut limits = ServiceLimits::of_shards();
        limits.assign(&"shard-read-bytes=3MiB/s".parse().unwrap());
        limits.assign(&"CreateStream=2.5/s".parse().unwrap());
        let written = serde_json::to_value(&limits).unwrap();
        assert_eq!(written["shard-read-bytes"], "3MiB/s");
        assert_eq!(written["CreateStream"], "2.5/s");
        assert_eq!(written["ListStreams"], "off");
        assert_eq!(written.get("shard-write-bytes"), None);
        assert_eq!(serde_json::from_value::<ServiceLimits>(written).unwrap(), limits);
        assert_eq!(serde_json::to_string(&ServiceLimits::default()).unwrap(), "{}");
        let wrong = serde_json::from_str::<ServiceLimits>(r#"{"CreateStrem": "1/s"}"#).unwrap_err();
        assert!(wrong.to_string().contains("did you mean"), "{wrong}");
    }
}
