//! The summary of a made-up run: its fields, what decides the exit status, its words and its table.

use std::sync::LazyLock;

use super::*;
use crate::{
    oracle::SignatureId,
    series::{
        At, Bound, HostStall, Stage,
        synthetic::{five_arms, header},
    },
};

static ARMS: LazyLock<Vec<ArmSeries>> = LazyLock::new(five_arms);

fn recorded(arms: Vec<ArmSeries>) -> Recorded {
    Recorded { header: header(), arms, torn: Vec::new() }
}

fn shared(spoil: impl FnOnce(&mut ArmSeries)) -> ArmSummary {
    let mut series = ARMS[0].clone();
    spoil(&mut series);
    summarize(&recorded(vec![series])).0.arms.remove(0)
}

#[test]
fn the_object_has_every_field_that_programs_read() {
    let (summary, _) = summarize(&recorded(ARMS.clone()));
    let object = serde_json::to_value(&summary).unwrap();
    for field in ["scenario", "seed", "time_scale", "host", "arms"] {
        assert!(object.get(field).is_some(), "{field}");
    }
    let fields = [
        "name",
        "mesh",
        "limit_kind",
        "limit",
        "base_threads",
        "threads_per_peer",
        "predicted_n_star",
        "observed_n_star",
        "servers_peak",
        "peer_threads_peak",
        "refusals",
        "success_ratio",
        "p50_ms",
        "p99_ms",
        "p999_ms",
        "seconds_to_first_error",
        "seconds_to_recover",
        "tenants_affected_ratio",
        "integrity",
        "consumers",
        "signatures",
    ];
    for arm in object["arms"].as_array().unwrap() {
        for field in fields {
            assert!(arm.get(field).is_some(), "{field} of {}", arm["name"]);
        }
        for stage in ["baseline", "cliff", "recovery", "throughout"] {
            assert!(arm["success_ratio"][stage].is_f64(), "{stage} of {}", arm["name"]);
        }
        for id in SignatureId::ALL {
            let judgement = arm["signatures"][id.name()].as_str().unwrap();
            assert!(["held", "failed", "not_applicable"].contains(&judgement));
        }
    }
    let again: Summary = serde_json::from_value(object).unwrap();
    assert_eq!(again, summary, "it reads back as it was");
}

#[test]
fn the_numbers_are_those_of_the_run() {
    let (summary, _) = summarize(&recorded(ARMS.clone()));
    let arm = &summary.arms[0];
    assert_eq!((arm.predicted_n_star, arm.observed_n_star), (Some(41), Some(41)));
    assert_eq!((arm.servers_peak, arm.peer_threads_peak, arm.refusals), (44, 44 * 39, 44));
    assert_eq!(arm.success_ratio.at(Stage::Baseline), Some(1.0));
    assert!(arm.success_ratio.at(Stage::Cliff).unwrap() < 0.6);
    assert_eq!(arm.tenants_affected_ratio, 1.0);
    assert_eq!(arm.consumers["auth-cache"].blocked_max, 16);
    let control = &summary.arms[4];
    assert_eq!((control.observed_n_star, control.refusals), (None, 0));
    assert_eq!(control.seconds_to_first_error, None);
    assert_eq!(control.tenants_affected_ratio, 0.0);
}

#[test]
fn the_exit_status_is_zero_only_when_every_expectation_of_every_arm_held() {
    let (summary, _) = summarize(&recorded(ARMS.clone()));
    assert_eq!(summary.exit_status(), 0, "{}", render_table(&summary));
    let mut arms = ARMS.clone();
    arms[3].setup.expect.bounds.push(Bound { metric: "refusals".to_owned(), min: Some(1.0), max: None });
    let (summary, _) = summarize(&recorded(arms));
    assert_eq!(summary.exit_status(), 1);
    assert!(
        render_table(&summary).contains("raised-limit  refusals is at least 1: 0."),
        "the table names it"
    );
    assert_eq!(summarize(&recorded(Vec::new())).0.exit_status(), 1, "nothing ran, so nothing held");
}

#[test]
fn a_lost_record_fails_an_arm_whatever_its_scenario_expects() {
    for (lost, duplicated, reordered, damaged) in [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)] {
        let arm = shared(|s| {
            let whole = s.integrity.unwrap();
            s.integrity = Some(Integrity { lost, duplicated, reordered, damaged, ..whole });
        });
        assert!(!arm.held);
        assert!(arm.in_words.contains("acknowledged records lost"), "{}", arm.in_words);
    }
    assert!(!shared(|s| s.integrity = None).held, "a read-back that did not end shows nothing");
    assert!(!shared(|s| s.integrity = Some(Integrity::default())).held, "nothing written, nothing shown");
}

