//! S1: in the steady state threads follow the law to the integer, maps are fresh and errors are rare.
//!
//! Reads the baseline only. If this does not hold, nothing that follows means anything.

use crate::series::{At, LoadWindow};

use super::{
    facts::{Facts, STEADY_ERRORS_MAX, age, median},
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// Windows that a baseline needs.
const WINDOWS_MIN: usize = 3;

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let Some(baseline) = facts.baseline() else {
        return not_applicable(SignatureId::S1, "the arm has no baseline phase");
    };
    let mut trial = Trial::of(SignatureId::S1);
    trial.shows_at(Some(baseline.0));
    let windows: Vec<&LoadWindow> = facts.series.windows(baseline).collect();
    trial.ask(
        format!("the baseline has at least {WINDOWS_MIN} windows"),
        windows.len() >= WINDOWS_MIN,
        format!("{} windows", windows.len()),
    );
    let looks = facts.series.looks().into_iter().filter(|at| *at >= baseline.0 && *at <= baseline.1).count();
    trial.ask(
        format!("the recorder looked at the servers at least {WINDOWS_MIN} times"),
        looks >= WINDOWS_MIN,
        format!("{looks} times"),
    );
    // Looking at all servers takes a moment: a look that begins right before the trigger meets some of them after it.
    let before_the_last = At(baseline.1.0.saturating_sub(facts.series.setup.window_ms));
    let (samples, wrong) = thread_law(facts, (baseline.0, before_the_last));
    trial.ask(
        "every server has exactly the threads of the law",
        samples > 0 && wrong.is_empty(),
        match wrong.first() {
            Some(first) => format!("{} of {samples} samples differ: {first}", wrong.len()),
            None => format!("{samples} samples, no difference"),
        },
    );
    freshness(facts, baseline, &mut trial);
    let errors = facts.error_ratio(baseline);
    trial.ask(
        "errors stay below 0.1 %",
        errors.is_some_and(|ratio| ratio < STEADY_ERRORS_MAX),
        errors.map_or("no calls".to_owned(), |ratio| format!("{:.3} %", ratio * 100.0)),
    );
    let law = law_in_words(facts);
    trial.verdict(format!("{law} in all {samples} samples of the baseline; fresh maps; errors below 0.1 %"))
}

/// How many samples there were, and which were off the law. Cache servers share the front ends out by a hash, so their
/// law is one of the sum.
fn thread_law(facts: &Facts<'_>, baseline: (At, At)) -> (usize, Vec<String>) {
    let mut samples = 0;
    let mut wrong = Vec::new();
    for track in &facts.front_ends {
        let law = facts.front_end_law(facts.originals_in(facts.cell_of(track)));
        for sample in track.between(baseline) {
            samples += 1;
            if u64::from(sample.threads) != law {
                wrong.push(format!("{} had {} threads, not {law}", track.info.name, sample.threads));
            }
        }
    }
    let law = facts.cache_law(u64::from(facts.series.setup.front_ends));
    for sum in facts.cache_threads(baseline) {
        samples += 1;
        if sum != law {
            wrong.push(format!("the cache servers had {sum} threads, not {law}"));
        }
    }
    (samples, wrong)
}

/// Maps no older than one gossip interval. A sample meets a map at any moment between two confirmations and a busy
/// host may delay one, so the middle is held to the interval, and the oldest to half the time to live.
fn freshness(facts: &Facts<'_>, baseline: (At, At), trial: &mut Trial) {
    let ages: Vec<f64> = facts.front_ends.iter().flat_map(|t| t.between(baseline)).filter_map(age).collect();
    let gossip = facts.series.setup.gossip_ms as f64 / 1e3;
    let half = facts.series.setup.map_ttl_ms as f64 / 2e3;
    let oldest = ages.iter().copied().fold(0.0, f64::max);
    let middle = median(ages);
    trial.ask(
        format!("maps are no older than one gossip interval ({gossip} s; single samples: half the TTL, for the host's noise)"),
        middle.is_some_and(|age| age <= gossip) && oldest < half,
        middle.map_or("no map age was read".to_owned(), |age| format!("median {age:.2} s, oldest {oldest:.2} s")),
    );
}

fn law_in_words(facts: &Facts<'_>) -> String {
    let setup = &facts.series.setup;
    let members = facts.originals_in(0);
    let threads = facts.front_end_law(members);
    if threads == setup.base_threads {
        return format!("every front end had exactly B = {threads} threads");
    }
    format!(
        "every front end had exactly B + k(N-1) = {} + {} x {} = {threads} threads",
        setup.base_threads,
        setup.threads_per_peer,
        members.saturating_sub(1)
    )
}
