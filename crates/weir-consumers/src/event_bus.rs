//! Events through the stream to the targets of matching rules: the event bus.
//!
//! It needs the stream for everything: what was taken in and is not delivered yet is its backlog, whether it lies in the
//! buffer, in the spill file, in the stream or before the targets. Targets take a bounded number of events a second, so
//! that a backlog of n drains in n / (that rate - what comes in) once the stream is back, oldest or newest first. At
//! least once; what its own life has delivered already is not delivered again.

mod backlog;
mod dispatch;
mod progress;
mod reader;
mod rule;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::histogram::Histogram,
};
use serde::{Deserialize, Serialize};
use weir_client::consumer::Consumer;
use weir_core::{
    clock::{Clock, WallMs},
    id::ServerName,
};
use weir_sync::Shutdown;
use weir_wire::http::server::ResponseBody;

use self::{
    backlog::Backlog,
    dispatch::{DELIVERY_RATE_MAX, DELIVERY_RATE_MIN},
    reader::BusReader,
};
pub use self::{
    dispatch::{DeliveryOrder, OrderError},
    rule::{Rule, RuleError},
};
use crate::{
    buffer::Pushed,
    config::{ConfigError, rule as check},
    metrics::{Page, ReadCounts},
    outbox::Outbox,
    service::{Service, Trouble, WorkerIndex, json, refuse},
};

/// Events of one call (EventBridge's own bound).
const EVENTS_PER_CALL_MAX: usize = 10;
/// Bytes of one call (EventBridge's own bound, 256 KB an entry or call).
const CALL_BYTES_MAX: usize = 256 * 1_024;
/// Rules of one bus (EventBridge's own bound).
const RULES_MAX: usize = 300;
/// Delivery lags are counted in these steps, seconds.
const LAG_BUCKETS: [f64; 13] =
    [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 300.0, 1_800.0, 14_400.0];

/// What only an event bus is told.
#[derive(Debug, Clone, PartialEq)]
pub struct EventBusConfig {
    /// Which events go to which targets; a target is named after its rule.
    pub rules: Vec<Rule>,
    /// What of a backlog is delivered first.
    pub order: DeliveryOrder,
    /// Events that the targets take in a second.
    pub deliveries_per_second: f64,
}

impl EventBusConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check((1..=RULES_MAX).contains(&self.rules.len()), "rules", || format!("write 1 to {RULES_MAX}"))?;
        let mut names: Vec<&str> = self.rules.iter().map(|rule| rule.name.as_str()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        check(twice.is_none(), "rules", || format!("two are named {:?}", twice.map(|pair| pair[0])))?;
        let rates = DELIVERY_RATE_MIN..=DELIVERY_RATE_MAX;
        check(rates.contains(&self.deliveries_per_second), "deliveries a second", || {
            format!("write a rate from {DELIVERY_RATE_MIN} to {DELIVERY_RATE_MAX}")
        })
    }
}

/// An event, as callers write it and as it goes through the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Event {
    /// Who says so.
    source: String,
    /// What kind of thing happened.
    kind: String,
    /// When it happened, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
}

/// The service.
#[derive(Debug)]
pub(crate) struct EventBus {
    config: EventBusConfig,
    name: ServerName,
    clock: Clock,
    outbox: Outbox,
    backlog: Mutex<Backlog>,
    targets: Vec<Target>,
    lag: Histogram,
    reads: ReadCounts,
    counts: BusCounts,
}

/// Where the events of one rule go: it counts them.
#[derive(Debug)]
struct Target {
    name: String,
    delivered: AtomicU64,
}

#[derive(Debug, Default)]
struct BusCounts {
    taken: AtomicU64,
    refused: AtomicU64,
    delivered: AtomicU64,
    unmatched: AtomicU64,
    repeated: AtomicU64,
    /// Events that were read and wait for their turn.
    pending: AtomicU64,
}

#[derive(Deserialize)]
struct PutEvents {
    events: Vec<Event>,
}

