//! `weir node control`.
//!
//! Threads: main (signals, admin), control (HTTP, probes, the machine).

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Args;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use weir_control::{
    config::ControlConfig,
    run::{ControlProcess, StartError, run_control},
};
use weir_core::{clock::Clock, threads::Threads};
use weir_sync::Shutdown;

use super::PlaceArgs;
use crate::{exit::Failure, process, serve::not_opened};

/// Flags of `weir node control`.
#[derive(Debug, Args)]
pub(crate) struct ControlArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The data folder; without one the state dies with the process.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The fleet, as JSON.
    #[arg(long)]
    config: String,
}

pub(super) fn run(args: ControlArgs) -> Result<u8, Failure> {
    let config: ControlConfig =
        serde_json::from_str(&args.config).context("--config").map_err(Failure::usage)?;
    config.check().context("--config").map_err(Failure::usage)?;
    let admin = args.place.bind_admin()?;
    let process = ControlProcess { service: args.place.service(), data: args.data, config };
    let stop = Shutdown::new();
    let of_role = stop.clone();
    let (registered, registry): (process::Registered, _) = watch::channel(None);
    let threads = Threads::new();
    let role = threads.spawn("control", move || -> Result<(), Failure> {
        let serving = run_control(process, Clock::new(), of_role.clone(), |metrics| {
            let mut registry = Registry::default();
            metrics.register(&mut registry);
            registered.send_replace(Some((Arc::new(registry), Arc::new(|| true))));
        });
        let outcome = process::runtime()?.block_on(serving);
        of_role.begin(); // a role that ended by itself ends the process
        outcome.map_err(|error| match error {
            StartError::Open(error) => not_opened(error),
            StartError::Listen { .. } => Failure::environment(error),
        })
    })?;
    process::until_stopped(Some(admin), registry, None, stop, [role])?;
    Ok(crate::exit::HELD)
}
