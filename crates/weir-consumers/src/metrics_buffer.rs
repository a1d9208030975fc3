//! Metric data through the stream into a store, and alarms over it: the metrics buffer.
//!
//! It needs the stream for everything that it shows: what does not come back out of the stream is not there, its alarms
//! turn to INSUFFICIENT_DATA, and what the buffer had to drop is a gap for good. The store is in memory with a horizon; it
//! is rebuilt from the stream at each start.

mod alarm;
mod store;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use serde::{Deserialize, Serialize};
use weir_client::consumer::{ConsumeError, Consumer, ShardBatch};
use weir_core::{
    clock::{Clock, WallMs},
    id::ServerName,
};
use weir_sync::Shutdown;
use weir_wire::http::server::ResponseBody;

pub use self::alarm::{AlarmRule, AlarmRuleError, Comparison};
use self::{
    alarm::{AlarmBoard, AlarmState},
    store::{Datum, MetricStore},
};
use crate::{
    buffer::Pushed,
    config::{ConfigError, rule},
    metrics::{Page, ReadCounts},
    outbox::Outbox,
    record::Envelope,
    service::{Service, Trouble, WorkerIndex, json, refuse},
};

/// Data of one call (CloudWatch's own bound).
const DATA_PER_CALL_MAX: usize = 1_000;
/// Bytes of a metric's name (CloudWatch's own bound).
const NAME_BYTES_MAX: usize = 255;
/// Alarms of one consumer.
const ALARMS_MAX: usize = 1_024;
/// Points of one metric that the store may be told to keep: three hours of seconds.
const POINTS_MAX: u64 = 10_800;
/// How often alarms are evaluated within a period.
const LOOKS_PER_PERIOD: u32 = 4;
/// They are not evaluated more often than this.
const LOOK_MIN: Duration = Duration::from_millis(10);

/// What only a metrics buffer is told.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsBufferConfig {
    /// What is watched.
    pub alarms: Vec<AlarmRule>,
    /// The length of a period: data of one period are one point.
    pub period: Duration,
    /// Points that an alarm looks at.
    pub evaluation_periods: u32,
    /// How long the store keeps points.
    pub horizon: Duration,
}

impl MetricsBufferConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        rule(self.alarms.len() <= ALARMS_MAX, "alarms", || format!("at most {ALARMS_MAX}"))?;
        rule(self.period >= LOOK_MIN, "period", || format!("write at least {LOOK_MIN:?}"))?;
        rule(self.evaluation_periods >= 1, "evaluation periods", || "write at least 1".into())?;
        let seen = self.period.saturating_mul(self.evaluation_periods.saturating_add(1));
        rule(self.horizon >= seen, "horizon", || format!("alarms look back {seen:?}: write at least that"))?;
        let points = self.horizon.as_millis() / self.period.as_millis().max(1);
        rule(points <= u128::from(POINTS_MAX), "horizon", || {
            format!("{points} periods are too many: at most {POINTS_MAX}")
        })
    }
}

