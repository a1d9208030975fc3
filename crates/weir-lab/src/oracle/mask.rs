//! S6: behind the failing front ends the back end idles, so that nothing points at the cause.

use crate::series::{At, LoadWindow, Track, metric};

use super::{
    facts::{Facts, median},
    noise::{USUAL, bootstrap},
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    if facts.refusals.is_empty() {
        return not_applicable(SignatureId::S6, facts.no_refusal());
    }
    let (Some(baseline), Some(failing)) = (facts.baseline(), failing(facts)) else {
        return not_applicable(SignatureId::S6, "callers saw no lasting errors that could mask anything");
    };
    let mut trial = Trial::of(SignatureId::S6);
    trial.shows_at(Some(failing.0));
    queues(facts, baseline, failing, &mut trial);
    let fell = processor(facts, baseline, failing, &mut trial);
    let told = |t: &Track<'_>| t.rise(failing, |s| metric(s, |m| m.errors.map(|n| n as f64)));
    let told: Vec<f64> = facts.nodes.iter().filter_map(told).collect();
    let errors: f64 = told.iter().sum();
    trial.ask(
        "the back end itself reports no errors",
        errors == 0.0 && !told.is_empty() && told.len() == facts.nodes.len(),
        format!("{} errors on {} of {} nodes", errors as u64, told.len(), facts.nodes.len()),
    );
    trial.verdict(format!("queues empty, no errors, processor time {fell} while callers fail"))
}

/// From the first to the last window of the cliff in which at least half of the calls fail (without such a window:
/// from the alarm on).
fn failing(facts: &Facts<'_>) -> Option<(At, At)> {
    let cliff = facts.cliff()?;
    let bad = |w: &&LoadWindow| w.calls().error_ratio().is_some_and(|ratio| ratio >= 0.5);
    let windows: Vec<&LoadWindow> = facts.series.windows(cliff).filter(bad).collect();
    match (windows.first(), windows.last()) {
        (Some(first), Some(last)) => Some((first.at, last.end())),
        _ => facts.alarm.map(|at| (at, cliff.1)),
    }
}

fn queues(facts: &Facts<'_>, baseline: (At, At), failing: (At, At), trial: &mut Trial) {
    let depth = |span| -> Vec<f64> {
        let samples = facts.nodes.iter().flat_map(|t| t.between(span));
        samples.filter_map(|s| metric(s, |m| m.append_queue.map(|n| n as f64))).collect()
    };
    let (before, during) = (depth(baseline), depth(failing));
    let most = |depths: &[f64]| depths.iter().copied().fold(0.0, f64::max);
    let (most_before, most_during) = (most(&before), most(&during));
    let middle = median(during);
    trial.ask(
        "append queues are empty (no deeper than in the baseline, or one append on its way)",
        middle == Some(0.0) && most_during <= most_before.max(1.0),
        middle.map_or("no queue depth was read".to_owned(), |m| {
            format!("median {m}, deepest {most_during}; deepest in the baseline {most_before}")
        }),
    );
}

/// Processor time of the nodes falls, and by more than windows of the baseline differ among themselves.
fn processor(facts: &Facts<'_>, baseline: (At, At), failing: (At, At), trial: &mut Trial) -> String {
    let rates = |span| facts.nodes.iter().flat_map(|t| window_rates(t, span)).collect::<Vec<f64>>();
    let (before, during) = (rates(baseline), rates(failing));
    let mean = |values: &[f64], picked: &[usize]| {
        picked.iter().map(|p| values[*p]).sum::<f64>() / picked.len().max(1) as f64
    };
    let change =
        bootstrap((before.len(), during.len()), USUAL, |b, d| Some(mean(&during, d) - mean(&before, b)));
    let whole = |values: &[f64]| values.iter().fold(0.0, |sum, v| sum + v) / values.len().max(1) as f64;
    let found = format!("{:.3} to {:.3} cores a node", whole(&before), whole(&during));
    trial.ask(
        "its processor time falls (beyond the noise between windows)",
        change.is_some_and(|interval| interval.high < 0.0),
        found.clone(),
    );
    format!("down from {found}")
}

/// Cores used from sample to sample.
fn window_rates(track: &Track<'_>, span: (At, At)) -> Vec<f64> {
    let samples: Vec<_> = track.between(span).collect();
    samples
        .windows(2)
        .filter(|pair| pair[1].cpu_seconds >= pair[0].cpu_seconds && pair[1].at > pair[0].at)
        .map(|pair| (pair[1].cpu_seconds - pair[0].cpu_seconds) / pair[1].at.secs_since(pair[0].at))
        .collect()
}
