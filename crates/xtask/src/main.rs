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
    /// The service beside floors and emulators, durable where it can be; or, with `--micro`, its parts by criterion.
    Bench {
        /// Only workloads, or benches, whose name holds this text.
        filter: Option<String>,
        /// How many times, one after the other: the spread between runs is the one that counts.
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Seconds of each run of the service.
        #[arg(long, default_value_t = 3)]
        seconds: u32,
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
        Command::Bench { filter, runs, micro: true, .. } => bench::micro::run(filter.as_deref(), runs),
        Command::Bench { filter, runs, seconds, .. } => bench::service::run(filter.as_deref(), runs, seconds),
        Command::Fuzz { target, seconds } => fuzz::run(&target, seconds),
    }
}
