//! S6 to S9: masked, not healing, restarted; each clause spoiled once.

use super::*;
use crate::series::{At, LatencyOf, PhaseKind, Role, ServerEvent, ServerHappening, ServerId};

fn nodes(series: &mut ArmSeries, mut change: impl FnMut(&mut ServerSample)) {
    let roles: Vec<Role> = series.servers.iter().map(|s| s.role).collect();
    series.samples.iter_mut().filter(|x| roles[x.server.0 as usize] == Role::Backend).for_each(&mut change);
}

#[test]
fn s6_notices_a_back_end_that_queues_works_or_fails() {
    let queued = |s: &mut ArmSeries| {
        nodes(s, |x| x.metrics.as_mut().unwrap().append_queue = Some(if x.at.0 > 28_000 { 3 } else { 0 }));
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S6, queued), "append queues are empty");
    let unread = |s: &mut ArmSeries| nodes(s, |x| x.metrics = None);
    assert_fails(&spoiled(&SHARED, SignatureId::S6, unread), "append queues are empty");
    let works = |s: &mut ArmSeries| nodes(s, |x| x.cpu_seconds = x.at.secs() * 0.1);
    assert_fails(&spoiled(&SHARED, SignatureId::S6, works), "processor time falls");
    let fails = |s: &mut ArmSeries| nodes(s, |x| x.metrics.as_mut().unwrap().errors = Some(x.at.0 / 30_000));
    assert_fails(&spoiled(&SHARED, SignatureId::S6, fails), "reports no errors");
    let silent = |s: &mut ArmSeries| {
        let node = s.servers.iter().find(|x| x.role == Role::Backend).unwrap().id;
        nodes(s, |x| {
            if x.server == node {
                x.metrics.as_mut().unwrap().errors = None;
            }
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S6, silent), "reports no errors");
}

#[test]
fn s7_notices_joiners_that_stay() {
    let stay =
        |s: &mut ArmSeries| s.control.iter_mut().for_each(|c| c.registered[0] = c.registered[0].max(31));
    assert_fails(&spoiled(&SHARED, SignatureId::S7, stay), "the joiners leave");
}

#[test]
fn s7_notices_a_fleet_that_heals_by_itself() {
    let heals = |s: &mut ArmSeries| {
        let after = s.load.iter_mut().filter(|w| w.at.0 >= 40_000);
        after.flat_map(|w| &mut w.outcomes).for_each(|o| o.error = None);
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S7, heals), "success stays below 50 %");
    let early = |s: &mut ArmSeries| {
        let restart = s.phases.iter_mut().find(|p| p.action == PhaseKind::Restart).unwrap();
        restart.start = At(37_000);
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S7, early), "success stays below 50 %");
}

#[test]
fn s7_ends_where_somebody_steps_in() {
    // Raised under fire three seconds before the restart, and it helps at once.
    let raised = |action: PhaseKind| {
        move |s: &mut ArmSeries| {
            let mut phase = s.phases[4].clone();
            (s.phases[4].end, phase.start, phase.action) = (Some(At(41_000)), At(41_000), action);
            s.phases.insert(5, phase);
            let after = s.load.iter_mut().filter(|w| w.at.0 >= 41_000);
            after.flat_map(|w| &mut w.outcomes).for_each(|o| o.error = None);
        }
    };
    for action in [PhaseKind::RaiseLimit, PhaseKind::SetBootstrap] {
        let verdict = spoiled(&SHARED, SignatureId::S7, raised(action));
        assert_eq!(verdict.judgement, Judgement::Held, "{action:?}: {}", verdict.reason);
    }
    assert_fails(&spoiled(&SHARED, SignatureId::S7, raised(PhaseKind::Wait)), "until somebody steps in");
}

#[test]
fn s7_looks_only_at_tenants_of_cells_that_met_the_limit() {
    let spared = |s: &mut ArmSeries| {
        for tenant in s.load.iter_mut().flat_map(|w| &mut w.tenants).filter(|t| t.tenant == "tenant-0") {
            (tenant.succeeded, tenant.failed) = (tenant.succeeded + tenant.failed, 0);
        }
    };
    assert_fails(&spoiled(&ONE_CELL, SignatureId::S7, spared), "success stays below 50 %");
}

#[test]
fn s7_notices_a_fleet_that_was_never_well() {
    let ill = |s: &mut ArmSeries| s.load[4].outcomes[0].error = Some("timeout".to_owned());
    assert_fails(&spoiled(&SHARED, SignatureId::S7, ill), "before the trigger is well");
    let mut control = CONTROL.clone();
    for window in control.load.iter_mut().filter(|w| w.at.0 > 65_000) {
        window.outcomes[0].error = Some("timeout".to_owned());
    }
    let opinion = judge(&SHARED, Some(&control));
    assert_fails(opinion.of(SignatureId::S7), "the control at that size is well");
    let alone = judge(&SHARED, None);
    let verdict = alone.of(SignatureId::S7);
    assert_eq!(verdict.judgement, Judgement::Held);
    assert!(verdict.reason.contains("without a control"), "{}", verdict.reason);
}

