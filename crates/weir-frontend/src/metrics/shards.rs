//! Enhanced monitoring: what the shards of streams did whose owners have enabled shard-level metrics.
//!
//! Operations count here; the admin listener reads at the scrape. It is the one place where labels name a stream: only
//! where its owner wishes it, and of at most [`MONITORED_SHARDS_MAX`] shards. A stream that is not monitored costs one look
//! at a flag, or at a map of those that are.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::MetricType,
    registry::Registry,
};
use weir_core::{
    id::{ShardIndex, ShardKey, StreamId},
    limits::MONITORED_SHARDS_MAX,
    monitoring::{ShardLevelMetric, ShardLevelMetrics},
};
use weir_wire::control::StreamSettings;

use crate::lookup::stream_arn;

/// The counts of all monitored shards.
#[derive(Debug, Default)]
pub(crate) struct ShardMetrics {
    /// Is any stream monitored?
    any: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    streams: HashMap<StreamId, Monitored>,
    /// Shards of all streams here.
    shards: usize,
    /// Counts that were not kept because there are as many shards as there may be.
    unkept: u64,
}

#[derive(Debug)]
struct Monitored {
    arn: String,
    enabled: ShardLevelMetrics,
    shards: BTreeMap<ShardIndex, ShardCounts>,
}

#[derive(Debug, Default, Clone, Copy)]
struct ShardCounts {
    incoming_bytes: u64,
    incoming_records: u64,
    outgoing_bytes: u64,
    outgoing_records: u64,
    write_throttled_records: u64,
    read_throttled_calls: u64,
    iterator_age_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabels {
    stream: String,
    shard: String,
}

impl ShardMetrics {
    /// Registers every name.
    pub(crate) fn new(registry: &mut Registry) -> Arc<Self> {
        let metrics = Arc::new(Self::default());
        registry.register_collector(Box::new(Arc::clone(&metrics)));
        metrics
    }

    /// Which streams are monitored from now on. What was counted of those that still are goes on.
    pub(crate) fn adopt(&self, settings: &[StreamSettings]) {
        let wanted = settings.iter().filter(|settings| !settings.metrics.is_empty());
        let mut table = self.table.lock();
        let mut before = std::mem::take(&mut table.streams);
        table.streams = wanted
            .map(|settings| {
                let kept = before.remove(&settings.id).map_or_else(BTreeMap::new, |kept| kept.shards);
                let arn = stream_arn(&settings.stream);
                (settings.id, Monitored { arn, enabled: settings.metrics, shards: kept })
            })
            .collect();
        table.shards = table.streams.values().map(|stream| stream.shards.len()).sum();
        self.any.store(!table.streams.is_empty(), Ordering::Relaxed);
    }

    /// A record of so many bytes was stored.
    pub(crate) fn stored(&self, shard: ShardKey, bytes: usize) {
        self.count(shard, |counts| {
            counts.incoming_records += 1;
            counts.incoming_bytes += bytes as u64;
        });
    }

    /// A record was refused because its shard was over its limit.
    pub(crate) fn write_throttled(&self, shard: ShardKey) {
        self.count(shard, |counts| counts.write_throttled_records += 1);
    }

    /// A read gave out so much, and its last record was so old; 0 when there is nothing newer.
    pub(crate) fn given_out(&self, shard: ShardKey, records: usize, bytes: usize, age_ms: u64) {
        self.count(shard, |counts| {
            counts.outgoing_records += records as u64;
            counts.outgoing_bytes += bytes as u64;
            counts.iterator_age_ms = age_ms;
        });
    }

    /// A read was refused because its shard was over its limit.
    pub(crate) fn read_throttled(&self, shard: ShardKey) {
        self.count(shard, |counts| counts.read_throttled_calls += 1);
    }

    fn count(&self, shard: ShardKey, change: impl FnOnce(&mut ShardCounts)) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut table = self.table.lock();
        let Table { streams, shards, unkept } = &mut *table;
        let Some(stream) = streams.get_mut(&shard.stream) else { return };
        match stream.shards.get_mut(&shard.shard) {
            Some(counts) => change(counts),
            None if *shards < MONITORED_SHARDS_MAX => {
                *shards += 1;
                change(stream.shards.entry(shard.shard).or_default());
            }
            None => *unkept += 1,
        }
    }
}

impl Collector for ShardMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let table = self.table.lock();
        for metric in ShardLevelMetric::ALL {
            let (name, help, kind) = described(metric);
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for stream in table.streams.values().filter(|stream| stream.enabled.has(metric)) {
                for (shard, counts) in &stream.shards {
                    let labels = ShardLabels { stream: stream.arn.clone(), shard: shard.to_string() };
                    let mut line = family.encode_family(&labels)?;
                    match metric {
                        ShardLevelMetric::IteratorAgeMilliseconds => {
                            line.encode_gauge(&(counts.iterator_age_ms as f64 / 1_000.0))?;
                        }
                        _ => line.encode_counter::<ShardLabels, _, u64>(&counts.of(metric), None)?,
                    }
                }
            }
        }
        let (name, help) =
            ("weir_frontend_shard_counts_unkept", "Counts of more monitored shards than are kept");
        let mut line = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        line.encode_counter::<ShardLabels, _, u64>(&table.unkept, None)
    }
}

impl ShardCounts {
    fn of(&self, metric: ShardLevelMetric) -> u64 {
        match metric {
            ShardLevelMetric::IncomingBytes => self.incoming_bytes,
            ShardLevelMetric::IncomingRecords => self.incoming_records,
            ShardLevelMetric::OutgoingBytes => self.outgoing_bytes,
            ShardLevelMetric::OutgoingRecords => self.outgoing_records,
            ShardLevelMetric::WriteProvisionedThroughputExceeded => self.write_throttled_records,
            ShardLevelMetric::ReadProvisionedThroughputExceeded => self.read_throttled_calls,
            ShardLevelMetric::IteratorAgeMilliseconds => self.iterator_age_ms,
        }
    }
}

