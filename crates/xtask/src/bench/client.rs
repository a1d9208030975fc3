//! Runs one client against one server, and makes figures of what it said and of what the machine counted meanwhile.
//!
//! All clients print one JSON object with the same words. A run begins when the machine is quiet, if it becomes so.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{
    machine,
    results::{Figures, figure},
    subject::{Programs, Running, Speaks, Subject},
};

/// A load of puts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Puts {
    /// Records of a call; one record goes by PutRecord.
    pub(super) batch: usize,
    pub(super) connections: usize,
    pub(super) record_bytes: usize,
}

impl Puts {
    /// 500 records of 1 KiB a call.
    pub(super) const fn of_500(connections: usize) -> Self {
        Self { batch: 500, connections, record_bytes: 1024 }
    }

    /// One record of 1 KiB a call.
    pub(super) const fn of_one(connections: usize) -> Self {
        Self { batch: 1, connections, record_bytes: 1024 }
    }
}

/// What a client says.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) succeeded: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    errors: BTreeMap<String, u64>,
    service_ms: Percentiles,
    /// From the moment meant, of an open loop.
    latency_ms: Option<Percentiles>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Percentiles {
    p50: Option<f64>,
    p99: Option<f64>,
    p999: Option<f64>,
}

/// The command that puts into a subject, as fast as it can, for so many seconds.
pub(super) fn puts(
    programs: &Programs,
    subject: Subject,
    address: &str,
    puts: Puts,
    seconds: u32,
) -> Command {
    let (batch, connections) = (puts.batch.to_string(), puts.connections.to_string());
    let (size, seconds) = (puts.record_bytes.to_string(), seconds.to_string());
    match subject.speaks() {
        Speaks::Peer(name) => {
            let mut command = Command::new(&programs.peer_load);
            command.args([name, address, "--batch", &batch, "--connections", &connections]);
            command.args(["--record-size", &size, "--seconds", &seconds]);
            command
        }
        Speaks::Kinesis => {
            let mut command = load(programs, address, puts);
            command.args(subject.manners()).args(["--max", "--duration", &format!("{seconds}s")]);
            command
        }
    }
}

/// `weir load` without its pace.
pub(super) fn load(programs: &Programs, address: &str, puts: Puts) -> Command {
    let mut command = Command::new(&programs.weir);
    command.args(["load", "--json", "--stream", "s", "--endpoint", &format!("http://{address}")]);
    command.args(["--connections", &puts.connections.to_string(), "--batch", &puts.batch.to_string()]);
    command.args(["--record-size", &puts.record_bytes.to_string()]);
    if puts.batch == 1 {
        command.args(["--mix", "PutRecord=1"]);
    }
    command
}

/// A reader of `weir-benches`.
pub(super) fn reader(programs: &Programs, way: &str, address: &str, flags: &[&str], seconds: u32) -> Command {
    let mut command = Command::new(&programs.reader);
    command.args([way, address, "--seconds", &seconds.to_string()]).args(flags);
    command
}

/// Runs a client to its end; what it says. A client that nobody answered is an error.
pub(super) fn said(mut client: Command) -> anyhow::Result<Report> {
    let output = client.output().with_context(|| format!("start {client:?}"))?;
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let report: Report = serde_json::from_slice(&output.stdout).with_context(|| words)?;
    if report.succeeded == 0 {
        bail!("no call succeeded: {:?}", report.errors);
    }
    Ok(report)
}

/// Runs a client against a server.
pub(super) fn measure(running: &Running, client: Command) -> anyhow::Result<Figures> {
    let was_quiet = machine::await_quiet()?;
    let (flushes, used) = (machine::disk_flushes()?, machine::processor_seconds(running.group())?);
    let report = said(client)?;
    let used = machine::processor_seconds(running.group())? - used;
    let flushes = machine::disk_flushes()? - flushes;
    let calls = report.succeeded as f64;
    let latency = report.latency_ms.unwrap_or(report.service_ms);
    let figures = [
        (figure::SPEED, Some(report.bytes as f64 / report.seconds / 1e6)),
        (figure::CALLS, Some(calls / report.seconds)),
        (figure::P50, latency.p50),
        (figure::P99, latency.p99),
        (figure::P999, latency.p999),
        (figure::FLUSHES, Some(flushes as f64 / calls)),
        (figure::SERVER, Some(used / report.seconds)),
        (figure::CLIENT, Some(report.cpu_seconds / report.seconds)),
        (figure::MEMORY, Some(machine::resident_mib(running.group())?)),
        (figure::BESIDE_OTHERS, Some(f64::from(u8::from(!was_quiet)))),
        (figure::FAILED, Some(report.errors.values().sum::<u64>() as f64)),
    ];
    Ok(figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

/// Starts with an empty folder, and ends without it and after a rest.
pub(super) fn in_fresh_folder<T>(
    folder: &Path,
    act: impl FnOnce(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let written_before = machine::disk_bytes_written()?;
    let done = act(folder);
    std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    let rested = machine::rest_after(&written_before);
    let done = done?;
    rested?;
    Ok(done)
}
