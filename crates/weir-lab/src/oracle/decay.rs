//! S4: builds fail and maps grow old by the clock, while callers notice nothing for one time to live.

use crate::series::{At, Track, metric};

use super::{
    facts::{Decay, Facts, STEADY_ERRORS_MAX, age, median},
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    if facts.refusals.is_empty() && facts.decays.is_empty() {
        return not_applicable(SignatureId::S4, "nobody was refused a thread and no map grew old");
    }
    let mut trial = Trial::of(SignatureId::S4);
    let onset = facts.decays.first().map(|d| d.since);
    trial.shows_at(visibly_old(facts));
    trial.ask(
        "maps grow old on servers that were refused",
        !facts.decays.is_empty()
            && facts.decays.iter().all(|d| facts.refusals.iter().any(|r| r.server == d.server)),
        format!("{} maps grew old, {} servers were refused", facts.decays.len(), facts.refusals.len()),
    );
    builds(facts, &mut trial);
    slopes(facts, &mut trial);
    let window = silent_window(facts, onset, &mut trial);
    trial.verdict(format!(
        "{} maps grew old one second a second; callers noticed nothing for {window}",
        facts.decays.len()
    ))
}

/// When a map was first seen older than two gossip intervals. (The moment since which it decays is read off its age and
/// lies before the refusal that caused it: that is when it was last confirmed.)
fn visibly_old(facts: &Facts<'_>) -> Option<At> {
    let gossip = facts.series.setup.gossip_ms as f64 / 1e3;
    let cliff = facts.cliff()?;
    let old = |(decay, track): (&Decay, &Track<'_>)| {
        let span = (decay.since, cliff.1);
        track.between(span).find(|s| age(s).is_some_and(|age| age > 2.0 * gossip)).map(|s| s.at)
    };
    decaying(facts).filter_map(old).min()
}

fn decaying<'f, 'a>(facts: &'f Facts<'a>) -> impl Iterator<Item = (&'f Decay, &'f Track<'a>)> {
    let track = |d: &Decay| facts.front_ends.iter().find(|t| t.info.id == d.server);
    facts.decays.iter().filter_map(move |d| Some((d, track(d)?)))
}

fn builds(facts: &Facts<'_>, trial: &mut Trial) {
    let Some(cliff) = facts.cliff() else { return };
    let (mut failed, mut incomplete) = (0, 0);
    for (_, track) in decaying(facts) {
        let rise = track.rise(cliff, |s| metric(s, |m| m.builds_failed.map(|n| n as f64)));
        failed += usize::from(rise.is_some_and(|n| n > 0.0));
        let partial =
            |s: &crate::series::ServerSample| metric(s, |m| m.map_completeness).is_some_and(|c| c < 1.0);
        incomplete += usize::from(track.between(cliff).any(partial));
    }
    let all = facts.decays.len();
    trial.ask("map builds fail on them", all > 0 && failed == all, format!("on {failed} of {all}"));
    trial.ask(
        "their new map stays incomplete",
        all > 0 && incomplete == all,
        format!("completeness below 1 on {incomplete} of {all}"),
    );
}

/// The age of a map that nothing confirms climbs one second a second.
fn slopes(facts: &Facts<'_>, trial: &mut Trial) {
    let Some((_, end)) = facts.cliff() else { return };
    let mut slopes = Vec::new();
    for (decay, track) in decaying(facts) {
        let points: Vec<(f64, f64)> =
            track.between((decay.since, end)).filter_map(|s| Some((s.at.secs(), age(s)?))).collect();
        slopes.extend(slope(&points));
    }
    let (low, high) = slopes.iter().fold((f64::MAX, f64::MIN), |(l, h), s| (l.min(*s), h.max(*s)));
    let middle = median(slopes.clone());
    trial.ask(
        "their age climbs one second a second (median within 5 %, each within 20 %)",
        middle.is_some_and(|m| (m - 1.0).abs() <= 0.05) && low >= 0.8 && high <= 1.2,
        middle.map_or("no map was seen long enough".to_owned(), |m| {
            format!("median {m:.3}, from {low:.3} to {high:.3}")
        }),
    );
}

/// The slope of a straight line through some points; `None` for fewer than four.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 4 {
        return None;
    }
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (spread > 0.0).then(|| together / spread)
}

/// Between the first map's last good moment and the first errors: at least one time to live, without errors.
fn silent_window(facts: &Facts<'_>, onset: Option<At>, trial: &mut Trial) -> String {
    let ttl = facts.series.setup.map_ttl_ms;
    let end = facts.first_error.or_else(|| facts.cliff().map(|c| c.1));
    let (Some(onset), Some(end)) = (onset, end) else {
        trial.ask("errors come at least one TTL after the first map began to age", false, "no map grew old");
        return "no time".to_owned();
    };
    // An error belongs to the window in which its call was meant to start: up to one window before it happened.
    let window = facts.series.load.first().map_or(0, |w| w.length_ms);
    let silent = end.secs_since(onset);
    trial.ask(
        "errors come at least one TTL after the first map began to age",
        end.0 + window >= onset.0 + ttl,
        format!("{silent:.1} s, with a TTL of {} s", ttl as f64 / 1e3),
    );
    let errors = facts.error_ratio((onset, end));
    trial.ask(
        "until then callers see next to no errors (below 0.1 %)",
        errors.is_some_and(|ratio| ratio < STEADY_ERRORS_MAX),
        errors.map_or("no calls".to_owned(), |ratio| format!("{:.3} %", ratio * 100.0)),
    );
    format!("{silent:.1} s")
}
