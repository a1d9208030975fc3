//! `weir node backend`.
//!
//! Threads: main (signals, admin), node (frames, assignments, homes), and the journal's own.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use weir_cell::{
    ClusterError,
    run::{NodeConfig, RunningNode, StartError},
};
use weir_core::{clock::Clock, threads::Threads};
use weir_log::Durability;
use weir_sync::Shutdown;
use weir_wire::control::{Control, RemoteControl};

use super::{ControlPlaceArgs, DataArgs, PlaceArgs};
use crate::{exit::Failure, process};

/// Flags of `weir node backend`.
#[derive(Debug, Args)]
pub(crate) struct BackendArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    control: ControlPlaceArgs,
    #[command(flatten)]
    data: DataArgs,
    /// What an acknowledgement promises.
    #[arg(long, value_enum, default_value_t = DurabilityArg::Fsync)]
    durability: DurabilityArg,
}

/// `--durability`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// On disk: survives kill -9 and power loss.
    Fsync,
    /// In the kernel: survives kill -9.
    Os,
    /// In this process: dies with it.
    Memory,
}

impl From<DurabilityArg> for Durability {
    fn from(arg: DurabilityArg) -> Self {
        match arg {
            DurabilityArg::Fsync => Self::Fsync,
            DurabilityArg::Os => Self::Os,
            DurabilityArg::Memory => Self::Memory,
        }
    }
}

pub(super) fn run(args: BackendArgs) -> Result<u8, Failure> {
    let config = NodeConfig {
        name: args.place.name(),
        service: args.place.service(),
        admin: args.place.admin(),
        data: args.data.data,
        durability: args.durability.into(),
    };
    let admin = args.place.bind_admin()?;
    let control: Control = Arc::new(RemoteControl::new(args.control.control));
    let stop = Shutdown::new();
    let (registered, registry) = watch::channel(None);
    let threads = Threads::new();
    let role = {
        let (threads_of_role, stop) = (threads.clone(), stop.clone());
        threads.spawn("node", move || -> Result<(), Failure> {
            let serving = serve(&config, control, &threads_of_role, &registered, stop.clone());
            let outcome = process::runtime()?.block_on(serving);
            stop.begin(); // a role that ended by itself ends the process
            outcome
        })?
    };
    process::until_stopped(Some(admin), registry, None, stop, [role])?;
    Ok(crate::exit::HELD)
}

/// A log of another cluster is a wrong command line; an address in use is the host's.
pub(crate) fn not_started(error: StartError) -> Failure {
    match error {
        StartError::Cluster(ClusterError::Other { .. }) => Failure::usage(error),
        StartError::Journal { .. } | StartError::Cluster(_) | StartError::Foreign(_) => {
            Failure::folder(error)
        }
        StartError::Register(_) | StartError::Listen { .. } => Failure::environment(error),
    }
}

async fn serve(
    config: &NodeConfig,
    control: Control,
    threads: &Threads,
    registered: &process::Registered,
    stop: Shutdown,
) -> Result<(), Failure> {
    let clock = Clock::new();
    let started = RunningNode::start_listening(config, Arc::clone(&control), threads, clock).await;
    let (node, report) = started.map_err(not_started)?;
    tracing::info!(?report, "journal open");
    node.keep_homes(config, control, clock);
    let mut registry = Registry::default();
    node.metrics().register(&mut registry);
    let held = Arc::clone(node.node());
    // A log that has stopped takes no record any more; whoever asks should send none here.
    registered.send_replace(Some((Arc::new(registry), Arc::new(move || held.journal().stopped().is_none()))));
    stop.wait_async().await;
    node.node().close();
    Ok(())
}
