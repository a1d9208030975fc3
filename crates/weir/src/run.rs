//! `weir run`: opens the scenario, lets the lab run it, judges what was recorded, writes the result and says it.
//!
//! The lab does the work; here the outcome becomes files (`summary.json`, `report.html`), a table or one JSON object on
//! stdout, and an exit code.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use weir_core::{clock::Clock, entropy};
use weir_lab::{
    report,
    run::{self, RunError, RunRequest, Screen, Show},
    scenario::{Scenario, shipped},
    series::store::ResultFolder,
    summary::{self, Summary},
};
use weir_wire::open_files;

use crate::{
    exit::{self, Failure},
    say,
};

/// Flags of `weir run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A shipped scenario by name, or a scenario file by path [default: kinesis-2020].
    #[arg(value_name = "SCENARIO")]
    scenario: Option<String>,
    /// Only this arm; may be repeated [default: all, with the control].
    #[arg(long = "arm", value_name = "NAME")]
    arms: Vec<String>,
    /// Run every arm so often.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: u32,
    /// Repeats arrivals, keys and choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds of 2020 that one second stands for [default: the scenario's].
    #[arg(long, value_name = "X")]
    time_scale: Option<f64>,
    /// Write the result here [default: weir-results/SCENARIO-TIME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
    /// List the shipped scenarios.
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: RunArgs, screen: Screen) -> Result<u8, Failure> {
    if args.list {
        return list();
    }
    let name = args.scenario.as_deref().unwrap_or(shipped::DEFAULT);
    let mut scenario = Scenario::open(name).map_err(Failure::usage)?;
    scenario.keep(&args.arms).map_err(Failure::usage)?;
    if let Some(scale) = args.time_scale {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Failure::usage(anyhow::anyhow!("--time-scale {scale} must be above 0")));
        }
        scenario.rescale(scale);
    }
    let out = args.out.unwrap_or_else(|| default_folder(&scenario.name));
    let request = RunRequest {
        repeat: args.repeat,
        seed: args.seed.unwrap_or_else(|| entropy::secret_u64() >> 32),
        weir: std::env::current_exe().context("find this binary")?,
        show: if args.quiet { Show::Quiet } else { Show::for_stderr() },
        screen,
        out: out.clone(),
        scenario,
    };
    // The recorders keep a connection to each running server.
    open_files::raise().map_err(Failure::environment)?;
    let outcome = run::run(&request).map_err(failure)?;
    let summary = judge(&outcome.folder)?;
    print(&summary, args.json)?;
    say::aside(format_args!("\nthe report: {}", absolute(&out.join("report.html")).display()));
    Ok(summary.exit_status())
}

/// Judges a recorded result and writes `summary.json` and `report.html` into its folder.
pub(crate) fn judge(folder: &ResultFolder) -> anyhow::Result<Summary> {
    let recorded = folder.read()?;
    let (summary, opinions) = summary::summarize(&recorded);
    folder.write("summary.json", &serde_json::to_string_pretty(&summary)?)?;
    folder.write("report.html", &report::render(&recorded, &summary, &opinions))?;
    Ok(summary)
}

/// The summary for programs or for people.
pub(crate) fn print(summary: &Summary, json: bool) -> Result<(), Failure> {
    if json { say::json(summary) } else { say::text(summary::render_table(summary)) }
}

fn list() -> Result<u8, Failure> {
    let mut table = String::new();
    for shipped in shipped::SHIPPED {
        let scenario = Scenario::open(shipped.name).map_err(Failure::usage)?;
        table.push_str(&format!("{:<22}{}\n", scenario.name, scenario.description));
    }
    say::text(table)?;
    Ok(exit::HELD)
}

fn failure(error: RunError) -> Failure {
    if error.is_environment() { Failure::environment(error) } else { error.into() }
}

/// Beside whatever the user is doing, and never over an earlier result: the name carries the second.
fn default_folder(scenario: &str) -> PathBuf {
    Path::new("weir-results").join(format!("{scenario}-{}", Clock::new().wall().secs()))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
