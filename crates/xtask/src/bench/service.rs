//! The service's suite: workloads, who does them, and the table of what came of it.
//!
//! One client for all, `weir load`, with the same bodies for all. A round runs every subject of a workload once; ratios are
//! of the floor of the same round. A subject that could not be had stands in the table with the reason.

use std::{collections::BTreeMap, fmt::Write as _, process::Command};

use anyhow::Context;
use serde::Deserialize;

use super::{
    machine,
    subject::{Programs, Stage, Subject},
};
use crate::{
    cargo::{self, cargo},
    prepare,
};

/// Reads the body and answers.
const READ: Subject = Subject::Floor("floor: read", &[]);
/// Takes the body apart, too.
const DECODE: Subject = Subject::Floor("floor: decode", &[Stage::Decode]);
/// Writes and syncs what it has taken apart: what no durable server of this API can leave out.
const FLOOR_D: Subject = Subject::Floor("floor D: decode, write, fdatasync", &[Stage::Decode, Stage::Store]);
/// Hashes the body as well, as who checks a signature must.
const FLOOR_HASHED: Subject =
    Subject::Floor("floor D + SHA-256", &[Stage::Decode, Stage::Hash, Stage::Store]);

/// What is asked of the subjects.
struct Workload {
    name: &'static str,
    /// Flags of `weir load`.
    load: &'static [&'static str],
    /// What ratios are of.
    floor: Subject,
    subjects: &'static [Subject],
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "PutRecords, 500 x 1 KiB, JSON, 8 connections",
        load: &["--connections", "8", "--unsigned"],
        floor: FLOOR_D,
        subjects: &[
            READ,
            DECODE,
            FLOOR_D,
            Subject::Weir,
            Subject::Kinesalite,
            Subject::KinesisLocal,
            Subject::Moto,
        ],
    },
    Workload {
        name: "PutRecords, 500 x 1 KiB, CBOR, 8 connections",
        load: &["--connections", "8", "--unsigned", "--encoding", "cbor"],
        floor: Subject::Weir,
        subjects: &[Subject::Weir],
    },
    Workload {
        name: "PutRecords, 500 x 1 KiB, JSON, 8 connections, signed and checked",
        load: &["--connections", "8", "--access-key", "bench", "--secret-key", "bench-secret"],
        floor: FLOOR_HASHED,
        subjects: &[FLOOR_HASHED, Subject::WeirSigned],
    },
    Workload {
        name: "PutRecord, 1 KiB, 64 connections",
        load: &["--mix", "PutRecord=1", "--batch", "1", "--connections", "64", "--unsigned"],
        floor: FLOOR_D,
        subjects: &[READ, FLOOR_D, Subject::Weir, Subject::Kinesalite, Subject::Moto],
    },
    Workload {
        name: "PutRecord, 1 KiB, 1 connection",
        load: &["--mix", "PutRecord=1", "--batch", "1", "--connections", "1", "--unsigned"],
        floor: FLOOR_D,
        subjects: &[FLOOR_D, Subject::Weir, Subject::Kinesalite],
    },
];

/// What `weir load --json` says, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Report {
    succeeded: u64,
    bytes: u64,
    seconds: f64,
    cpu_seconds: f64,
    errors: BTreeMap<String, u64>,
    service_ms: Percentiles,
}

#[derive(Debug, Deserialize)]
struct Percentiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

/// One run of one subject.
#[derive(Debug)]
struct Outcome {
    report: Report,
    flushes_per_call: f64,
    server_cores: f64,
    was_quiet: bool,
}

/// Runs the workloads whose name holds `filter`, each subject `runs` times for so many seconds.
pub(crate) fn run(filter: Option<&str>, runs: usize, seconds: u32) -> anyhow::Result<()> {
    cargo::run(cargo(&["build", "--quiet", "--release", "--package", "weir", "--package", "weir-benches"]))?;
    let release = cargo::target().join("release");
    let programs = Programs {
        weir: release.join("weir"),
        floor: release.join("floor"),
        emulators: prepare::emulators(),
        python: prepare::python(),
    };
    println!("\n{}, each run {seconds} s, {runs} rounds\n", machine::described());
    let chosen = |workload: &&Workload| filter.is_none_or(|filter| workload.name.contains(filter));
    for workload in WORKLOADS.iter().filter(chosen) {
        println!("{}", table(workload, &rounds(workload, &programs, runs, seconds)));
    }
    Ok(())
}

/// The outcomes of each subject, by round.
fn rounds(
    workload: &Workload,
    programs: &Programs,
    runs: usize,
    seconds: u32,
) -> Vec<Vec<anyhow::Result<Outcome>>> {
    let mut outcomes: Vec<Vec<_>> = workload.subjects.iter().map(|_| Vec::new()).collect();
    for round in 1..=runs {
        for (subject, outcomes) in workload.subjects.iter().zip(&mut outcomes) {
            eprintln!("{} / {} / round {round} of {runs}", workload.name, subject.name());
            outcomes.push(measure(*subject, workload, programs, seconds));
        }
    }
    outcomes
}

