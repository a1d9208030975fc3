//! S19: with a cache fleet the front ends' threads are flat in N, and the cache servers carry the slope.

use crate::series::{At, Mesh, Role, Track, metric};

use super::{
    facts::Facts,
    signature::{SignatureId, Verdict},
    steady::law_of,
    trial::{Trial, not_applicable},
};

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    if facts.series.setup.mesh != Mesh::CacheFleet {
        return not_applicable(SignatureId::S19, "the arm has no cache fleet");
    }
    let mut trial = Trial::of(SignatureId::S19);
    trial.shows_at(facts.series.trigger());
    let base = facts.series.setup.base_threads;
    let ready = |t: &Track<'_>| -> Vec<u64> {
        t.samples
            .iter()
            .filter(|s| metric(s, |m| m.ready.then_some(())).is_some())
            .map(|s| u64::from(s.threads))
            .collect()
    };
    let threads: Vec<u64> = facts.front_ends.iter().flat_map(ready).collect();
    let (low, high) = (threads.iter().min().copied(), threads.iter().max().copied());
    trial.ask(
        format!("front ends keep exactly {base} threads, whatever the fleet's size"),
        low == Some(base) && high == Some(base),
        match (low, high) {
            (Some(low), Some(high)) => format!("from {low} to {high} threads over {} samples", threads.len()),
            _ => "no ready front end was sampled".to_owned(),
        },
    );
    carried(facts, &mut trial);
    let n_star = facts.prediction.n_star;
    trial.ask(
        "the new N* can be told",
        n_star.is_some() && facts.series.setup.law.role == Role::Cache,
        facts.prediction.formula.clone(),
    );
    trial.verdict(format!(
        "front ends stay at {base} threads; the limit moved to the cache servers, where N* is {} {}",
        n_star.map_or("none".to_owned(), |n| n.to_string()),
        facts.prediction.counts
    ))
}

/// Cache servers follow their law at every settled moment: the baseline, and the end of the growth.
fn carried(facts: &Facts<'_>, trial: &mut Trial) {
    let grown = facts.grown().map(|(start, end)| (At(end.0.saturating_sub(2_000)).max(start), end));
    let mut samples = 0;
    let mut wrong = Vec::new();
    let mut heights = Vec::new();
    for span in [facts.baseline(), grown].into_iter().flatten() {
        let mut most = 0;
        for track in &facts.caches {
            for sample in track.between(span) {
                let law = law_of(facts, track, sample);
                samples += 1;
                most = most.max(u64::from(sample.threads));
                if u64::from(sample.threads) != law {
                    wrong.push(format!("{} had {} threads, not {law}", track.info.name, sample.threads));
                }
            }
        }
        heights.push(most);
    }
    trial.ask(
        "cache servers have exactly the threads of their law",
        samples > 0 && wrong.is_empty(),
        match wrong.first() {
            Some(first) => format!("{} of {samples} samples differ: {first}", wrong.len()),
            None => format!("{samples} samples, no difference"),
        },
    );
    let slope = facts.series.setup.law.per_client;
    let grew = heights.last().zip(heights.first()).is_some_and(|(last, first)| last > first);
    trial.ask(
        "they carry the slope: their threads grow with what their law counts",
        if slope > 0 { grew } else { samples > 0 && facts.series.setup.law.per_peer > 0 },
        match heights.as_slice() {
            [before, after] if slope > 0 => format!("from {before} to {after} threads"),
            [before, _] => format!("{before} threads, {} a cache server", facts.series.setup.law.per_peer),
            _ => "no cache server was sampled".to_owned(),
        },
    );
}
