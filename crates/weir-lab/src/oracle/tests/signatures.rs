//! S1 to S5: the way into the cliff, each clause spoiled once.

use super::*;
use crate::series::{
    At, Cohort, LoadWindow, Outcome, Role, ServerEvent, ServerHappening, ServerId,
    synthetic::{DISCOVERY_MS, TTL_MS},
};

/// Turns every success of a window into this error.
fn fail(window: &mut LoadWindow, error: &str) {
    for outcome in window.outcomes.iter_mut().filter(|o| o.error.is_none()) {
        outcome.error = Some(error.to_owned());
    }
}

/// Turns every error of a window into a success.
fn heal(window: &mut LoadWindow) {
    window.outcomes.iter_mut().for_each(|o| o.error = None);
}

#[test]
fn s1_needs_three_windows() {
    let short = |s: &mut ArmSeries| s.phases[0].end = Some(At(1_000));
    assert_fails(&spoiled(&SHARED, SignatureId::S1, short), "at least 3 windows");
}

#[test]
fn s1_notices_one_thread_too_many_on_one_server_once() {
    let one = |s: &mut ArmSeries| s.samples[5].threads += 1;
    assert_fails(&spoiled(&SHARED, SignatureId::S1, one), "exactly the threads of the law");
    let cache = |s: &mut ArmSeries| {
        let id = s.servers.iter().find(|i| i.role == Role::Cache).unwrap().id;
        s.samples.iter_mut().find(|x| x.server == id).unwrap().threads += 1;
    };
    assert_fails(&spoiled(&CACHE, SignatureId::S1, cache), "exactly the threads of the law");
    let none = |s: &mut ArmSeries| s.samples.clear();
    assert_fails(&spoiled(&SHARED, SignatureId::S1, none), "exactly the threads of the law");
}

#[test]
fn s1_passes_over_the_look_that_meets_the_first_joiner() {
    let joining = |s: &mut ArmSeries| {
        let end = s.phases[0].end.unwrap();
        let mut sample = s.samples[5].clone();
        (sample.at.0, sample.threads) = (end.0 - 10, 12);
        s.samples.push(sample);
    };
    assert_eq!(spoiled(&SHARED, SignatureId::S1, joining).judgement, Judgement::Held);
}

#[test]
fn s1_notices_stale_maps() {
    let all =
        |s: &mut ArmSeries| each_metric(s, |m, _| m.map_age_seconds = m.map_age_seconds.map(|a| a + 0.4));
    assert_fails(&spoiled(&SHARED, SignatureId::S1, all), "no older than one gossip interval");
    let one = |s: &mut ArmSeries| s.samples[5].metrics.as_mut().unwrap().map_age_seconds = Some(3.2);
    assert_fails(&spoiled(&SHARED, SignatureId::S1, one), "no older than one gossip interval");
    let unread = |s: &mut ArmSeries| each_metric(s, |m, _| m.map_age_seconds = None);
    assert_fails(&spoiled(&SHARED, SignatureId::S1, unread), "no older than one gossip interval");
}

#[test]
fn s1_notices_a_few_errors() {
    let few = |s: &mut ArmSeries| {
        let error = Some("timeout".to_owned());
        s.load[3].outcomes.push(Outcome { operation: "GetRecords".to_owned(), error, count: 6 });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S1, few), "errors stay below");
}

#[test]
fn s2_notices_a_registry_that_never_had_all() {
    let missing =
        |s: &mut ArmSeries| s.control.iter_mut().for_each(|c| c.registered[0] = c.registered[0].min(43));
    assert_fails(&spoiled(&SHARED, SignatureId::S2, missing), "the registry jumps");
    let late = |s: &mut ArmSeries| {
        s.control
            .iter_mut()
            .filter(|c| c.at.0 < 27_000)
            .for_each(|c| c.registered[0] = c.registered[0].min(40));
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S2, late), "the registry jumps");
}

