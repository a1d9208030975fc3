//! The negative control: the same growth with room, in which none of S3 to S17 may show.
//!
//! A check that passes everywhere checks nothing; this is the arm that says the others saw something real.

use std::collections::BTreeSet;

use crate::series::{ArmRole, At, ConsumerSample, PhaseKind, ServerHappening};

use super::{
    facts::{Facts, STEADY_ERRORS_MAX, age},
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    if facts.series.setup.role != ArmRole::Control {
        return not_applicable(SignatureId::Control, "the arm is no control");
    }
    let Some(trigger) = facts.series.trigger() else {
        let mut trial = Trial::of(SignatureId::Control);
        trial.ask("the control grows as the others do", false, "it adds no capacity");
        return trial.verdict(String::new());
    };
    let mut trial = Trial::of(SignatureId::Control);
    let after = (trigger, facts.series.end());
    let setup = &facts.series.setup;
    let all = u64::from(setup.front_ends + setup.front_ends_added);
    let most = facts.series.control.iter().map(|c| c.registered.iter().sum::<u64>()).max().unwrap_or(0);
    trial.ask(
        "the control grows as the others do",
        most >= all,
        format!("{most} of {all} members registered"),
    );
    servers(facts, after, &mut trial);
    let errors = facts.error_ratio(after);
    trial.ask(
        "S5, S6, S7, S9 absent: callers see no errors (below 0.1 %)",
        errors.is_some_and(|ratio| ratio < STEADY_ERRORS_MAX) && facts.first_error.is_none(),
        errors.map_or("no calls".to_owned(), |ratio| format!("{:.3} %", ratio * 100.0)),
    );
    consumers(facts, after, &mut trial);
    trial.verdict(format!("{most} members under a limit of {} threads: nothing happened", setup.limit))
}

fn servers(facts: &Facts<'_>, after: (At, At), trial: &mut Trial) {
    let kernels: f64 =
        facts.fleet().filter_map(|t| t.rise(after, |s| s.pids_events_max.map(|n| n as f64))).sum();
    let ours = facts.refusals_total();
    trial.ask(
        "S3 absent: nobody is refused a thread",
        ours == 0 && kernels == 0.0,
        format!("{ours} refusals counted at the call, {} by the kernel", kernels as u64),
    );
    let ttl = facts.series.setup.map_ttl_ms as f64 / 1e3;
    let oldest = facts.front_ends.iter().flat_map(|t| t.between(after)).filter_map(age).fold(0.0, f64::max);
    trial.ask(
        "S4 absent: no map comes near its TTL",
        oldest < ttl,
        format!("the oldest was {oldest:.2} s, the TTL is {ttl} s"),
    );
    let exited =
        facts.series.events.iter().filter(|e| matches!(e.happening, ServerHappening::Exited { .. })).count();
    let removals = facts.series.control.iter().filter_map(|c| c.health_removals).max().unwrap_or(0);
    trial.ask(
        "S8 absent: nobody exits, health checks remove nobody",
        exited == 0 && removals == 0,
        format!("{exited} exits, {removals} removals"),
    );
}

fn consumers(facts: &Facts<'_>, after: (At, At), trial: &mut Trial) {
    let names: BTreeSet<&str> = facts.series.consumers.iter().map(|c| c.consumer.as_str()).collect();
    let rows = |name: &str| {
        let name = name.to_owned();
        facts.series.consumers.iter().filter(move |c| c.consumer == name)
    };
    let rise = |of: fn(&ConsumerSample) -> Option<u64>| -> u64 {
        let last = |name: &str, until: At| rows(name).rfind(|c| c.at < until).and_then(of).unwrap_or(0);
        names.iter().map(|name| last(name, At(u64::MAX)).saturating_sub(last(name, after.0))).sum()
    };
    let (ok, failed) = (rise(|c| c.sign_ins_ok), rise(|c| c.sign_ins_failed));
    trial.ask(
        "S11 absent: sign-ins work (failures below 0.1 %)",
        failed as f64 <= STEADY_ERRORS_MAX * (ok + failed) as f64,
        format!("{failed} of {} failed", ok + failed),
    );
    let dark = |c: &ConsumerSample| c.alarms.map(|a| a.insufficient_data);
    let before: u64 =
        names.iter().filter_map(|name| rows(name).rfind(|c| c.at < after.0).and_then(dark)).sum();
    let most = |name: &&str| rows(name).filter(|c| c.at >= after.0).filter_map(dark).max();
    let most: u64 = names.iter().filter_map(most).sum();
    trial.ask(
        "S12 absent: no alarm loses its data",
        most <= before,
        format!("{most} alarms without data, {before} before the trigger"),
    );
    let lag = |from: At, to: At| {
        let within = facts.series.consumers.iter().filter(|c| c.at >= from && c.at < to);
        within.filter_map(|c| c.lag_seconds).fold(0.0, f64::max)
    };
    // Up to the restarts: those interrupt a delivery in any arm, and this asks what the growth did.
    let restarts = facts.phases(PhaseKind::Restart).map(|phase| phase.start).min().unwrap_or(At(u64::MAX));
    let (was, is) = (lag(At(0), after.0), lag(after.0, restarts));
    trial.ask(
        "S15 absent: events are delivered as before (within three times, or a second)",
        is <= (3.0 * was).max(1.0),
        format!("{is:.2} s at most, {was:.2} s before the trigger"),
    );
}
