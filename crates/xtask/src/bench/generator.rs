//! What `weir load` itself costs: against a server that does nearly nothing, beside `wrk`, with the same call.
//!
//! Both run one thread and 64 connections. The processor time of either is the kernel's count of a child that has ended.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use super::{
    Bench, client,
    client::Puts,
    machine,
    results::{Figures, Ratio, Section, figure, interleaved},
    service::READ,
    subject::Running,
};

pub(super) const GENERATOR: &str =
    "Load generators against the floor's read stage, PutRecord, 1 KiB, 64 connections";
pub(super) const WEIR_LOAD: &str = "weir load";
pub(super) const WRK: &str = "wrk";
/// Processor time of one call at the client.
pub(super) const CPU: &str = "client CPU us a call";
/// Calls that one core of the client would make.
pub(super) const CALLS_PER_CORE: &str = "calls/s of one client core";

const PUTS: Puts = Puts::of_one(64);

/// Both, one after the other.
pub(super) fn run(bench: &Bench) -> Section {
    let rows = interleaved(&[WEIR_LOAD.to_owned(), WRK.to_owned()], bench.rounds, |number| {
        client::in_fresh_folder(&bench.folder, |folder| {
            let running = READ.start(&bench.programs, folder)?;
            machine::await_quiet()?;
            let before = machine::children_seconds()?;
            let calls = if number == 0 { weir_load(bench, &running)? } else { wrk(bench, &running, folder)? };
            let used = machine::children_seconds()? - before;
            Ok(figures(calls, used))
        })
    });
    let columns = [figure::CALLS, CALLS_PER_CORE, CPU].map(str::to_owned).to_vec();
    let ratio = Some(Ratio { of: WRK.to_owned(), figure: CPU.to_owned() });
    Section { name: GENERATOR.to_owned(), columns, ratio, rows, ..bench.section() }
}

/// Calls, and the seconds that they took.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Calls {
    count: f64,
    seconds: f64,
}

fn figures(calls: Calls, used: f64) -> Figures {
    let figures = [
        (figure::CALLS, calls.count / calls.seconds),
        (CALLS_PER_CORE, calls.count / used),
        (CPU, used / calls.count * 1e6),
    ];
    figures.map(|(name, value)| (name.to_owned(), value)).into()
}

fn weir_load(bench: &Bench, running: &Running) -> anyhow::Result<Calls> {
    let mut load = client::load(&bench.programs, &running.address, PUTS);
    load.args(["--unsigned", "--max", "--workers", "1", "--duration", &format!("{}s", bench.seconds)]);
    let said = client::said(load)?;
    Ok(Calls { count: said.succeeded as f64, seconds: said.seconds })
}

fn wrk(bench: &Bench, running: &Running, folder: &Path) -> anyhow::Result<Calls> {
    let program = bench.programs.wrk.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let script = folder.join("put.lua");
    fs::write(&script, lua()).context("write a script for wrk")?;
    let mut command = Command::new(program);
    command.args(["--threads", "1", "--connections", &PUTS.connections.to_string(), "--script"]).arg(script);
    command.args([&format!("--duration={}s", bench.seconds), &format!("http://{}/", running.address)]);
    let output = command.output().context("start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    requests(&text).with_context(|| format!("wrk says {text:?}"))
}

/// The call that `weir load` makes, with a record of as many bytes.
fn lua() -> String {
    let data = "eHh4".repeat(PUTS.record_bytes / 3) + "eA==";
    format!(
        "wrk.method = \"POST\"\nwrk.body = [[{{\"Data\":\"{data}\",\"PartitionKey\":\"key-0000\",\"StreamName\":\"s\"}}]]\n\
         wrk.headers[\"content-type\"] = \"application/x-amz-json-1.1\"\n\
         wrk.headers[\"x-amz-target\"] = \"Kinesis_20131202.PutRecord\"\n\
         wrk.headers[\"x-amz-date\"] = \"20201125T024400Z\"\n\
         wrk.headers[\"authorization\"] = \"AWS4-HMAC-SHA256 Credential=bench/20201125/us-east-1/kinesis/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}\"\n",
        "0".repeat(64)
    )
}

/// Out of `  297061 requests in 2.00s, 99.99MB read`.
fn requests(text: &str) -> Option<Calls> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (count, rest) = line.trim().split_once(" requests in ")?;
    let seconds = rest.split_once("s,")?.0.parse().ok()?;
    Some(Calls { count: count.parse().ok()?, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_of_wrk_are_read_from_its_summary() {
        let text = "Running 2s test\n  297061 requests in 2.01s, 99.99MB read\nRequests/sec: 147791.54\n";
        assert_eq!(requests(text), Some(Calls { count: 297_061.0, seconds: 2.01 }));
        assert_eq!(requests("unable to connect"), None);
    }

    #[test]
    fn a_call_that_takes_half_a_core_would_be_made_twice_as_often_by_a_whole_one() {
        let figures = figures(Calls { count: 1000.0, seconds: 2.0 }, 1.0);
        assert_eq!((figures[figure::CALLS], figures[CALLS_PER_CORE], figures[CPU]), (500.0, 1000.0, 1000.0));
    }
}
