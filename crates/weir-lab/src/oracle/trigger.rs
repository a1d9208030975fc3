//! S2: membership jumps, but each member learns of it in its own time, and the fleet's threads climb behind.

use crate::series::{At, Cohort, PhaseKind, ServerHappening, Track, metric};

use super::{
    facts::Facts,
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// Threads may differ from the law's sum by this share: a joiner that is just starting has not all of its own.
const THREADS_TOLERANCE: f64 = 0.05;

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let (Some(trigger), Some(grown)) = (facts.series.trigger(), facts.grown()) else {
        return not_applicable(SignatureId::S2, "the arm adds no capacity");
    };
    let mut trial = Trial::of(SignatureId::S2);
    let setup = &facts.series.setup;
    let (before, all) = (u64::from(setup.front_ends), u64::from(setup.front_ends + setup.front_ends_added));
    let registered = |at_least: u64| {
        let rows = facts.series.control.iter().filter(|c| c.at >= trigger);
        rows.clone().find(|c| c.registered.iter().sum::<u64>() >= at_least).map(|c| c.at)
    };
    let complete = registered(all);
    trial.shows_at(registered(before + 1).or(Some(trigger)));
    let add_end = facts.series.phase(PhaseKind::Add).map_or(grown.1, |p| p.end_or(grown.1));
    trial.ask(
        format!("the registry jumps from {before} to {all} members, at most D after the addition ended"),
        complete.is_some_and(|at| facts.look_before(at).0 <= add_end.0 + setup.discovery_ms),
        complete.map_or(format!("it never had {all}"), |at| {
            format!("all {all} registered {:.1} s after the trigger", at.secs_since(trigger))
        }),
    );
    let learned = staircase(facts, grown, complete, &mut trial);
    threads(facts, grown, &mut trial);
    trial.verdict(format!(
        "{} joiners registered at once; {} members learned of them over {:.1} s (D = {} s)",
        setup.front_ends_added,
        learned.1,
        learned.0,
        setup.discovery_ms as f64 / 1e3
    ))
}

/// When each original member first knew all members of its cell: the spread in seconds, and how many learned.
fn staircase(facts: &Facts<'_>, grown: (At, At), complete: Option<At>, trial: &mut Trial) -> (f64, usize) {
    let discovery = facts.series.setup.discovery_ms;
    let growing = |t: &&Track<'_>| facts.largest(facts.cell_of(t)) > facts.originals_in(facts.cell_of(t));
    let originals: Vec<&Track<'_>> =
        facts.front_ends.iter().filter(|t| t.info.cohort == Cohort::Original).filter(growing).collect();
    let mut learned = Vec::new();
    let mut fell = Vec::new();
    for track in &originals {
        let all = facts.largest(facts.cell_of(track));
        let known = |s: &&crate::series::ServerSample| metric(s, |m| m.known_members);
        let first = track.between(grown).find(|s| known(s).is_some_and(|known| known >= all));
        learned.extend(first.map(|s| s.at));
        let steps: Vec<u64> = track.between(grown).filter_map(|s| known(&s)).collect();
        if steps.windows(2).any(|pair| pair[1] < pair[0]) {
            fell.push(track.info.name.as_str());
        }
    }
    learned.sort_unstable();
    let (first, last) = (learned.first().copied(), learned.last().copied());
    let spread = first.zip(last).map_or(0.0, |(first, last)| last.secs_since(first));
    trial.ask(
        "what each member knows only climbs while the fleet grows",
        fell.is_empty(),
        if fell.is_empty() { "no step down".to_owned() } else { format!("it fell on {}", fell.join(", ")) },
    );
    trial.ask(
        "every member learns of all joiners within the discovery window D",
        learned.len() == originals.len()
            && last.zip(complete).is_some_and(|(last, from)| {
                facts.look_before(last).0 <= from.0 + discovery + facts.slack_ms()
            }),
        format!(
            "{} of {} members learned, the last {}",
            learned.len(),
            originals.len(),
            after(last, complete)
        ),
    );
    trial.ask(
        "they learn one after the other: over a quarter of D or more",
        spread >= discovery as f64 / 4e3,
        format!("over {spread:.1} s"),
    );
    (spread, learned.len())
}

fn after(last: Option<At>, complete: Option<At>) -> String {
    last.zip(complete).map_or("never".to_owned(), |(last, from)| {
        format!("{:.1} s after all were registered", last.secs_since(from))
    })
}

/// The fleet's threads at their height against the law: 2kN a joiner, until a server's limit.
fn threads(facts: &Facts<'_>, grown: (At, At), trial: &mut Trial) {
    let setup = &facts.series.setup;
    let mut by_look = std::collections::BTreeMap::new();
    for sample in facts.front_ends.iter().flat_map(|t| t.between(grown)) {
        *by_look.entry(sample.at).or_insert(0u64) += u64::from(sample.threads);
    }
    let started = |t: &&Track<'_>| {
        let start = |e: &&crate::series::ServerEvent| {
            e.server == t.info.id && matches!(e.happening, ServerHappening::Started { .. })
        };
        facts.series.events.iter().any(|e| start(&e))
    };
    let law = |t: &Track<'_>| facts.front_end_law(facts.largest(facts.cell_of(t))).min(setup.limit);
    let expected: u64 = facts.front_ends.iter().filter(started).map(law).sum();
    let reached = by_look.values().max().copied().unwrap_or(0);
    trial.ask(
        "the fleet's threads climb as the law says: 2kN a joiner, up to each server's limit",
        reached.abs_diff(expected) as f64 <= expected as f64 * THREADS_TOLERANCE,
        format!("{reached} front-end threads at the height, {expected} by the law"),
    );
}
