//! The negative control: the same growth with room, in which none of S3 to S17 may show.
//!
//! A check that passes everywhere checks nothing; this is the arm that says the others saw something real.

use std::collections::BTreeSet;

use crate::series::{ArmRole, At, ConsumerSample, PhaseKind, Role, ServerHappening};

use super::{
    facts::{Facts, STEADY_ERRORS_MAX, age},
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// After the last restart of a phase its callers may take this long to find their way: a flush, a refused call or two, and
/// the pause before the next attempt.
const RESTART_SETTLES_MS: u64 = 4_000;

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
    let ages = facts.front_ends.iter().flat_map(|t| t.between(after)).filter_map(age);
    let oldest = ages.reduce(f64::max);
    trial.ask(
        "S4 absent: no map reaches half its TTL",
        oldest.is_some_and(|oldest| oldest < ttl / 2.0),
        oldest.map_or("no age of a map was read".to_owned(), |oldest| {
            format!("the oldest was {oldest:.2} s, the TTL is {ttl} s")
        }),
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

/// Rows of one consumer before and after the trigger.
struct Service<'a> {
    name: &'a str,
    before: Vec<&'a ConsumerSample>,
    after: Vec<&'a ConsumerSample>,
}

impl<'a> Service<'a> {
    /// How much a counter rose after the trigger; `None` where it was not read.
    fn rise(&self, of: fn(&ConsumerSample) -> Option<u64>) -> Option<u64> {
        let last = self.after.iter().rev().find_map(|c| of(c))?;
        Some(last.saturating_sub(self.before.iter().rev().find_map(|c| of(c)).unwrap_or(0)))
    }

    fn has<T>(&self, of: impl Fn(&'a ConsumerSample) -> Option<T>) -> bool {
        self.before.iter().chain(&self.after).any(|c| of(c).is_some())
    }
}

/// Each clause is asked of the services that have what it speaks of; of none it is not asked. A service of which nothing
/// was recorded after the trigger fails the control: it would be clean in any run.
fn consumers(facts: &Facts<'_>, (trigger, _): (At, At), trial: &mut Trial) {
    let series = facts.series;
    let declared = series.servers.iter().filter(|s| s.role == Role::Consumer).map(|s| s.name.as_str());
    let names: BTreeSet<&str> =
        series.consumers.iter().map(|c| c.consumer.as_str()).chain(declared).collect();
    let services: Vec<Service<'_>> = names
        .into_iter()
        .map(|name| {
            let rows = series.consumers.iter().filter(|c| c.consumer == name);
            let (before, after) = rows.partition(|c| c.at < trigger);
            Service { name, before, after }
        })
        .collect();
    let unseen: Vec<&str> = services.iter().filter(|s| s.after.is_empty()).map(|s| s.name).collect();
    if !services.is_empty() {
        trial.ask(
            "every service on the stream is watched after the trigger",
            unseen.is_empty(),
            if unseen.is_empty() {
                format!("{} are", services.len())
            } else {
                format!("not {}", unseen.join(", "))
            },
        );
    }
    sign_ins(&services, trial);
    alarms(&services, trial);
    deliveries(facts, &services, trial);
}

fn sign_ins(services: &[Service<'_>], trial: &mut Trial) {
    for service in services.iter().filter(|s| s.has(|c| c.sign_ins_ok)) {
        let counts = service.rise(|c| c.sign_ins_ok).zip(service.rise(|c| c.sign_ins_failed));
        let (ok, failed) = counts.unwrap_or_default();
        trial.ask(
            format!("S11 absent: sign-ins at {} work (failures below 0.1 %)", service.name),
            ok + failed > 0 && failed as f64 <= STEADY_ERRORS_MAX * (ok + failed) as f64,
            format!("{failed} of {} failed", ok + failed),
        );
    }
}

fn alarms(services: &[Service<'_>], trial: &mut Trial) {
    fn dark(row: &&ConsumerSample) -> Option<u64> {
        row.alarms.map(|a| a.insufficient_data)
    }
    for service in services.iter().filter(|s| s.has(|c| c.alarms)) {
        let before = service.before.iter().rev().find_map(dark).unwrap_or(0);
        let most = service.after.iter().filter_map(dark).max();
        trial.ask(
            format!("S12 absent: no alarm of {} loses its data", service.name),
            most.is_some_and(|most| most <= before),
            most.map_or("none was read".to_owned(), |most| {
                format!("{most} alarms without data, {before} before the trigger")
            }),
        );
    }
}

/// Restarts interrupt a delivery in any arm; this asks what the growth did.
fn deliveries(facts: &Facts<'_>, services: &[Service<'_>], trial: &mut Trial) {
    let restarts =
        [PhaseKind::Restart, PhaseKind::FastRestart].into_iter().flat_map(|kind| facts.phases(kind));
    let restarts: Vec<(At, At)> = restarts
        .map(|phase| (phase.start, At(phase.end_or(facts.series.end()).0 + RESTART_SETTLES_MS)))
        .collect();
    let calm = |c: &&&ConsumerSample| !restarts.iter().any(|(start, end)| c.at >= *start && c.at <= *end);
    for service in services.iter().filter(|s| s.has(|c| c.lag_seconds)) {
        let was = service.before.iter().filter_map(|c| c.lag_seconds).fold(0.0, f64::max);
        let is = service.after.iter().filter(calm).filter_map(|c| c.lag_seconds).reduce(f64::max);
        trial.ask(
            format!(
                "S15 absent: events of {} are delivered as before, outside the restarts (within three times, or a second)",
                service.name
            ),
            is.is_some_and(|is| is <= (3.0 * was).max(1.0)),
            is.map_or("no delay was read".to_owned(), |is| {
                format!("{is:.2} s at most, {was:.2} s before the trigger")
            }),
        );
    }
}
