//! What became of each service on the stream.
//!
//! Used by the summary; one entry for each consumer by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ByStage;
use crate::series::{ArmSeries, At, ConsumerKind, ConsumerSample};

/// One consumer's outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumerSummary {
    /// What it is.
    pub service: ConsumerKind,
    /// What its buffer does when full.
    pub policy: String,
    /// The most entries that its buffer held.
    pub buffer_fill_max: u64,
    /// Entries that it holds.
    pub buffer_capacity: u64,
    /// From the trigger until the buffer was full; null when it never was.
    pub seconds_to_full: Option<f64>,
    /// Entries dropped.
    pub dropped: u64,
    /// Entries written aside.
    pub spilled: u64,
    /// The most workers that waited for room at once.
    pub blocked_max: u64,
    /// Share of the sign-ins that succeeded (auth cache).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_success_ratio: Option<ByStage>,
    /// The most alarms without data at once (metrics buffer).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms_insufficient_data_max: Option<u64>,
    /// The longest that an event waited, seconds (event bus).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds_max: Option<f64>,
    /// Events that still waited at the end (event bus).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog_at_end: Option<u64>,
}

pub(super) fn of_series(series: &ArmSeries) -> BTreeMap<String, ConsumerSummary> {
    let mut rows: BTreeMap<&str, Vec<&ConsumerSample>> = BTreeMap::new();
    for sample in &series.consumers {
        rows.entry(&sample.consumer).or_default().push(sample);
    }
    rows.into_iter().map(|(name, rows)| (name.to_owned(), one(series, &rows))).collect()
}

/// `rows` has at least one.
fn one(series: &ArmSeries, rows: &[&ConsumerSample]) -> ConsumerSummary {
    let (first, last) = (rows[0], rows[rows.len() - 1]);
    let trigger = series.trigger();
    let full = rows.iter().find(|r| r.buffer_fill >= r.buffer_capacity).map(|r| r.at);
    let most = |of: fn(&ConsumerSample) -> u64| rows.iter().map(|r| of(r)).max().unwrap_or(0);
    let sign_ins = first.sign_ins_ok.is_some().then(|| {
        ByStage::of(|stage| {
            let span = series.stage(stage)?;
            let ok = rise(rows, span, |r| r.sign_ins_ok);
            let failed = rise(rows, span, |r| r.sign_ins_failed);
            (ok + failed > 0).then(|| ok as f64 / (ok + failed) as f64)
        })
    });
    ConsumerSummary {
        service: first.service,
        policy: first.policy.clone(),
        buffer_fill_max: most(|r| r.buffer_fill),
        buffer_capacity: first.buffer_capacity,
        seconds_to_full: full.zip(trigger).map(|(at, from)| at.secs_since(from)),
        dropped: last.dropped,
        spilled: last.spilled,
        blocked_max: most(|r| r.blocked),
        sign_in_success_ratio: sign_ins,
        alarms_insufficient_data_max: rows.iter().filter_map(|r| r.alarms).map(|a| a.insufficient_data).max(),
        lag_seconds_max: rows.iter().filter_map(|r| r.lag_seconds).reduce(f64::max),
        backlog_at_end: last.backlog,
    }
}

fn rise(rows: &[&ConsumerSample], span: (At, At), of: fn(&ConsumerSample) -> Option<u64>) -> u64 {
    let at = |until: At| rows.iter().rfind(|r| r.at <= until).and_then(|r| of(r)).unwrap_or(0);
    at(span.1).saturating_sub(at(span.0))
}
