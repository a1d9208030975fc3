//! What Weir is as fast as: the service beside floors and beside what else there is, and its parts beside plain ways.
//!
//! Called by `cargo xtask bench`. The service's suite runs all subjects of a workload one after another, again and again, so
//! that each meets the same neighbours; ratios are taken within a round. Figures are kept as JSON beside the document that
//! is written from them; a filter measures some sections again and keeps the others. Nothing here fails for being slow.

mod bars;
mod client;
mod document;
mod generator;
mod growth;
mod machine;
pub(crate) mod micro;
mod micro_table;
mod pace;
mod plot;
mod restart;
mod results;
mod service;
mod subject;
mod versions;

use std::{path::PathBuf, process::Command};

use self::{
    results::{Results, Section},
    subject::Programs,
};
use crate::cargo::{self, cargo};

/// Where figures are kept, below the root.
const RESULTS: &str = "docs/performance.json";

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Only sections whose name holds this text, whatever its case.
    pub(crate) filter: Option<String>,
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    /// The sections that tell what growing work costs, as well.
    pub(crate) growth: bool,
}

/// A suite that is under way.
#[derive(Debug)]
struct Bench {
    programs: Programs,
    /// For one run's data; on the disk of the workspace, which need not be that of `/tmp`.
    folder: PathBuf,
    rounds: usize,
    seconds: u32,
    command: String,
    date: String,
    commit: String,
    machine: String,
}

impl Bench {
    /// A section to be filled.
    fn section(&self) -> Section {
        Section {
            command: self.command.clone(),
            date: self.date.clone(),
            commit: self.commit.clone(),
            machine: self.machine.clone(),
            ..Section::default()
        }
    }
}

/// Measures, prints a table of each section as it is done, and writes the document.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    cargo::run(cargo(&["build", "--quiet", "--release", "--package", "weir", "--package", "weir-benches"]))?;
    let bench = Bench {
        programs: Programs::prepared(),
        folder: cargo::prepared().join("bench-service"),
        rounds: options.rounds,
        seconds: options.seconds,
        command: command(options),
        date: today()?,
        commit: versions::commit(),
        machine: machine::described(&cargo::target()),
    };
    let file = cargo::root().join(RESULTS);
    let mut results = Results::load(&file)?;
    results.versions = versions::found(&bench.programs);
    for name in names(options) {
        eprintln!("{name}");
        let section = measure(&bench, name);
        println!("{}", document::table(&section));
        results.replace(section);
        results.order(&all_names());
        results.save(&file)?; // what is measured is kept, whatever happens to the rest
    }
    println!("{}", document::bars_table(&results));
    document::write(&results, &cargo::root().join("docs"))
}

/// Writes the document from what is kept.
pub(crate) fn render() -> anyhow::Result<()> {
    document::write(&Results::load(&cargo::root().join(RESULTS))?, &cargo::root().join("docs"))
}

/// Every section in the order of the document.
fn all_names() -> Vec<&'static str> {
    let single = [pace::FOLLOW, pace::HALF, restart::RESTART, generator::GENERATOR];
    let axes = growth::AXES.iter().map(|axis| axis.name);
    service::names().chain(single).chain(axes).chain([growth::STORED]).collect()
}

/// Those that are asked for.
fn names(options: &Options) -> Vec<&'static str> {
    let filter = options.filter.as_deref().unwrap_or_default().to_lowercase();
    let asked =
        |name: &&str| name.to_lowercase().contains(&filter) && (options.growth || !document::is_growth(name));
    all_names().into_iter().filter(asked).collect()
}

fn measure(bench: &Bench, name: &str) -> Section {
    if let Some(axis) = growth::AXES.iter().find(|axis| axis.name == name) {
        return growth::run(bench, axis);
    }
    match name {
        pace::FOLLOW => pace::follow(bench),
        pace::HALF => pace::half(bench),
        restart::RESTART => restart::run(bench),
        generator::GENERATOR => generator::run(bench),
        growth::STORED => growth::stored(bench),
        workload => service::run(bench, workload).expect("the names of this file are those of the suite"),
    }
}

/// The command that measures this again.
fn command(options: &Options) -> String {
    let mut command = "cargo xtask bench".to_owned();
    if let Some(filter) = &options.filter {
        command += &format!(" '{filter}'");
    }
    command += &format!(" --rounds {} --seconds {}", options.rounds, options.seconds);
    if options.growth { command + " --growth" } else { command }
}

/// The day, by the host.
fn today() -> anyhow::Result<String> {
    let said = Command::new("date").args(["-u", "+%F"]).output()?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(filter: Option<&str>, growth: bool) -> Options {
        Options { filter: filter.map(str::to_owned), rounds: 2, seconds: 3, growth }
    }

    #[test]
    fn a_filter_asks_for_sections_and_growth_only_comes_when_it_is_asked_for() {
        assert_eq!(names(&options(Some("getrecords"), true)), [service::GET_RECORDS]);
        assert_eq!(names(&options(None, true)).len(), names(&options(None, false)).len() + 5);
        assert!(names(&options(Some("growth"), false)).is_empty());
    }

    #[test]
    fn a_section_says_how_it_is_measured_again() {
        let command = command(&options(Some("open loop"), true));
        assert_eq!(command, "cargo xtask bench 'open loop' --rounds 2 --seconds 3 --growth");
    }
}