/// Name, help and kind of a metric; counters get their `_total` from the encoder.
const fn described(metric: ShardLevelMetric) -> (&'static str, &'static str, MetricType) {
    match metric {
        ShardLevelMetric::IncomingBytes => {
            ("weir_frontend_shard_incoming_bytes", "Bytes of data and keys stored", MetricType::Counter)
        }
        ShardLevelMetric::IncomingRecords => {
            ("weir_frontend_shard_incoming_records", "Records stored", MetricType::Counter)
        }
        ShardLevelMetric::OutgoingBytes => {
            ("weir_frontend_shard_outgoing_bytes", "Bytes of data and keys given out", MetricType::Counter)
        }
        ShardLevelMetric::OutgoingRecords => {
            ("weir_frontend_shard_outgoing_records", "Records given out", MetricType::Counter)
        }
        ShardLevelMetric::WriteProvisionedThroughputExceeded => (
            "weir_frontend_shard_write_throttled_records",
            "Records refused because the shard was over its limit",
            MetricType::Counter,
        ),
        ShardLevelMetric::ReadProvisionedThroughputExceeded => (
            "weir_frontend_shard_read_throttled_calls",
            "Reads refused because the shard was over its limit",
            MetricType::Counter,
        ),
        ShardLevelMetric::IteratorAgeMilliseconds => (
            "weir_frontend_shard_iterator_age_seconds",
            "Age of the last record of the last read, 0 at the tip",
            MetricType::Gauge,
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use weir_core::id::{AccountId, Region, StreamName, StreamRef};
    use weir_wire::control::Intake;

    use super::*;

    fn settings(id: u64, names: &[&str]) -> StreamSettings {
        let name = StreamName::new(format!("s-{id}"));
        StreamSettings {
            id: StreamId(id),
            stream: StreamRef { account: AccountId::DEFAULT, region: Region::US_EAST_1, name },
            encrypted_since_ms: None,
            intake: Intake::default(),
            metrics: ShardLevelMetrics::of_names(names.iter().copied()).unwrap(),
            policy: None,
            consumers: Vec::new(),
        }
    }

    fn key(stream: u64, shard: u32) -> ShardKey {
        ShardKey { stream: StreamId(stream), shard: ShardIndex(shard) }
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    fn lines(registry: &Registry) -> Vec<String> {
        let text = text(registry);
        text.lines().filter(|line| line.contains("{stream=")).map(str::to_owned).collect()
    }

    #[test]
    fn only_what_is_enabled_is_shown_and_it_goes_on_as_long_as_it_is() {
        let mut registry = Registry::default();
        let metrics = ShardMetrics::new(&mut registry);
        metrics.stored(key(1, 0), 10);
        metrics.adopt(&[settings(1, &["IncomingBytes", "IteratorAgeMilliseconds"]), settings(2, &[])]);
        metrics.stored(key(1, 3), 10);
        metrics.stored(key(1, 3), 5);
        metrics.stored(key(2, 0), 10);
        metrics.given_out(key(1, 3), 1, 10, 1_500);
        let labels =
            "stream=\"arn:aws:kinesis:us-east-1:000000000000:stream/s-1\",shard=\"shardId-000000000003\"";
        assert_eq!(
            lines(&registry),
            [
                format!("weir_frontend_shard_incoming_bytes_total{{{labels}}} 15"),
                format!("weir_frontend_shard_iterator_age_seconds{{{labels}}} 1.5"),
            ]
        );
        metrics.adopt(&[settings(1, &["IncomingBytes", "OutgoingRecords"])]);
        metrics.stored(key(1, 3), 1);
        assert_eq!(
            lines(&registry),
            [
                format!("weir_frontend_shard_incoming_bytes_total{{{labels}}} 16"),
                format!("weir_frontend_shard_outgoing_records_total{{{labels}}} 1"),
            ]
        );
        metrics.adopt(&[]);
        assert_eq!(lines(&registry), [""; 0]);
    }

    #[test]
    fn no_more_shards_are_kept_than_there_may_be() {
        let mut registry = Registry::default();
        let metrics = ShardMetrics::new(&mut registry);
        metrics.adopt(&[settings(1, &["ALL"])]);
        for shard in 0..MONITORED_SHARDS_MAX as u32 + 2 {
            metrics.write_throttled(key(1, shard));
        }
        metrics.read_throttled(key(1, 0));
        assert_eq!(lines(&registry).len(), 7 * MONITORED_SHARDS_MAX);
        assert!(text(&registry).contains("\nweir_frontend_shard_counts_unkept_total 2\n"));
        metrics.adopt(&[settings(2, &["ALL"])]);
        metrics.stored(key(2, 0), 1);
        assert_eq!(lines(&registry).len(), 7, "there is room again");
    }

    #[test]
    fn the_document_names_exactly_these_metrics() {
        let document = include_str!("../../../../docs/METRICS.md");
        let section =
            document.split("\n## ").find(|section| section.starts_with("Front end: monitored shards"));
        let section = section.expect("docs/METRICS.md has a section of its own for them");
        let documented: BTreeSet<&str> =
            section.split('`').filter(|word| word.starts_with("weir_frontend_")).collect();
        let mut registry = Registry::default();
        let metrics = ShardMetrics::new(&mut registry);
        metrics.adopt(&[settings(1, &["ALL"])]);
        metrics.stored(key(1, 0), 1);
        let text = text(&registry);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let exported: BTreeSet<&str> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
        assert_eq!(documented, exported);
    }
}
