//! The numbers that every consumer shows, under names that docs/METRICS.md lists.
//!
//! Read at each scrape from the buffer and the counters themselves, so that nothing can be forgotten to be set. No label
//! names a stream, a user, a metric or an event.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
};

use crate::{buffer::Buffer, flush::FlushCounts};

/// The body of one scrape.
pub(crate) struct Page<'a>(pub(crate) DescriptorEncoder<'a>);

impl Page<'_> {
    /// A counter; the encoding adds `_total`.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        let encoder = self.0.encode_descriptor(name, help, None, counter.metric_type())?;
        counter.encode(encoder)
    }

    /// A gauge.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        let encoder = self.0.encode_descriptor(name, help, None, gauge.metric_type())?;
        gauge.encode(encoder)
    }

    /// A gauge by the values of one label.
    pub(crate) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, f64)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (which, value) in values {
            let gauge = ConstGauge::new(*value);
            gauge.encode(family.encode_family(&[(label, *which)])?)?;
        }
        Ok(())
    }

    /// A counter by the values of one label.
    pub(crate) fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (which, value) in values {
            let counter = ConstCounter::new(value);
            counter.encode(family.encode_family(&[(label, which)])?)?;
        }
        Ok(())
    }
}

/// What every consumer shows.
#[derive(Debug)]
pub(crate) struct ConsumerMetrics {
    pub(crate) kind: &'static str,
    pub(crate) policy: String,
    pub(crate) workers: usize,
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) flush: Arc<FlushCounts>,
}

impl Collector for ConsumerMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let info = Info::new(vec![("kind", self.kind.to_owned()), ("policy", self.policy.clone())]);
        let about = page.0.encode_descriptor("weir_consumer", "What it is", None, info.metric_type())?;
        info.encode(about)?;
        let buffer = self.buffer.numbers();
        let gauge = |value: u64| value as f64;
        page.gauge("weir_consumer_workers", "Threads that serve", gauge(self.workers as u64))?;
        page.gauge(
            "weir_consumer_workers_blocked",
            "Workers that wait for room in the buffer and serve nobody",
            gauge(buffer.blocked_now),
        )?;
        page.gauge("weir_consumer_buffer_entries", "Entries in the buffer", gauge(buffer.entries))?;
        page.gauge("weir_consumer_buffer_entries_max", "Entries that it holds", gauge(buffer.capacity))?;
        page.gauge(
            "weir_consumer_buffer_entries_high_water",
            "The most entries that it held",
            gauge(buffer.high_water),
        )?;
        page.counter("weir_consumer_buffer_dropped", "Entries lost", buffer.dropped)?;
        page.counter("weir_consumer_buffer_spilled", "Entries written aside", buffer.spilled)?;
        page.counter("weir_consumer_buffer_blocked_pushes", "Pushes that waited", buffer.blocked_pushes)?;
        page.gauge("weir_consumer_spill_entries", "Entries in the spill file", gauge(buffer.spill_entries))?;
        page.gauge("weir_consumer_spill_bytes", "Bytes of the spill file", gauge(buffer.spill_bytes))?;
        let flush = |count: &AtomicU64| count.load(Ordering::Relaxed);
        page.gauge("weir_consumer_entries_in_hand", "Entries being sent", gauge(flush(&self.flush.in_hand)))?;
        page.counter("weir_consumer_entries_sent", "Entries in the stream", flush(&self.flush.sent))?;
        page.counter(
            "weir_consumer_sends_failed",
            "Attempts that left entries behind",
            flush(&self.flush.failed_attempts),
        )
    }
}

/// What a consumer that reads its stream back shows of that.
#[derive(Debug, Default)]
pub(crate) struct ReadCounts {
    /// Its own records.
    pub(crate) records: AtomicU64,
    /// Records that are none of its own.
    pub(crate) foreign: AtomicU64,
    /// Reads that failed.
    pub(crate) failed: AtomicU64,
}

impl ReadCounts {
    /// Adds them to the scrape of their service.
    pub(crate) fn tell(&self, page: &mut Page<'_>) -> fmt::Result {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        page.counter("weir_consumer_records_read", "Its records that came back", count(&self.records))?;
        page.counter("weir_consumer_records_foreign", "Records of somebody else", count(&self.foreign))?;
        page.counter("weir_consumer_reads_failed", "Reads that failed", count(&self.failed))
    }
}