#[test]
fn an_unheld_signature_a_wrong_n_star_and_a_wrong_order_fail_an_arm() {
    let wrong = shared(|s| {
        for metrics in s.samples.iter_mut().filter_map(|s| s.metrics.as_mut()) {
            metrics.refused_at_members = metrics.refused_at_members.map(|n| n - 1);
        }
    });
    let off: Vec<&str> = wrong.expectations.iter().filter(|e| !e.held).map(|e| e.expects.as_str()).collect();
    assert_eq!(off, ["S3 (limit met) is held", "the first refusal comes at N*, to the integer"]);
    let order = shared(|s| s.setup.expect.in_order = vec![SignatureId::S5, SignatureId::S2]);
    let off: Vec<&str> = order.expectations.iter().filter(|e| !e.held).map(|e| e.expects.as_str()).collect();
    assert_eq!(off, ["they show in the order S5, S2"]);
    let absent = shared(|s| s.setup.expect.in_order = vec![SignatureId::S2, SignatureId::S18]);
    assert!(!absent.held, "a signature that never showed has no place in an order");
}

#[test]
fn a_bound_on_a_number_that_does_not_exist_does_not_hold() {
    let bound = |metric: &str, min, max| {
        let bound = Bound { metric: metric.to_owned(), min, max };
        shared(|s| s.setup.expect.bounds = vec![bound]).held
    };
    assert!(bound("success_ratio.baseline", Some(0.999), None));
    assert!(bound("tenants_affected_ratio", Some(0.5), Some(1.0)));
    assert!(!bound("success_ratio.baseline", None, Some(0.5)));
    assert!(!bound("success_ratio.basline", Some(0.0), None));
    assert!(!bound("refusals", None, None), "a bound without a side bounds nothing");
}

#[test]
fn success_throughout_leaves_out_no_call_of_the_phases() {
    let throughout = |spoil: &dyn Fn(&mut ArmSeries)| {
        let mut series = ARMS[3].clone();
        // The load's windows are not aligned with the phases.
        series.load.iter_mut().for_each(|w| w.at.0 += 300);
        spoil(&mut series);
        let summary = summarize(&recorded(vec![series])).0.arms.remove(0);
        (summary.success_ratio, summary.phases.iter().map(|p| p.success_ratio).collect::<Vec<_>>())
    };
    let fail = |series: &mut ArmSeries, at: u64| {
        let window = series.load.iter_mut().find(|w| w.at.0 <= at && at < w.end().0).unwrap();
        window.outcomes.iter_mut().for_each(|o| o.error = Some("timeout".to_owned()));
    };
    assert_eq!(throughout(&|_| {}).0.throughout, Some(1.0));
    // Within the restart, which is in none of the three stages.
    let (success, phases) = throughout(&|s| fail(s, 50_000));
    assert_eq!((success.cliff, success.recovery), (Some(1.0), Some(1.0)));
    assert!(success.throughout.unwrap() < 1.0 && phases[5].unwrap() < 1.0);
    // Over the border of two phases: it belongs to the one in which it starts, and to one only.
    let (success, phases) = throughout(&|s| fail(s, 62_000));
    assert!(success.throughout.unwrap() < 1.0 && phases[5].unwrap() < 1.0);
    assert_eq!(phases[6], Some(1.0));
    // Over the start of the first phase and the end of the last.
    for edge in [3_000, 71_900] {
        let late = |s: &mut ArmSeries| {
            s.phases[0].start = crate::series::At(3_000);
            fail(s, edge);
        };
        assert!(throughout(&late).0.throughout.unwrap() < 1.0, "{edge}");
    }
}

#[test]
fn a_control_is_judged_even_if_nobody_asked() {
    let mut control = ARMS[4].clone();
    control.setup.expect = crate::series::Expectations::default();
    control
        .samples
        .iter_mut()
        .filter_map(|s| s.metrics.as_mut())
        .for_each(|m| m.refusals = m.refusals.map(|_| 1));
    let (summary, _) = summarize(&recorded(vec![control]));
    assert_eq!(summary.exit_status(), 1);
}

