//! The commands that only look: `weir limits`, `report`, `compare`, `schema`, and the envelope's thread counter.
//!
//! They print to stdout (tables for people, `--json` for programs) and start no server.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use weir_lab::{
    compare, envelope,
    limits::{HostFacts, LimitsReport, MeshCosts},
    scenario,
    series::store::{Recorded, ResultFolder},
};

use crate::{
    exit::{self, Failure},
    node, run, say,
};

/// Flags of `weir limits`.
#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    /// Threads of a front end with no peers (B).
    #[arg(long, default_value_t = node::BASE_THREADS as u64)]
    base_threads: u64,
    /// Threads for each peer (k).
    #[arg(long, default_value_t = 1)]
    threads_per_peer: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn limits(args: &LimitsArgs) -> Result<u8, Failure> {
    let facts = HostFacts::read(Path::new("/"))?;
    let this = std::env::current_exe().context("find this binary")?;
    let costs = MeshCosts::new(args.base_threads, args.threads_per_peer);
    let report = LimitsReport::new(&facts, costs, envelope::probe_all(&this));
    if args.json {
        say::json(&report)?
    } else {
        say::text(report)?
    }
    Ok(exit::HELD)
}

pub(crate) fn schema() -> Result<u8, Failure> {
    say::text(format_args!("{}\n", scenario::schema()))?;
    Ok(exit::HELD)
}

/// Flags of the hidden `weir __count-threads`.
#[derive(Debug, Args)]
pub(crate) struct CountThreadsArgs {
    /// Stop here even if the kernel would give more.
    #[arg(long)]
    max: u32,
}

pub(crate) fn count_threads(args: &CountThreadsArgs) -> Result<u8, Failure> {
    say::text(format_args!("{}\n", envelope::count_threads_line(args.max)))?;
    Ok(exit::HELD)
}

/// Flags of `weir report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A result folder.
    folder: PathBuf,
    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Flags of `weir compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The result to compare with.
    before: PathBuf,
    /// The result to compare.
    after: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Judges a stored result again and rebuilds its report.
pub(crate) fn report(args: &ReportArgs) -> Result<u8, Failure> {
    let folder = ResultFolder::open(&args.folder).map_err(Failure::usage)?;
    let summary = run::judge(&folder)?;
    run::print(&summary, args.json)?;
    Ok(summary.exit_status())
}

/// Differences of two stored results, each with an interval.
pub(crate) fn compare(args: &CompareArgs) -> Result<u8, Failure> {
    let read = |folder: &Path| -> Result<Recorded, Failure> {
        Ok(ResultFolder::open(folder).map_err(Failure::usage)?.read()?)
    };
    let comparison = compare::compare(&read(&args.before)?, &read(&args.after)?);
    if args.json {
        say::json(&comparison)?
    } else {
        say::text(compare::render_table(&comparison))?
    }
    Ok(exit::HELD)
}
