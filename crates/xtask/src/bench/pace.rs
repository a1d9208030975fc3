//! Weir at a pace that is held: the way from a producer to a reader, and an open loop at half of what it can take.

use super::{
    Bench, client,
    client::Puts,
    machine,
    results::{Figures, Row, Section, figure, interleaved},
    service::FLOOR_D,
    subject::Subject,
};

pub(super) const FOLLOW: &str = "From put to get at 20,000 records/s, 1 KiB, 4 shards";
pub(super) const HALF: &str = "Open loop at half of the maximum rate";

pub(super) const POLL: &str = "GetRecords";
pub(super) const PUSH: &str = "SubscribeToShard";
pub(super) const HALF_RECORD: &str = "PutRecord, 64 connections";
pub(super) const HALF_RECORDS: &str = "PutRecords of 500, 8 connections";
/// An open loop runs so long at least: one pause of five milliseconds is the whole of its slowest thousandth then.
const HALF_SECONDS_MIN: u32 = 5;
/// And so long before that, unmeasured: behind a rest the memory that a server writes into has to be fetched from the host again.
const HALF_WARM_UP_SECONDS: u32 = 2;
/// The part of the memory that the kernel is left to keep of Weir's log (`weir_core::limits::LOG_KERNEL_CACHE_PART`). From there on
/// the pages of old segments are used again; before, they may have to come from the host, and the most that a server can
/// take is what that lets through.
const KEPT_PART: u64 = 8;
/// Runs until that was written, as fast as it goes, ahead of the one that is taken for the maximum. Small puts never come so far.
const WARM_UP_RUNS_MAX: u32 = 4;
/// How much longer the slowest call of a thousand took than the middle one.
pub(super) const TAIL: &str = "p99.9 of p50";

const RATE: &str = "20000";
/// Of those that arrived.
const RECORDS: &str = "records/s";
/// The rate that an open loop was asked for.
const ASKED: &str = "asked calls/s";

/// Records from a producer to readers, by either way of reading.
pub(super) fn follow(bench: &Bench) -> Section {
    let ways = [(POLL, "poll"), (PUSH, "push")];
    let rows = interleaved(&ways.map(|(name, _)| name.to_owned()), bench.rounds, |number| {
        client::in_fresh_folder(&bench.folder, |folder| {
            let running = Subject::Weir.start(&bench.programs, folder)?;
            let flags = ["--rate", RATE];
            let reader =
                client::reader(&bench.programs, ways[number].1, &running.address, &flags, bench.seconds);
            let mut figures = client::measure(&running, reader)?;
            let arrived = figures.remove(figure::CALLS); // a record is the unit of this client
            figures.extend(arrived.map(|rate| (RECORDS.to_owned(), rate)));
            Ok(figures)
        })
    });
    section(bench, FOLLOW, &[RECORDS, figure::P50, figure::P99, figure::P999, figure::SERVER], rows)
}

/// As fast as it goes first, then half as fast, whoever waits. The floor stands beside: its tail is that of the disk.
pub(super) fn half(bench: &Bench) -> Section {
    let record = Puts::of_one(64);
    let records = Puts::of_500(8);
    let runs = [
        (HALF_RECORD.to_owned(), Subject::Weir, record),
        (format!("floor D, {HALF_RECORD}"), FLOOR_D, record),
        (HALF_RECORDS.to_owned(), Subject::Weir, records),
        (format!("floor D, {HALF_RECORDS}"), FLOOR_D, records),
    ];
    let names: Vec<String> = runs.iter().map(|(name, ..)| name.clone()).collect();
    let rows = interleaved(&names, bench.rounds, |number| at_half(bench, runs[number].1, runs[number].2));
    let columns = [ASKED, figure::CALLS, figure::P50, figure::P99, figure::P999, TAIL, figure::SERVER];
    section(bench, HALF, &columns, rows)
}

fn at_half(bench: &Bench, subject: Subject, puts: Puts) -> anyhow::Result<Figures> {
    client::in_fresh_folder(&bench.folder, |folder| {
        let running = subject.start(&bench.programs, folder)?;
        let written_before = machine::disk_bytes_written()?;
        let as_fast_as_it_goes =
            || client::said(client::puts(&bench.programs, subject, &running.address, puts, bench.seconds));
        warm_up(machine::memory_bytes()? / KEPT_PART, || Ok(as_fast_as_it_goes()?.bytes))?;
        let most = as_fast_as_it_goes()?;
        let half = most.succeeded as f64 / most.seconds / 2.0;
        machine::rest_after(&written_before)?;
        let load_for = |seconds: u32| {
            let mut load = client::load(&bench.programs, &running.address, puts);
            load.args([
                "--unsigned",
                "--rate",
                &format!("{half:.0}/s"),
                "--duration",
                &format!("{seconds}s"),
            ]);
            load
        };
        client::said(load_for(HALF_WARM_UP_SECONDS))?;
        let mut figures = client::measure(&running, load_for(bench.seconds.max(HALF_SECONDS_MIN)))?;
        figures.insert(ASKED.to_owned(), half);
        if let (Some(p50), Some(p999)) = (figures.get(figure::P50), figures.get(figure::P999)) {
            figures.insert(TAIL.to_owned(), p999 / p50);
        }
        Ok(figures)
    })
}

/// Runs until `bytes` were written, or often enough.
fn warm_up(bytes: u64, mut run: impl FnMut() -> anyhow::Result<u64>) -> anyhow::Result<()> {
    let (mut written, mut runs) = (0, 0);
    while written < bytes && runs < WARM_UP_RUNS_MAX {
        written += run()?;
        runs += 1;
    }
    Ok(())
}

fn section(bench: &Bench, name: &str, columns: &[&str], rows: Vec<Row>) -> Section {
    let columns = columns.iter().map(|&column| column.to_owned()).collect();
    Section { name: name.to_owned(), columns, rows, ..bench.section() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_warm_when_so_much_was_written_or_after_some_runs() {
        let runs = |bytes, each: u64| {
            let mut runs = 0;
            let run = || {
                runs += 1;
                Ok(each)
            };
            warm_up(bytes, run).unwrap();
            runs
        };
        assert_eq!((runs(3_000, 1_000), runs(3_001, 1_600), runs(3_000, 4_000)), (3, 2, 1));
        assert_eq!(runs(3_000, 60), WARM_UP_RUNS_MAX);
    }
}
