//! Weir beside floors, brokers and emulators: who puts, who reads, how fast.
//!
//! A round runs every subject of a workload once, each with a server and a folder of its own. A peer that acknowledges
//! before its sync is named as such: one sync can cover no more calls than are in flight.

use super::{
    Bench, client,
    client::Puts,
    results::{Figures, Ratio, Row, Section, figure, interleaved, median},
    subject::{Stage, Subject, Sync},
};

/// Reads the body and answers; sends readers a body of 500 records.
pub(super) const READ: Subject = Subject::Floor("floor: read", &[]);
pub(super) const SEND: Subject = Subject::Floor("floor: send 500 x 1 KiB", &[]);
/// Takes the body apart, too.
const DECODE: Subject = Subject::Floor("floor: decode", &[Stage::Decode]);
/// Writes and syncs what it has taken apart: what no durable server of this API can leave out.
pub(super) const FLOOR_D: Subject =
    Subject::Floor("floor D: decode, write, fdatasync", &[Stage::Decode, Stage::Store]);
/// Hashes the body as well, as who checks a signature must.
pub(super) const FLOOR_HASHED: Subject =
    Subject::Floor("floor D + SHA-256", &[Stage::Decode, Stage::Hash, Stage::Store]);

pub(super) const PUT_RECORDS: &str = "PutRecords, 500 x 1 KiB, 8 connections";
pub(super) const PUT_RECORD: &str = "PutRecord, 1 KiB, 64 connections";
pub(super) const PUT_RECORD_ALONE: &str = "PutRecord, 1 KiB, 1 connection";
pub(super) const GET_RECORDS: &str = "GetRecords, 500 x 1 KiB, 8 readers catching up";

/// Those that speak Kinesis.
pub(super) const EMULATORS: &[Subject] = &[Subject::Kinesalite, Subject::KinesisLocal, Subject::Moto];

/// Seconds that full puts take at least: by then Weir writes into pages that it has used before, and no longer into memory that
/// the host has yet to give.
const FULL_PUTS_SECONDS_MIN: u32 = 10;
/// Seconds for which a stream is filled before it is read.
const FILL_SECONDS: u32 = 2;
/// A sync covers the calls in flight at most; below this share of that, records were acknowledged without one.
const HONEST_SHARE: f64 = 0.9;

/// What else takes records, durable first.
const OTHERS: [Subject; 8] = [
    Subject::Redis(Sync::Always),
    Subject::Nats(Sync::Always),
    Subject::Redis(Sync::Default),
    Subject::Nats(Sync::Default),
    Subject::RabbitMq,
    Subject::Kinesalite,
    Subject::KinesisLocal,
    Subject::Moto,
];

/// What is asked of the subjects.
#[derive(Debug, Clone, Copy)]
enum Asks {
    Puts(Puts),
    /// Readers of a stream that was filled.
    Reads,
}

struct Workload {
    name: &'static str,
    asks: Asks,
    /// What ratios are of.
    floor: Subject,
    /// Floors and Weir.
    own: &'static [Subject],
    others: &'static [Subject],
}

const WORKLOADS: [Workload; 4] = [
    Workload {
        name: PUT_RECORDS,
        asks: Asks::Puts(Puts::of_500(8)),
        floor: FLOOR_D,
        own: &[READ, DECODE, FLOOR_D, Subject::Weir, Subject::WeirCbor, FLOOR_HASHED, Subject::WeirSigned],
        others: &OTHERS,
    },
    Workload {
        name: PUT_RECORD,
        asks: Asks::Puts(Puts::of_one(64)),
        floor: FLOOR_D,
        own: &[READ, FLOOR_D, Subject::Weir],
        others: &OTHERS,
    },
    Workload {
        name: PUT_RECORD_ALONE,
        asks: Asks::Puts(Puts::of_one(1)),
        floor: FLOOR_D,
        own: &[FLOOR_D, Subject::Weir],
        others: &[Subject::Redis(Sync::Always), Subject::Kinesalite],
    },
    Workload {
        name: GET_RECORDS,
        asks: Asks::Reads,
        floor: SEND,
        own: &[SEND, Subject::Weir],
        others: EMULATORS,
    },
];

