//! `weir serve`: every role in one process, joined in memory. A local Kinesis with no set-up.
//!
//! A control plane, a fleet of one front end and a node, on current-thread runtimes; the same code as a fleet's, with no
//! socket between them. Threads: main (signals, admin), those that serve connections, the first of which does all
//! the rest, too, and the journal's own.

mod limits;
mod operations;
mod tls;

use std::{
    fs::Permissions,
    io::Write,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use weir_cell::run::{NodeConfig, RunningNode};
use weir_control::{
    config::{ControlConfig, StreamDelays, TenantConfig, embedded},
    embedded::{EmbeddedControl, OpenError},
    store::{FileStore, StoreError},
    transitions::let_streams_go_on,
};
use weir_core::{
    clock::Clock,
    entropy,
    id::{CellName, ServerName},
    threads::Threads,
    units::Span,
};
use weir_frontend::{
    credentials::read_credentials,
    faults::{FaultPlan, Faults},
    forward::LocalDial,
    run::{FleetHalf, FleetOutlet, FrontendConfig},
    server::{Frontend, FrontendParts},
    subscription::SubscriptionTimes,
};
use weir_sync::Shutdown;
use weir_wire::{
    control::{Control, Role, SharedConfig},
    http::server::{self, Door, ServeThreads},
    open_files,
};

use self::{
    limits::LimitArgs,
    tls::{SecurePort, Secured, TlsArgs},
};
use crate::{
    exit::{self, Failure},
    log::JOURNAL_FOLDER,
    node::{DurabilityArg, not_started},
    process, say,
};

/// How long requests in flight may take when the process is asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long who asks waits at the door for the first shard map. Longer, it hears that there is none.
const FIRST_MAP_WAIT: Duration = Duration::from_secs(5);
/// Threads that serve connections if nobody says how many; fewer where there are fewer processors.
const SERVE_THREADS: usize = 8;
/// The main thread and the journal's three.
const OTHER_THREADS: usize = 4;
/// The embedded node's address: nobody dials it.
const EMBEDDED_NODE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// Flags of `weir serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4567")]
    listen: SocketAddr,
    #[command(flatten)]
    tls: TlsArgs,
    /// Keep streams and records here [default: a temporary folder that goes with the process].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What an acknowledgement promises.
    #[arg(long, value_enum, default_value_t = DurabilityArg::Fsync)]
    durability: DurabilityArg,
    /// Check signatures against the access keys of this file (AWS shared-credentials format; a profile may add
    /// account_id and tenant).
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Show a new stream as CREATING for this long at least.
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    create_delay: Span,
    /// Show a changed stream as UPDATING for this long at least.
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    update_delay: Span,
    /// Show a deleted stream as DELETING for this long at least.
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    delete_delay: Span,
    /// Print every operation of the API and whether it is as at AWS, and end.
    #[arg(long, conflicts_with = "list_limits")]
    list_operations: bool,
    /// Print lists as one JSON object.
    #[arg(long)]
    json: bool,
    /// End each subscription to a shard after this time; clients come again.
    #[arg(long, value_name = "TIME", default_value = "300s")]
    subscription_lifetime: Span,
    /// Let a call of SubscribeToShard take over from another of the same consumer and shard after this time, and refuse
    /// it before.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    takeover_after: Span,
    /// Let iterators, and the tokens that lists go on with, expire after this time.
    #[arg(long, value_name = "TIME", default_value = "300s")]
    iterator_lifetime: Span,
    /// Serve connections on so many threads [default: one a processor, 8 at most].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=64))]
    serve_threads: Option<u8>,
    /// Inject the faults of this file (docs/FAULTS.md).
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Serve /metrics, /health and /ready here, and /faults to clients on this host; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

impl ServeArgs {
    fn serve_threads(&self) -> usize {
        let one_a_processor = || thread::available_parallelism().map_or(1, NonZero::get).min(SERVE_THREADS);
        self.serve_threads.map_or_else(one_a_processor, usize::from)
    }

    fn subscriptions(&self) -> SubscriptionTimes {
        SubscriptionTimes {
            lifetime: self.subscription_lifetime.0,
            takeover_after: self.takeover_after.0,
            ..SubscriptionTimes::KINESIS
        }
    }
}

/// Checked, with what it needs from disk.
struct Config {
    args: ServeArgs,
    shared: SharedConfig,
    tenants: Vec<TenantConfig>,
    data: PathBuf,
    secure: Option<SecurePort>,
    faults: Option<FaultPlan>,
}

pub(crate) fn run(args: ServeArgs) -> Result<u8, Failure> {
    let limits = args.limits.chosen().map_err(Failure::usage)?;
    if args.list_operations {
        if args.json {
            say::json(&operations::json())?
        } else {
            say::text(operations::table())?
        }
        return Ok(exit::HELD);
    }
    if args.json && !args.limits.list_limits {
        return Err(Failure::usage(anyhow::anyhow!("--json goes with --list-limits or --list-operations")));
    }
    if args.limits.list_limits {
        if args.json {
            say::json(&limits::json(&limits))?
        } else {
            say::text(limits::table(&limits))?
        }
        return Ok(exit::HELD);
    }
    let secure = args.tls.port(args.listen)?;
    open_files::raise().map_err(Failure::environment)?;
    let faults = args.faults.clone().map(FaultPlan::read).transpose().map_err(Failure::usage)?;
    let credentials = match &args.credentials {
        Some(file) => read_credentials(file).map_err(Failure::usage)?,
        None => Vec::new(),
    };
    let tenants = credentials.iter().map(|known| TenantConfig { name: known.tenant.clone(), cell: None });
    let mut tenants: Vec<_> = tenants.collect();
    tenants.sort_by(|one, other| one.name.cmp(&other.name));
    tenants.dedup_by(|one, other| one.name == other.name);
    let shared = SharedConfig {
        credentials,
        limits,
        iterator_lifetime: args.iterator_lifetime,
        ..SharedConfig::new(entropy::secret::<32>().iter().map(|byte| format!("{byte:02x}")).collect())
    };
    // Dropped last: a folder of our own goes with the process.
    let (data, _own) = match &args.data {
        Some(folder) => (folder.clone(), None),
        None => {
            let own =
                tempfile::Builder::new().prefix("weir-").permissions(Permissions::from_mode(0o700)).tempdir();
            let own = own.context("make a temporary folder")?;
            (own.path().to_path_buf(), Some(own))
        }
    };
    serve(Config { args, shared, tenants, data, secure, faults })?;
    Ok(exit::HELD)
}

fn serve(mut config: Config) -> Result<(), Failure> {
    let stop = Shutdown::new();
    let clock = Clock::new();
    let faults = Arc::new(Faults::new(clock));
    if let Some(plan) = config.faults.take() {
        faults.replace(plan);
    }
    let threads = Threads::new();
    let admin = bind_admin(&mut config.args)?;
    let (registered, registry) = watch::channel(None);
    let role = {
        let (threads, stop, faults) = (threads.clone(), stop.clone(), Arc::clone(&faults));
        threads.clone().spawn("serve", move || -> Result<(), Failure> {
            let outcome = process::runtime()?.block_on(serve_all(
                &config,
                threads,
                clock,
                faults,
                &registered,
                stop.clone(),
            ));
            stop.begin(); // a role that ended by itself ends the process
            outcome
        })?
    };
    process::until_stopped(admin, registry, Some(faults), stop, [role])
}

/// Binds the admin listener, if one is asked for; `args` says then which port it has got.
fn bind_admin(args: &mut ServeArgs) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = &mut args.admin else { return Ok(None) };
    let listener = process::bind("--admin", *address)?;
    *address = listener.local_addr().context("ask for a listener's address")?;
    Ok(Some(listener))
}

