//! The meter from outside: windows, late starts, and histograms that add up.

use super::*;

const WINDOW: Duration = Duration::from_millis(500);

fn at(millis: u64) -> Monotonic {
    Monotonic::ZERO + Duration::from_millis(millis)
}

fn ended(intended: u64, done: u64, code: Code<'_>) -> Ended<'_> {
    Ended {
        intended: at(intended),
        sent: Some(at(intended)),
        done: at(done),
        tenant: TenantIndex(0),
        operation: OperationIndex(0),
        code,
        records: 1,
        bytes: 10,
    }
}

#[test]
fn a_window_is_handed_out_only_when_everything_meant_for_it_has_ended() {
    let mut meter = Meter::new(Monotonic::ZERO, WINDOW);
    meter.offered(at(100), false);
    meter.offered(at(600), false);
    meter.ended(&ended(600, 700, Code::Success));
    assert_eq!(meter.complete(at(1600)).count(), 0, "the first window still waits");
    meter.ended(&ended(100, 1700, Code::Error("timeout")));
    let windows: Vec<_> = meter.complete(at(1700)).collect();
    assert_eq!(windows.iter().map(|w| (w.index, w.offered)).collect::<Vec<_>>(), [(0, 1), (1, 1), (2, 0)]);
    // The failure counts where it was meant to start, not where it ended.
    assert_eq!(windows[0].codes()[0].code.as_deref(), Some("timeout"));
    let cell = windows[0].cells.values().next().unwrap();
    assert_eq!((cell.latency.len(), cell.failed.len()), (0, 1));
    assert!((1_599_000..=1_601_000).contains(&cell.failed.max()), "{}", cell.failed.max());
}

#[test]
fn latency_runs_from_intended_start_and_service_time_from_the_send() {
    let mut meter = Meter::new(Monotonic::ZERO, WINDOW);
    meter.offered(at(100), true);
    meter.ended(&Ended { sent: Some(at(140)), ..ended(100, 150, Code::Success) });
    let window = meter.finish().next().unwrap();
    let cell = &window.cells[&CellKey { tenant: TenantIndex(0), operation: OperationIndex(0) }];
    assert!(cell.latency.max().abs_diff(50_000) < 100, "{}", cell.latency.max());
    assert!(cell.service.max().abs_diff(10_000) < 20, "{}", cell.service.max());
    assert_eq!((window.late_starts, window.late_dispatches), (1, 1));
}

#[test]
fn a_start_that_was_never_sent_is_late_and_has_an_end() {
    let mut meter = Meter::new(Monotonic::ZERO, WINDOW);
    meter.offered(at(0), false);
    meter.ended(&Ended { sent: None, records: 0, ..ended(0, 0, Code::Error("refused")) });
    let window = meter.finish().next().unwrap();
    assert_eq!((window.offered, window.late_starts, window.outstanding), (1, 1, 0));
}

#[test]
fn the_merge_of_two_workers_is_what_one_would_have_recorded() {
    let mut whole = Meter::new(Monotonic::ZERO, WINDOW);
    let mut parts = [Meter::new(Monotonic::ZERO, WINDOW), Meter::new(Monotonic::ZERO, WINDOW)];
    for index in 0..200u64 {
        let code = if index % 7 == 0 { Code::Error("X") } else { Code::Success };
        let end = ended(index, index + 1 + index * index % 97, code);
        for meter in [&mut whole, &mut parts[index as usize % 2]] {
            meter.offered(at(index), false);
            meter.ended(&end);
        }
    }
    let whole = whole.finish().next().unwrap();
    let [a, b] = &mut parts;
    let mut merged = a.finish().next().unwrap();
    merged.merge(&b.finish().next().unwrap());
    assert_eq!(merged.offered, whole.offered);
    let (one, other) = (merged.cells.values().next().unwrap(), whole.cells.values().next().unwrap());
    assert_eq!(one.latency, other.latency);
    assert_eq!(one.failed, other.failed);
    let count = |cell: &Cell, code: Option<&str>| {
        cell.codes.iter().find(|c| c.code.as_deref() == code).unwrap().count
    };
    assert_eq!(count(one, None), count(other, None));
    assert_eq!(count(one, Some("X")), 29);
}

#[test]
fn a_server_that_makes_up_codes_costs_bounded_memory() {
    let mut meter = Meter::new(Monotonic::ZERO, WINDOW);
    for index in 0..1_000 {
        let name = format!("made-up-{index}");
        meter.offered(at(1), false);
        meter.ended(&ended(1, 2, Code::Error(&name)));
    }
    let window = meter.finish().next().unwrap();
    let codes = window.codes();
    assert!(codes.len() <= CODES_MAX + 1, "{}", codes.len());
    assert_eq!(codes.iter().map(|c| c.count).sum::<u64>(), 1_000);
}

#[test]
#[should_panic(expected = "never offered")]
fn an_end_without_a_start_is_a_bug() {
    let mut meter = Meter::new(Monotonic::ZERO, WINDOW);
    meter.ended(&ended(1, 2, Code::Success));
}