/// The names of all workloads, in their order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    WORKLOADS.iter().map(|workload| workload.name)
}

/// Measures the workload of that name.
pub(super) fn run(bench: &Bench, name: &str) -> Option<Section> {
    let workload = WORKLOADS.iter().find(|workload| workload.name == name)?;
    let subjects = [workload.own, workload.others].concat();
    let names: Vec<String> = subjects.iter().map(|subject| subject.name().to_owned()).collect();
    let mut rows =
        interleaved(&names, bench.rounds, |number| measure(bench, workload.asks, subjects[number]));
    for (row, subject) in rows.iter_mut().zip(subjects) {
        row.remark = remark(row, subject, workload.asks);
    }
    let figures = [
        figure::SPEED,
        figure::CALLS,
        figure::P50,
        figure::P99,
        figure::FLUSHES,
        figure::SERVER,
        figure::CLIENT,
    ];
    Some(Section {
        name: name.to_owned(),
        columns: figures.map(str::to_owned).to_vec(),
        ratio: Some(Ratio { of: workload.floor.name().to_owned(), figure: figure::SPEED.to_owned() }),
        rows,
        ..bench.section()
    })
}

fn measure(bench: &Bench, asks: Asks, subject: Subject) -> anyhow::Result<Figures> {
    client::in_fresh_folder(&bench.folder, |folder| {
        let running = subject.start(&bench.programs, folder)?;
        let client = match asks {
            Asks::Puts(puts) => {
                let seconds_min = if puts.batch > 1 { FULL_PUTS_SECONDS_MIN } else { 0 };
                let seconds = bench.seconds.max(seconds_min);
                client::puts(&bench.programs, subject, &running.address, puts, seconds)
            }
            Asks::Reads => {
                if subject != SEND {
                    let fill = Puts::of_500(8);
                    client::said(client::puts(
                        &bench.programs,
                        subject,
                        &running.address,
                        fill,
                        FILL_SECONDS,
                    ))?;
                }
                client::reader(
                    &bench.programs,
                    "catch-up",
                    &running.address,
                    &["--readers", "8"],
                    bench.seconds,
                )
            }
        };
        client::measure(&running, client)
    })
}

/// What stands beside a subject's figures.
fn remark(row: &Row, subject: Subject, asks: Asks) -> String {
    let Asks::Puts(puts) = asks else { return String::new() };
    let Some(flushes) = median(row.values(figure::FLUSHES)) else { return String::new() };
    match subject {
        Subject::Floor(_, stages) if !stages.contains(&Stage::Store) => {
            "no server, stores nothing".to_owned()
        }
        _ if !subject.is_durable() => "not durable".to_owned(),
        _ if flushes < HONEST_SHARE / puts.connections as f64 => "acknowledges before its sync".to_owned(),
        _ => "durable".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flushed(flushes: f64) -> Row {
        Row {
            subject: String::new(),
            remark: String::new(),
            absent: None,
            rounds: vec![Figures::from([(figure::FLUSHES.to_owned(), flushes)])],
        }
    }

    #[test]
    fn a_peer_with_fewer_syncs_than_any_grouping_explains_is_named() {
        let redis = Subject::Redis(Sync::Always);
        assert_eq!(remark(&flushed(0.125), redis, Asks::Puts(Puts::of_500(8))), "durable");
        assert_eq!(
            remark(&flushed(0.01), redis, Asks::Puts(Puts::of_500(8))),
            "acknowledges before its sync"
        );
        assert_eq!(
            remark(&flushed(6.0), Subject::Redis(Sync::Default), Asks::Puts(Puts::of_500(8))),
            "not durable"
        );
    }
}
