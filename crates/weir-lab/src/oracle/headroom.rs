//! The alarm that would have told: headroom, counted over what is committed, against the first refusal.
//!
//! Threads that run climb with discovery, one learner at a time; members that are registered are committed to at once. An
//! alarm that counts the second sees the cliff before anybody has met it. Shown in the summary and in the report; judged by
//! nobody, since the fleet of 2020 had no such alarm.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::series::{ArmSeries, At, Role};

/// When an alarm on headroom would have fired, in seconds after the trigger.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadroomAlarm {
    /// It fires when a front end has less than this share of its limit left.
    pub headroom_min: f64,
    /// When it fires on committed threads: those that the registered members will take; null when it does not.
    pub committed_seconds: Option<f64>,
    /// When it fires on threads that run; null when it does not.
    pub running_seconds: Option<f64>,
    /// From the alarm on committed threads to the first refusal; null without either.
    pub warning_seconds: Option<f64>,
}

impl HeadroomAlarm {
    /// `None` where no threads of front ends grow with the fleet, and in arms without a trigger or a threshold.
    pub fn of(facts: &Facts<'_>) -> Option<Self> {
        let (series, setup) = (facts.series, &facts.series.setup);
        let headroom_min = setup.headroom_min?;
        let trigger = series.trigger()?;
        if setup.law.role != Role::Frontend || setup.law.per_peer == 0 {
            return None;
        }
        let since = |at: At| at.secs_since(trigger);
        let committed = first_committed(facts, series, headroom_min);
        let refused = facts.refusals.first().map(|r| r.at);
        Some(Self {
            headroom_min,
            committed_seconds: committed.map(since),
            running_seconds: first_running(facts, headroom_min).map(since),
            warning_seconds: committed.zip(refused).map(|(alarm, refused)| refused.secs_since(alarm)),
        })
    }
}

fn is_short(limit: u64, threads: u64, headroom_min: f64) -> bool {
    limit.saturating_sub(threads) as f64 / (limit.max(1) as f64) < headroom_min
}

/// The first look at the registry at which its largest cell has committed its front ends too far.
fn first_committed(facts: &Facts<'_>, series: &ArmSeries, headroom_min: f64) -> Option<At> {
    let members = |c: &crate::series::ControlSample| c.registered.iter().max().copied().unwrap_or(0);
    let short = |c: &&crate::series::ControlSample| {
        is_short(series.setup.limit, facts.front_end_law(members(c)), headroom_min)
    };
    series.control.iter().find(short).map(|c| c.at)
}

/// The first look at the servers at which one of them has too little left.
fn first_running(facts: &Facts<'_>, headroom_min: f64) -> Option<At> {
    let samples = facts.front_ends.iter().flat_map(|t| &t.samples);
    let short =
        samples.filter(|s| s.limit.is_some_and(|limit| is_short(limit, u64::from(s.threads), headroom_min)));
    short.map(|s| s.at).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::synthetic::Recipe;

    fn alarm(recipe: Recipe, headroom_min: f64) -> Option<HeadroomAlarm> {
        let mut series = recipe.play();
        series.setup.headroom_min = Some(headroom_min);
        HeadroomAlarm::of(&Facts::of(&series))
    }

    #[test]
    fn committed_threads_tell_before_those_that_run_and_both_before_the_first_refusal() {
        let shared = alarm(Recipe::shared(), 0.1).unwrap();
        let (committed, running) = (shared.committed_seconds.unwrap(), shared.running_seconds.unwrap());
        // Of 48 threads fewer than 4.8 are left from the 36th member on: the sixth of fourteen that join in 3 s.
        assert_eq!(committed, 1.5);
        assert!(running > committed, "{shared:?}");
        assert!(shared.warning_seconds.unwrap() > 0.0, "{shared:?}");
    }

    #[test]
    fn with_room_it_stays_silent_and_where_nothing_grows_there_is_none() {
        let raised = alarm(Recipe::raised_limit(), 0.1).unwrap();
        assert_eq!(
            (raised.committed_seconds, raised.running_seconds, raised.warning_seconds),
            (None, None, None)
        );
        assert_eq!(alarm(Recipe::cache_fleet(), 0.1), None, "the slope is the cache servers'");
        assert_eq!(HeadroomAlarm::of(&Facts::of(&Recipe::shared().play())), None, "no threshold");
    }
}
