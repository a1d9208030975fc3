//! What is different between two results, arm by arm and phase by phase, and whether chance explains it.
//!
//! Called by `weir compare`. Differences come with an interval, by resampling the windows of both; a difference whose
//! interval holds zero is called inside the noise. It must never rank: which result is better is the reader's question.

mod table;

pub use table::render as render_table;

use serde::Serialize;

use crate::{
    oracle::{
        Facts,
        noise::{NEARLY_ALL, WindowLatencies, bootstrap_each},
    },
    series::{ArmSeries, Calls, LoadWindow, Phase, store::Recorded},
};

/// Windows of a phase below which no interval is given: resampling two windows knows nothing of noise.
const WINDOWS_MIN: usize = 3;

/// Two results, compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first result's scenario and seed.
    pub first: String,
    /// The second's.
    pub second: String,
    /// What makes the comparison doubtful (other hosts, other scenarios).
    pub cautions: Vec<String>,
    /// Arms that both have.
    pub arms: Vec<ArmComparison>,
    /// Arms that only one has.
    pub unmatched: Vec<String>,
}

/// One arm in both results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmComparison {
    /// The arm.
    pub name: String,
    /// Runs of it in the first and the second result.
    pub runs: (usize, usize),
    /// Counts: each run's value.
    pub counts: Vec<CountComparison>,
    /// Phases that both have.
    pub phases: Vec<PhaseComparison>,
}

/// A count in each run of both results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CountComparison {
    /// What is counted.
    pub measure: &'static str,
    /// Is it the same in every run of one design? Arrivals are drawn, and what rests on their number is not.
    pub exact: bool,
    /// In the runs of the first result; null where there was none.
    pub first: Vec<Option<u64>>,
    /// In those of the second.
    pub second: Vec<Option<u64>>,
}

/// One phase in both results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseComparison {
    /// The phase.
    pub name: String,
    /// What was compared.
    pub differences: Vec<Difference>,
}

/// One number of a phase in both results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What was measured: `success_ratio`, `p50_ms`, `p99_ms`, `p999_ms`, `calls_per_second`.
    pub measure: &'static str,
    /// In the first result.
    pub first: f64,
    /// In the second.
    pub second: f64,
    /// The second less the first: in 199 of 200 resamplings within these (a comparison asks a hundred times, so that
    /// one in twenty would cry wolf each time); null with too few windows.
    pub interval: Option<(f64, f64)>,
    /// What the interval says.
    pub says: Says,
}

/// What an interval says of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The numbers are the same.
    Same,
    /// Chance explains the difference.
    InsideTheNoise,
    /// The second is greater, beyond the noise.
    Greater,
    /// The second is smaller, beyond the noise.
    Smaller,
    /// There are too few windows to tell.
    CannotTell,
}

/// Compares two results.
pub fn compare(first: &Recorded, second: &Recorded) -> Comparison {
    let names = |recorded: &Recorded| -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for arm in &recorded.arms {
            if !names.contains(&arm.setup.arm) {
                names.push(arm.setup.arm.clone());
            }
        }
        names
    };
    let (ours, theirs) = (names(first), names(second));
    let missing = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|n| !others.contains(n)).cloned().collect()
    };
    Comparison {
        first: described(first),
        second: described(second),
        cautions: cautions(first, second),
        unmatched: [missing(&ours, &theirs), missing(&theirs, &ours)].concat(),
        arms: ours.iter().filter(|n| theirs.contains(n)).map(|name| arm(name, first, second)).collect(),
    }
}

fn described(recorded: &Recorded) -> String {
    format!("{}, seed {}, Weir {}", recorded.header.scenario, recorded.header.seed, recorded.header.version)
}

fn cautions(first: &Recorded, second: &Recorded) -> Vec<String> {
    let (a, b) = (&first.header, &second.header);
    let mut cautions = Vec::new();
    if a.scenario != b.scenario {
        cautions.push("the scenarios are not the same".to_owned());
    }
    if a.host.cores != b.host.cores || a.host.cpu != b.host.cpu {
        cautions.push("the hosts are not the same".to_owned());
    }
    if a.host.kernel != b.host.kernel {
        cautions.push(format!("the kernels are not the same: {} and {}", a.host.kernel, b.host.kernel));
    }
    let torn = first.torn.iter().chain(&second.torn);
    cautions.extend(torn.map(|path| format!("{} was cut short", path.display())));
    cautions
}

fn arm(name: &str, first: &Recorded, second: &Recorded) -> ArmComparison {
    let runs = |recorded: &'_ Recorded| -> Vec<usize> {
        (0..recorded.arms.len()).filter(|n| recorded.arms[*n].setup.arm == name).collect()
    };
    let pick =
        |recorded| -> Vec<&ArmSeries> { runs(recorded).into_iter().map(|n| &recorded.arms[n]).collect() };
    let (first, second) = (pick(first), pick(second));
    let phases = first[0].phases.iter().filter_map(|phase| {
        let differences = differences(&windows(&first, phase)?, &windows(&second, phase)?);
        Some(PhaseComparison { name: phase.name.clone(), differences })
    });
    ArmComparison {
        name: name.to_owned(),
        runs: (first.len(), second.len()),
        counts: counts(&first, &second),
        phases: phases.collect(),
    }
}

