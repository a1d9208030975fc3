//! What a run comes to: one JSON object for machines, one table for people.
//!
//! Made from the recorder's totals; `weir load` prints it. A latency is only worth its errors and late starts, so both
//! are always shown beside it.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    engine::{EngineConfig, Pace},
    meter::{Cell, LATE_AFTER},
    recorder::Totals,
};
use weir_core::clock::Monotonic;

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadReport {
    /// `open` or `closed`: only an open loop's latencies are those of a caller who does not wait for others.
    pub loop_kind: &'static str,
    /// Calls a second that were meant to start.
    pub offered_rate: f64,
    /// Calls a second that succeeded, from the start to the end of the last call.
    pub achieved_rate: f64,
    /// Calls that were meant to start.
    pub offered: u64,
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Records acknowledged or brought.
    pub records: u64,
    /// Bytes of their payload.
    pub bytes: u64,
    /// Calls that failed, by code.
    pub errors: BTreeMap<String, u64>,
    /// From intended start to the whole answer, of the calls that succeeded.
    pub latency_ms: Percentiles,
    /// From the first byte sent to the whole answer, of the calls that succeeded.
    pub service_ms: Percentiles,
    /// From intended start to the end, of the calls that failed.
    pub failed_latency_ms: Percentiles,
    /// Calls sent later than meant by more than `late_after_ms`, or never.
    pub late_starts: u64,
    /// Of those, late because the generator itself came to them late. Not small: the generator is too slow for this
    /// rate, and its latencies are an upper bound.
    pub late_dispatches: u64,
    /// What "late" means.
    pub late_after_ms: f64,
    /// From the start of the run to the end of the last call.
    pub seconds: f64,
    /// Processor seconds of this process, user and system, during the run.
    pub cpu_seconds: f64,
    /// The same by operation.
    pub operations: BTreeMap<String, OperationReport>,
    /// The same by tenant, when there is more than one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, OperationReport>,
}

/// A part of the calls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationReport {
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that failed, by code.
    pub errors: BTreeMap<String, u64>,
    /// From intended start, of the calls that succeeded.
    pub latency_ms: Percentiles,
}

/// Milliseconds; all `None` when nothing was measured, which is not the same as fast.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Percentiles {
    /// Half of the calls took no longer.
    pub p50: Option<f64>,
    /// 90 %.
    pub p90: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
    /// 99.9 %.
    pub p999: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

impl Percentiles {
    /// Of a histogram of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| Some(histogram.value_at_quantile(quantile) as f64 / 1e3);
        let max = Some(histogram.max() as f64 / 1e3);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max }
    }
}

/// What the numbers of a run mean.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// How it was paced.
    pub config: &'a EngineConfig,
    /// When it started.
    pub start: Monotonic,
    /// By tenant number.
    pub tenants: &'a [String],
    /// By operation number.
    pub operations: &'static [&'static str],
    /// Processor time used.
    pub cpu: Duration,
}

impl LoadReport {
    /// Sums up `totals`.
    pub fn new(totals: &Totals, run: &Run<'_>) -> Self {
        let mut all = Cell::default();
        let mut operations: BTreeMap<String, Cell> = BTreeMap::new();
        let mut tenants: BTreeMap<String, Cell> = BTreeMap::new();
        for (key, cell) in &totals.whole.cells {
            all.merge(cell);
            operations
                .entry(run.operations[usize::from(key.operation.0)].to_owned())
                .or_default()
                .merge(cell);
            if run.tenants.len() > 1 {
                tenants.entry(run.tenants[usize::from(key.tenant.0)].clone()).or_default().merge(cell);
            }
        }
        let seconds = totals.end.since(run.start).as_secs_f64();
        // Starts are made for the duration, however long the last answers take; a stopped run ends early.
        let offering = run.config.duration.map_or(seconds, |duration| duration.as_secs_f64().min(seconds));
        let rate = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let (succeeded, errors) = outcomes(&all);
        Self {
            loop_kind: if run.config.pace == Pace::Closed { "closed" } else { "open" },
            offered_rate: rate(totals.whole.offered, offering),
            achieved_rate: rate(succeeded, seconds.max(offering)),
            offered: totals.whole.offered,
            succeeded,
            records: totals.whole.records,
            bytes: totals.whole.bytes,
            errors,
            latency_ms: Percentiles::of(&all.latency),
            service_ms: Percentiles::of(&all.service),
            failed_latency_ms: Percentiles::of(&all.failed),
            late_starts: totals.whole.late_starts,
            late_dispatches: totals.whole.late_dispatches,
            late_after_ms: LATE_AFTER.as_secs_f64() * 1e3,
            seconds,
            cpu_seconds: run.cpu.as_secs_f64(),
            operations: operations.iter().map(|(name, cell)| (name.clone(), part(cell))).collect(),
            tenants: tenants.iter().map(|(name, cell)| (name.clone(), part(cell))).collect(),
        }
    }

    /// Of the calls that were meant to start.
    fn percent(&self, count: u64) -> f64 {
        count as f64 * 100.0 / self.offered.max(1) as f64
    }
}

