//! `weir node frontend` and `weir node cache`.
//!
//! Threads: main (signals, admin), fleet (membership, the state machine, the mesh's listener), serve (HTTP; none in a
//! cache server), and the peer threads that the mesh starts. B is [`FrontendConfig::base_threads`].

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use weir_core::{clock::Clock, id::CellName, threads::Threads};
use weir_frontend::{
    faults::Faults,
    forward::SocketDial,
    run::{FleetError, FleetHalf, FleetOutlet, FrontendConfig},
    server::{Frontend, FrontendParts},
    subscription::SubscriptionTimes,
};
use weir_sync::Shutdown;
use weir_wire::{
    control::{Control, RemoteControl, Role},
    http,
};

use super::{ControlPlaceArgs, PlaceArgs};
use crate::{exit::Failure, process};

/// B of a front end in a fleet: main, fleet, and one that serves. What `weir limits` counts with.
pub(crate) const BASE_THREADS: usize = 3;
/// B of a cache server: it serves nobody.
const CACHE_BASE_THREADS: usize = 2;
/// How long requests in flight may take when the process is asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Flags of both.
#[derive(Debug, Args)]
pub(crate) struct FrontendArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    control: ControlPlaceArgs,
    /// Its cell.
    #[arg(long, default_value = "main")]
    cell: String,
    /// The port on which peers and nodes dial it.
    #[arg(long, default_value_t = 4568)]
    mesh_port: u16,
}

pub(super) fn run(args: &FrontendArgs, role: Role) -> Result<u8, Failure> {
    let mesh = SocketAddr::from((args.place.address, args.mesh_port));
    let serves = role == Role::Frontend;
    let config = FrontendConfig {
        name: args.place.name(),
        role,
        cell: CellName::new(args.cell.as_str()),
        service: if serves { args.place.service() } else { mesh },
        mesh: Some(mesh),
        admin: args.place.admin(),
        base_threads: if serves { BASE_THREADS } else { CACHE_BASE_THREADS },
    };
    // Bound before anybody can learn of it: one that cannot be reached must never be a member.
    let listener = serves.then(|| bound(config.service)).transpose()?;
    let admin = args.place.bind_admin()?;
    // One for each half: its connection lives on the runtime that asks.
    let control = || -> Control { Arc::new(RemoteControl::new(args.control.control)) };
    let (threads, clock) = (Threads::new(), Clock::new());
    let stop = Shutdown::new();
    let (registered, registry) = watch::channel(None);
    let fleet = FleetHalf::new(config, control(), threads.clone(), clock);
    let outlet = fleet.outlet();
    // Before the fleet: that one starts threads for peers, and the last that the limit allows must not be missing here.
    let serve_thread = if let Some(listener) = listener {
        let (stop, control) = (stop.clone(), control());
        Some(threads.spawn("serve", move || -> Result<(), Failure> {
            let half = RequestHalf { listener, control, outlet, clock };
            let outcome = process::runtime()?.block_on(half.serve(&registered, stop.clone()));
            stop.begin();
            Ok(outcome?)
        })?)
    } else {
        show(&registered, Registry::default(), &outlet);
        None
    };
    let fleet_thread = {
        let stop = stop.clone();
        threads.spawn("fleet", move || -> Result<(), Failure> {
            let outcome = process::runtime()?.block_on(fleet.run(stop.clone()));
            stop.begin(); // a role that ended by itself ends the process
            outcome.map_err(|error| match error {
                FleetError::Listen { .. } => Failure::environment(error),
                FleetError::Register(_) => error.into(),
            })
        })?
    };
    let roles = [Some(fleet_thread), serve_thread].into_iter().flatten();
    process::until_stopped(Some(admin), registry, None, stop, roles)?;
    Ok(crate::exit::HELD)
}

fn bound(service: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = http::server::bind_early(service).with_context(|| format!("listen on {service}"));
    listener.map_err(Failure::environment)
}

struct RequestHalf {
    listener: TcpListener,
    control: Control,
    outlet: FleetOutlet,
    clock: Clock,
}

impl RequestHalf {
    async fn serve(self, registered: &process::Registered, stop: Shutdown) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener).context("take over the listener")?;
        let mut registry = Registry::default();
        let parts = FrontendParts {
            faults: Arc::new(Faults::new(self.clock)), // a fleet breaks by itself
            control: self.control,
            maps: Arc::clone(&self.outlet.map),
            shared: None, // requests fail until the first poll has brought it
            dial: Arc::new(SocketDial),
            clock: self.clock,
            subscriptions: SubscriptionTimes::KINESIS,
        };
        let frontend = Arc::new(Frontend::new(parts, &mut registry)?);
        show(registered, registry, &self.outlet);
        let follower = Arc::clone(&frontend);
        let shared = self.outlet.shared.clone();
        tokio::spawn(async move { follower.follow(shared).await });
        http::server::serve(listener, frontend, stop, STOP_GRACE).await;
        Ok(())
    }
}

/// Gives the admin listener what it shows.
fn show(registered: &process::Registered, mut registry: Registry, outlet: &FleetOutlet) {
    outlet.metrics.register(&mut registry);
    let outlet = outlet.clone();
    registered.send_replace(Some((Arc::new(registry), Arc::new(move || outlet.is_ready()))));
}
