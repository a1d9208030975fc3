//! S5: errors of many kinds, in reads and writes, long after the act that caused them.

use std::collections::BTreeMap;

use crate::series::At;

use super::{
    facts::Facts,
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// Different pairs of operation and error code that callers must see.
const CLASSES_MIN: usize = 5;

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
    let classes = classes(facts, cliff);
    let with = |prefix: &str| classes.keys().any(|(operation, _)| operation.starts_with(prefix));
    trial.ask(
        "writes and reads fail alike",
        with("Put") && with("Get"),
        format!("writes {}, reads {}", yes(with("Put")), yes(with("Get"))),
    );
    trial.ask(
        format!("at least {CLASSES_MIN} kinds of error (operation and code)"),
        classes.len() >= CLASSES_MIN,
        format!("{} kinds: {}", classes.len(), named(&classes)),
    );
    let (before, after) = (entropy(&self::classes(facts, baseline)), entropy(&classes));
    trial.ask(
        "errors become more varied: their entropy rises",
        after > before,
        format!("{before:.2} to {after:.2} bits"),
    );
    order(facts, &mut trial);
    let when = facts.first_error.map_or(String::new(), |at| since_trigger(facts, at));
    trial.verdict(format!("{} kinds of error in reads and writes, first {when}", classes.len()))
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

/// Errors by operation and code.
fn classes<'a>(facts: &Facts<'a>, span: (At, At)) -> BTreeMap<(&'a str, &'a str), u64> {
    let mut classes = BTreeMap::new();
    for outcome in facts.series.windows(span).flat_map(|w| &w.outcomes) {
        if let Some(error) = outcome.error.as_deref().filter(|_| outcome.count > 0) {
            *classes.entry((outcome.operation.as_str(), error)).or_insert(0) += outcome.count;
        }
    }
    classes
}

/// Shannon entropy of the kinds of error, bits.
fn entropy(classes: &BTreeMap<(&str, &str), u64>) -> f64 {
    let all: u64 = classes.values().sum();
    classes
        .values()
        .map(|count| *count as f64 / all as f64)
        .map(|share| -share * share.log2())
        .sum::<f64>()
        .max(0.0)
}

fn named(classes: &BTreeMap<(&str, &str), u64>) -> String {
    let names: Vec<String> =
        classes.iter().map(|((operation, error), count)| format!("{operation} {error} {count}")).collect();
    names.join(", ")
}

const fn yes(held: bool) -> &'static str {
    if held { "yes" } else { "no" }
}
