//! Two results: the same, noisy, truly different.

use std::sync::LazyLock;

use super::*;
use crate::series::{
    LatencyOf,
    synthetic::{Recipe, header},
};

static FIRST: LazyLock<ArmSeries> = LazyLock::new(|| Recipe::raised_limit().play());
static SECOND: LazyLock<ArmSeries> = LazyLock::new(|| Recipe { seed: 7, ..Recipe::raised_limit() }.play());

fn recorded(arms: Vec<ArmSeries>) -> Recorded {
    Recorded { header: header(), arms, torn: Vec::new() }
}

fn compared(first: &ArmSeries, second: &ArmSeries) -> ArmComparison {
    compare(&recorded(vec![first.clone()]), &recorded(vec![second.clone()])).arms.remove(0)
}

fn says(arm: &ArmComparison, phase: &str, measure: &str) -> Says {
    let phase = arm.phases.iter().find(|p| p.name == phase).unwrap();
    phase.differences.iter().find(|d| d.measure == measure).unwrap().says
}

#[test]
fn a_result_is_the_same_as_itself() {
    let arm = compared(&FIRST, &FIRST);
    assert_eq!(arm.phases.len(), 7);
    let all = arm.phases.iter().flat_map(|p| &p.differences);
    assert!(all.clone().all(|d| d.says == Says::Same), "{:?}", all.clone().find(|d| d.says != Says::Same));
    assert!(arm.counts.iter().all(|c| c.first == c.second));
}

#[test]
fn another_seed_of_the_same_is_inside_the_noise() {
    let arm = compared(&FIRST, &SECOND);
    let all: Vec<&Difference> = arm.phases.iter().flat_map(|p| &p.differences).collect();
    let outside = all.iter().filter(|d| matches!(d.says, Says::Greater | Says::Smaller)).count();
    assert!(outside * 30 <= all.len(), "{outside} of {} beyond the noise", all.len());
    assert_eq!(says(&arm, "silent-window", "p99_ms"), Says::InsideTheNoise);
}

#[test]
fn a_true_difference_is_told_with_its_direction_and_its_phase() {
    let mut slow = SECOND.clone();
    for latency in slow.load.iter_mut().filter(|w| w.at.0 >= 62_000).flat_map(|w| &mut w.latency) {
        let values = latency.buckets().iter().flat_map(|(v, n)| vec![v * 3 / 2; *n as usize]).collect();
        *latency = LatencyOf::of_values(&latency.operation, latency.tenant.clone(), values);
    }
    for window in slow.load.iter_mut().filter(|w| (13_000..34_000).contains(&w.at.0)) {
        window.outcomes[0].error = Some("timeout".to_owned());
    }
    let arm = compared(&FIRST, &slow);
    assert_eq!(says(&arm, "recovery", "p50_ms"), Says::Greater);
    assert_eq!(says(&arm, "recovery", "p99_ms"), Says::Greater);
    assert_eq!(says(&arm, "silent-window", "success_ratio"), Says::Smaller);
    assert_eq!(says(&arm, "silent-window", "calls_per_second"), Says::Smaller);
    assert_eq!(says(&arm, "baseline", "success_ratio"), Says::Same);
    let back = compared(&slow, &FIRST);
    assert_eq!(says(&back, "recovery", "p99_ms"), Says::Smaller);
}

#[test]
fn two_windows_are_too_few_to_tell() {
    let short = |series: &ArmSeries| {
        let mut series = series.clone();
        series.load.retain(|w| w.at.0 < 1_000);
        series
    };
    let arm = compared(&short(&FIRST), &short(&SECOND));
    assert_eq!(arm.phases.len(), 1, "phases without windows are left out");
    assert!(arm.phases[0].differences.iter().all(|d| d.says == Says::CannotTell && d.interval.is_none()));
}

#[test]
fn repeats_are_pooled_and_counts_are_told_run_by_run() {
    let mut again = SECOND.clone();
    again.setup.repeat = 1;
    again.integrity.as_mut().unwrap().lost = 2;
    let both = recorded(vec![FIRST.clone(), again]);
    let comparison = compare(&both, &recorded(vec![FIRST.clone()]));
    let arm = &comparison.arms[0];
    assert_eq!(arm.runs, (2, 1));
    let lost = arm.counts.iter().find(|c| c.measure == "lost_duplicated_reordered_damaged").unwrap();
    assert_eq!(
        (lost.first.as_slice(), lost.second.as_slice()),
        ([Some(0), Some(2)].as_slice(), [Some(0)].as_slice())
    );
    let table = render_table(&comparison);
    assert!(table.contains("0 2            0   differs"), "{table}");
    let acknowledged = table.lines().find(|line| line.contains("acknowledged")).unwrap();
    assert!(!acknowledged.ends_with("same") && !acknowledged.ends_with("differs"), "drawn, not designed");
}

#[test]
fn what_makes_a_comparison_doubtful_is_said() {
    let first = recorded(vec![FIRST.clone()]);
    let mut second = recorded(vec![Recipe::shared().play()]);
    second.header.host.cores = 64;
    second.header.scenario = "other".to_owned();
    let comparison = compare(&first, &second);
    assert_eq!(comparison.cautions.len(), 2);
    assert_eq!(comparison.unmatched, ["raised-limit", "shared"]);
    let table = render_table(&comparison);
    assert!(table.contains("caution the hosts are not the same"), "{table}");
    assert!(table.contains("no arm in common"), "{table}");
}

#[test]
fn the_table_fits_a_terminal() {
    let comparison = compare(&recorded(vec![FIRST.clone()]), &recorded(vec![SECOND.clone()]));
    let table = render_table(&comparison);
    if std::env::var("WEIR_SHOW").is_ok() {
        println!("{table}");
    }
    for line in table.lines() {
        assert!(line.chars().count() <= 100 && line.trim_end() == line, "{line:?}");
    }
    assert!(table.contains("inside the noise"), "{table}");
}
