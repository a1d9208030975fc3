//! Each signature against a run in which it holds, and against runs in which one clause of it does not.
//!
//! The runs are made up ([`crate::series::synthetic`]); every test spoils one thing and names the clause that must
//! notice. A clause that no test can fail is a bug.

mod fixes_and_control;
mod later_signatures;
mod signatures;

use std::sync::LazyLock;

use super::*;
use crate::series::{ServerMetrics, ServerSample, synthetic::Recipe};

static SHARED: LazyLock<ArmSeries> = LazyLock::new(|| Recipe::shared().play());
static CELLULAR: LazyLock<ArmSeries> = LazyLock::new(|| Recipe::cellular().play());
static ONE_CELL: LazyLock<ArmSeries> = LazyLock::new(|| Recipe::one_cell_over().play());
static CACHE: LazyLock<ArmSeries> = LazyLock::new(|| Recipe::cache_fleet().play());
static RAISED: LazyLock<ArmSeries> = LazyLock::new(|| Recipe::raised_limit().play());
static CONTROL: LazyLock<ArmSeries> = LazyLock::new(|| Recipe::control().play());

/// The verdict on a series after `spoil` had its way with it.
fn spoiled(series: &ArmSeries, id: SignatureId, spoil: impl FnOnce(&mut ArmSeries)) -> Verdict {
    let mut series = series.clone();
    spoil(&mut series);
    judge(&series, Some(&CONTROL)).of(id).clone()
}

/// Asserts that the signature fails, and that the clause which notices is the one that holds `words`.
#[track_caller]
fn assert_fails(verdict: &Verdict, words: &str) {
    assert_eq!(verdict.judgement, Judgement::Failed, "{}: {}", verdict.signature, verdict.reason);
    let noticed: Vec<&str> = verdict.clauses.iter().filter(|c| !c.held).map(|c| c.asks.as_str()).collect();
    assert!(noticed.iter().any(|asks| asks.contains(words)), "noticed by {noticed:?}, not by {words:?}");
}

/// Does something to every sample that has metrics.
fn each_metric(series: &mut ArmSeries, mut change: impl FnMut(&mut ServerMetrics, u64)) {
    for sample in &mut series.samples {
        if let Some(metrics) = &mut sample.metrics {
            change(metrics, sample.at.0);
        }
    }
}

fn each_sample(series: &mut ArmSeries, mut change: impl FnMut(&mut ServerSample)) {
    for sample in &mut series.samples {
        change(sample);
    }
}

#[test]
fn judgements_of_made_up_arms_are_as_2020_and_its_fixes_went() {
    use Judgement::{Held, NotApplicable as Na};
    let expected = [
        (&*SHARED, [Held, Held, Held, Held, Held, Held, Held, Na, Held, Na, Na, Na]),
        (&*CELLULAR, [Held, Held, Na, Na, Na, Na, Na, Na, Na, Held, Na, Na]),
        (&*ONE_CELL, [Held, Held, Held, Held, Held, Held, Held, Na, Held, Held, Na, Na]),
        (&*CACHE, [Held, Held, Na, Na, Na, Na, Na, Na, Na, Na, Held, Na]),
        (&*RAISED, [Held, Held, Na, Na, Na, Na, Na, Na, Na, Na, Na, Na]),
        (&*CONTROL, [Held, Held, Na, Na, Na, Na, Na, Na, Na, Na, Na, Held]),
    ];
    for (series, judgements) in expected {
        let opinion = judge(series, Some(&CONTROL));
        for (verdict, expected) in opinion.verdicts.iter().zip(judgements) {
            let arm = &series.setup.arm;
            let told = format!("{arm} {}: {} {:?}", verdict.signature, verdict.reason, verdict.clauses);
            assert_eq!(verdict.judgement, expected, "{told}");
        }
    }
}