/// The service.
#[derive(Debug)]
pub(crate) struct MetricsBuffer {
    name: ServerName,
    clock: Clock,
    look_every: Duration,
    outbox: Outbox,
    state: Mutex<State>,
    reads: ReadCounts,
    taken: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct State {
    store: MetricStore,
    alarms: AlarmBoard,
}

#[derive(Deserialize)]
struct PutMetricData {
    metrics: Vec<PutDatum>,
}

#[derive(Deserialize)]
struct PutDatum {
    name: String,
    value: f64,
    /// When it was measured, milliseconds since 1970; now, when it is not said.
    time_ms: Option<u64>,
}

#[derive(Serialize)]
struct Taken {
    taken: usize,
}

impl MetricsBuffer {
    pub(crate) fn new(config: &MetricsBufferConfig, clock: Clock, name: ServerName, outbox: Outbox) -> Self {
        let period_ms = u64::try_from(config.period.as_millis()).unwrap_or(u64::MAX).max(1);
        let points = config.horizon.as_millis() / u128::from(period_ms);
        let state = State {
            store: MetricStore::new(period_ms, u64::try_from(points).unwrap_or(POINTS_MAX)),
            alarms: AlarmBoard::new(config.alarms.clone(), config.evaluation_periods),
        };
        Self {
            name,
            clock,
            look_every: (config.period / LOOKS_PER_PERIOD).max(LOOK_MIN),
            outbox,
            state: Mutex::new(state),
            reads: ReadCounts::default(),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The reader's loop: what comes out of the stream goes into the store, and alarms are looked at in time whether
    /// anything comes or not.
    pub(crate) async fn read(&self, mut reader: Consumer, stop: Shutdown) {
        let read = async {
            loop {
                let polled = reader.poll().await;
                self.note(polled);
            }
        };
        let look = async {
            loop {
                tokio::time::sleep(self.look_every).await;
                self.look();
            }
        };
        tokio::select! {
            () = read => {}
            () = look => {}
            () = stop.wait_async() => {}
        }
    }

    fn note(&self, polled: Result<ShardBatch, ConsumeError>) {
        let batch = match polled {
            Ok(batch) => batch,
            Err(error) => {
                self.reads.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "the stream does not read");
                return;
            }
        };
        let now = self.clock.wall();
        let mut state = self.state.lock();
        for record in batch.records {
            match Envelope::<Vec<Datum>>::decode(&record.data, &self.name) {
                Some(envelope) => {
                    self.reads.records.fetch_add(1, Ordering::Relaxed);
                    for datum in envelope.body {
                        state.store.put(now, datum);
                    }
                }
                None => {
                    self.reads.foreign.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn look(&self) {
        let now = self.clock.wall();
        let mut state = self.state.lock();
        let State { store, alarms } = &mut *state;
        store.forget(now);
        for change in alarms.evaluate(now, store) {
            tracing::info!(
                alarm = change.alarm, was = %change.was, is = %change.is, "alarm changed"
            );
        }
    }

    fn put(&self, body: &[u8]) -> Response<ResponseBody> {
        let put: PutMetricData = match serde_json::from_slice(body) {
            Ok(put) => put,
            Err(error) => return refuse(Trouble::Malformed, error.to_string()),
        };
        let named = |datum: &PutDatum| (1..=NAME_BYTES_MAX).contains(&datum.name.len());
        if put.metrics.is_empty() || !put.metrics.iter().all(named) {
            let mend = format!("write metrics, each with a name of 1 to {NAME_BYTES_MAX} bytes");
            return refuse(Trouble::Malformed, mend);
        }
        if put.metrics.len() > DATA_PER_CALL_MAX {
            return refuse(Trouble::LimitExceeded, format!("at most {DATA_PER_CALL_MAX} data in one call"));
        }
        let now = self.clock.wall();
        let key = put.metrics[0].name.clone();
        let data: Vec<Datum> = put
            .metrics
            .into_iter()
            .map(|datum| Datum {
                name: datum.name,
                value: datum.value,
                at: datum.time_ms.map_or(now, WallMs),
            })
            .collect();
        let taken = data.len();
        match self.outbox.push(&key, data) {
            Pushed::Kept | Pushed::ReplacedOldest(_) => {
                self.taken.fetch_add(taken as u64, Ordering::Relaxed);
                json(StatusCode::OK, &Taken { taken })
            }
            // Metric data are not best effort: whoever measured them hears that they are lost.
            Pushed::Dropped | Pushed::Closed => {
                self.refused.fetch_add(taken as u64, Ordering::Relaxed);
                refuse(Trouble::Unavailable, "the buffer is full")
            }
        }
    }

    fn points(&self, query: Option<&str>) -> Response<ResponseBody> {
        let Some(name) = query.and_then(|query| query.strip_prefix("name=")) else {
            return refuse(Trouble::Malformed, "write /metric-data?name=NAME");
        };
        json(StatusCode::OK, &self.state.lock().store.points(name))
    }
}

impl Service for MetricsBuffer {
    fn answer(&self, _worker: WorkerIndex, request: &Request<Bytes>) -> Response<ResponseBody> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/put-metric-data") => self.put(request.body()),
            (&Method::GET, "/alarms") => json(StatusCode::OK, &self.state.lock().alarms.list()),
            (&Method::GET, "/metric-data") => self.points(request.uri().query()),
            _ => refuse(
                Trouble::UnknownOperation,
                "there is POST /put-metric-data, GET /alarms and GET /metric-data?name=",
            ),
        }
    }
}

impl Collector for MetricsBuffer {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let (alarms, names, late) = {
            let state = self.state.lock();
            (state.alarms.count(), state.store.len(), state.store.turned_away())
        };
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let states = [AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData];
        let by_state = states.map(|state| (state.label(), alarms[state as usize] as f64));
        page.gauges("weir_metrics_alarms", "Alarms by state", "state", &by_state)?;
        page.gauge("weir_metrics_names", "Metrics in the store", names as f64)?;
        page.counter("weir_metrics_data_taken", "Data taken in", count(&self.taken))?;
        page.counter(
            "weir_metrics_data_refused",
            "Data that callers were told are lost",
            count(&self.refused),
        )?;
        page.counter("weir_metrics_data_turned_away", "Data that the store had no place for", late)?;
        self.reads.tell(&mut page)
    }
}
