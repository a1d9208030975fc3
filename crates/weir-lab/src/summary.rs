//! What a run comes to: the object of `weir run --json`, the terminal's table, and whether the expectations held.
//!
//! Built from the recorded series by the oracle, after a run and again for `weir report`. It decides the exit status
//! (0: all held, 1: some did not). Names and fields of the object are fixed: programs read them.

mod aggregate;
mod bounds;
mod consumers;
mod expectations;
mod figures;
mod table;
mod words;

pub(crate) use bounds::numbers;
pub use consumers::ConsumerSummary;
pub use expectations::Outcome;
pub use figures::{ByStage, PhaseFigures};
pub use table::render as render_table;
pub(crate) use words::percent;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    oracle::{self, HeadroomAlarm, Judgement, Opinion},
    series::{ArmRole, ArmSeries, Host, HostPart, Integrity, store::Recorded},
};

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The scenario.
    pub scenario: String,
    /// The seed that all arms share.
    pub seed: u64,
    /// Seconds of 2020 for one second of the run.
    pub time_scale: f64,
    /// The machine.
    pub host: Host,
    /// Did every expectation of every arm hold, each time it ran?
    pub held: bool,
    /// What makes the numbers less certain than they look: a host that stood still or was too busy to be watched, a run
    /// cut short.
    pub cautions: Vec<String>,
    /// The arms, in the scenario's order.
    pub arms: Vec<ArmSummary>,
}

/// Below this share of sample windows recorded, readers are cautioned.
const RECORDED_RATIO_MIN: f64 = 0.8;
/// Above this share of late starts in any stage, readers are cautioned.
const LATE_STARTS_RATIO_MAX: f64 = 0.1;

/// The outcome of one arm. Of an arm that ran more than once, latencies, peaks and times are medians, success ratios
/// and integrity are those of the worst run, and a signature held only if it held each time; `repeats` has each run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// The arm.
    pub name: String,
    /// A variant, or the negative control.
    pub role: ArmRole,
    /// How front ends hear from each other.
    pub mesh: String,
    /// What enforced the limit.
    pub limit_kind: String,
    /// Threads that one server may have (L).
    pub limit: u64,
    /// Threads of a front end with no peers (B).
    pub base_threads: u64,
    /// Threads for one peer (k).
    pub threads_per_peer: u64,
    /// The size at which the first refusal must come; null when threads do not grow with the fleet.
    pub predicted_n_star: Option<u64>,
    /// What N* counts in this arm.
    pub n_star_counts: String,
    /// The formula of the prediction, with its numbers.
    pub n_star_formula: String,
    /// The size at which the first refusal came; null when there was none.
    pub observed_n_star: Option<u64>,
    /// Front ends up at one time.
    pub servers_peak: u64,
    /// Peer threads running at one time, over all servers.
    pub peer_threads_peak: u64,
    /// Threads that the kernel refused.
    pub refusals: u64,
    /// Share of calls that succeeded, by stage.
    pub success_ratio: ByStage,
    /// Median latency from intended start of the calls that succeeded, by stage, milliseconds.
    pub p50_ms: ByStage,
    /// 99th percentile of the same; null where fewer than a hundred calls succeeded, which have none.
    pub p99_ms: ByStage,
    /// 99.9th percentile of the same; null where fewer than a thousand calls succeeded.
    pub p999_ms: ByStage,
    /// Success and latencies of each phase.
    pub phases: Vec<PhaseFigures>,
    /// When an alarm on headroom would have fired; null where no threads of front ends grow with the fleet.
    pub headroom_alarm: Option<HeadroomAlarm>,
    /// From the trigger to the first errors.
    pub seconds_to_first_error: Option<f64>,
    /// From the first errors until callers were served again for good.
    pub seconds_to_recover: Option<f64>,
    /// Share of the tenants that were affected.
    pub tenants_affected_ratio: f64,
    /// What the read-back found; null when it did not end.
    pub integrity: Option<Integrity>,
    /// Moments in which the host's processors or its disk stood still under the run. What failed or came late around one
    /// may be the host's doing.
    #[serde(default)]
    pub host_stalls: u64,
    /// The longest of them; null when there was none.
    #[serde(default)]
    pub host_stalled_seconds_max: Option<f64>,
    /// Share of the sample windows in which the recorder came to look. Far below 1, the host was too busy to be watched,
    /// and moments are known less exactly than a window.
    pub recorded_ratio: Option<f64>,
    /// Share of calls that started later than meant, by stage. Far above 0, latencies tell of the host.
    pub late_starts_ratio: ByStage,
    /// Share of calls that the load generator itself came to late; the other late ones had no free connection. Null in
    /// results of versions that did not keep them apart.
    pub late_dispatches_ratio: ByStage,
    /// The services on the stream, by name.
    pub consumers: BTreeMap<String, ConsumerSummary>,
    /// `held`, `failed` or `not_applicable` by signature.
    pub signatures: BTreeMap<String, Judgement>,
    /// Why, by signature.
    pub reasons: BTreeMap<String, String>,
    /// What was expected, and whether it held.
    pub expectations: Vec<Outcome>,
    /// Did all of them?
    pub held: bool,
    /// What happened, in a sentence.
    pub in_words: String,
    /// Each run of an arm that ran more than once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Self>,
}

