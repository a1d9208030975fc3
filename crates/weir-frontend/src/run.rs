//! The fleet half of a front end (or of a cache server), running: registers, keeps the mesh, publishes the shard map.
//!
//! `weir node frontend`, `weir node cache` and `weir serve` run one on a current-thread runtime of a thread of their
//! own. Request threads look at its [`FleetOutlet`] and at nothing else. Every decision is [`crate::fleet::Fleet`]'s.

mod census;
mod fleet_loop;
mod metrics;
mod thread_limit;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{mpsc, watch};
use weir_core::{
    clock::Clock,
    entropy,
    id::{CellName, Incarnation, MemberId, ServerName},
    threads::Threads,
};
use weir_sync::Shutdown;
use weir_wire::{
    control::{Control, ControlError, ControlReply, ControlRequest, Role, SharedConfig},
    fragment::Fragment,
    http,
};

pub use self::metrics::{FleetMetrics, Moment};
use self::{census::CensusTaker, fleet_loop::FleetLoop};
use crate::{
    fleet::{Fleet, Myself},
    mesh::Mesh,
    shard_map::CurrentMap,
};

/// How old a map may become until the control plane has said.
const FIRST_MAP_TTL: Duration = Duration::from_secs(1);
/// Events that wait for the fleet's loop; lanes wait when it is full.
const FLEET_EVENTS_MAX: usize = 4_096;
/// The wait before the control plane is asked again to register this server; it doubles up to the last.
const REGISTER_FIRST: Duration = Duration::from_millis(50);
/// The longest wait before it is asked again.
const REGISTER_LAST: Duration = Duration::from_secs(1);

/// What a server of a front-end cell is told.
#[derive(Debug, Clone)]
pub struct FrontendConfig {
    /// Its name.
    pub name: ServerName,
    /// Front end or cache server.
    pub role: Role,
    /// Its cell.
    pub cell: CellName,
    /// Where it takes requests; for a cache server, its mesh address.
    pub service: SocketAddr,
    /// Where its mesh listens; the address is also the source of its dials. None: a fleet of one, in one process.
    pub mesh: Option<SocketAddr>,
    /// Where its admin listener is.
    pub admin: SocketAddr,
    /// B: the threads of this process without any peer. In a fleet the main thread (signals, admin), the fleet thread, and
    /// one that serves, which a cache server has not.
    pub base_threads: usize,
}

/// Where the rest of the server looks.
#[derive(Debug, Clone)]
pub struct FleetOutlet {
    /// The shard map of this moment.
    pub map: Arc<CurrentMap>,
    /// What all front ends agree on; none before the first poll.
    pub shared: watch::Receiver<Option<Arc<SharedConfig>>>,
    /// The numbers.
    pub metrics: FleetMetrics,
}

impl FleetOutlet {
    /// Has a first map been published? It stays true, however old the map becomes: a server that cannot build does
    /// not look unhealthy.
    pub fn is_ready(&self) -> bool {
        self.map.is_ready()
    }
}

/// Why the fleet half ended.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The mesh's listener.
    #[error("listen for peers on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The control plane does not take this server.
    #[error("register with the control plane: {0}")]
    Register(ControlError),
}

/// The fleet half of one server, not running yet.
pub struct FleetHalf {
    config: FrontendConfig,
    control: Control,
    threads: Threads,
    clock: Clock,
    shared: watch::Sender<Option<Arc<SharedConfig>>>,
    outlet: FleetOutlet,
    local_node: Option<watch::Receiver<Option<Fragment>>>,
}

impl fmt::Debug for FleetHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetHalf").field("config", &self.config).finish_non_exhaustive()
    }
}

impl FleetHalf {
    /// Nothing is asked, bound or started yet. `threads` counts all threads of the process.
    pub fn new(config: FrontendConfig, control: Control, threads: Threads, clock: Clock) -> Self {
        let map = Arc::new(CurrentMap::new(FIRST_MAP_TTL));
        let (shared, watched) = watch::channel(None);
        let metrics = FleetMetrics::new(clock, threads.clone(), config.base_threads, Arc::clone(&map));
        let outlet = FleetOutlet { map, shared: watched, metrics };
        Self { config, control, threads, clock, shared, outlet, local_node: None }
    }

    /// Hears a node in the same process: every value of `fragments` is taken as brought by the node itself.
    #[must_use]
    pub fn with_local_node(mut self, fragments: watch::Receiver<Option<Fragment>>) -> Self {
        self.local_node = Some(fragments);
        self
    }

    /// Where the rest of the server looks.
    pub fn outlet(&self) -> FleetOutlet {
        self.outlet.clone()
    }

    /// Runs until `stop` begins, on the current thread's runtime.
    pub async fn run(self, stop: Shutdown) -> Result<(), FleetError> {
        raise_file_limit();
        // Bound before anybody can learn of this server: the first dial finds somebody.
        let listener = match self.config.mesh {
            Some(address) => {
                Some(http::server::bind(address).map_err(|source| FleetError::Listen { address, source })?)
            }
            None => None,
        };
        let registered = tokio::select! {
            registered = self.register() => registered?,
            () = stop.wait_async() => return Ok(()),
        };
        let (member, life) = registered;
        tracing::info!(%member, %life, cell = %self.config.cell, "registered");
        let me = Myself { member, life, role: self.config.role, cell: self.config.cell.clone() };
        let (sender, events) = mpsc::channel(FLEET_EVENTS_MAX);
        let source = self.config.mesh.unwrap_or(self.config.service).ip();
        let mesh = Mesh::new(&me, source, self.clock, self.threads.clone(), sender.clone());
        if let Some(listener) = listener {
            mesh.listen(listener);
        }
        let census = CensusTaker::start(Arc::clone(&self.control), me.cell.clone());
        let fleet_loop = FleetLoop {
            cell: me.cell.clone(),
            fleet: Fleet::new(me, entropy::secret_u64()),
            mesh,
            control: self.control,
            clock: self.clock,
            sender,
            shared: self.shared,
            outlet: self.outlet,
            census,
        };
        fleet_loop.run(events, self.local_node, stop).await;
        Ok(())
    }

    /// Asks until the control plane answers; what it refuses for good is an error.
    async fn register(&self) -> Result<(MemberId, Incarnation), FleetError> {
        let mut wait = REGISTER_FIRST;
        loop {
            let request = ControlRequest::Register {
                cluster: None, // it keeps nothing that another could have numbered
                name: self.config.name.clone(),
                role: self.config.role,
                cell: Some(self.config.cell.clone()),
                service: self.config.service,
                mesh: Some(self.config.mesh.unwrap_or(self.config.service)),
                admin: self.config.admin,
            };
            match self.control.call(request).await {
                Ok(ControlReply::Registered { member, life, .. }) => return Ok((member, life)),
                Ok(other) => {
                    let detail = format!("the control plane answered {other:?}");
                    return Err(FleetError::Register(ControlError::Invalid(detail)));
                }
                Err(ControlError::Unavailable(detail)) => {
                    tracing::info!(detail, "the control plane does not answer yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(REGISTER_LAST);
                }
                Err(error) => return Err(FleetError::Register(error)),
            }
        }
    }
}

/// A peer thread holds two file descriptors: takes as many as the host allows without asking anybody.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