/// What became of a call's events, in their order.
#[derive(Serialize)]
struct PutAnswer {
    failed: usize,
    events: Vec<EventAnswer>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum EventAnswer {
    EventId(String),
    Error(&'static str),
}

impl EventBus {
    pub(crate) fn new(config: &EventBusConfig, clock: Clock, name: ServerName, outbox: Outbox) -> Self {
        let target = |rule: &Rule| Target { name: rule.name.clone(), delivered: AtomicU64::new(0) };
        Self {
            targets: config.rules.iter().map(target).collect(),
            config: config.clone(),
            name,
            clock,
            outbox,
            backlog: Mutex::default(),
            lag: Histogram::new(LAG_BUCKETS),
            reads: ReadCounts::default(),
            counts: BusCounts::default(),
        }
    }

    /// The reader's loop: out of the stream, by the rules, to the targets.
    pub(crate) async fn read(&self, consumer: Consumer, stop: Shutdown) {
        BusReader::new(self).run(consumer, stop).await;
    }

    fn put(&self, body: &[u8]) -> Response<ResponseBody> {
        if body.len() > CALL_BYTES_MAX {
            return refuse(Trouble::LimitExceeded, format!("at most {CALL_BYTES_MAX} bytes in one call"));
        }
        let put: PutEvents = match serde_json::from_slice(body) {
            Ok(put) => put,
            Err(error) => return refuse(Trouble::Malformed, error.to_string()),
        };
        if !(1..=EVENTS_PER_CALL_MAX).contains(&put.events.len()) {
            return refuse(Trouble::LimitExceeded, format!("write 1 to {EVENTS_PER_CALL_MAX} events"));
        }
        let events: Vec<EventAnswer> = put.events.into_iter().map(|event| self.take(event)).collect();
        let failed = events.iter().filter(|answer| matches!(answer, EventAnswer::Error(_))).count();
        if failed == events.len() {
            return refuse(Trouble::Unavailable, "the buffer is full");
        }
        json(StatusCode::OK, &PutAnswer { failed, events })
    }

    fn take(&self, event: Event) -> EventAnswer {
        let (number, at) = (self.outbox.number(), self.clock.wall());
        // Known before it is pushed: it may be delivered before the push returns.
        if !self.backlog.lock().taken(number, at) {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return EventAnswer::Error("the backlog is full");
        }
        let key = event.source.clone();
        match self.outbox.push_as(number, at, &key, event) {
            Pushed::Kept => {}
            Pushed::ReplacedOldest(oldest) => {
                self.backlog.lock().gone(oldest.number);
            }
            Pushed::Dropped | Pushed::Closed => {
                self.backlog.lock().gone(number);
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                return EventAnswer::Error("the buffer is full");
            }
        }
        self.counts.taken.fetch_add(1, Ordering::Relaxed);
        EventAnswer::EventId(format!("{:016x}-{number}", self.outbox.life()))
    }

    fn delivered(&self, targets: &[usize], taken_at: WallMs) {
        for target in targets {
            self.targets[*target].delivered.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.delivered.fetch_add(1, Ordering::Relaxed);
        let lag_ms = self.clock.wall().0.saturating_sub(taken_at.0);
        self.lag.observe(lag_ms as f64 / 1e3);
    }
}

impl Service for EventBus {
    fn answer(&self, _worker: WorkerIndex, request: &Request<Bytes>) -> Response<ResponseBody> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/put-events") => self.put(request.body()),
            _ => refuse(Trouble::UnknownOperation, "there is POST /put-events"),
        }
    }
}

impl Collector for EventBus {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let (waiting, oldest) = {
            let backlog = self.backlog.lock();
            (backlog.len(), backlog.oldest())
        };
        let oldest_ms = oldest.map_or(0, |at| self.clock.wall().0.saturating_sub(at.0));
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        page.gauge("weir_bus_backlog_entries", "Events taken in and not delivered", waiting as f64)?;
        page.gauge("weir_bus_lag_seconds", "Age of the oldest of them", oldest_ms as f64 / 1e3)?;
        page.gauge(
            "weir_bus_pending_entries",
            "Of them, read and before the targets",
            count(&counts.pending) as f64,
        )?;
        page.counter("weir_bus_events_taken", "Events taken in", count(&counts.taken))?;
        page.counter(
            "weir_bus_events_refused",
            "Events that callers were told are lost",
            count(&counts.refused),
        )?;
        page.counter(
            "weir_bus_events_delivered",
            "Events delivered to all their targets",
            count(&counts.delivered),
        )?;
        page.counter("weir_bus_events_unmatched", "Events that no rule wanted", count(&counts.unmatched))?;
        page.counter(
            "weir_bus_events_repeated",
            "Events that came out of the stream again",
            count(&counts.repeated),
        )?;
        let targets = self.targets.iter().map(|target| (target.name.as_str(), count(&target.delivered)));
        page.counters("weir_bus_deliveries", "Deliveries by target", "target", targets)?;
        let kind = self.lag.metric_type();
        let lag = "weir_bus_delivery_lag_seconds";
        self.lag.encode(page.0.encode_descriptor(lag, "From taken in to delivered", None, kind)?)?;
        self.reads.tell(&mut page)
    }
}
