//! Weir starts again over 10 GB: how long until it is ready, and what it holds in memory then.
//!
//! The data is put there once; each round ends the server both ways. Ready is the line that a caller waits for; behind it a
//! reader must find records from the oldest on, and memory is what is held when it has.

use std::path::Path;

use super::{
    Bench, client,
    client::Puts,
    machine,
    results::{Figures, Section, figure, interleaved},
    subject::{self, Running, SHARDS, Subject},
};
use crate::tally;

pub(super) const RESTART: &str = "Start over 10 GB of stored records";
pub(super) const STOPPED: &str = "after SIGTERM";
pub(super) const KILLED: &str = "after kill -9";
pub(super) const READY: &str = "ready s";
/// What the index takes, as `weir-log` states it.
pub(super) const INDEX: &str = "stated index MiB";
const STORED: &str = "stored GB";

const STORED_BYTES: u64 = 10_000_000_000;
/// Seconds of one load while the data is put there, and how many loads there are at most.
const FILL_SECONDS: u32 = 5;
const FILLS_MAX: usize = 60;
/// Bytes of the index for each stored batch; a call leaves one in each shard that it hits.
const INDEX_BATCH_BYTES: u64 = 16;
const FILL: Puts = Puts::of_500(8);

/// What lies in a data folder.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stored {
    pub(super) bytes: u64,
    calls: u64,
}

/// Puts until so many bytes of records are stored.
pub(super) fn fill(
    bench: &Bench,
    running: &Running,
    stored: &mut Stored,
    until_bytes: u64,
) -> anyhow::Result<()> {
    for _ in 0..FILLS_MAX {
        if stored.bytes >= until_bytes {
            return Ok(());
        }
        let load = client::puts(&bench.programs, Subject::Weir, &running.address, FILL, FILL_SECONDS);
        let said = client::said(load)?;
        stored.bytes += said.bytes;
        stored.calls += said.succeeded;
    }
    anyhow::bail!("{} bytes are stored after {FILLS_MAX} loads, not {until_bytes}", stored.bytes)
}

/// Both ways of ending, over and over.
pub(super) fn run(bench: &Bench) -> Section {
    let ways = [STOPPED.to_owned(), KILLED.to_owned()];
    let measured = client::in_fresh_folder(&bench.folder, |folder| {
        eprintln!("  storing {} GB", STORED_BYTES / 1_000_000_000);
        let mut stored = Stored::default();
        let mut running = Some(Subject::Weir.start(&bench.programs, folder)?);
        if let Some(running) = &running {
            fill(bench, running, &mut stored, STORED_BYTES)?;
        }
        Ok(interleaved(&ways, bench.rounds, |number| {
            if let Some(mut running) = running.take().filter(|_| number == 0) {
                running.stop()?; // and killed where it is only dropped
            }
            let (again, figures) = start(bench, folder, stored)?;
            running = Some(again);
            Ok(figures)
        }))
    });
    let rows = measured.unwrap_or_else(|error| interleaved(&ways, 1, |_| Err(anyhow::anyhow!("{error:#}"))));
    let columns = [STORED, READY, figure::MEMORY, INDEX].map(str::to_owned).to_vec();
    Section { name: RESTART.to_owned(), columns, rows, ..bench.section() }
}

fn start(bench: &Bench, folder: &Path, stored: Stored) -> anyhow::Result<(Running, Figures)> {
    machine::await_quiet()?;
    let begun = tally::now();
    let running = subject::weir_again(&bench.programs, folder)?;
    let ready = begun.elapsed().as_secs_f64();
    client::said(client::reader(&bench.programs, "catch-up", &running.address, &[], 1))?;
    let resident = machine::resident_mib(running.group())?;
    let index = (stored.calls * u64::from(SHARDS) * INDEX_BATCH_BYTES) as f64 / f64::from(1 << 20);
    let figures =
        [(STORED, stored.bytes as f64 / 1e9), (READY, ready), (figure::MEMORY, resident), (INDEX, index)];
    Ok((running, figures.map(|(name, value)| (name.to_owned(), value)).into()))
}
