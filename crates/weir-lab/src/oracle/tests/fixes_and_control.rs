//! S18, S19 and the control: the fixes and the run in which nothing may happen, each clause spoiled once.

use super::*;
use crate::series::{
    At, LatencyOf, PhaseKind, Role, ServerEvent, ServerHappening, ServerId, synthetic::BASE_THREADS,
};

#[test]
fn s18_notices_a_tenant_of_another_cell_that_is_hurt() {
    let hurt = |s: &mut ArmSeries| {
        for tenant in s.load.iter_mut().filter(|w| w.at.0 > 20_000).flat_map(|w| &mut w.tenants) {
            if tenant.tenant == "tenant-1" {
                (tenant.succeeded, tenant.failed) = (0, 25);
            }
        }
    };
    let verdict = spoiled(&ONE_CELL, SignatureId::S18, hurt);
    assert_fails(&verdict, "and nobody else");
    assert_fails(&verdict, "the other cells see no errors");
    assert_fails(&spoiled(&CELLULAR, SignatureId::S18, hurt), "and nobody else");
}

#[test]
fn s18_notices_a_tenant_of_the_cell_that_is_spared() {
    let spared = |s: &mut ArmSeries| {
        for tenant in s.load.iter_mut().flat_map(|w| &mut w.tenants).filter(|t| t.tenant == "tenant-0") {
            tenant.failed = 0;
        }
    };
    assert_fails(&spoiled(&ONE_CELL, SignatureId::S18, spared), "are affected");
}

#[test]
fn s18_notices_a_second_cell_over_its_limit() {
    let second = |s: &mut ArmSeries| {
        for sample in s.samples.iter_mut().filter(|x| x.server == ServerId(1) && x.at.0 > 20_000) {
            sample.metrics.as_mut().unwrap().refusals = Some(1);
        }
    };
    assert_fails(&spoiled(&ONE_CELL, SignatureId::S18, second), "at most one cell in C");
}

#[test]
fn s18_notices_other_cells_that_get_slow_and_says_when_it_is_only_noise() {
    let slower = |factor: u64| {
        move |s: &mut ArmSeries| {
            for window in s.load.iter_mut().filter(|w| w.at.0 >= 13_000) {
                for latency in &mut window.latency {
                    let values =
                        latency.buckets().iter().flat_map(|(v, n)| vec![*v * factor / 100; *n as usize]);
                    let values = values.collect();
                    *latency = LatencyOf::of_values(&latency.operation, latency.tenant.clone(), values);
                }
            }
        }
    };
    assert_fails(&spoiled(&ONE_CELL, SignatureId::S18, slower(150)), "stays inside the noise");
    let noise = spoiled(&ONE_CELL, SignatureId::S18, slower(107));
    assert_eq!(noise.judgement, Judgement::Held, "{}", noise.reason);
    let told = noise.clauses.iter().find(|c| c.asks.contains("p99")).unwrap();
    assert!(told.found.contains("inside the noise") || told.found.contains("within 5 %"), "{}", told.found);
    // As much slower as the control, in which no cell met its limit: that is the host, not a shared fate.
    let (mut slow, mut control) = (ONE_CELL.clone(), CONTROL.clone());
    slower(150)(&mut slow);
    slower(150)(&mut control);
    let host = judge(&slow, Some(&control));
    let verdict = host.of(SignatureId::S18);
    assert_eq!(verdict.judgement, Judgement::Held, "{}", verdict.reason);
    let unrecorded = |s: &mut ArmSeries| s.load.iter_mut().for_each(|w| w.latency.clear());
    assert_fails(&spoiled(&ONE_CELL, SignatureId::S18, unrecorded), "stays inside the noise");
}

#[test]
fn s19_notices_a_front_end_whose_threads_grow() {
    let grows = |s: &mut ArmSeries| s.samples.iter_mut().find(|x| x.at.0 == 30_000).unwrap().threads += 1;
    assert_fails(&spoiled(&CACHE, SignatureId::S19, grows), "whatever the fleet's size");
}