#[test]
fn s2_notices_knowledge_that_falls_back() {
    let fall = |s: &mut ArmSeries| {
        each_metric(s, |m, at| {
            if at == 30_000 {
                m.known_members = m.known_members.map(|n| n - 1);
            }
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S2, fall), "only climbs");
}

#[test]
fn s2_notices_members_that_learn_late_never_or_all_at_once() {
    let known = |series: &mut ArmSeries, from: u64| {
        each_metric(series, |m, at| {
            if (10_000..34_000).contains(&at) {
                m.known_members = m.known_members.map(|_| if at < from { 30 } else { 44 });
            }
        });
    };
    let late = 13_000 + DISCOVERY_MS + 2_000;
    assert_fails(&spoiled(&SHARED, SignatureId::S2, |s| known(s, late)), "within the discovery window");
    assert_fails(&spoiled(&SHARED, SignatureId::S2, |s| known(s, 99_000)), "within the discovery window");
    assert_fails(&spoiled(&SHARED, SignatureId::S2, |s| known(s, 15_000)), "one after the other");
}

#[test]
fn s2_notices_threads_that_do_not_follow() {
    let lazy = |s: &mut ArmSeries| each_sample(s, |x| x.threads = x.threads.min(40));
    assert_fails(&spoiled(&RAISED, SignatureId::S2, lazy), "threads climb as the law says");
}

#[test]
fn s3_notices_an_n_star_off_by_one() {
    for off in [-1, 1] {
        let wrong = |s: &mut ArmSeries| {
            each_metric(s, |m, _| {
                m.refused_at_members = m.refused_at_members.and_then(|n| n.checked_add_signed(off))
            });
        };
        assert_fails(&spoiled(&SHARED, SignatureId::S3, wrong), "at N* members, to the integer");
    }
    let base = |s: &mut ArmSeries| s.setup.law.base += 1;
    assert_fails(&spoiled(&SHARED, SignatureId::S3, base), "at N* members, to the integer");
}

#[test]
fn s3_notices_a_refusal_that_the_registry_or_the_servers_own_knowledge_does_not_bear_out() {
    // The registry says 40 until well after the first refusals.
    let late = |s: &mut ArmSeries| {
        for row in s.control.iter_mut().filter(|c| c.at.0 < 20_000) {
            row.registered[0] = row.registered[0].min(40);
        }
    };
    let verdict = spoiled(&SHARED, SignatureId::S3, late);
    assert_fails(&verdict, "registered and known to it");
    let unknown = |s: &mut ArmSeries| {
        let refused = Facts::of(&SHARED).refusals[0];
        let here = |x: &&mut ServerSample| x.server == refused.server && x.at == refused.at;
        let sample = s.samples.iter_mut().find(here).unwrap();
        sample.metrics.as_mut().unwrap().known_members = Some(40);
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S3, unknown), "registered and known to it");
    assert_fails(&spoiled(&SHARED, SignatureId::S3, |s| s.control.clear()), "registered and known to it");
}

#[test]
fn s3_reads_n_star_off_the_threads_where_servers_do_not_tell_it() {
    let untold = |s: &mut ArmSeries| each_metric(s, |m, _| m.refused_at_members = None);
    let verdict = spoiled(&SHARED, SignatureId::S3, untold);
    assert_eq!(verdict.judgement, Judgement::Held, "{}", verdict.reason);
}

#[test]
fn s3_passes_over_a_look_between_a_refusal_and_what_the_server_says_of_it() {
    let between = |s: &mut ArmSeries| {
        let refused = Facts::of(&SHARED).refusals[0];
        let here = |x: &&mut ServerSample| x.server == refused.server && x.at == refused.at;
        let sample = s.samples.iter_mut().find(here).unwrap();
        let metrics = sample.metrics.as_mut().unwrap();
        (metrics.refused_at_members, metrics.known_members, metrics.peer_threads) =
            (None, Some(36), Some(34));
    };
    let verdict = spoiled(&SHARED, SignatureId::S3, between);
    assert_eq!(verdict.judgement, Judgement::Held, "{}", verdict.reason);
}

#[test]
fn s3_is_asked_for_when_n_star_was_passed_even_if_nobody_was_refused() {
    let quiet = |s: &mut ArmSeries| {
        each_metric(s, |m, _| (m.refusals, m.refused_at_members) = (m.refusals.map(|_| 0), None));
    };
    let verdict = spoiled(&SHARED, SignatureId::S3, quiet);
    assert_fails(&verdict, "threads are refused");
    assert_fails(&verdict, "at N* members, to the integer");
}

#[test]
fn s3_is_asked_for_when_somebody_was_refused_although_n_star_was_not_reached() {
    let early = |s: &mut ArmSeries| {
        each_metric(s, |m, at| {
            if at > 20_000 && m.known_members.is_some() {
                (m.refusals, m.refused_at_members) = (Some(1), Some(44));
            }
        });
    };
    assert_fails(&spoiled(&RAISED, SignatureId::S3, early), "at N* members, to the integer");
}

