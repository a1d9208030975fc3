//! Counts requests, how long they take and how many there are at once.
//!
//! Every counter is there from the start, so that a request costs a few atomic additions. Of the thousand and more of
//! operations and outcomes only those that were counted are shown: every server of a fleet is scraped each window.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{
        MetricType, TypedMetric,
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use weir_core::clock::{Clock, Monotonic};
use weir_wire::kinesis::{error::ErrorCode, operation::Operation};

use crate::faults::Effect;

/// The label of requests that name no operation.
const UNKNOWN: &str = "Unknown";
/// The label of requests that were served.
const OK: &str = "OK";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EffectLabels {
    effect: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

/// The metrics of requests.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    clock: Clock,
    outcomes: Arc<Outcomes>,
    in_flight: Gauge,
    subscriptions: Gauge,
    records_in: Counter,
    bytes_in: Counter,
    records_out: Counter,
    bytes_out: Counter,
    throttled_records: Counter,
    failed_records: Counter,
    faults: Family<EffectLabels, Counter>,
}

impl RequestMetrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &mut Registry, clock: Clock) -> Self {
        let outcomes = Arc::new(Outcomes::new());
        let requests = RequestsShown(Arc::clone(&outcomes));
        registry.register("weir_frontend_requests", "Requests by operation and outcome", requests);
        registry.register_with_unit(
            "weir_frontend_request_duration",
            "Time from a request's whole body to its answer",
            Unit::Seconds,
            DurationsShown(Arc::clone(&outcomes)),
        );
        let counter = |registry: &mut Registry, name, help| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let faults: Family<EffectLabels, Counter> = Family::default();
        for effect in Effect::ALL {
            drop(faults.get_or_create(&EffectLabels { effect: effect.name() }));
        }
        registry.register(
            "weir_frontend_faults_injected",
            "What rules of faults have done to calls, by effect",
            faults.clone(),
        );
        let in_flight = Gauge::default();
        registry.register("weir_frontend_requests_in_flight", "Requests being served", in_flight.clone());
        let subscriptions = Gauge::default();
        registry.register(
            "weir_frontend_subscriptions",
            "Subscriptions to shards being served",
            subscriptions.clone(),
        );
        Self {
            clock,
            outcomes,
            in_flight,
            subscriptions,
            records_in: counter(registry, "weir_frontend_records_in", "Records stored"),
            bytes_in: counter(registry, "weir_frontend_bytes_in", "Bytes of data and keys stored"),
            records_out: counter(registry, "weir_frontend_records_out", "Records given out"),
            bytes_out: counter(registry, "weir_frontend_bytes_out", "Bytes of data and keys given out"),
            throttled_records: counter(
                registry,
                "weir_frontend_records_throttled",
                "Records refused because their shard was over its limit",
            ),
            failed_records: counter(
                registry,
                "weir_frontend_records_failed",
                "Records of served calls that were not stored for another reason",
            ),
            faults,
        }
    }

    /// A request begins. It counts as in flight until the guard is dropped, even if it never gets an answer.
    pub(crate) fn begin(self: &Arc<Self>, operation: Option<Operation>) -> RequestGuard {
        self.in_flight.inc();
        RequestGuard { metrics: Arc::clone(self), operation, began: self.clock.now() }
    }

    /// A subscription begins. It counts until the guard is dropped.
    pub(crate) fn subscribed(&self) -> SubscriptionGuard {
        self.subscriptions.inc();
        SubscriptionGuard(self.subscriptions.clone())
    }

    /// Records were stored.
    pub(crate) fn stored(&self, records: usize, bytes: usize) {
        self.records_in.inc_by(records as u64);
        self.bytes_in.inc_by(bytes as u64);
    }

    /// Records were given out.
    pub(crate) fn given_out(&self, records: usize, bytes: usize) {
        self.records_out.inc_by(records as u64);
        self.bytes_out.inc_by(bytes as u64);
    }

    /// Records were refused by their shard's limits.
    pub(crate) fn throttled(&self, records: usize) {
        self.throttled_records.inc_by(records as u64);
    }

    /// A rule of faults has done this to a call.
    pub(crate) fn injected(&self, effect: Effect) {
        self.faults.get_or_create(&EffectLabels { effect: effect.name() }).inc();
    }

    /// Records failed.
    pub(crate) fn failed(&self, records: usize) {
        self.failed_records.inc_by(records as u64);
    }
}

/// What became of requests.
#[derive(Debug)]
struct Outcomes {
    /// By operation (the last: unknown), then by code (the last: served).
    requests: Vec<Vec<Counter>>,
    /// By operation (the last: unknown).
    durations: Vec<Histogram>,
}

impl Outcomes {
    fn new() -> Self {
        let row = |_| codes().map(|_| Counter::default()).collect();
        let duration = |_| Histogram::new(exponential_buckets(50e-6, 2.0, 19));
        Self { requests: operations().map(row).collect(), durations: operations().map(duration).collect() }
    }

