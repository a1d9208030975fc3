//! The shard-level metrics of enhanced monitoring, by Kinesis's names, and a set of them.
//!
//! Told by the control plane for each stream, counted by front ends. Nothing here counts.

use serde::{Deserialize, Serialize};

/// One metric of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShardLevelMetric {
    /// Bytes of records that were stored.
    IncomingBytes,
    /// Records that were stored.
    IncomingRecords,
    /// Bytes of records that were read.
    OutgoingBytes,
    /// Records that were read.
    OutgoingRecords,
    /// Records that were refused because the shard was over its limit.
    WriteProvisionedThroughputExceeded,
    /// Reads that were refused because the shard was over its limit.
    ReadProvisionedThroughputExceeded,
    /// Age of the last record of a read.
    IteratorAgeMilliseconds,
}

impl ShardLevelMetric {
    /// All of them, in the order of the service model.
    pub const ALL: [Self; 7] = [
        Self::IncomingBytes,
        Self::IncomingRecords,
        Self::OutgoingBytes,
        Self::OutgoingRecords,
        Self::WriteProvisionedThroughputExceeded,
        Self::ReadProvisionedThroughputExceeded,
        Self::IteratorAgeMilliseconds,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IncomingBytes => "IncomingBytes",
            Self::IncomingRecords => "IncomingRecords",
            Self::OutgoingBytes => "OutgoingBytes",
            Self::OutgoingRecords => "OutgoingRecords",
            Self::WriteProvisionedThroughputExceeded => "WriteProvisionedThroughputExceeded",
            Self::ReadProvisionedThroughputExceeded => "ReadProvisionedThroughputExceeded",
            Self::IteratorAgeMilliseconds => "IteratorAgeMilliseconds",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Text that names no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no shard-level metric")]
pub struct MetricNameError(String);

/// Some of the metrics; a list of their names in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ShardLevelMetrics(u8);

impl ShardLevelMetrics {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// The metrics of these names; `ALL` is every one.
    pub fn of_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, MetricNameError> {
        let mut set = Self::NONE;
        for name in names {
            let named =
                ShardLevelMetric::ALL.into_iter().filter(|metric| name == "ALL" || metric.name() == name);
            let bits = named.fold(0, |bits, metric| bits | metric.bit());
            if bits == 0 {
                return Err(MetricNameError(name.to_owned()));
            }
            set.0 |= bits;
        }
        Ok(set)
    }

    /// Is it one of them?
    pub const fn has(self, metric: ShardLevelMetric) -> bool {
        self.0 & metric.bit() != 0
    }

    /// Is there none?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These but not those.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// One by one, in the order of the service model.
    pub fn iter(self) -> impl Iterator<Item = ShardLevelMetric> {
        ShardLevelMetric::ALL.into_iter().filter(move |metric| self.has(*metric))
    }
}

impl TryFrom<Vec<String>> for ShardLevelMetrics {
    type Error = MetricNameError;
    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        Self::of_names(names.iter().map(String::as_str))
    }
}

impl From<ShardLevelMetrics> for Vec<String> {
    fn from(metrics: ShardLevelMetrics) -> Self {
        metrics.iter().map(|metric| metric.name().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_grows_shrinks_and_reads_back_what_it_prints() {
        let all = ShardLevelMetrics::of_names(["ALL"]).unwrap();
        assert!(all.iter().eq(ShardLevelMetric::ALL));
        let incoming = ShardLevelMetrics::of_names(["IncomingRecords", "IncomingBytes"]).unwrap();
        assert_eq!(Vec::<String>::from(incoming), ["IncomingBytes", "IncomingRecords"]);
        let rest = all.without(incoming);
        assert!(!rest.has(ShardLevelMetric::IncomingBytes) && rest.has(ShardLevelMetric::OutgoingBytes));
        assert_eq!(rest.with(incoming), all);
        for set in [all, incoming, rest, ShardLevelMetrics::NONE] {
            assert_eq!(ShardLevelMetrics::try_from(Vec::<String>::from(set)), Ok(set));
        }
        assert!(ShardLevelMetrics::of_names(["incomingbytes"]).is_err());
    }
}
