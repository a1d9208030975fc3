//! What happened in an arm, in a sentence that a person would say.
//!
//! Used by the terminal's table and the report's headlines. It says what was seen; whether that was expected is said
//! elsewhere.

use super::ArmSummary;
use crate::{
    oracle::Facts,
    series::{ArmRole, Integrity, LoadWindow, PhaseKind, Stage},
};

/// The sentence, without the arm's name before and the full stop behind.
pub(super) fn sentence(arm: &ArmSummary, facts: &Facts<'_>) -> String {
    let mut parts = vec![limit(arm, facts)];
    parts.extend(alarm(arm));
    match facts.first_error {
        None => parts.push(calm(arm, facts)),
        Some(_) => parts.extend(trouble(arm, facts)),
    }
    parts.extend(consumers(arm));
    if let Some(broken) = arm.integrity.filter(|i| !i.is_whole()) {
        let Integrity { lost, duplicated, reordered, damaged, .. } = broken;
        parts.push(format!(
            "{lost} acknowledged records lost, {duplicated} doubled, {reordered} out of order, {damaged} damaged"
        ));
    }
    parts.join("; ")
}

fn limit(arm: &ArmSummary, facts: &Facts<'_>) -> String {
    match (arm.observed_n_star, arm.predicted_n_star) {
        (Some(seen), Some(predicted)) if seen == predicted => format!("refused at N = {seen} as predicted"),
        (Some(seen), Some(predicted)) => format!("refused at N = {seen}, not at {predicted} as predicted"),
        (Some(seen), None) => format!("refused at N = {seen}, although threads should not grow"),
        (None, predicted) => {
            let largest = facts.largest_counted();
            match predicted {
                Some(n) if largest >= n => format!("no thread refused, although N = {n} was passed"),
                Some(n) => format!("no thread refused: {largest} {}, N* is {n}", arm.n_star_counts),
                None => "no thread refused: threads do not grow with the fleet".to_owned(),
            }
        }
    }
}

/// How long before the first refusal an alarm on committed threads would have fired.
fn alarm(arm: &ArmSummary) -> Option<String> {
    let alarm = arm.headroom_alarm?;
    let share = percent(Some(alarm.headroom_min));
    let warning = alarm.warning_seconds?;
    Some(format!("an alarm on committed headroom below {share} would have fired {warning:.1} s before"))
}

fn calm(arm: &ArmSummary, facts: &Facts<'_>) -> String {
    let calls: crate::series::Calls = facts.series.load.iter().map(LoadWindow::calls).collect();
    let Some(ratio) = calls.success_ratio() else { return "no calls were recorded".to_owned() };
    let success = percent(Some(ratio));
    match arm.role {
        ArmRole::Control => format!("{success} of calls succeeded, nothing else happened"),
        ArmRole::Variant if ratio >= 0.999 => format!("{success} of calls succeeded throughout"),
        ArmRole::Variant => format!("{success} of calls succeeded"),
    }
}

fn trouble(arm: &ArmSummary, facts: &Facts<'_>) -> Vec<String> {
    let mut parts = Vec::new();
    let silent = facts.decays.first().zip(facts.first_error).map(|(d, at)| at.secs_since(d.since));
    let first = arm.seconds_to_first_error.unwrap_or(0.0);
    parts.push(match silent {
        Some(silent) => format!("errors {first:.1} s after the trigger, {silent:.1} s of them in silence"),
        None => format!("errors {first:.1} s after the trigger"),
    });
    let worst = facts
        .cliff()
        .into_iter()
        .flat_map(|cliff| facts.series.windows(cliff))
        .filter_map(|w| w.calls().success_ratio())
        .reduce(f64::min);
    if let Some(worst) = worst {
        parts.push(format!("success down to {}", percent(Some(worst))));
    }
    if facts.series.phase(PhaseKind::Remove).is_some() && facts.first_error.is_some() {
        parts.extend(removal(facts));
    }
    parts.push(match arm.seconds_to_recover {
        Some(seconds) => format!("well again {seconds:.1} s after the first error"),
        None => "not well again by the end".to_owned(),
    });
    parts
}

/// Whether taking the joiners away healed it.
fn removal(facts: &Facts<'_>) -> Option<String> {
    let end = facts.series.phase(PhaseKind::Remove)?.end?;
    let restart = facts.series.stage(Stage::Cliff)?.1;
    let calls: crate::series::Calls = facts.series.windows((end, restart)).map(LoadWindow::calls).collect();
    let errors = calls.error_ratio()?;
    Some(if errors > 0.01 {
        "removing the joiners did not help".to_owned()
    } else {
        "removing the joiners healed it".to_owned()
    })
}

fn consumers(arm: &ArmSummary) -> Vec<String> {
    let mut parts = Vec::new();
    for consumer in arm.consumers.values() {
        let worst = consumer.sign_in_success_ratio.and_then(|by| by.cliff);
        if let Some(worst) = worst.filter(|w| *w < 0.999) {
            parts.push(format!("sign-in down to {} under {}", percent(Some(worst)), consumer.policy));
        }
    }
    parts
}

/// A share as people read it: never 100 % unless it is.
pub(crate) fn percent(ratio: Option<f64>) -> String {
    match ratio {
        None => "–".to_owned(),
        Some(r) if r >= 1.0 => "100 %".to_owned(),
        Some(r) if r <= 0.0 => "0 %".to_owned(),
        Some(r) if r >= 0.9995 => format!("{:.2} %", (r * 1e4).floor() / 1e2),
        Some(r) => format!("{:.1} %", r * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_share_is_whole_only_when_it_is() {
        assert_eq!(percent(Some(1.0)), "100 %");
        assert_eq!(percent(Some(0.999_99)), "99.99 %");
        assert_eq!(percent(Some(0.9994)), "99.9 %");
        assert_eq!(percent(Some(0.031)), "3.1 %");
        assert_eq!(percent(Some(0.0)), "0 %");
        assert_eq!(percent(None), "–");
    }
}
