//! Several runs of one arm as one: medians where noise is the question, the worst where a promise is.
//!
//! Used by the summary. With one run, that run is the answer.

use super::{ArmSummary, ByStage, PhaseFigures};
use crate::{oracle::Judgement, series::Stage};

/// `runs` has at least one; all are of the same arm.
pub(super) fn over_repeats(mut runs: Vec<ArmSummary>) -> ArmSummary {
    if runs.len() == 1 {
        return runs.remove(0);
    }
    let mut arm = runs[0].clone();
    let whole = |of: &dyn Fn(&ArmSummary) -> u64| {
        median(runs.iter().map(|r| Some(of(r) as f64))).unwrap_or(0.0).round() as u64
    };
    arm.servers_peak = whole(&|r| r.servers_peak);
    arm.peer_threads_peak = whole(&|r| r.peer_threads_peak);
    arm.refusals = whole(&|r| r.refusals);
    // The one that is off, if any is: a run that met its prediction must not hide one that did not.
    let off = runs.iter().find(|r| r.observed_n_star != r.predicted_n_star);
    arm.observed_n_star = off.unwrap_or(&runs[0]).observed_n_star;
    arm.success_ratio = ByStage::of(|s| least(runs.iter().map(|r| r.success_ratio.at(s))));
    arm.p50_ms = middle(&runs, |r| r.p50_ms);
    arm.p99_ms = middle(&runs, |r| r.p99_ms);
    arm.p999_ms = middle(&runs, |r| r.p999_ms);
    arm.phases = phases(&runs);
    // The run with the least warning: an alarm is as good as its worst day.
    let warning = |r: &&ArmSummary| r.headroom_alarm.and_then(|a| a.warning_seconds).unwrap_or(f64::MAX);
    let least_warned = runs.iter().min_by(|a, b| warning(a).total_cmp(&warning(b)));
    arm.headroom_alarm = least_warned.and_then(|r| r.headroom_alarm);
    arm.seconds_to_first_error = median(runs.iter().map(|r| r.seconds_to_first_error));
    arm.seconds_to_recover = median(runs.iter().map(|r| r.seconds_to_recover));
    arm.host_stalls = runs.iter().map(|r| r.host_stalls).sum();
    arm.host_stalled_seconds_max = most(runs.iter().map(|r| r.host_stalled_seconds_max));
    arm.recorded_ratio = least(runs.iter().map(|r| r.recorded_ratio));
    arm.late_starts_ratio = ByStage::of(|s| most(runs.iter().map(|r| r.late_starts_ratio.at(s))));
    arm.late_dispatches_ratio = ByStage::of(|s| most(runs.iter().map(|r| r.late_dispatches_ratio.at(s))));
    arm.tenants_affected_ratio = runs.iter().map(|r| r.tenants_affected_ratio).fold(0.0, f64::max);
    let worst = runs.iter().find(|r| r.integrity.is_none_or(|i| !i.is_whole()));
    arm.integrity = worst.unwrap_or(&runs[0]).integrity;
    for run in &runs[1..] {
        for (name, judgement) in &run.signatures {
            let entry = arm.signatures.entry(name.clone()).or_insert(*judgement);
            let together = worse(*entry, *judgement);
            if together != *entry {
                arm.reasons.insert(name.clone(), run.reasons.get(name).cloned().unwrap_or_default());
            }
            *entry = together;
        }
    }
    // The same list of expectations each time: show the first run in which one did not hold.
    for shown in &mut arm.expectations {
        let off =
            |r: &ArmSummary| r.expectations.iter().find(|e| e.expects == shown.expects && !e.held).cloned();
        if let Some((number, off)) = runs.iter().enumerate().find_map(|(n, r)| Some((n + 1, off(r)?))) {
            (shown.held, shown.found) = (false, format!("run {number} of {}: {}", runs.len(), off.found));
        }
    }
    arm.held = runs.iter().all(|r| r.held);
    let told = runs.iter().find(|r| r.held != runs[0].held || !r.held).unwrap_or(&runs[0]);
    let times = runs.iter().filter(|r| r.held).count();
    arm.in_words = format!("{} (as expected in {times} of {} runs)", told.in_words, runs.len());
    arm.repeats = runs;
    arm
}

/// Failed beats held beats not applicable.
const fn worse(one: Judgement, other: Judgement) -> Judgement {
    match (one, other) {
        (Judgement::Failed, _) | (_, Judgement::Failed) => Judgement::Failed,
        (Judgement::Held, _) | (_, Judgement::Held) => Judgement::Held,
        (Judgement::NotApplicable, Judgement::NotApplicable) => Judgement::NotApplicable,
    }
}

fn middle(runs: &[ArmSummary], of: impl Fn(&ArmSummary) -> ByStage) -> ByStage {
    ByStage::of(|stage: Stage| median(runs.iter().map(|r| of(r).at(stage))))
}

fn phases(runs: &[ArmSummary]) -> Vec<PhaseFigures> {
    let mut phases = runs[0].phases.clone();
    for (number, phase) in phases.iter_mut().enumerate() {
        let each = || runs.iter().filter_map(move |r| r.phases.get(number));
        phase.seconds = median(each().map(|p| Some(p.seconds))).unwrap_or(phase.seconds);
        phase.success_ratio = least(each().map(|p| p.success_ratio));
        phase.p50_ms = median(each().map(|p| p.p50_ms));
        phase.p99_ms = median(each().map(|p| p.p99_ms));
        phase.p999_ms = median(each().map(|p| p.p999_ms));
        phase.late_starts_ratio = most(each().map(|p| p.late_starts_ratio));
    }
    phases
}

fn least(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.flatten().reduce(f64::min)
}

fn most(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.flatten().reduce(f64::max)
}

fn median(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = values.flatten().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}
