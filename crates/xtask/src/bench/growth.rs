//! What Weir costs as work grows: shards, connections, bytes of a record, consumers of a shard, bytes stored.
//!
//! Each axis is a section whose rows are its points; each point is a run of its own server, but for the stored bytes, which
//! one server gathers.

use super::{
    Bench, client,
    client::Puts,
    restart::{self, Stored},
    results::{Figures, Row, Section, figure, interleaved},
    subject::{self, SHARDS, Subject},
};

/// An axis: its name, its points as a table names them, and how many of it there are.
pub(super) struct Axis {
    pub(super) name: &'static str,
    pub(super) points: &'static [(&'static str, u32)],
    measure: fn(&Bench, u32) -> anyhow::Result<Figures>,
}

pub(super) const AXES: [Axis; 4] = [
    Axis {
        name: "Growth: shards (PutRecords, 500 x 1 KiB, 8 connections)",
        points: &[("1", 1), ("16", 16), ("256", 256), ("1,024", 1024), ("4,096", 4096)],
        measure: |bench, shards| put(bench, shards, Puts::of_500(8)),
    },
    Axis {
        name: "Growth: connections (PutRecord, 1 KiB)",
        points: &[("1", 1), ("16", 16), ("64", 64), ("256", 256), ("1,024", 1024)],
        measure: |bench, connections| put(bench, SHARDS, Puts::of_one(connections as usize)),
    },
    Axis {
        name: "Growth: KiB of a record (PutRecords of at most 2 MiB, 8 connections)",
        // A record's key counts to its 1 MiB.
        points: &[("1", 1), ("16", 16), ("128", 128), ("1,023", 1023)],
        measure: |bench, kib| {
            let batch = (2048 / kib).clamp(2, 500) as usize;
            put(bench, SHARDS, Puts { batch, connections: 8, record_bytes: kib as usize * 1024 })
        },
    },
    Axis {
        name: "Growth: consumers of a shard (SubscribeToShard, 20,000 records/s put)",
        points: &[("1", 1), ("4", 4), ("16", 16)],
        measure: consumers,
    },
];

pub(super) const STORED: &str = "Growth: GB stored (PutRecords, 500 x 1 KiB, 8 connections)";
const STORED_POINTS: [(&str, u64); 5] = [("0", 0), ("1", 1), ("5", 5), ("10", 10), ("20", 20)];

const COLUMNS: [&str; 7] =
    [figure::SPEED, figure::CALLS, figure::P50, figure::P99, figure::MEMORY, figure::SERVER, figure::CLIENT];

/// One axis, each point in each round.
pub(super) fn run(bench: &Bench, axis: &Axis) -> Section {
    let points: Vec<String> = axis.points.iter().map(|(name, _)| (*name).to_owned()).collect();
    let rows = interleaved(&points, bench.rounds, |number| (axis.measure)(bench, axis.points[number].1));
    section(bench, axis.name, rows)
}

fn put(bench: &Bench, shards: u32, puts: Puts) -> anyhow::Result<Figures> {
    client::in_fresh_folder(&bench.folder, |folder| {
        let running = subject::weir(&bench.programs, folder, shards)?;
        let client = client::puts(&bench.programs, Subject::Weir, &running.address, puts, bench.seconds);
        client::measure(&running, client)
    })
}

fn consumers(bench: &Bench, consumers: u32) -> anyhow::Result<Figures> {
    client::in_fresh_folder(&bench.folder, |folder| {
        let running = subject::weir(&bench.programs, folder, SHARDS)?;
        let flags = ["--rate", "20000", "--consumers", &consumers.to_string()];
        let reader = client::reader(&bench.programs, "push", &running.address, &flags, bench.seconds);
        client::measure(&running, reader)
    })
}

/// One server that is filled from point to point, and measured at each.
pub(super) fn stored(bench: &Bench) -> Section {
    let points = STORED_POINTS.map(|(name, _)| name.to_owned());
    let measured = client::in_fresh_folder(&bench.folder, |folder| {
        let running = Subject::Weir.start(&bench.programs, folder)?;
        let mut stored = Stored::default();
        Ok(interleaved(&points, 1, |number| {
            restart::fill(bench, &running, &mut stored, STORED_POINTS[number].1 * 1_000_000_000)?;
            let puts = Puts::of_500(8);
            let client = client::puts(&bench.programs, Subject::Weir, &running.address, puts, bench.seconds);
            client::measure(&running, client)
        }))
    });
    let rows =
        measured.unwrap_or_else(|error| interleaved(&points, 1, |_| Err(anyhow::anyhow!("{error:#}"))));
    section(bench, STORED, rows)
}

fn section(bench: &Bench, name: &str, rows: Vec<Row>) -> Section {
    Section { name: name.to_owned(), columns: COLUMNS.map(str::to_owned).to_vec(), rows, ..bench.section() }
}
