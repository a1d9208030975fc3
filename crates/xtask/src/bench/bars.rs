//! What Weir has set itself, and whether the figures hold it.
//!
//! A bar is held when the median over the rounds holds it; the spread stands beside. A bar whose figures are missing says so.

use super::{
    generator, pace, restart,
    results::{Results, figure, median, spread},
    service,
    subject::{Subject, Sync},
};

/// One bar, judged.
#[derive(Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) says: String,
    pub(super) bound: String,
    pub(super) measured: String,
    /// None: not measured.
    pub(super) held: Option<bool>,
}

struct Bar {
    says: &'static str,
    measure: Measure,
    bound: Bound,
    unit: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Where a figure is: section, row, name.
struct At(&'static str, &'static str, &'static str);

enum Measure {
    Figure(At),
    /// Of a row to another of the same section.
    Ratio(At, &'static str),
    /// The same to the best of others.
    RatioToBest(At, &'static [Subject]),
    /// What a row has above another of the same section.
    Excess(At, &'static str),
    /// What a figure has above another of the same row.
    Above(At, &'static str),
}

const ALWAYS: [Subject; 2] = [Subject::Redis(Sync::Always), Subject::Nats(Sync::Always)];
const DEFAULT: [Subject; 2] = [Subject::Redis(Sync::Default), Subject::Nats(Sync::Default)];

const fn bar(says: &'static str, measure: Measure, bound: Bound, unit: &'static str) -> Bar {
    Bar { says, measure, bound, unit }
}

fn puts(subject: Subject) -> At {
    At(service::PUT_RECORDS, subject.name(), figure::SPEED)
}

/// Weir's speed of PutRecords to another's.
fn over(subject: Subject) -> Measure {
    Measure::Ratio(puts(Subject::Weir), subject.name())
}

/// Calls a second of PutRecord over 64 connections.
fn calls() -> At {
    At(service::PUT_RECORD, Subject::Weir.name(), figure::CALLS)
}

fn reads() -> At {
    At(service::GET_RECORDS, Subject::Weir.name(), figure::SPEED)
}

/// What the machine allows.
fn of_floors() -> Vec<Bar> {
    let floor = service::FLOOR_D.name();
    let signed = Measure::Ratio(puts(Subject::WeirSigned), service::FLOOR_HASHED.name());
    let cbor = Measure::Ratio(puts(Subject::WeirCbor), Subject::Weir.name());
    let alone = At(service::PUT_RECORD_ALONE, Subject::Weir.name(), figure::P50);
    let polled = At(pace::FOLLOW, pace::POLL, figure::P99);
    let pushed = At(pace::FOLLOW, pace::PUSH, figure::P99);
    vec![
        bar("1. PutRecords, JSON, of floor D", over(service::FLOOR_D), Bound::AtLeast(0.7), "x"),
        bar("1. PutRecords, signed and checked, of floor D + SHA-256", signed, Bound::AtLeast(0.7), "x"),
        bar("1. PutRecords, CBOR, of JSON", cbor, Bound::AtLeast(1.15), "x"),
        bar(
            "2. PutRecord, 64 connections, of floor D",
            Measure::Ratio(calls(), floor),
            Bound::AtLeast(0.5),
            "x",
        ),
        bar(
            "2. PutRecord, 1 connection, p50 above floor D's",
            Measure::Excess(alone, floor),
            Bound::AtMost(0.1),
            "ms",
        ),
        bar(
            "3. GetRecords, of a floor that sends as much",
            Measure::Ratio(reads(), service::SEND.name()),
            Bound::AtLeast(0.6),
            "x",
        ),
        bar(
            "3. From put to GetRecords at 20,000 records/s, p99",
            Measure::Figure(polled),
            Bound::AtMost(10.0),
            "ms",
        ),
        bar(
            "3. From put to SubscribeToShard at 20,000 records/s, p99",
            Measure::Figure(pushed),
            Bound::AtMost(5.0),
            "ms",
        ),
    ]
}

/// What people have at hand.
fn of_peers() -> Vec<Bar> {
    let best_puts = Measure::RatioToBest(puts(Subject::Weir), service::EMULATORS);
    let best_reads = Measure::RatioToBest(reads(), service::EMULATORS);
    let kinesalite = Measure::Ratio(calls(), Subject::Kinesalite.name());
    vec![
        bar("4. PutRecords, of the best emulator", best_puts, Bound::AtLeast(25.0), "x"),
        bar("4. PutRecords, of Redis, appendfsync always", over(ALWAYS[0]), Bound::AtLeast(5.0), "x"),
        bar("4. PutRecords, of NATS, sync always", over(ALWAYS[1]), Bound::AtLeast(20.0), "x"),
        bar("4. PutRecords, of Redis, everysec (not durable)", over(DEFAULT[0]), Bound::AtLeast(1.5), "x"),
        bar("4. PutRecords, of NATS, default (not durable)", over(DEFAULT[1]), Bound::AtLeast(1.5), "x"),
        bar("4. PutRecord, 64 connections", Measure::Figure(calls()), Bound::AtLeast(25_000.0), "records/s"),
        bar("4. PutRecord, 64 connections, of kinesalite", kinesalite, Bound::AtLeast(12.0), "x"),
        bar("4. GetRecords, of the best emulator", best_reads, Bound::AtLeast(15.0), "x"),
    ]
}

/// What Weir says of itself: its tail, its start, its own client.
fn of_itself() -> Vec<Bar> {
    let half = |shape| Measure::Figure(At(pace::HALF, shape, pace::TAIL));
    let ready = |way| Measure::Figure(At(restart::RESTART, way, restart::READY));
    let resident = Measure::Above(At(restart::RESTART, restart::KILLED, figure::MEMORY), restart::INDEX);
    let load = |figure| At(generator::GENERATOR, generator::WEIR_LOAD, figure);
    let cpu = Measure::Ratio(load(generator::CPU), generator::WRK);
    let one_core = Measure::Figure(load(generator::CALLS_PER_CORE));
    let tail = Bound::AtMost(10.0);
    vec![
        bar("5. Half of the maximum rate, PutRecord: p99.9 of p50", half(pace::HALF_RECORD), tail, "x"),
        bar("5. Half of the maximum rate, PutRecords: p99.9 of p50", half(pace::HALF_RECORDS), tail, "x"),
        bar("6. Ready over 10 GB, after SIGTERM", ready(restart::STOPPED), Bound::AtMost(2.0), "s"),
        bar("6. Ready over 10 GB, after kill -9", ready(restart::KILLED), Bound::AtMost(2.0), "s"),
        bar("6. Resident then, above the stated index", resident, Bound::AtMost(256.0), "MiB"),
        bar("weir load, calls/s of one core", one_core, Bound::AtLeast(100_000.0), "calls/s"),
        bar("weir load, processor time of a call, of wrk's", cpu, Bound::AtMost(1.25), "x"),
    ]
}

/// All bars against what was measured.
pub(super) fn judged(results: &Results) -> Vec<Judged> {
    let judge = |bar: Bar| {
        let values = values(results, &bar.measure);
        let (held, bound) = match bar.bound {
            Bound::AtLeast(least) => (median(values.clone()).map(|value| value >= least), ("≥", least)),
            Bound::AtMost(most) => (median(values.clone()).map(|value| value <= most), ("≤", most)),
        };
        let bound = format!("{} {} {}", bound.0, bound.1, bar.unit);
        Judged { says: bar.says.to_owned(), bound, measured: spread(values), held }
    };
    of_floors().into_iter().chain(of_peers()).chain(of_itself()).map(judge).collect()
}

/// What is judged, in each round.
fn values(results: &Results, measure: &Measure) -> Vec<f64> {
    let row = |at: &At| results.row(at.0, at.1);
    match measure {
        Measure::Figure(at) => row(at).map(|row| row.values(at.2)).unwrap_or_default(),
        Measure::Ratio(at, of) => against(results, at, of, |own, other| own / other),
        Measure::Excess(at, of) => against(results, at, of, |own, other| own - other),
        Measure::RatioToBest(at, others) => {
            let ratios =
                others.iter().map(|other| against(results, at, other.name(), |own, other| own / other));
            let measured = ratios.filter(|ratios| !ratios.is_empty());
            // The best of the others leaves the least ratio.
            measured
                .min_by(|a, b| median(a.clone()).partial_cmp(&median(b.clone())).expect("no ratio is NaN"))
                .unwrap_or_default()
        }
        Measure::Above(at, other) => {
            let Some(row) = row(at) else { return Vec::new() };
            let both = row.rounds.iter().filter_map(|round| Some((round.get(at.2)?, round.get(*other)?)));
            both.map(|(own, other)| own - other).collect()
        }
    }
}

fn against(results: &Results, at: &At, of: &str, what: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    match (results.row(at.0, at.1), results.row(at.0, of)) {
        (Some(own), Some(other)) => own.against(other, at.2, what),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Row, Section};

    fn puts(rows: Vec<Row>) -> Results {
        let mut results = Results::default();
        results.replace(Section { name: service::PUT_RECORDS.to_owned(), rows, ..Section::default() });
        results
    }

    fn judged_for(results: &Results, says: &str) -> Judged {
        judged(results).into_iter().find(|bar| bar.says == says).unwrap()
    }

    #[test]
    fn a_bar_is_judged_by_ratios_of_the_same_round() {
        let of_floor = |weir: &[f64]| {
            let rows = vec![
                Row::of(Subject::Weir.name(), figure::SPEED, weir),
                Row::of(service::FLOOR_D.name(), figure::SPEED, &[100.0, 200.0, 100.0]),
            ];
            judged_for(&puts(rows), "1. PutRecords, JSON, of floor D").held
        };
        assert_eq!(of_floor(&[70.0, 140.0, 10.0]), Some(true));
        assert_eq!(of_floor(&[69.0, 139.0, 90.0]), Some(false));
        assert_eq!(of_floor(&[]), None, "what was not measured is not held and not missed");
    }

    #[test]
    fn the_best_of_several_is_the_one_to_beat() {
        let rows = vec![
            Row::of(Subject::Weir.name(), figure::SPEED, &[100.0]),
            Row::of(Subject::Kinesalite.name(), figure::SPEED, &[5.0]),
            Row::of(Subject::Moto.name(), figure::SPEED, &[1.0]),
        ];
        let best = judged_for(&puts(rows), "4. PutRecords, of the best emulator");
        assert_eq!((best.measured.as_str(), best.held), ("20.0", Some(false)));
    }

    #[test]
    fn nothing_is_held_before_it_is_measured() {
        assert!(judged(&Results::default()).iter().all(|bar| bar.held.is_none()));
    }
}