#[test]
fn s19_does_not_count_a_front_end_that_is_ending_but_one_that_is_back() {
    let told = |e: &&ServerEvent| e.server == ServerId(2) && e.happening == ServerHappening::Told;
    let at = CACHE.events.iter().rfind(told).unwrap().at.0;
    let with = |threads: u32, from: u64, to: u64| {
        move |s: &mut ArmSeries| {
            each_sample(s, |x| {
                if x.server == ServerId(2) && (from..to).contains(&x.at.0) {
                    x.threads = threads;
                }
            });
        }
    };
    let fewer = |from, to| with(2, from, to);
    let ending = spoiled(&CACHE, SignatureId::S19, fewer(at - 499, at + 1));
    assert_eq!(ending.judgement, Judgement::Held, "{}", ending.reason);
    let more = with(BASE_THREADS as u32 + 1, at - 499, at + 1);
    assert_fails(&spoiled(&CACHE, SignatureId::S19, more), "while they start or end");
    assert_fails(
        &spoiled(&CACHE, SignatureId::S19, fewer(at - 2_000, at - 500)),
        "whatever the fleet's size",
    );
    assert_fails(
        &spoiled(&CACHE, SignatureId::S19, fewer(at + 1_000, at + 2_000)),
        "whatever the fleet's size",
    );
}

fn caches(series: &mut ArmSeries, mut change: impl FnMut(&mut ServerSample)) {
    let roles: Vec<Role> = series.servers.iter().map(|s| s.role).collect();
    series.samples.iter_mut().filter(|x| roles[x.server.0 as usize] == Role::Cache).for_each(&mut change);
}

#[test]
fn s19_notices_cache_servers_off_their_law_or_without_a_slope() {
    let off = |s: &mut ArmSeries| caches(s, |x| x.threads += u32::from(x.at.0 == 33_000));
    assert_fails(&spoiled(&CACHE, SignatureId::S19, off), "exactly the threads of their law");
    let flat = |s: &mut ArmSeries| caches(s, |x| x.threads = 21);
    assert_fails(&spoiled(&CACHE, SignatureId::S19, flat), "they carry the slope");
    let gone = |s: &mut ArmSeries| s.samples.retain(|x| x.server.0 < 44);
    assert_fails(&spoiled(&CACHE, SignatureId::S19, gone), "exactly the threads of their law");
}

#[test]
fn s19_needs_a_new_n_star() {
    let nobodys = |s: &mut ArmSeries| (s.setup.law.per_client, s.setup.law.per_peer) = (0, 0);
    assert_fails(&spoiled(&CACHE, SignatureId::S19, nobodys), "the new N* can be told");
    let fronts = |s: &mut ArmSeries| s.setup.law.role = Role::Frontend;
    assert_fails(&spoiled(&CACHE, SignatureId::S19, fronts), "the new N* can be told");
}

#[test]
fn a_cache_server_that_is_refused_counts_the_front_ends_it_serves() {
    let refused = |s: &mut ArmSeries| {
        caches(s, |x| {
            let metrics = x.metrics.as_mut().unwrap();
            // Itself, two peers, 37 front ends with their threads and the one that was refused: 41 reached.
            (metrics.refusals, metrics.refused_at_members) = (Some(1), Some(41));
        });
    };
    let mut series = CACHE.clone();
    refused(&mut series);
    let opinion = judge(&series, None);
    assert_eq!((opinion.prediction.n_star, opinion.observed_n_star), (Some(38), Some(38)));
}

#[test]
fn the_control_notices_a_refusal_by_either_count() {
    let ours = |s: &mut ArmSeries| s.samples[900].metrics.as_mut().unwrap().refusals = Some(1);
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, ours), "S3 absent");
    let kernels = |s: &mut ArmSeries| {
        let late = s.samples.iter_mut().filter(|x| x.server == ServerId(3) && x.at.0 > 20_000);
        late.for_each(|x| x.pids_events_max = Some(1));
    };
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, kernels), "S3 absent");
}

