//! What people and CI run besides the product: `cargo xtask test`, `check`, `prepare`, `loom`, `bench`, `fuzz`.
//!
//! Nothing has to be installed first but Rust: each command prepares what it needs or fails with the exact command
//! to run. It must never skip in silence.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command's output is its product")]

mod bench;
mod cargo;
mod check;
mod fuzz;
mod loom;
mod prepare;
mod shuttle;
mod tally;
mod test;

use clap::{Parser, Subcommand};

/// Checks, tests and benchmarks of Weir.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything: format, lints, documents, all tests, loom models, benches in small. What CI runs.
    Test,
    /// Format, lints and documentation only: seconds once built.
    Check,
    /// Installs what the tests need besides Rust, and prints the settings under which `cargo test` finds it:
    /// `eval "$(cargo xtask prepare)"`.
    Prepare,
    /// The loom models of weir-sync, and the broken variants that loom must find.
    Loom,
    /// The whole node under random schedules, by shuttle; `WEIR_SHUTTLE` says how many, `WEIR_SHUTTLE_SEED` from which on.
    Shuttle {
        /// Only properties whose name holds this text.
        filter: Option<String>,
    },
    /// The service beside floors, brokers and emulators, durable where it can be: writes docs/PERFORMANCE.md. Or, with
    /// `--micro`, its parts by criterion.
    Bench {
        /// Only sections, or benches, whose name holds this text; the others keep their figures.
        filter: Option<String>,
        /// How many times, one after the other: the spread between rounds is the one that counts.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Seconds of each run of the service; full `PutRecords` take ten at least.
        #[arg(long, default_value_t = 3)]
        seconds: u32,
        /// What growing work costs as well: shards, connections, record sizes, consumers, stored bytes.
        #[arg(long)]
        growth: bool,
        /// Write the document from the figures that are kept, and measure nothing.
        #[arg(long, conflicts_with_all = ["growth", "micro", "filter"])]
        render: bool,
        /// The criterion benches at full size instead.
        #[arg(long)]
        micro: bool,
    },
    /// One fuzz target of `tests/fuzz`, by cargo-fuzz on a nightly compiler.
    Fuzz {
        /// `json`, `cbor`, `sigv4`, `event_stream`, `tokens`, `http2` or `frames`.
        target: String,
        /// For how many seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Test => test::run(),
        Command::Check => {
            let mut tally = tally::Tally::new();
            check::run(&mut tally);
            tally.close()
        }
        Command::Prepare => {
            for (name, made) in prepare::settings() {
                println!("export {name}='{}'", made?.display());
            }
            println!("export WEIR_SKIPS='{}'", tally::skip_file()?.display());
            Ok(())
        }
        Command::Loom => loom::run(),
        Command::Shuttle { filter } => {
            let mut tally = tally::Tally::new();
            tally.step("Shuttle schedules", |tally| shuttle::run(tally, filter.as_deref()));
            tally.close()
        }
        Command::Bench { render: true, .. } => bench::render(),
        Command::Bench { filter, rounds, micro: true, .. } => bench::micro::run(filter.as_deref(), rounds),
        Command::Bench { filter, rounds, seconds, growth, .. } => {
            bench::run(&bench::Options { filter, rounds, seconds, growth })
        }
        Command::Fuzz { target, seconds } => fuzz::run(&target, seconds),
    }
}