fn measure(
    subject: Subject,
    workload: &Workload,
    programs: &Programs,
    seconds: u32,
) -> anyhow::Result<Outcome> {
    let folder = cargo::prepared().join("bench-service");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)?;
    let running = subject.start(programs, &folder)?;
    let was_quiet = machine::await_quiet()?;
    let (flushes, used) = (machine::disk_flushes()?, machine::processor_seconds(running.process())?);
    let mut load = Command::new(&programs.weir);
    load.args(["load", "--endpoint", &running.url, "--stream", "s", "--max", "--json", "--duration"]);
    let said = load.arg(format!("{seconds}s")).args(workload.load).output().context("start weir load")?;
    let used = machine::processor_seconds(running.process())? - used;
    let flushes = machine::disk_flushes()? - flushes;
    drop(running);
    let _ = std::fs::remove_dir_all(&folder); // the next run begins with that
    let report: Report = serde_json::from_slice(&said.stdout)
        .with_context(|| String::from_utf8_lossy(&said.stderr).trim().to_owned())?;
    if report.succeeded == 0 {
        anyhow::bail!("no call succeeded: {:?}", report.errors);
    }
    Ok(Outcome {
        flushes_per_call: flushes as f64 / report.succeeded as f64,
        server_cores: used / report.seconds,
        report,
        was_quiet,
    })
}

fn table(workload: &Workload, outcomes: &[Vec<anyhow::Result<Outcome>>]) -> String {
    let mut text = format!(
        "### {}\n\n| | MB/s | calls/s | p50 ms | p99 ms | of {} | flushes a call | cores: server, client | |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        workload.name,
        workload.floor.name()
    );
    let floor = workload.subjects.iter().position(|subject| *subject == workload.floor);
    let floor = floor.map(|at| &outcomes[at]);
    for (subject, outcomes) in workload.subjects.iter().zip(outcomes) {
        let name = subject.name();
        match outcomes.iter().map(Result::as_ref).collect::<Result<Vec<_>, _>>() {
            Err(error) => {
                let why = format!("{error:#}").replace(['\n', '|'], " ");
                let _ = writeln!(text, "| {name} | – | – | – | – | – | – | – | {why} |");
            }
            Ok(outcomes) => {
                let row = row(*subject, &outcomes, floor.map(Vec::as_slice).unwrap_or_default());
                let _ = writeln!(text, "| {name} | {row} |");
            }
        }
    }
    text
}

/// The cells behind a subject's name.
fn row(subject: Subject, outcomes: &[&Outcome], floor: &[anyhow::Result<Outcome>]) -> String {
    let spread = |of: &dyn Fn(&Outcome) -> f64| spread(outcomes.iter().map(|outcome| of(outcome)).collect());
    let speed = |outcome: &Outcome| outcome.report.bytes as f64 / outcome.report.seconds / 1e6;
    let ratios = outcomes
        .iter()
        .zip(floor)
        .filter_map(|(outcome, floor)| Some(speed(outcome) / speed(floor.as_ref().ok()?)));
    let ratio = self::spread(ratios.collect());
    let mut remarks = Vec::new();
    if !subject.is_durable() && !matches!(subject, Subject::Floor(..)) {
        remarks.push("not durable".to_owned());
    }
    let noisy = outcomes.iter().filter(|outcome| !outcome.was_quiet).count();
    if noisy > 0 {
        remarks.push(format!("{noisy} runs beside other work"));
    }
    let errors: u64 = outcomes.iter().flat_map(|outcome| outcome.report.errors.values()).sum();
    if errors > 0 {
        remarks.push(format!("{errors} calls failed"));
    }
    [
        spread(&speed),
        spread(&|outcome| outcome.report.succeeded as f64 / outcome.report.seconds),
        spread(&|outcome| outcome.report.service_ms.p50.unwrap_or(f64::NAN)),
        spread(&|outcome| outcome.report.service_ms.p99.unwrap_or(f64::NAN)),
        ratio,
        spread(&|outcome| outcome.flushes_per_call),
        format!(
            "{}, {}",
            spread(&|outcome| outcome.server_cores),
            spread(&|outcome| outcome.report.cpu_seconds / outcome.report.seconds)
        ),
        remarks.join("; "),
    ]
    .join(" | ")
}

/// The median, and the least and the most where there are several.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let shown = |value: f64| match value.abs() {
        0.0..1.0 => format!("{value:.3}"),
        1.0..100.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    };
    match values.as_slice() {
        [] => "–".to_owned(),
        [only] => shown(*only),
        [least, .., most] => {
            format!("{} [{}..{}]", shown(values[values.len() / 2]), shown(*least), shown(*most))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_between_the_least_and_the_most() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), "2.00 [1.00..3.00]");
        assert_eq!((spread(vec![0.5]), spread(vec![])), ("0.500".to_owned(), "–".to_owned()));
    }
}
