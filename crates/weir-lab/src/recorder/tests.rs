//! The load generator's lines on the arm's clock, and the kernel's view of a process that is ours.

use weir_loadgen::windows::OutcomeLine;

use super::*;

#[test]
fn a_window_of_the_load_generator_is_put_on_the_arms_clock_and_summed_both_ways() {
    let ended = |tenant: &str, operation: &str, code: Option<&str>, count| OutcomeLine {
        tenant: tenant.into(),
        operation: operation.into(),
        code: code.map(str::to_owned),
        count,
    };
    let line = WindowLine {
        window: 3,
        start_ms: 1_500,
        wall_ms: 101_500,
        length_ms: 500,
        offered: 17,
        succeeded: 14,
        late_starts: 1,
        late_dispatches: 0,
        records: 0,
        bytes: 0,
        outcomes: vec![
            ended("tenant-0", "PutRecord", None, 10),
            ended("tenant-1", "PutRecord", None, 4),
            ended("tenant-1", "PutRecord", Some("timeout"), 3),
        ],
        latencies: Vec::new(),
    };
    let window = load_window(&line, 100_000).unwrap();
    assert_eq!((window.at, window.length_ms, window.offered), (At(1_500), 500, 17));
    let counts: Vec<_> = window.outcomes.iter().map(|ended| (ended.error.as_deref(), ended.count)).collect();
    assert_eq!(counts, [(None, 14), (Some("timeout"), 3)]);
    assert_eq!((window.tenants[1].succeeded, window.tenants[1].failed), (4, 3));
}

#[test]
fn the_kernels_view_of_a_running_process_has_its_threads_and_of_a_gone_one_nothing() {
    let sighting = |pid| Sighting {
        id: ServerId(4),
        name: "fe-004".into(),
        role: Role::Frontend,
        admin: "127.0.0.1:9".parse().unwrap(),
        pid,
        incarnation: 0,
        witness: None,
    };
    let sample = kernel_view(&sighting(Some(std::process::id()))).unwrap();
    assert!(sample.threads >= 1 && sample.limit.is_none());
    assert_eq!(kernel_view(&sighting(None)), None);
    assert_eq!(kernel_view(&sighting(Some(u32::MAX))), None);
}
