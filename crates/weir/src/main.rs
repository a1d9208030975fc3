//! The one binary: reads the command line, calls the crate that owns the command, turns its outcome into an exit code.
//!
//! Run by people, by scripts and by the lab (which starts its servers through `weir node`). Nothing is decided here.
#![forbid(unsafe_code)]

mod exit;
mod inspect;
mod load;
mod log;
mod logging;
mod mistake;
mod node;
mod process;
mod run;
mod say;
mod serve;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

/// A durable, sharded stream broker that speaks Kinesis, and the laboratory that breaks it on purpose.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, disable_help_subcommand = true)]
#[command(
    after_help = "`weir run` without arguments runs the main experiment. Exit codes: 0 everything held, 1 something \
did not, 2 the command line or a file is wrong, 3 this host cannot run it."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A local Kinesis: every role in one process, no set-up.
    Serve(Box<serve::ServeArgs>),
    /// Run an experiment (`kinesis-2020` without a name) and judge it.
    Run(run::RunArgs),
    /// Open-loop load on any Kinesis endpoint.
    Load(Box<load::LoadArgs>),
    /// Rebuild the report of a result folder and judge it again.
    Report(inspect::ReportArgs),
    /// Compare two result folders, with intervals.
    Compare(inspect::CompareArgs),
    /// Every limit that a fleet on this host can meet, and the N at which it binds.
    Limits(inspect::LimitsArgs),
    /// What is in a data folder, and where it is damaged.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// The JSON Schema of scenario files, for editors.
    Schema,
    /// One server of a fleet; the lab starts these.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Enter an envelope and become a server (internal).
    #[command(name = "__envelop", hide = true)]
    Envelop(weir_lab::envelope::EnvelopArgs),
    /// Carry the load of one arm (internal).
    #[command(name = "__load", hide = true)]
    LoadChild(weir_lab::run::LoadChildArgs),
    /// Start threads until the kernel refuses one, and say how many (internal).
    #[command(name = "__count-threads", hide = true)]
    CountThreads(inspect::CountThreadsArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        Err(error) if error.use_stderr() => {
            let told = mistake::sentence(&error.to_string(), &Cli::command(), std::env::args_os());
            return exit::code(Err(exit::Failure::usage(anyhow::Error::msg(told))));
        }
        Err(help) => help.exit(),
    };
    // Before anything else, and with one thread: an envelope is entered before it can be counted in.
    if let Command::Envelop(args) = &cli.command {
        return exit::code(
            weir_lab::envelope::enter_and_exec(args).map(|()| exit::HELD).map_err(exit::Failure::environment),
        );
    }
    let screen = logging::start();
    exit::code(match cli.command {
        Command::Serve(args) => serve::run(*args),
        Command::Run(args) => run::run(args, screen),
        Command::Load(args) => load::run(*args),
        Command::Report(args) => inspect::report(&args),
        Command::Compare(args) => inspect::compare(&args),
        Command::Limits(args) => inspect::limits(&args),
        Command::Log(command) => log::run(&command),
        Command::Schema => inspect::schema(),
        Command::Node(command) => node::run(command),
        Command::CountThreads(args) => inspect::count_threads(&args),
        Command::LoadChild(args) => load::run_child(&args),
        Command::Envelop(_) => unreachable!("entered above"),
    })
}
