//! What a client of the suite says at its end: the same words as `weir load --json`, so that one reader reads all.
//!
//! Made by the clients of this crate, printed by their programs, read by `cargo xtask bench`.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use serde::Serialize;

/// Latencies are kept to three digits, in microseconds, up to a minute.
const LATENCY_MAX_MICROS: u64 = 60_000_000;

/// The outcome of a run.
#[derive(Debug, Serialize)]
pub struct ClientReport {
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Bytes of records that were acknowledged or read.
    pub bytes: u64,
    /// From the first call to the last answer.
    pub seconds: f64,
    /// Processor seconds of this process meanwhile.
    pub cpu_seconds: f64,
    /// What failed, by the server's words.
    pub errors: BTreeMap<String, u64>,
    /// From the first byte sent to the whole answer; of records that are followed, from the moment meant for their call
    /// to their arrival at the reader.
    pub service_ms: Latency,
}

/// Milliseconds; `None` where nothing was measured.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Half took no longer.
    pub p50: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
    /// 99.9 %.
    pub p999: Option<f64>,
}

/// What is counted on the way to a [`ClientReport`].
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) succeeded: u64,
    pub(crate) bytes: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_max(LATENCY_MAX_MICROS, 3).expect("bounds that make sense");
        Self { succeeded: 0, bytes: 0, errors: BTreeMap::new(), latency }
    }

    pub(crate) fn took(&mut self, time: Duration) {
        self.latency.saturating_record(u64::try_from(time.as_micros()).unwrap_or(LATENCY_MAX_MICROS));
    }

    pub(crate) fn error(&mut self, said: String, count: u64) {
        *self.errors.entry(said).or_default() += count;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        self.bytes += other.bytes;
        for (said, count) in other.errors {
            self.error(said, count);
        }
        self.latency.add(other.latency).expect("all have the same bounds");
    }

    pub(crate) fn report(self, time: Duration, cpu_seconds: f64) -> ClientReport {
        let at = |quantile| {
            (!self.latency.is_empty()).then(|| self.latency.value_at_quantile(quantile) as f64 / 1e3)
        };
        ClientReport {
            succeeded: self.succeeded,
            bytes: self.bytes,
            seconds: time.as_secs_f64(),
            cpu_seconds,
            service_ms: Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999) },
            errors: self.errors,
        }
    }
}

/// Processor seconds that this process has used.
pub(crate) fn processor_seconds() -> anyhow::Result<f64> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(used.user_time()) + seconds(used.system_time()))
}