impl Summary {
    /// The process's exit status: 0 when everything expected held, 1 otherwise.
    pub const fn exit_status(&self) -> u8 {
        if self.held { 0 } else { 1 }
    }
}

/// Judges a result and sums it up. The opinions are those of `recorded.arms`, in that order.
pub fn summarize(recorded: &Recorded) -> (Summary, Vec<Opinion>) {
    let opinions: Vec<Opinion> =
        recorded.arms.iter().map(|arm| oracle::judge(arm, control_of(recorded, arm))).collect();
    let mut runs: Vec<Vec<ArmSummary>> = Vec::new();
    for (series, opinion) in recorded.arms.iter().zip(&opinions) {
        let run = figures::of_arm(series, opinion);
        match runs.iter_mut().find(|runs| runs[0].name == run.name) {
            Some(runs) => runs.push(run),
            None => runs.push(vec![run]),
        }
    }
    let arms: Vec<ArmSummary> = runs.into_iter().map(aggregate::over_repeats).collect();
    let summary = Summary {
        scenario: recorded.header.scenario.clone(),
        seed: recorded.header.seed,
        time_scale: recorded.header.time_scale,
        host: recorded.header.host.clone(),
        held: !arms.is_empty() && arms.iter().all(|arm| arm.held),
        cautions: cautions(recorded, &arms),
        arms,
    };
    (summary, opinions)
}

fn cautions(recorded: &Recorded, arms: &[ArmSummary]) -> Vec<String> {
    let mut cautions = Vec::new();
    for arm in arms {
        let name = &arm.name;
        if let Some(seen) = arm.recorded_ratio.filter(|seen| *seen < RECORDED_RATIO_MIN) {
            let seen = percent(Some(seen));
            cautions.push(format!(
                "{name}: the host was too busy to be watched: servers were looked at in {seen} of the windows, so that \
                 moments are known less exactly"
            ));
        }
    }
    cautions.extend(stood_still(&recorded.arms));
    cautions.extend(late_starts(arms));
    let torn = |path: &std::path::PathBuf| {
        format!("the run was cut short: the last line of {} is missing", path.display())
    };
    cautions.extend(recorded.torn.iter().map(torn));
    cautions
}

/// One sentence on the moments in which the host stood still.
fn stood_still(arms: &[ArmSeries]) -> Option<String> {
    // Arms that ran together have the same ones.
    let all = || arms.iter().flat_map(|arm| &arm.host_stalls);
    let stalls: BTreeSet<_> = all().map(|stall| (stall.at, stall.part)).collect();
    let longest = all().max_by_key(|stall| stall.length_ms)?;
    let (times, which) = match stalls.len() {
        1 => ("once".to_owned(), ""),
        n => (format!("{n} times"), " at the longest"),
    };
    let part = match longest.part {
        HostPart::Processor => "its processors",
        HostPart::Disk => "its disk",
    };
    Some(format!(
        "the host stood still {times}, for {:.2} s{which} ({part}, {:.1} s after its arms began): what failed or came late \
         there may be its doing, run it again",
        longest.seconds(),
        longest.at.secs()
    ))
}

/// One sentence on the calls that started late, over the arms in some stage of which many did. Each arm's share is in the
/// table and, by stage, in its summary.
fn late_starts(arms: &[ArmSummary]) -> Option<String> {
    let worst = |arm: &ArmSummary| arm.late_starts_ratio.greatest().map_or(0.0, |(_, late)| late);
    let late: Vec<&ArmSummary> = arms.iter().filter(|arm| worst(arm) > LATE_STARTS_RATIO_MAX).collect();
    let least = late.iter().map(|arm| worst(arm)).reduce(f64::min)?;
    let most = late.iter().map(|arm| worst(arm)).reduce(f64::max)?;
    let share = match (percent(Some(least)), percent(Some(most))) {
        (least, most) if least == most => most,
        (least, most) => format!("{} to {most}", least.trim_end_matches(" %")),
    };
    let throughout = |of: &ByStage| of.throughout.unwrap_or(0.0);
    let own = late
        .iter()
        .all(|arm| throughout(&arm.late_dispatches_ratio) > 0.5 * throughout(&arm.late_starts_ratio));
    let why = if own { ", most of them because the load generator waited for a core" } else { "" };
    let names: Vec<&str> = late.iter().map(|arm| arm.name.as_str()).collect();
    let whose = if names.len() == arms.len() { String::new() } else { format!(" in {}", names.join(", ")) };
    Some(format!(
        "in the worst stage {share} of calls started late{whose}{why}: latencies tell of the host as well"
    ))
}

/// The control that ran beside an arm: the one of the same repeat, else the first.
fn control_of<'a>(recorded: &'a Recorded, arm: &ArmSeries) -> Option<&'a ArmSeries> {
    let controls = || recorded.arms.iter().filter(|a| a.setup.role == ArmRole::Control);
    controls().find(|a| a.setup.repeat == arm.setup.repeat).or_else(|| controls().next())
}

#[cfg(test)]
mod tests;
