//! `weir node ROLE`: one server of a fleet in this process.
//!
//! The lab starts these; people can too. Flags name what differs from server to server; what a fleet agrees on comes
//! from the control plane.

mod backend;
mod consumer;
mod control;
mod frontend;

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use weir_core::id::ServerName;
use weir_wire::{control::Role, open_files};

pub(crate) use self::{
    backend::{DurabilityArg, not_started},
    frontend::BASE_THREADS,
};
use crate::{exit::Failure, process};

/// The roles.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// The control plane: members, streams, placement, health.
    Control(control::ControlArgs),
    /// A back-end node: owns shards and their log.
    Backend(backend::BackendArgs),
    /// A front end: authenticates, throttles, routes, keeps a shard map.
    Frontend(frontend::FrontendArgs),
    /// A cache server: keeps the mesh for the front ends of a `cache-fleet` cell.
    Cache(frontend::FrontendArgs),
    /// A service on the stream: auth cache, metrics buffer or event bus.
    Consumer(Box<consumer::ConsumerArgs>),
}

/// Where a server is.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Its name, unique in the fleet and the same over restarts.
    #[arg(long)]
    name: String,
    /// Its address; loopback unless the fleet has a network of its own.
    #[arg(long)]
    address: IpAddr,
    /// The port that it serves on.
    #[arg(long, default_value_t = 4567)]
    port: u16,
    /// The port of /metrics, /health and /ready.
    #[arg(long, default_value_t = 4569)]
    admin_port: u16,
}

impl PlaceArgs {
    fn name(&self) -> ServerName {
        ServerName::new(self.name.as_str())
    }

    fn service(&self) -> SocketAddr {
        (self.address, self.port).into()
    }

    fn admin(&self) -> SocketAddr {
        (self.address, self.admin_port).into()
    }

    /// Bound before anybody can learn of it, as all ports of a server.
    fn bind_admin(&self) -> Result<TcpListener, Failure> {
        process::bind("--admin-port", self.admin())
    }
}

/// Where the control plane is.
#[derive(Debug, Args)]
pub(crate) struct ControlPlaceArgs {
    /// The control plane: `http://ADDRESS:PORT` or `ADDRESS:PORT`.
    #[arg(long, value_parser = control_address)]
    control: SocketAddr,
}

/// The folder of a server that keeps something.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Its data folder, its own.
    #[arg(long)]
    data: PathBuf,
}

/// Runs the role until it is told to stop.
pub(crate) fn run(command: NodeCommand) -> Result<u8, Failure> {
    open_files::raise().map_err(Failure::environment)?;
    match command {
        NodeCommand::Control(args) => control::run(args),
        NodeCommand::Backend(args) => backend::run(args),
        NodeCommand::Frontend(args) => frontend::run(&args, Role::Frontend),
        NodeCommand::Cache(args) => frontend::run(&args, Role::Cache),
        NodeCommand::Consumer(args) => consumer::run(*args),
    }
}

pub(crate) fn control_address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    bare.parse().map_err(|_| format!("{text:?} is no ADDRESS:PORT"))
}
