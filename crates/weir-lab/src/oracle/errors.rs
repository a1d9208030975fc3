//! S5: every kind of call fails, reads and writes alike, long after the act that caused it.
//!
//! A kind of call that fails is an operation with the code that the caller was told. Weir's front ends tell of every map
//! that cannot be routed by with one code, so that the verdict says of how many codes the kinds are.

use std::collections::{BTreeMap, BTreeSet};

use crate::series::At;

use super::{
    facts::Facts,
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// Different pairs of operation and error code that callers must see.
const KINDS_MIN: usize = 5;

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let (Some(cliff), Some(baseline)) = (facts.cliff(), facts.baseline()) else {
        return not_applicable(SignatureId::S5, "the arm adds no capacity");
    };
    if facts.refusals.is_empty() {
        return not_applicable(SignatureId::S5, facts.no_refusal());
    }
    let mut trial = Trial::of(SignatureId::S5);
    trial.shows_at(facts.first_error);
    trial.ask(
        "callers see errors (1 % in two windows running)",
        facts.first_error.is_some(),
        facts.first_error.map_or("they never did".to_owned(), |at| since_trigger(facts, at)),
    );
    let kinds = kinds(facts, cliff);
    kinds_of_calls(facts, &kinds, &mut trial);
    let (before, after) = (entropy(&self::kinds(facts, baseline)), entropy(&kinds));
    trial.ask(
        "the calls that fail become more varied: the entropy of their kinds rises",
        after > before,
        format!("{before:.2} to {after:.2} bits"),
    );
    order(facts, &mut trial);
    let when = facts.first_error.map_or(String::new(), |at| since_trigger(facts, at));
    trial.verdict(format!("{} fail, reads and writes, with {}; first {when}", calls(&kinds), codes(&kinds)))
}

/// How often calls failed, by operation and error code.
type Kinds<'a> = BTreeMap<(&'a str, &'a str), u64>;

/// Nothing that callers do is spared.
fn kinds_of_calls(facts: &Facts<'_>, kinds: &Kinds<'_>, trial: &mut Trial) {
    let with = |prefix: &str| kinds.keys().any(|(operation, _)| operation.starts_with(prefix));
    trial.ask(
        "writes and reads fail alike",
        with("Put") && with("Get"),
        format!("writes {}, reads {}", yes(with("Put")), yes(with("Get"))),
    );
    let outcomes = facts.series.load.iter().flat_map(|w| &w.outcomes);
    let called: BTreeSet<&str> = outcomes.map(|o| o.operation.as_str()).collect();
    let failed: BTreeSet<&str> = kinds.keys().map(|(operation, _)| *operation).collect();
    let spared: Vec<&str> = called.difference(&failed).copied().collect();
    trial.ask(
        "every operation that is called fails",
        !called.is_empty() && spared.is_empty(),
        match spared.as_slice() {
            [] => format!("all {} do", called.len()),
            spared => format!("{} of {} do, not {}", failed.len(), called.len(), spared.join(", ")),
        },
    );
    trial.ask(
        format!("at least {KINDS_MIN} kinds of calls fail (operation and code)"),
        kinds.len() >= KINDS_MIN,
        format!("{}, {}: {}", calls(kinds), codes(kinds), named(kinds)),
    );
}

fn order(facts: &Facts<'_>, trial: &mut Trial) {
    let half = facts.series.setup.discovery_ms / 2;
    let trigger = facts.series.trigger().unwrap_or_default();
    trial.ask(
        "no earlier than half the discovery window after the trigger",
        facts.first_error.is_some_and(|at| at.0 >= trigger.0 + half),
        format!(
            "{}, half of D is {} s",
            facts.first_error.map_or("never".to_owned(), |at| since_trigger(facts, at)),
            half as f64 / 1e3
        ),
    );
    let decay = facts.decays.first().map(|d| d.since);
    trial.ask(
        "the first alarm (5 % in two windows running) comes after maps began to age",
        facts.alarm.zip(decay).is_some_and(|(alarm, decay)| alarm > decay),
        match (facts.alarm, decay) {
            (Some(alarm), Some(decay)) => format!("{:.1} s after", alarm.secs_since(decay)),
            (None, _) => "no alarm".to_owned(),
            (_, None) => "no map grew old".to_owned(),
        },
    );
}

fn since_trigger(facts: &Facts<'_>, at: At) -> String {
    format!("{:.1} s after the trigger", at.secs_since(facts.series.trigger().unwrap_or_default()))
}

fn kinds<'a>(facts: &Facts<'a>, span: (At, At)) -> Kinds<'a> {
    let mut kinds = Kinds::new();
    for outcome in facts.series.windows(span).flat_map(|w| &w.outcomes) {
        if let Some(error) = outcome.error.as_deref().filter(|_| outcome.count > 0) {
            *kinds.entry((outcome.operation.as_str(), error)).or_insert(0) += outcome.count;
        }
    }
    kinds
}

/// Shannon entropy of the kinds of calls that fail, bits.
fn entropy(kinds: &Kinds<'_>) -> f64 {
    let all: u64 = kinds.values().sum();
    kinds
        .values()
        .map(|count| *count as f64 / all as f64)
        .map(|share| -share * share.log2())
        .sum::<f64>()
        .max(0.0)
}

fn calls(kinds: &Kinds<'_>) -> String {
    format!("{} {} of calls", kinds.len(), if kinds.len() == 1 { "kind" } else { "kinds" })
}

fn codes(kinds: &Kinds<'_>) -> String {
    let codes: BTreeSet<&str> = kinds.keys().map(|(_, code)| *code).collect();
    match codes.len() {
        1 => "one error code".to_owned(),
        count => format!("{count} error codes"),
    }
}

fn named(kinds: &Kinds<'_>) -> String {
    let names: Vec<String> =
        kinds.iter().map(|((operation, error), count)| format!("{operation} {error} {count}")).collect();
    names.join(", ")
}

const fn yes(held: bool) -> &'static str {
    if held { "yes" } else { "no" }
}
