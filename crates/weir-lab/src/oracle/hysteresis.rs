//! S7: what was added is gone again, and still it does not heal; a fleet of that size that never grew is well.

use crate::series::{At, LoadWindow, PhaseKind, Stage};

use super::{
    facts::Facts,
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// Windows without recovery that are asked for.
const WINDOWS_MIN: usize = 5;
/// Success below this share is a service that is down.
const DOWN: f64 = 0.5;
/// Success above this share is a healthy one.
const WELL: f64 = 0.999;

pub(super) fn judge(facts: &Facts<'_>, control: Option<&Facts<'_>>) -> Verdict {
    if facts.phases(PhaseKind::Remove).next().is_none() {
        return not_applicable(SignatureId::S7, "the arm takes no capacity away again");
    }
    if facts.refusals.is_empty() {
        return not_applicable(SignatureId::S7, facts.no_refusal());
    }
    let mut trial = Trial::of(SignatureId::S7);
    let before = u64::from(facts.series.setup.front_ends);
    let back = back_at(facts, before);
    trial.shows_at(back);
    trial.ask(
        format!("the joiners leave: {before} members again"),
        back.is_some(),
        back.map_or("never so".to_owned(), |at| {
            format!("{:.1} s after the trigger", at.secs_since(facts.series.trigger().unwrap_or_default()))
        }),
    );
    let end = back.and_then(|back| untouched(facts, back));
    let windows: Vec<&LoadWindow> =
        back.zip(end).map(|span| facts.series.windows(span).collect()).unwrap_or_default();
    let ratios: Vec<f64> = windows.iter().filter_map(|w| facts.exposed_calls(w).success_ratio()).collect();
    let best = ratios.iter().copied().fold(0.0, f64::max);
    trial.ask(
        format!(
            "where the limit was met, success stays below 50 % for {WINDOWS_MIN} windows or more, until somebody steps in"
        ),
        ratios.len() >= WINDOWS_MIN && best < DOWN,
        format!("{} windows, the best with {:.1} % success", ratios.len(), best * 100.0),
    );
    healthy(facts, facts.baseline(), "the same fleet before the trigger", &mut trial);
    if let Some(control) = control {
        let recovery = control.series.stage(Stage::Recovery);
        let after = control.phases(PhaseKind::Remove).next().and_then(|p| p.end);
        let span = recovery.or(after.map(|at| (at, control.series.end())));
        healthy(control, span, "the control at that size", &mut trial);
    }
    let without = if control.is_some() { "" } else { " (judged without a control arm)" };
    trial.verdict(format!(
        "{} windows at {before} members again, at most {:.1} % success: only a restart helps{without}",
        ratios.len(),
        best * 100.0
    ))
}

/// When the registry was back at the fleet's first size.
fn back_at(facts: &Facts<'_>, before: u64) -> Option<At> {
    let removal = facts.phases(PhaseKind::Remove).next()?.start;
    let small =
        |c: &&crate::series::ControlSample| c.at >= removal && c.registered.iter().sum::<u64>() <= before;
    facts.series.control.iter().find(small).map(|c| c.at)
}

/// Until when nobody does anything about it: the first restart, raised limit, switched bootstrap or fault.
fn untouched(facts: &Facts<'_>, back: At) -> Option<At> {
    let steps_in = |p: &&crate::series::Phase| match p.action {
        PhaseKind::Restart
        | PhaseKind::FastRestart
        | PhaseKind::RaiseLimit
        | PhaseKind::SetBootstrap
        | PhaseKind::Fault => p.start >= back,
        PhaseKind::Baseline | PhaseKind::Add | PhaseKind::Wait | PhaseKind::Remove | PhaseKind::Recovery => {
            false
        }
    };
    let end = facts.cliff()?.1;
    Some(facts.series.phases.iter().find(steps_in).map_or(end, |p| p.start.min(end)))
}

fn healthy(facts: &Facts<'_>, span: Option<(At, At)>, who: &str, trial: &mut Trial) {
    let errors = span.and_then(|span| facts.error_ratio(span));
    trial.ask(
        format!("{who} is well (success of 99.9 % or more)"),
        errors.is_some_and(|ratio| 1.0 - ratio >= WELL),
        errors.map_or("no calls".to_owned(), |ratio| format!("{:.2} % success", (1.0 - ratio) * 100.0)),
    );
}