/// A restart of everything at once: boots get longer the more there are, health checks remove servers, the number
/// that serve saws, and calls are slow.
fn fast_restart() -> ArmSeries {
    let mut series = SHARED.clone();
    let phase = series.phases.iter_mut().find(|p| p.action == PhaseKind::Restart).unwrap();
    phase.action = PhaseKind::FastRestart;
    let (start, end) = (phase.start.0, phase.end.unwrap().0);
    series.events.retain(|e| e.at.0 < start);
    for n in 0..12u64 {
        let started = ServerHappening::Started { pid: 1, incarnation: 1 };
        let (server, at) = (ServerId(n as u32), start + 100 * n);
        series.events.push(ServerEvent { at: At(at), server, happening: started });
        series.events.push(ServerEvent {
            at: At(at + 2_000 + 300 * n),
            server,
            happening: ServerHappening::Ready,
        });
    }
    series.events.sort_by_key(|e| e.at);
    for row in series.control.iter_mut().filter(|c| c.at.0 > start + 4_000) {
        row.health_removals = Some(5);
    }
    for sample in series.samples.iter_mut().filter(|x| (start..end).contains(&x.at.0)) {
        let low = (sample.at.0 / 2_000).is_multiple_of(2) && sample.server.0 < 10;
        let metrics = sample.metrics.as_mut().unwrap();
        metrics.map_age_seconds = metrics.map_age_seconds.map(|_| if low { 30.0 } else { 0.2 });
    }
    for window in series.load.iter_mut().filter(|w| (start..end).contains(&w.at.0)) {
        window.latency = vec![LatencyOf::of_values("PutRecord", None, vec![14_000; 50])];
    }
    series
}

#[test]
fn s8_holds_for_a_restart_that_defeats_itself() {
    let verdict = spoiled(&fast_restart(), SignatureId::S8, |_| {});
    assert_eq!(verdict.judgement, Judgement::Held, "{} {:?}", verdict.reason, verdict.clauses);
}

#[test]
fn s8_notices_a_restart_that_does_no_harm() {
    let even = |s: &mut ArmSeries| {
        let mut started = std::collections::BTreeMap::new();
        for event in &mut s.events {
            match event.happening {
                ServerHappening::Started { .. } => drop(started.insert(event.server, event.at)),
                ServerHappening::Ready => event.at = At(started[&event.server].0 + 2_000),
                _ => {}
            }
        }
    };
    assert_fails(&spoiled(&fast_restart(), SignatureId::S8, even), "boots take longer");
    // Upward by chance: the line through all boots slopes up, but not in most draws of them.
    let chance = |s: &mut ArmSeries| {
        even(s);
        let ready = |e: &&mut ServerEvent| e.at.0 > 44_000 && e.happening == ServerHappening::Ready;
        for (number, event) in s.events.iter_mut().filter(ready).enumerate() {
            event.at.0 += [0, 100, 0, 0, 100, 0, 0, 100, 100, 0, 0, 100][number];
        }
    };
    assert_fails(&spoiled(&fast_restart(), SignatureId::S8, chance), "beyond the noise");
    let falls = |s: &mut ArmSeries| {
        let ids: Vec<u32> = s.servers.iter().map(|x| x.id.0).collect();
        for sample in s.samples.iter_mut().filter(|x| x.at.0 >= 44_000 && ids.contains(&x.server.0)) {
            let old = u64::from(sample.server.0) < (sample.at.0 - 44_000) / 1_000;
            let metrics = sample.metrics.as_mut().unwrap();
            metrics.map_age_seconds = metrics.map_age_seconds.map(|_| if old { 30.0 } else { 0.2 });
        }
    };
    assert_fails(&spoiled(&fast_restart(), SignatureId::S8, falls), "saws");
    let quick = |s: &mut ArmSeries| {
        s.load
            .iter_mut()
            .for_each(|w| w.latency = vec![LatencyOf::of_values("PutRecord", None, vec![900; 50])]);
    };
    assert_fails(&spoiled(&fast_restart(), SignatureId::S8, quick), "p99 rises beyond the noise");
    let kept = |s: &mut ArmSeries| s.control.iter_mut().for_each(|c| c.health_removals = Some(2));
    assert_fails(&spoiled(&fast_restart(), SignatureId::S8, kept), "health checks take slow servers out");
    let smooth =
        |s: &mut ArmSeries| each_metric(s, |m, _| m.map_age_seconds = m.map_age_seconds.map(|_| 0.2));
    assert_fails(&spoiled(&fast_restart(), SignatureId::S8, smooth), "saws");
}

#[test]
fn s9_notices_serving_members_that_jump_or_come_at_another_pace() {
    let jump = |s: &mut ArmSeries| {
        each_metric(s, |m, at| {
            m.map_age_seconds =
                m.map_age_seconds.map(|_| if (20_000..61_000).contains(&at) { 9.0 } else { 0.2 });
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S9, jump), "straight line");
    let early = |s: &mut ArmSeries| {
        for event in s.events.iter_mut().filter(|e| e.at.0 >= 44_000) {
            event.at = At(44_000 + (event.at.0 - 44_000) / 2);
        }
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S9, early), "at the pace at which servers");
    let none = |s: &mut ArmSeries| s.events.retain(|e| e.at.0 < 44_000);
    assert_fails(&spoiled(&SHARED, SignatureId::S9, none), "at the pace at which servers");
}

#[test]
fn s9_notices_callers_that_are_served_before_anybody_serves() {
    let ahead = |s: &mut ArmSeries| {
        let early = s.load.iter_mut().filter(|w| (44_500..48_000).contains(&w.at.0));
        early.flat_map(|w| &mut w.outcomes).for_each(|o| o.error = None);
    };
    let verdict = spoiled(&SHARED, SignatureId::S9, ahead);
    assert_fails(&verdict, "errors fall only as capacity comes back");
    assert_fails(&verdict, "halfway back near the middle");
}

#[test]
fn s9_notices_a_fleet_that_stays_ill() {
    let ill = |s: &mut ArmSeries| {
        for window in s.load.iter_mut().filter(|w| w.at.0 >= 62_000) {
            window.outcomes[1].error = Some("timeout".to_owned());
        }
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S9, ill), "afterwards the fleet is well");
}