async fn serve_all(
    config: &Config,
    threads: Threads,
    clock: Clock,
    faults: Arc<Faults>,
    registered: &process::Registered,
    stop: Shutdown,
) -> Result<(), Failure> {
    let opened = open_control(config, clock)?; // from here on the folder is ours
    let (doors, address, place) = open_doors(config)?;
    if config.shared.credentials.is_empty() {
        tracing::info!("no credentials are configured: any well-formed signature is accepted");
    }
    tokio::spawn(let_streams_go_on(Arc::clone(&opened)));
    let control = Arc::clone(&opened) as Control;
    let node_config = NodeConfig {
        name: ServerName::new("node"),
        service: EMBEDDED_NODE,
        admin: EMBEDDED_NODE,
        data: config.data.join(JOURNAL_FOLDER),
        durability: config.args.durability.into(),
    };
    let started = RunningNode::start(&node_config, Arc::clone(&control), &threads, clock).await;
    let (node, report) = started.map_err(not_started)?;
    tracing::debug!(?report, "journal open");
    let count = config.args.serve_threads();
    let serve_threads = ServeThreads::start(count, &threads).await;
    let serve_threads =
        serve_threads.context("start fewer with --serve-threads").map_err(Failure::environment)?;
    let fleet_config = FrontendConfig {
        name: ServerName::new("front-end"),
        role: Role::Frontend,
        cell: CellName::new("main"),
        service: address,
        mesh: None,
        admin: address,
        base_threads: OTHER_THREADS + count,
    };
    let fleet =
        FleetHalf::new(fleet_config, Arc::clone(&control), threads, clock).with_local_node(node.fragments());
    let outlet = fleet.outlet();
    let running = tokio::spawn(fleet.run(stop.clone()));
    let mut registry = Registry::default();
    outlet.metrics.register(&mut registry);
    node.metrics().register(&mut registry);
    opened.metrics().register(&mut registry);
    let parts = FrontendParts {
        control,
        maps: Arc::clone(&outlet.map),
        shared: None, // the fleet brings it with its first poll, before anything is announced
        dial: Arc::new(LocalDial::new(node.local())),
        clock,
        faults,
        subscriptions: config.args.subscriptions(),
    };
    let frontend = Arc::new(Frontend::new(parts, &mut registry)?);
    let (ready, held) = (outlet.clone(), Arc::clone(node.node()));
    let is_ready = move || ready.is_ready() && held.journal().stopped().is_none();
    registered.send_replace(Some((Arc::new(registry), Arc::new(is_ready))));
    let (follower, shared) = (Arc::clone(&frontend), outlet.shared.clone());
    tokio::spawn(async move { follower.follow(shared).await });
    let announced = tokio::time::timeout(FIRST_MAP_WAIT, tokio::spawn(announce(outlet, place)));
    tokio::select! {
        _ = announced => {}
        () = stop.wait_async() => {}
    }
    server::serve_doors(doors, frontend, serve_threads, stop, STOP_GRACE).await;
    running.await.context("the fleet's task")??;
    node.node().close();
    Ok(())
}

