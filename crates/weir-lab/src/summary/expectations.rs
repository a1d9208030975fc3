//! What was expected of an arm, against what came out: the run's exit status rests on this.
//!
//! Used by the summary. Integrity and the control's cleanness are expected of every arm, whatever its scenario says.

use serde::{Deserialize, Serialize};

use super::ArmSummary;
use crate::{
    oracle::{Judgement, Opinion, SignatureId},
    series::{ArmRole, ArmSeries, Bound},
};

/// One expectation and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was expected.
    pub expects: String,
    /// Did it hold?
    pub held: bool,
    /// What was found instead, or in its support.
    pub found: String,
}

pub(super) fn outcomes(series: &ArmSeries, opinion: &Opinion, arm: &ArmSummary) -> Vec<Outcome> {
    let expect = &series.setup.expect;
    let mut outcomes = vec![integrity(series)];
    let mut held = expect.held.clone();
    if series.setup.role == ArmRole::Control && !held.contains(&SignatureId::Control) {
        held.push(SignatureId::Control);
    }
    for signature in held {
        let verdict = opinion.of(signature);
        outcomes.push(Outcome {
            expects: format!("{signature} ({}) is held", signature.title()),
            held: verdict.judgement == Judgement::Held,
            found: verdict.reason.clone(),
        });
    }
    if expect.n_star_exact {
        let (predicted, observed) = (opinion.prediction.n_star, opinion.observed_n_star);
        let tell = |n: Option<u64>| n.map_or("none".to_owned(), |n| n.to_string());
        outcomes.push(Outcome {
            expects: "the first refusal comes at N*, to the integer".to_owned(),
            held: observed.is_some() && observed == predicted,
            found: format!("observed {}, predicted {}", tell(observed), tell(predicted)),
        });
    }
    if expect.in_order.len() > 1 {
        outcomes.push(order(opinion, &expect.in_order));
    }
    let numbers = serde_json::to_value(arm).expect("a summary has text keys only");
    outcomes.extend(expect.bounds.iter().map(|b| bound(b, &numbers)));
    outcomes
}

fn integrity(series: &ArmSeries) -> Outcome {
    let found = match series.integrity {
        Some(i) => format!(
            "{} acknowledged, {} found, {} lost, {} duplicated, {} reordered, {} damaged",
            i.acknowledged, i.found, i.lost, i.duplicated, i.reordered, i.damaged
        ),
        None => "the read-back did not end".to_owned(),
    };
    Outcome {
        expects: "every acknowledged record is read back once, in order".to_owned(),
        held: series.integrity.is_some_and(|i| i.is_whole() && i.acknowledged > 0),
        found,
    }
}

fn order(opinion: &Opinion, signatures: &[SignatureId]) -> Outcome {
    let onsets: Vec<Option<u64>> = signatures.iter().map(|s| opinion.of(*s).onset_ms).collect();
    let ascending = onsets.windows(2).all(|pair| matches!(pair, [Some(a), Some(b)] if a <= b));
    let tell = |(s, at): (&SignatureId, &Option<u64>)| match at {
        Some(ms) => format!("{s} at {:.1} s", *ms as f64 / 1e3),
        None => format!("{s} never"),
    };
    let names: Vec<&str> = signatures.iter().map(|s| s.name()).collect();
    Outcome {
        expects: format!("they show in the order {}", names.join(", ")),
        held: ascending,
        found: signatures.iter().zip(&onsets).map(tell).collect::<Vec<_>>().join(", "),
    }
}

/// A bound on a number that is missing does not hold: a typing error in a scenario must not pass.
fn bound(bound: &Bound, numbers: &serde_json::Value) -> Outcome {
    let path = format!("/{}", bound.metric.replace('.', "/"));
    let value = numbers.pointer(&path).and_then(serde_json::Value::as_f64);
    let limits = [bound.min.map(|m| format!("at least {m}")), bound.max.map(|m| format!("at most {m}"))];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let within = |v: f64| bound.min.is_none_or(|min| v >= min) && bound.max.is_none_or(|max| v <= max);
    Outcome {
        expects: format!("{} is {}", bound.metric, limits.join(" and ")),
        held: !limits.is_empty() && value.is_some_and(within),
        found: value.map_or("the summary has no such number".to_owned(), |v| v.to_string()),
    }
}