    fn count(&self, operation: Option<Operation>, code: Option<ErrorCode>, took: Duration) {
        let unknown = Operation::ALL.len();
        let row = operation.map_or(unknown, |operation| position(Operation::ALL, operation));
        let column = code.map_or(ErrorCode::ALL.len(), |code| position(&ErrorCode::ALL, code));
        self.requests[row][column].inc();
        self.durations[row].observe(took.as_secs_f64());
    }
}

/// [`Outcomes::requests`] as a metric: those that there were.
#[derive(Debug)]
struct RequestsShown(Arc<Outcomes>);

impl EncodeMetric for RequestsShown {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (operation, row) in operations().zip(&self.0.requests) {
            for (code, counter) in codes().zip(row).filter(|(_, counter)| counter.get() > 0) {
                counter.encode(encoder.encode_family(&RequestLabels { operation, code })?)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        <Counter as TypedMetric>::TYPE
    }
}

/// [`Outcomes::durations`] as a metric: those of operations that were called.
#[derive(Debug)]
struct DurationsShown(Arc<Outcomes>);

impl EncodeMetric for DurationsShown {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let called = |row: &[Counter]| row.iter().any(|counter| counter.get() > 0);
        let rows = operations().zip(&self.0.requests).zip(&self.0.durations);
        for ((operation, _), duration) in rows.filter(|((_, row), _)| called(row)) {
            duration.encode(encoder.encode_family(&OperationLabels { operation })?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        <Histogram as TypedMetric>::TYPE
    }
}

/// One subscription being served.
#[derive(Debug)]
pub(crate) struct SubscriptionGuard(Gauge);

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One request in flight.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    metrics: Arc<RequestMetrics>,
    operation: Option<Operation>,
    began: Monotonic,
}

impl RequestGuard {
    /// The request has its answer: none for a served one, else the error's code.
    pub(crate) fn end(self, code: Option<ErrorCode>) {
        let took = self.metrics.clock.now().since(self.began);
        self.metrics.outcomes.count(self.operation, code, took);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

/// The labels of operations, in the order of the counters.
fn operations() -> impl Iterator<Item = &'static str> {
    Operation::ALL.iter().map(|operation| operation.name()).chain([UNKNOWN])
}

/// The labels of codes, in the order of the counters.
fn codes() -> impl Iterator<Item = &'static str> {
    ErrorCode::ALL.into_iter().map(ErrorCode::name).chain([OK])
}

fn position<T: Copy + PartialEq>(all: &[T], one: T) -> usize {
    all.iter().position(|other| *other == one).expect("it is one of all")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_request_is_counted_by_operation_and_outcome_and_leaves_nothing_in_flight() {
        let mut registry = Registry::default();
        let metrics = Arc::new(RequestMetrics::new(&mut registry, Clock::new()));
        metrics.begin(Some(Operation::PutRecords)).end(None);
        metrics.begin(Some(Operation::PutRecords)).end(Some(ErrorCode::Validation));
        metrics.begin(None).end(Some(ErrorCode::UnknownOperation));
        drop(metrics.begin(None)); // a client that went away
        let text = text(&registry);
        for line in [
            "weir_frontend_requests_total{operation=\"PutRecords\",code=\"OK\"} 1\n",
            "weir_frontend_requests_total{operation=\"PutRecords\",code=\"ValidationException\"} 1\n",
            "weir_frontend_requests_total{operation=\"Unknown\",code=\"UnknownOperationException\"} 1\n",
            "weir_frontend_request_duration_seconds_count{operation=\"PutRecords\"} 2\n",
            "weir_frontend_requests_in_flight 0\n",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
    }

    #[test]
    fn only_what_was_counted_is_shown() {
        let mut registry = Registry::default();
        let metrics = Arc::new(RequestMetrics::new(&mut registry, Clock::new()));
        let shown = |registry| {
            let text = text(registry);
            let lines = text.lines().filter(|line| line.starts_with("weir_frontend_request"));
            lines.filter(|line| line.contains("operation=")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(shown(&registry), [""; 0]);
        metrics.begin(Some(Operation::PutRecord)).end(None);
        let lines = shown(&registry);
        assert!(lines.iter().all(|line| line.contains("operation=\"PutRecord\"")), "{lines:#?}");
        let of = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
        assert_eq!(of("weir_frontend_requests_total"), 1);
        assert_eq!(of("weir_frontend_request_duration_seconds_count"), 1);
        assert_eq!(of("weir_frontend_request_duration_seconds_bucket"), 20);
    }

    #[test]
    fn the_document_names_exactly_these_metrics() {
        let document = include_str!("../../../../docs/METRICS.md");
        let section = document
            .split("\n## ")
            .find(|section| section.starts_with("Front end: requests"))
            .expect("docs/METRICS.md has a section of its own for them");
        let documented: BTreeSet<&str> =
            section.split('`').filter(|word| word.starts_with("weir_frontend_")).collect();
        let mut registry = Registry::default();
        let _metrics = RequestMetrics::new(&mut registry, Clock::new());
        let text = text(&registry);
        let types: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
            .collect();
        assert_eq!(documented, types.iter().map(String::as_str).collect());
    }
}