#[test]
fn s3_notices_a_server_that_never_meets_the_limit_and_one_that_meets_it_late() {
    let never = |s: &mut ArmSeries| {
        each_sample(s, |x| {
            if x.server == ServerId(3) {
                x.pids_current = Some(47);
            }
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S3, never), "the whole fleet meets the limit");
    let late = |s: &mut ArmSeries| {
        each_sample(s, |x| {
            if x.server == ServerId(3) && x.at.0 < 28_000 {
                x.pids_current = Some(38);
            }
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S3, late), "within the discovery window");
}

#[test]
fn s3_notices_when_only_old_servers_meet_the_limit() {
    let old = |s: &mut ArmSeries| s.servers.iter_mut().for_each(|i| i.cohort = Cohort::Original);
    assert_fails(&spoiled(&SHARED, SignatureId::S3, old), "old servers and new ones");
}

#[test]
fn s3_notices_a_refusal_that_the_kernel_did_not_count() {
    let unheard = |s: &mut ArmSeries| each_sample(s, |x| x.pids_events_max = x.pids_events_max.map(|_| 0));
    assert_fails(&spoiled(&SHARED, SignatureId::S3, unheard), "every refusal is the kernel's");
    let one = |s: &mut ArmSeries| {
        each_sample(s, |x| {
            if x.server == ServerId(7) {
                x.pids_events_max = Some(0);
            }
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S3, one), "every refusal is the kernel's");
    let no_cgroup =
        |s: &mut ArmSeries| each_sample(s, |x| (x.pids_events_max, x.pids_current) = (None, None));
    let verdict = spoiled(&SHARED, SignatureId::S3, no_cgroup);
    assert_eq!(verdict.judgement, Judgement::Held, "EAGAIN is the kernel's word too: {}", verdict.reason);
}

#[test]
fn s3_notices_an_exit_and_a_kill_for_memory() {
    let exit = |s: &mut ArmSeries| {
        let happening = ServerHappening::Exited { code: Some(1), signal: None };
        s.events.push(ServerEvent { at: At(20_000), server: ServerId(2), happening });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S3, exit), "no server exits");
    let kill = |s: &mut ArmSeries| {
        each_sample(s, |x| {
            if x.server == ServerId(2) && x.at.0 > 20_000 {
                x.oom_kills = Some(1);
            }
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S3, kill), "no server exits");
}

#[test]
fn s3_notices_memory_and_processor_time_out_of_the_ordinary() {
    let heavy = |s: &mut ArmSeries| {
        each_sample(s, |x| {
            if x.server == ServerId(2) && x.at.0 > 20_000 {
                x.rss_bytes *= 3;
            }
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S3, heavy), "memory stays ordinary");
    let busy = |s: &mut ArmSeries| {
        each_sample(s, |x| {
            if x.server == ServerId(2) && x.at.0 > 20_000 {
                x.cpu_seconds += (x.at.0 - 20_000) as f64 / 1e3;
            }
        });
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S3, busy), "processor time stays ordinary");
}

#[test]
fn s4_notices_a_map_that_ages_without_a_refusal() {
    let unrefused = |s: &mut ArmSeries| {
        for sample in s.samples.iter_mut().filter(|x| x.server == ServerId(4)) {
            sample.metrics.as_mut().unwrap().refusals = Some(0);
        }
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S4, unrefused), "on servers that were refused");
    let fresh = |s: &mut ArmSeries| each_metric(s, |m, _| m.map_age_seconds = m.map_age_seconds.map(|_| 0.2));
    assert_fails(&spoiled(&SHARED, SignatureId::S4, fresh), "on servers that were refused");
}

#[test]
fn s4_notices_builds_that_do_not_fail_and_maps_that_are_whole() {
    let built = |s: &mut ArmSeries| each_metric(s, |m, _| m.builds_failed = m.builds_failed.map(|_| 0));
    assert_fails(&spoiled(&SHARED, SignatureId::S4, built), "map builds fail");
    let whole =
        |s: &mut ArmSeries| each_metric(s, |m, _| m.map_completeness = m.map_completeness.map(|_| 1.0));
    assert_fails(&spoiled(&SHARED, SignatureId::S4, whole), "stays incomplete");
}

#[test]
fn s4_notices_an_age_that_does_not_follow_the_clock() {
    let slow =
        |s: &mut ArmSeries| each_metric(s, |m, _| m.map_age_seconds = m.map_age_seconds.map(|a| a * 0.9));
    assert_fails(&spoiled(&SHARED, SignatureId::S4, slow), "one second a second");
}

#[test]
fn s4_notices_errors_before_the_time_to_live_is_over() {
    let soon =
        |s: &mut ArmSeries| s.load.iter_mut().filter(|w| w.at.0 >= 15_000).for_each(|w| fail(w, "timeout"));
    assert_fails(&spoiled(&SHARED, SignatureId::S4, soon), "at least one TTL after");
    // Single errors, never two windows running: no onset, yet not silence.
    let noisy = |s: &mut ArmSeries| fail(s.load.iter_mut().find(|w| w.at.0 == 16_000).unwrap(), "timeout");
    assert_fails(&spoiled(&SHARED, SignatureId::S4, noisy), "next to no errors");
}

#[test]
fn s5_notices_that_callers_see_nothing() {
    let calm = |s: &mut ArmSeries| s.load.iter_mut().for_each(heal);
    let verdict = spoiled(&SHARED, SignatureId::S5, calm);
    assert_fails(&verdict, "callers see errors");
    assert_fails(&verdict, "the first alarm");
    assert_fails(&verdict, "half the discovery window");
}

#[test]
fn s5_notices_when_only_writes_fail_or_only_reads() {
    for only in ["Put", "Get"] {
        let spoil = |s: &mut ArmSeries| {
            let outcomes = s.load.iter_mut().flat_map(|w| &mut w.outcomes);
            outcomes.filter(|o| !o.operation.starts_with(only)).for_each(|o| o.error = None);
        };
        assert_fails(&spoiled(&SHARED, SignatureId::S5, spoil), "writes and reads fail alike");
    }
}

/// One code for everything that fails, as the front ends answer.
fn one_code(series: &mut ArmSeries) {
    for outcome in series.load.iter_mut().flat_map(|w| &mut w.outcomes).filter(|o| o.error.is_some()) {
        outcome.error = Some("ServiceUnavailable".to_owned());
    }
}

#[test]
fn s5_says_of_how_many_codes_the_kinds_of_calls_are() {
    let verdict = spoiled(&SHARED, SignatureId::S5, one_code);
    assert_eq!(verdict.judgement, Judgement::Held, "{}", verdict.reason);
    let told = "5 kinds of calls fail, reads and writes, with one error code; first";
    assert!(verdict.reason.starts_with(told), "{}", verdict.reason);
    let varied = spoiled(&SHARED, SignatureId::S5, |_| {});
    assert!(varied.reason.contains("10 kinds of calls fail"), "{}", varied.reason);
    assert!(varied.reason.contains("with 3 error codes"), "{}", varied.reason);
}

#[test]
fn s5_notices_an_operation_that_is_spared_and_a_mix_of_few() {
    let spared = |s: &mut ArmSeries| {
        let outcomes = s.load.iter_mut().flat_map(|w| &mut w.outcomes);
        outcomes.filter(|o| o.operation == "ListShards").for_each(|o| o.error = None);
    };
    let verdict = spoiled(&SHARED, SignatureId::S5, spared);
    assert_fails(&verdict, "every operation that is called fails");
    let noticed: Vec<_> = verdict.clauses.iter().filter(|c| !c.held).collect();
    assert_eq!((noticed.len(), noticed[0].found.as_str()), (1, "4 of 5 do, not ListShards"));
    let few = |s: &mut ArmSeries| {
        one_code(s);
        s.load.iter_mut().for_each(|w| w.outcomes.retain(|o| o.operation != "ListShards"));
    };
    assert_fails(&spoiled(&SHARED, SignatureId::S5, few), "at least 5 kinds of calls");
}

#[test]
fn s5_notices_errors_that_were_as_varied_before() {
    let before = |s: &mut ArmSeries| {
        for kind in 0..40 {
            let error = Some(format!("kind-{kind}"));
            s.load[2].outcomes.push(Outcome { operation: "GetRecords".to_owned(), error, count: 1 });
        }
    };
    let some = |s: &mut ArmSeries| {
        for (operation, error) in [("GetRecords", "timeout"), ("PutRecord", "InternalFailure")] {
            let (operation, error) = (operation.to_owned(), Some(error.to_owned()));
            s.load[2].outcomes.push(Outcome { operation, error, count: 1 });
        }
    };
    assert_eq!(spoiled(&SHARED, SignatureId::S5, some).judgement, Judgement::Held);
    assert_fails(&spoiled(&SHARED, SignatureId::S5, before), "the entropy of their kinds rises");
}

#[test]
fn s5_notices_errors_right_after_the_trigger() {
    let at_once =
        |s: &mut ArmSeries| s.load.iter_mut().filter(|w| w.at.0 >= 11_000).for_each(|w| fail(w, "x"));
    let verdict = spoiled(&SHARED, SignatureId::S5, at_once);
    assert_fails(&verdict, "half the discovery window");
    assert_fails(&verdict, "after maps began to age");
}

#[test]
fn the_silent_window_is_measured_to_the_window() {
    let opinion = judge(&SHARED, None);
    let facts = Facts::of(&SHARED);
    let silent = facts.first_error.unwrap().secs_since(facts.decays[0].since);
    let ttl = TTL_MS as f64 / 1e3;
    assert!((ttl - 0.5..ttl + 1.5).contains(&silent), "{silent}");
    assert!(opinion.of(SignatureId::S4).onset_ms < opinion.of(SignatureId::S5).onset_ms);
}
