//! Counts requests, how long they take and how many there are at once.
//!
//! Every counter is looked up once, at start; a request costs a few atomic additions.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
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
    /// By operation (the last: unknown), then by code (the last: served).
    requests: Vec<Vec<Counter>>,
    /// By operation (the last: unknown).
    durations: Vec<Histogram>,
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
        let requests: Family<RequestLabels, Counter> = Family::default();
        let durations: Family<OperationLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(50e-6, 2.0, 19)));
        registry.register("weir_frontend_requests", "Requests by operation and outcome", requests.clone());
        registry.register_with_unit(
            "weir_frontend_request_duration",
            "Time from a request's whole body to its answer",
            Unit::Seconds,
            durations.clone(),
        );
        let operations = || Operation::ALL.iter().map(|operation| operation.name()).chain([UNKNOWN]);
        let codes = || ErrorCode::ALL.into_iter().map(ErrorCode::name).chain([OK]);
        let row = |operation| {
            codes().map(|code| requests.get_or_create(&RequestLabels { operation, code }).clone()).collect()
        };
        let duration = |operation| durations.get_or_create(&OperationLabels { operation }).clone();
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
            requests: operations().map(row).collect(),
            durations: operations().map(duration).collect(),
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
        let metrics = &self.metrics;
        let unknown = Operation::ALL.len();
        let row = self.operation.map_or(unknown, |operation| position(Operation::ALL, operation));
        let column = code.map_or(ErrorCode::ALL.len(), |code| position(&ErrorCode::ALL, code));
        metrics.requests[row][column].inc();
        metrics.durations[row].observe(metrics.clock.now().since(self.began).as_secs_f64());
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
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
