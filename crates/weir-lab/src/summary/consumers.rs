//! What became of each service on the stream.
//!
//! Used by the summary; one entry for each consumer by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ByStage;
use crate::series::{ArmSeries, At, ConsumerKind, ConsumerSample};

/// An event that waited no longer than this many seconds was not late: a flush and a read take about one.
const DRAINED: f64 = 2.0;

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
    /// The most alarms without data at once, by stage (metrics buffer).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms_insufficient_data_max: Option<ByStage>,
    /// The longest that an event waited, seconds (event bus).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds_max: Option<f64>,
    /// From the largest backlog until events waited no longer than before the trigger, and stayed so; null when they
    /// were not that quick again, and when nobody read how long they waited before and after (event bus).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_to_drain: Option<f64>,
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
        alarms_insufficient_data_max: first.alarms.is_some().then(|| {
            ByStage::of(|stage| {
                let (from, to) = series.stage(stage)?;
                let within = rows.iter().filter(|r| (from..=to).contains(&r.at));
                within.filter_map(|r| r.alarms).map(|a| a.insufficient_data).max().map(|dark| dark as f64)
            })
        }),
        lag_seconds_max: rows.iter().filter_map(|r| r.lag_seconds).reduce(f64::max),
        seconds_to_drain: seconds_to_drain(rows, trigger),
        backlog_at_end: last.backlog,
    }
}

/// How long the largest backlog took to drain: until the oldest event was no older than it had been before the trigger
/// (or than [`DRAINED`], where that was quicker), from then to the end.
fn seconds_to_drain(rows: &[&ConsumerSample], trigger: Option<At>) -> Option<f64> {
    let trigger = trigger?;
    let read = |after: bool| rows.iter().any(|r| (r.at >= trigger) == after && r.lag_seconds.is_some());
    if !(read(false) && read(true)) {
        return None;
    }
    let before = rows.iter().filter(|r| r.at < trigger).filter_map(|r| r.lag_seconds).fold(DRAINED, f64::max);
    let peak =
        rows.iter().filter(|r| r.at >= trigger).max_by_key(|r| (r.backlog, std::cmp::Reverse(r.at)))?;
    let late = rows.iter().rposition(|r| r.lag_seconds.is_some_and(|lag| lag > before));
    let drained = match late {
        Some(late) => rows.get(late + 1)?,
        None => peak,
    };
    Some(drained.at.secs_since(peak.at).max(0.0))
}

fn rise(rows: &[&ConsumerSample], span: (At, At), of: fn(&ConsumerSample) -> Option<u64>) -> u64 {
    let at = |until: At| rows.iter().rfind(|r| r.at <= until).and_then(|r| of(r)).unwrap_or(0);
    at(span.1).saturating_sub(at(span.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Alarms, ConsumerSample};

    fn rows(lags: &[(u64, f64, u64)]) -> Vec<ConsumerSample> {
        let row = |&(second, lag, backlog): &(u64, f64, u64)| ConsumerSample {
            at: At(second * 1_000),
            consumer: "bus".into(),
            service: ConsumerKind::EventBus,
            policy: "spill".into(),
            buffer_fill: 0,
            buffer_capacity: 500,
            dropped: 0,
            spilled: 0,
            blocked: 0,
            sign_ins_ok: None,
            sign_ins_failed: None,
            sign_in_p50_ms: None,
            sign_in_p99_ms: None,
            alarms: None::<Alarms>,
            lag_seconds: Some(lag),
            backlog: Some(backlog),
        };
        lags.iter().map(row).collect()
    }

    fn drain(lags: &[(u64, f64, u64)]) -> Option<f64> {
        let rows = rows(lags);
        seconds_to_drain(&rows.iter().collect::<Vec<_>>(), Some(At(10_000)))
    }

    #[test]
    fn a_backlog_is_drained_when_no_event_is_late_any_more() {
        let grown = [(5, 0.5, 3), (12, 1.0, 20), (20, 9.0, 180), (24, 12.0, 40), (26, 0.4, 5), (30, 0.5, 4)];
        assert_eq!(drain(&grown), Some(6.0));
        assert_eq!(drain(&grown[..4]), None, "the oldest still waits at the end");
        let again = [&grown[..], &[(31, 3.0, 60)]].concat();
        assert_eq!(drain(&again), None, "late again at the end");
    }

    #[test]
    fn what_nobody_timed_was_not_drained() {
        let told = |untimed: std::ops::Range<u64>| {
            let mut rows = rows(&[(5, 0.5, 3), (12, 1.0, 20), (20, 0.3, 2)]);
            rows.iter_mut()
                .filter(|r| untimed.contains(&(r.at.0 / 1_000)))
                .for_each(|r| r.lag_seconds = None);
            seconds_to_drain(&rows.iter().collect::<Vec<_>>(), Some(At(10_000)))
        };
        assert_eq!(told(0..0), Some(0.0));
        assert_eq!((told(0..10), told(10..30), told(0..30)), (None, None, None));
    }

    #[test]
    fn what_was_never_late_needs_no_time() {
        assert_eq!(drain(&[(5, 0.5, 3), (12, 1.0, 20), (20, 0.3, 2)]), Some(0.0));
        let slow_before = [(5, 4.0, 3), (12, 3.5, 20), (20, 0.3, 2)];
        assert_eq!(drain(&slow_before), Some(0.0), "no later than before the trigger");
    }
}
