//! The numbers of one run of one arm.
//!
//! Used by the summary only; every number here is defined once, by the queries of the series and the facts of the
//! oracle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ArmSummary, consumers, expectations, words};
use crate::{
    oracle::{Facts, HeadroomAlarm, Opinion},
    series::{
        ArmSeries, Calls, HostStall, Lateness, LoadWindow, PhaseKind, Role, Stage, metric, percentile_ms,
    },
};

/// One number for each stage; null where the arm has no such stage or no calls in it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ByStage {
    /// Before the trigger.
    pub baseline: Option<f64>,
    /// From the trigger to the first restart.
    pub cliff: Option<f64>,
    /// After the last restart.
    pub recovery: Option<f64>,
    /// From the start of the first phase to the end of the last, the restarts included.
    pub throughout: Option<f64>,
}

impl ByStage {
    pub(super) fn of(mut number: impl FnMut(Stage) -> Option<f64>) -> Self {
        Self {
            baseline: number(Stage::Baseline),
            cliff: number(Stage::Cliff),
            recovery: number(Stage::Recovery),
            throughout: number(Stage::Throughout),
        }
    }

    /// The number of one stage.
    pub const fn at(&self, stage: Stage) -> Option<f64> {
        match stage {
            Stage::Baseline => self.baseline,
            Stage::Cliff => self.cliff,
            Stage::Recovery => self.recovery,
            Stage::Throughout => self.throughout,
        }
    }

    /// The stage with the greatest number, and that number; `None` where no stage has any.
    pub(super) fn greatest(&self) -> Option<(Stage, f64)> {
        let numbers = Stage::ALL.into_iter().filter_map(|stage| Some((stage, self.at(stage)?)));
        numbers.max_by(|one, other| one.1.total_cmp(&other.1))
    }
}

/// What callers saw in one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// The phase.
    pub name: String,
    /// What it did.
    pub action: PhaseKind,
    /// Its length.
    pub seconds: f64,
    /// Share of calls that succeeded.
    pub success_ratio: Option<f64>,
    /// Median latency, milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile, milliseconds; null where too few calls succeeded to have one.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile, milliseconds; null where too few calls succeeded to have one.
    pub p999_ms: Option<f64>,
    /// Share of calls that started later than meant.
    pub late_starts_ratio: Option<f64>,
}

/// Success ratio, three percentiles and late starts of some windows.
struct Seen {
    success_ratio: Option<f64>,
    percentiles: [Option<f64>; 3],
    late: Lateness,
}

fn seen(windows: &[&LoadWindow]) -> Seen {
    let calls: Calls = windows.iter().map(|w| w.calls()).collect();
    let histogram = ArmSeries::latencies(windows.iter().copied(), |_| true);
    Seen {
        success_ratio: calls.success_ratio(),
        percentiles: [50.0, 99.0, 99.9].map(|percentile| percentile_ms(&histogram, percentile)),
        late: windows.iter().copied().collect(),
    }
}

pub(super) fn of_arm(series: &ArmSeries, opinion: &Opinion) -> ArmSummary {
    let facts = Facts::of(series);
    let setup = &series.setup;
    let stages = Stage::ALL.map(|stage| (stage, seen(&series.windows_of(stage).collect::<Vec<_>>())));
    let of_stage = |stage: Stage| &stages.iter().find(|s| s.0 == stage).expect("all stages were seen").1;
    let percentile = |n: usize| ByStage::of(|stage| of_stage(stage).percentiles[n]);
    let trigger = series.trigger();
    let mut arm = ArmSummary {
        name: setup.arm.clone(),
        role: setup.role,
        mesh: setup.mesh.name().to_owned(),
        limit_kind: setup.limit_kind.clone(),
        limit: setup.limit,
        base_threads: setup.base_threads,
        threads_per_peer: setup.threads_per_peer,
        predicted_n_star: opinion.prediction.n_star,
        n_star_counts: opinion.prediction.counts.to_owned(),
        n_star_formula: opinion.prediction.formula.clone(),
        observed_n_star: opinion.observed_n_star,
        servers_peak: peak(series, |s| (s.0 == Role::Frontend).then_some(1)),
        peer_threads_peak: peak(series, |(role, sample)| {
            let fleet = matches!(role, Role::Frontend | Role::Cache);
            metric(sample, |m| m.peer_threads).filter(|_| fleet)
        }),
        refusals: facts.refusals_total(),
        success_ratio: ByStage::of(|stage| of_stage(stage).success_ratio),
        p50_ms: percentile(0),
        p99_ms: percentile(1),
        p999_ms: percentile(2),
        phases: phases(series),
        headroom_alarm: HeadroomAlarm::of(&facts),
        seconds_to_first_error: facts.first_error.zip(trigger).map(|(at, from)| at.secs_since(from)),
        seconds_to_recover: facts.recovered().zip(facts.first_error).map(|(at, from)| at.secs_since(from)),
        tenants_affected_ratio: facts.tenants_affected().len() as f64 / setup.tenants.len().max(1) as f64,
        integrity: series.integrity,
        host_stalls: series.host_stalls.len() as u64,
        host_stalled_seconds_max: series.host_stalls.iter().map(HostStall::seconds).reduce(f64::max),
        recorded_ratio: series.recorded_ratio(),
        late_starts_ratio: ByStage::of(|stage| of_stage(stage).late.starts_ratio()),
        late_dispatches_ratio: ByStage::of(|stage| of_stage(stage).late.dispatches_ratio()),
        consumers: consumers::of_series(series),
        signatures: opinion.verdicts.iter().map(|v| (v.signature.to_string(), v.judgement)).collect(),
        reasons: opinion.verdicts.iter().map(|v| (v.signature.to_string(), v.reason.clone())).collect(),
        expectations: Vec::new(),
        held: false,
        in_words: String::new(),
        repeats: Vec::new(),
    };
    arm.in_words = words::sentence(&arm, &facts);
    arm.expectations = expectations::outcomes(series, opinion, &arm);
    arm.held = arm.expectations.iter().all(|e| e.held);
    arm
}

fn phases(series: &ArmSeries) -> Vec<PhaseFigures> {
    let end = series.end();
    let figures = |phase: &crate::series::Phase| {
        let span = (phase.start, phase.end_or(end));
        let Seen { success_ratio, percentiles: [p50_ms, p99_ms, p999_ms], late } =
            seen(&series.windows(span).collect::<Vec<_>>());
        PhaseFigures {
            name: phase.name.clone(),
            action: phase.action,
            seconds: span.1.secs_since(span.0),
            success_ratio,
            p50_ms,
            p99_ms,
            p999_ms,
            late_starts_ratio: late.starts_ratio(),
        }
    };
    series.phases.iter().map(figures).collect()
}

/// The greatest sum over all servers at one look.
fn peak(series: &ArmSeries, of: impl Fn((Role, &crate::series::ServerSample)) -> Option<u64>) -> u64 {
    let mut sums = BTreeMap::new();
    for sample in &series.samples {
        let role = series.servers[sample.server.0 as usize].role;
        *sums.entry(sample.at).or_insert(0) += of((role, sample)).unwrap_or(0);
    }
    sums.into_values().max().unwrap_or(0)
}