#[test]
fn the_control_notices_an_old_map_an_exit_and_a_removal() {
    let old = |s: &mut ArmSeries| {
        let sample = s.samples.iter_mut().find(|x| x.at.0 == 30_000).unwrap();
        sample.metrics.as_mut().unwrap().map_age_seconds = Some(3.1);
    };
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, old), "S4 absent");
    let unread = |s: &mut ArmSeries| each_metric(s, |m, _| m.map_age_seconds = None);
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, unread), "S4 absent");
    let exit = |s: &mut ArmSeries| {
        let happening = ServerHappening::Exited { code: None, signal: Some(9) };
        s.events.push(ServerEvent { at: At(30_000), server: ServerId(1), happening });
    };
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, exit), "S8 absent");
    let removed = |s: &mut ArmSeries| s.control.last_mut().unwrap().health_removals = Some(1);
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, removed), "S8 absent");
}

#[test]
fn the_control_notices_errors_that_callers_see() {
    let few = |s: &mut ArmSeries| s.load[60].outcomes[0].error = Some("timeout".to_owned());
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, few), "callers see no errors");
}

#[test]
fn the_control_notices_trouble_of_the_consumers() {
    let row = |s: &mut ArmSeries, name: &str, change: fn(&mut crate::series::ConsumerSample)| {
        s.consumers.iter_mut().filter(|c| c.consumer == name && c.at.0 > 30_000).for_each(change);
    };
    let auth = |s: &mut ArmSeries| row(s, "auth-cache", |c| c.sign_ins_failed = Some(30));
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, auth), "S11 absent");
    let dark = |s: &mut ArmSeries| {
        row(s, "metrics-buffer", |c| c.alarms.as_mut().unwrap().insufficient_data = 1);
    };
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, dark), "S12 absent");
    let late = |s: &mut ArmSeries| row(s, "event-bus", |c| c.lag_seconds = Some(1.5));
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, late), "S15 absent");
}

#[test]
fn the_control_looks_at_deliveries_outside_the_restarts_also_after_them() {
    let late = |from: u64, to: u64| {
        move |s: &mut ArmSeries| {
            let rows = s.consumers.iter_mut().filter(|c| c.consumer == "event-bus");
            rows.filter(|c| (from..to).contains(&c.at.0)).for_each(|c| c.lag_seconds = Some(5.0));
        }
    };
    let judged = |from, to| spoiled(&CONTROL, SignatureId::Control, late(from, to));
    assert_eq!(judged(44_000, 66_000).judgement, Judgement::Held, "in the restarts and right after them");
    assert_fails(&judged(67_000, 72_000), "S15 absent: events of event-bus");
    assert_fails(&judged(43_000, 44_000), "outside the restarts");
    let fast = |s: &mut ArmSeries| {
        s.phases
            .iter_mut()
            .filter(|p| p.action == PhaseKind::Restart)
            .for_each(|p| p.action = PhaseKind::FastRestart);
        late(44_000, 66_000)(s);
    };
    assert_eq!(spoiled(&CONTROL, SignatureId::Control, fast).judgement, Judgement::Held);
}

#[test]
fn a_control_whose_services_were_not_watched_is_not_clean() {
    let control = |spoil: fn(&mut ArmSeries)| spoiled(&CONTROL, SignatureId::Control, spoil);
    let blind = control(|s| s.consumers.retain(|c| c.at.0 < 10_000));
    assert_fails(&blind, "is watched after the trigger");
    assert_fails(&blind, "S11 absent: sign-ins at auth-cache");
    assert_fails(&blind, "S12 absent: no alarm of metrics-buffer");
    assert_fails(&blind, "S15 absent: events of event-bus");
    let never = control(|s| {
        let id = ServerId(s.servers.len() as u32);
        let mut info = s.servers[0].clone();
        (info.id, info.name, info.role) = (id, "mailer".to_owned(), Role::Consumer);
        s.servers.push(info);
    });
    assert_fails(&never, "is watched after the trigger");
    let without = control(|s| s.consumers.clear());
    assert_eq!(without.judgement, Judgement::Held, "a scenario without services asks nothing of them");
    assert!(without.clauses.iter().all(|c| !c.asks.contains("S11") && !c.asks.contains("S15")));
}

#[test]
fn a_control_that_does_not_grow_controls_nothing() {
    let small = |s: &mut ArmSeries| s.control.iter_mut().for_each(|c| c.registered[0] = 30);
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, small), "the control grows as the others do");
    let none = |s: &mut ArmSeries| s.phases.truncate(1);
    assert_fails(&spoiled(&CONTROL, SignatureId::Control, none), "the control grows as the others do");
}