#[test]
fn repeats_are_summed_up_by_the_worst_promise_and_the_middle_of_the_noise() {
    let mut second = ARMS[0].clone();
    second.setup.repeat = 1;
    for metrics in second.samples.iter_mut().filter_map(|s| s.metrics.as_mut()) {
        metrics.refused_at_members = metrics.refused_at_members.map(|n| n + 1);
    }
    second.load.iter_mut().take(2).for_each(|w| w.outcomes[0].error = Some("timeout".to_owned()));
    let (summary, opinions) = summarize(&recorded(vec![ARMS[0].clone(), second]));
    assert_eq!((summary.arms.len(), opinions.len()), (1, 2));
    let arm = &summary.arms[0];
    assert_eq!(arm.observed_n_star, Some(42), "the run that is off is shown");
    assert_eq!(arm.signatures["S3"], Judgement::Failed);
    assert_eq!(arm.signatures["S4"], Judgement::Held);
    assert_eq!(arm.success_ratio.baseline, arm.repeats[1].success_ratio.baseline, "the worst");
    assert!(arm.success_ratio.baseline.unwrap() < 1.0);
    assert!(!arm.held && arm.repeats[0].held && !arm.repeats[1].held);
    assert!(arm.in_words.contains("as expected in 1 of 2 runs"), "{}", arm.in_words);
    let off = arm.expectations.iter().find(|e| e.expects.starts_with("S3")).unwrap();
    assert!(off.found.starts_with("run 2 of 2:"), "{}", off.found);
}

#[test]
fn the_table_fits_a_terminal_and_says_what_happened() {
    let mut arms = ARMS.clone();
    arms[1].setup.arm = "an-arm-with-a-name-beyond-any-column".to_owned();
    let (summary, _) = summarize(&recorded(arms));
    let table = render_table(&summary);
    for line in table.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert_eq!(line, line.trim_end());
    }
    assert!(table.contains("shared          refused at N = 41 as predicted; errors"), "{table}");
    assert!(
        table.contains("control         no thread refused: 44 front ends in one cell, N* is 46"),
        "{table}"
    );
    assert!(table.contains("All 25 expectations held."), "{table}");
}

#[test]
fn a_signature_that_failed_and_was_not_expected_is_explained_where_all_held() {
    let note = "NOT: judged and shown, but not expected of that arm";
    let (mut summary, _) = summarize(&recorded(ARMS.clone()));
    assert!(!render_table(&summary).contains(note));
    summary.arms[1].signatures.insert(SignatureId::S18.name().to_owned(), Judgement::Failed);
    assert!(render_table(&summary).contains(note));
    summary.held = false;
    assert!(!render_table(&summary).contains(note), "then the list says which of them count");
}

#[test]
fn a_busy_host_and_a_cut_run_are_cautioned_about() {
    let (calm, _) = summarize(&recorded(vec![ARMS[0].clone()]));
    assert_eq!(calm.cautions, Vec::<String>::new());
    let mut series = ARMS[0].clone();
    series.samples.retain(|s| (s.at.0 / 500).is_multiple_of(3));
    // Late in the restart alone, most of it because the load generator was.
    for window in series.load.iter_mut().filter(|w| (44_000..62_000).contains(&w.at.0)) {
        (window.late_starts, window.late_dispatches) = (window.offered, Some(window.offered * 3 / 4));
    }
    series.load.iter_mut().filter(|w| w.late_dispatches.is_none()).for_each(|w| w.late_dispatches = Some(0));
    let mut busy = recorded(vec![series]);
    busy.torn.push("arms/shared-0/series.ndjson".into());
    let (summary, _) = summarize(&busy);
    assert_eq!(summary.cautions.len(), 3, "{:?}", summary.cautions);
    let table = render_table(&summary);
    assert!(table.contains("caution   shared: the host was too busy to be watched: servers were"), "{table}");
    let late = "in the worst stage 25.0 % of calls started late, most of them because the load generator waited for a \
                core: latencies tell of the host as well";
    assert!(summary.cautions.iter().any(|c| c == late), "{:?}", summary.cautions);
    assert!(
        table.lines().any(|line| line.starts_with("shared") && line.ends_with(" 25.0 %       0")),
        "{table}"
    );
    assert!(table.contains("the run was cut short"), "{table}");
}