fn open_control(config: &Config, clock: Clock) -> Result<Arc<EmbeddedControl>, Failure> {
    let store = FileStore::open(config.data.join("control")).map_err(|error| not_opened(error.into()))?;
    let ServeArgs { create_delay, update_delay, delete_delay, .. } = config.args;
    let delays = StreamDelays { create: create_delay, update: update_delay, delete: delete_delay };
    let control = ControlConfig { delays, ..embedded(config.shared.clone(), config.tenants.clone()) };
    Ok(Arc::new(EmbeddedControl::open(control, Box::new(store), clock).map_err(not_opened)?))
}

/// What the store's file says, as the configuration, is what the command line named.
pub(crate) fn not_opened(error: OpenError) -> Failure {
    match error {
        OpenError::Store(StoreError::Malformed { .. } | StoreError::Changed(_)) | OpenError::Config(_) => {
            Failure::usage(error)
        }
        OpenError::Store(StoreError::InUse(_) | StoreError::File(_)) => Failure::folder(error),
    }
}

/// Opens the plain port and, if it is asked for, the one of https: the doors, the plain one's address, and what to say of
/// them.
fn open_doors(config: &Config) -> Result<(Vec<Door>, SocketAddr, String), Failure> {
    let bound = |door: &Door| door.listener.local_addr().context("ask for a listener's address");
    let plain = Door { listener: process::listen("--listen", config.args.listen)?, tls: None };
    let address = bound(&plain)?;
    let mut doors = vec![plain];
    let mut place = format!("at http://{address}");
    let mut described = described(&config.data, config.args.durability);
    if let Some(port) = &config.secure {
        let Secured { tls, trust } = port.secure(&config.data)?;
        let secure = Door { listener: process::listen("--tls-listen", port.listen)?, tls: Some(tls) };
        place.push_str(&format!(" and https://{}", bound(&secure)?));
        described.push_str(&format!(", certificate to trust in {}", trust.display()));
        doors.push(secure);
    }
    if let Some(admin) = config.args.admin {
        place.push_str(&format!(", admin at http://{admin}"));
    }
    Ok((doors, address, format!("{place} ({described})")))
}

/// Says where it listens, once it can serve.
async fn announce(outlet: FleetOutlet, place: String) {
    let mut wait = tokio::time::interval(Duration::from_millis(2));
    while !outlet.is_ready() {
        wait.tick().await;
    }
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason to stop.
    let _ = writeln!(out, "weir serves Kinesis {place}");
    let _ = out.flush();
}

fn described(data: &Path, durability: DurabilityArg) -> String {
    let durability =
        durability.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    format!("data in {}, durability {durability}", data.display())
}