/// The windows of the phase of this name in every run that has one; `None` when no run has any.
fn windows<'a>(runs: &[&'a ArmSeries], phase: &Phase) -> Option<Vec<&'a LoadWindow>> {
    let mut windows = Vec::new();
    for run in runs {
        let same = |p: &&Phase| p.name == phase.name && p.action == phase.action;
        let Some(found) = run.phases.iter().find(same) else { continue };
        windows.extend(run.windows((found.start, found.end_or(run.end()))));
    }
    (!windows.is_empty()).then_some(windows)
}

fn differences(first: &[&LoadWindow], second: &[&LoadWindow]) -> Vec<Difference> {
    let calls = |windows: &[&LoadWindow]| -> Vec<(Calls, u64)> {
        windows.iter().map(|w| (w.calls(), w.length_ms)).collect()
    };
    let (ours, theirs) = (calls(first), calls(second));
    let mut differences = measured(
        ["success_ratio", "calls_per_second"],
        (ours.len(), theirs.len()),
        |picked| success_and_rate(&ours, picked),
        |picked| success_and_rate(&theirs, picked),
    );
    let latencies = |windows: &[&LoadWindow]| WindowLatencies::of(windows.iter().copied(), |_| true);
    let (ours, theirs) = (latencies(first), latencies(second));
    differences.extend(measured(
        ["p50_ms", "p99_ms", "p999_ms"],
        (ours.len(), theirs.len()),
        |picked| ours.percentiles_ms(picked, [50.0, 99.0, 99.9]),
        |picked| theirs.percentiles_ms(picked, [50.0, 99.0, 99.9]),
    ));
    differences
}

/// Share of the calls of some windows that succeeded, and successes a second.
fn success_and_rate(windows: &[(Calls, u64)], picked: &[usize]) -> [Option<f64>; 2] {
    let calls: Calls = picked.iter().map(|p| windows[*p].0).collect();
    let ms: u64 = picked.iter().map(|p| windows[*p].1).sum();
    [calls.success_ratio(), (ms > 0).then(|| calls.succeeded as f64 * 1e3 / ms as f64)]
}

/// Several measures of both results; those that one of them does not have are left out.
fn measured<const N: usize>(
    measures: [&'static str; N],
    groups: (usize, usize),
    ours: impl Fn(&[usize]) -> [Option<f64>; N],
    theirs: impl Fn(&[usize]) -> [Option<f64>; N],
) -> Vec<Difference> {
    let all = |count: usize| (0..count).collect::<Vec<usize>>();
    let (first, second) = (ours(&all(groups.0)), theirs(&all(groups.1)));
    let intervals = if groups.0.min(groups.1) >= WINDOWS_MIN {
        bootstrap_each(groups, NEARLY_ALL, |a, b| {
            let (a, b) = (ours(a), theirs(b));
            std::array::from_fn(|n| Some(b[n]? - a[n]?))
        })
    } else {
        [None; N]
    };
    let one = |n: usize| {
        let (first, second, interval) = (first[n]?, second[n]?, intervals[n]);
        let says = match interval {
            None => Says::CannotTell,
            Some(_) if first == second => Says::Same,
            Some(interval) if interval.contains(0.0) => Says::InsideTheNoise,
            Some(_) if second > first => Says::Greater,
            Some(_) => Says::Smaller,
        };
        let interval = interval.map(|i| (i.low, i.high));
        Some(Difference { measure: measures[n], first, second, interval, says })
    };
    (0..N).filter_map(one).collect()
}

fn counts(first: &[&ArmSeries], second: &[&ArmSeries]) -> Vec<CountComparison> {
    type Count = fn(&ArmSeries) -> Option<u64>;
    let counted: [(&'static str, bool, Count); 5] = [
        ("predicted_n_star", true, |s| Facts::of(s).prediction.n_star),
        ("observed_n_star", true, |s| Facts::of(s).observed_n_star()),
        ("refusals", true, |s| Some(Facts::of(s).refusals_total())),
        ("acknowledged", false, |s| s.integrity.map(|i| i.acknowledged)),
        ("lost_duplicated_reordered_damaged", true, |s| {
            s.integrity.map(|i| i.lost + i.duplicated + i.reordered + i.damaged)
        }),
    ];
    let each = |runs: &[&ArmSeries], of: Count| runs.iter().map(|run| of(run)).collect();
    counted
        .into_iter()
        .map(|(measure, exact, of)| {
            let (first, second) = (each(first, of), each(second, of));
            CountComparison { measure, exact, first, second }
        })
        .collect()
}

#[cfg(test)]
mod tests;