#[test]
fn a_host_that_stood_still_is_told_once_however_many_arms_ran_together() {
    let mut arms = ARMS[..2].to_vec();
    let processor = HostStall { at: At(23_400), length_ms: 300, part: HostPart::Processor };
    let disk = HostStall { at: At(30_100), length_ms: 1_200, part: HostPart::Disk };
    arms[0].host_stalls = vec![processor, disk];
    // The other arm asked before it had ended.
    arms[1].host_stalls = vec![processor, HostStall { length_ms: 700, ..disk }];
    let (summary, _) = summarize(&recorded(arms));
    let [told] = &summary.cautions[..] else { panic!("{:?}", summary.cautions) };
    assert_eq!(
        told,
        "the host stood still 2 times, for 1.20 s at the longest (its disk, 30.1 s after its arms began): what failed or \
         came late there may be its doing, run it again"
    );
    let counted = |arm: &ArmSummary| (arm.host_stalls, arm.host_stalled_seconds_max);
    assert_eq!(summary.arms.iter().map(counted).collect::<Vec<_>>(), [(2, Some(1.2)), (2, Some(0.7))]);

    let mut runs = vec![ARMS[0].clone(), ARMS[0].clone()];
    runs[1].setup.repeat = 1;
    runs[1].host_stalls.push(processor);
    let (summary, _) = summarize(&recorded(runs));
    assert!(summary.cautions[0].starts_with("the host stood still once, for 0.30 s (its processors, 23.4 s"));
    assert_eq!(counted(&summary.arms[0]), (1, Some(0.3)));
    assert_eq!(counted(&summary.arms[0].repeats[0]), (0, None));
}

#[test]
fn a_percentile_that_the_calls_cannot_tell_is_none() {
    let calls = |count: u64| {
        shared(|s| {
            let mut latencies = crate::series::LatencyOf::histogram();
            latencies.record_n(9_000, count).unwrap();
            for (number, window) in s.load.iter_mut().enumerate() {
                let here = if number == 0 { &latencies } else { &crate::series::LatencyOf::histogram() };
                window.latency = vec![crate::series::LatencyOf::new("PutRecord", None, here)];
            }
        })
    };
    let told = |count| {
        let arm = calls(count);
        let of = |by: ByStage| by.baseline.is_some();
        (of(arm.p50_ms), of(arm.p99_ms), of(arm.p999_ms))
    };
    assert_eq!(told(99), (true, false, false));
    assert_eq!(told(100), (true, true, false));
    assert_eq!(told(999), (true, true, false));
    assert_eq!(told(1_000), (true, true, true));
    assert_eq!(calls(99).phases[0].p99_ms, None);
}

#[test]
fn numbers_beyond_a_column_change_their_unit() {
    let mut series = ARMS[0].clone();
    for window in &mut series.load {
        for latency in &mut window.latency {
            let mut slow = crate::series::LatencyOf::histogram();
            slow.record_n(22_282_000, 99).unwrap();
            *latency = crate::series::LatencyOf::new(latency.operation.clone(), None, &slow);
        }
    }
    let (summary, _) = summarize(&recorded(vec![series]));
    assert!(render_table(&summary).contains("    22 s  22 s "), "{}", render_table(&summary));
    let mut silent = ARMS[3].clone();
    silent.load.clear();
    let (summary, _) = summarize(&recorded(vec![silent]));
    assert!(summary.arms[0].in_words.ends_with("no calls were recorded"), "{}", summary.arms[0].in_words);
}

/// Paths of all numbers, and of what is null instead of one.
fn paths_of_numbers(path: &str, value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                paths_of_numbers(&path, value, into);
            }
        }
        serde_json::Value::Number(_) | serde_json::Value::Null => into.push(path.to_owned()),
        _ => {}
    }
}

#[test]
fn every_number_of_a_summary_may_be_bounded_and_no_other() {
    let (summary, _) = summarize(&recorded(ARMS.clone()));
    let alarm = HeadroomAlarm {
        headroom_min: 0.1,
        committed_seconds: None,
        running_seconds: None,
        warning_seconds: None,
    };
    let mut arm = summary.arms[0].clone();
    arm.headroom_alarm = Some(alarm);
    let mut arm = serde_json::to_value(&arm).unwrap();
    let words = ["signatures", "reasons", "phases", "expectations", "repeats"];
    arm.as_object_mut().unwrap().retain(|name, _| !words.contains(&name.as_str()));
    let mut there = Vec::new();
    paths_of_numbers("", &arm, &mut there);
    let consumers = summary.arms[0].consumers.iter().map(|(name, of)| (name.as_str(), of.service));
    let mut named = numbers(consumers);
    there.sort_unstable();
    named.sort_unstable();
    assert_eq!(there, named);
}