fn outcomes(cell: &Cell) -> (u64, BTreeMap<String, u64>) {
    let mut succeeded = 0;
    let mut errors = BTreeMap::new();
    for code in &cell.codes {
        match &code.code {
            None => succeeded += code.count,
            Some(name) => *errors.entry(name.to_string()).or_default() += code.count,
        }
    }
    (succeeded, errors)
}

fn part(cell: &Cell) -> OperationReport {
    let (succeeded, errors) = outcomes(cell);
    OperationReport { succeeded, errors, latency_ms: Percentiles::of(&cell.latency) }
}

/// The table for people.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "offered    {:>12.1} calls/s ({} in {:.2} s, {} loop)",
            self.offered_rate, self.offered, self.seconds, self.loop_kind
        )?;
        writeln!(
            f,
            "achieved   {:>12.1} calls/s, {:.1} records/s, {:.2} MB/s",
            self.achieved_rate,
            self.records as f64 / self.seconds.max(f64::MIN_POSITIVE),
            self.bytes as f64 / 1e6 / self.seconds.max(f64::MIN_POSITIVE)
        )?;
        writeln!(f, "processor  {:>12.2} s", self.cpu_seconds)?;
        writeln!(
            f,
            "late       {:>12} starts ({:.1} %) more than {} ms after they were meant; {} ({:.1} %) by the generator's own \
             fault",
            self.late_starts,
            self.percent(self.late_starts),
            self.late_after_ms,
            self.late_dispatches,
            self.percent(self.late_dispatches)
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<28}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "milliseconds", "p50", "p90", "p99", "p99.9", "max"
        )?;
        row(f, "from intended start", &self.latency_ms)?;
        row(f, "from actual send", &self.service_ms)?;
        if !self.errors.is_empty() {
            row(f, "failed, from intended start", &self.failed_latency_ms)?;
        }
        let parts = if self.operations.len() > 1 { Some(&self.operations) } else { None };
        for (name, operation) in parts.into_iter().chain([&self.tenants]).flatten() {
            row(f, &format!("  {name}"), &operation.latency_ms)?;
        }
        if !self.errors.is_empty() {
            writeln!(f)?;
            for (code, count) in &self.errors {
                writeln!(f, "{count:>12} x {code}")?;
            }
        }
        Ok(())
    }
}

/// A row of the table; what was not measured is a dash.
fn row(f: &mut fmt::Formatter<'_>, name: &str, of: &Percentiles) -> fmt::Result {
    write!(f, "{name:<28}")?;
    for value in [of.p50, of.p90, of.p99, of.p999, of.max] {
        match value {
            Some(millis) => write!(f, "{millis:>10.3}")?,
            None => write!(f, "{:>10}", "-")?,
        }
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arrival::Arrivals,
        meter::{CellKey, WindowPart},
        workload::{OperationIndex, TenantIndex},
    };

    /// The report of a run of 200 calls, of which `late` were sent late and `own` of those through our own fault.
    fn report(fill: impl FnOnce(&mut Cell), late: u64, own: u64) -> LoadReport {
        let mut whole = WindowPart::new(0);
        (whole.offered, whole.late_starts, whole.late_dispatches) = (200, late, own);
        fill(
            whole.cells.entry(CellKey { tenant: TenantIndex(0), operation: OperationIndex(0) }).or_default(),
        );
        let config = EngineConfig {
            pace: Pace::Open { per_second: 100.0, arrivals: Arrivals::Constant },
            workers: 1,
            connections: 1,
            connect_first: false,
            timeout: Duration::from_secs(1),
            duration: Some(Duration::from_secs(2)),
            window: Duration::from_secs(1),
            trust: None,
            seed: 1,
        };
        let totals = Totals { whole, end: Monotonic::ZERO + Duration::from_secs(2) };
        let run = Run {
            config: &config,
            start: Monotonic::ZERO,
            tenants: &["t".to_owned()],
            operations: &["PutRecord"],
            cpu: Duration::ZERO,
        };
        LoadReport::new(&totals, &run)
    }

    #[test]
    fn a_total_failure_has_no_percentiles_rather_than_good_ones() {
        let report = report(
            |cell| {
                cell.count(Some("timeout".into()));
                cell.failed.record(1_000_000).unwrap();
            },
            0,
            0,
        );
        let json = serde_json::to_value(&report).unwrap();
        for part in [&json["latency_ms"], &json["service_ms"], &json["operations"]["PutRecord"]["latency_ms"]]
        {
            for name in ["p50", "p90", "p99", "p999", "max"] {
                assert!(part.as_object().unwrap()[name].is_null(), "{name} of {part}");
            }
        }
        assert!(json["failed_latency_ms"]["p99"].as_f64().unwrap() > 999.0);
        let text = report.to_string();
        let dashes =
            |row: &str| text.lines().find(|line| line.starts_with(row)).unwrap().matches(" -").count();
        assert_eq!((dashes("from intended start"), dashes("failed, from")), (5, 0), "{text}");
    }

    #[test]
    fn late_starts_are_told_with_the_generators_own_among_them() {
        let report = report(|cell| cell.count(None), 30, 7);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["late_starts"], &json["late_dispatches"]), (&30.into(), &7.into()));
        let text = report.to_string();
        assert!(
            text.contains("30 starts (15.0 %)") && text.contains("7 (3.5 %) by the generator's own fault"),
            "{text}"
        );
    }
}
