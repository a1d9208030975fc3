//! A node as a process (`weir node backend`) and as a part of another (`weir serve`).
//!
//! Starts the journal, registers with the control plane, serves frames, follows assignments, keeps the homes informed.
//! Everything but the journal's own threads runs on the caller's current-thread runtime; what a front end in the same
//! process asks is answered on the thread that asks.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use weir_core::{
    clock::Clock,
    id::{ClusterId, Incarnation, MemberId, ServerName},
    threads::Threads,
};
use weir_log::{Durability, Journal, JournalConfig, OpenError, RecoveryReport};
use weir_wire::{
    cell::LocalNode,
    control::{Control, ControlError, ControlReply, ControlRequest, Role},
    fragment::Fragment,
    http,
};

use crate::{
    assignments,
    cluster::{self, ClusterError},
    foreign::{self, ForeignError},
    home_link::{self, Identity},
    local::Within,
    metrics::NodeMetrics,
    node::Node,
    ownership::Ownership,
    server,
};

/// How often records past their retention are looked for.
const RETAIN_PERIOD: Duration = Duration::from_secs(30);
/// How often the journal's numbers go into the metrics.
const OBSERVE_PERIOD: Duration = Duration::from_millis(250);
/// How long a fragment may be routed by until the control plane has said the fleet's own pace.
const FIRST_TTL: Duration = Duration::from_secs(10);

/// What a node is told.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Its name.
    pub name: ServerName,
    /// Where it takes frames; for an embedded node, an address that nobody dials.
    pub service: SocketAddr,
    /// Where its admin listener is.
    pub admin: SocketAddr,
    /// The journal's folder.
    pub data: PathBuf,
    /// What an acknowledgement promises.
    pub durability: Durability,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal.
    #[error("open the journal in {}: {source}", .folder.display())]
    Journal {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The control plane did not take it.
    #[error("register with the control plane: {0}")]
    Register(ControlError),
    /// The log is not the control plane's.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// What the log says of foreign shards.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// A listener.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A node that runs on the current runtime.
#[derive(Debug, Clone)]
pub struct RunningNode {
    node: Arc<Node>,
    fragments: watch::Receiver<Option<Fragment>>,
    metrics: Arc<NodeMetrics>,
    member: MemberId,
    life: Incarnation,
}

impl RunningNode {
    /// A node that takes links at its address. Bound before anybody can learn of it: one that cannot be reached must
    /// never be a member.
    pub async fn start_listening(
        config: &NodeConfig,
        control: Control,
        threads: &Threads,
        clock: Clock,
    ) -> Result<(Self, RecoveryReport), StartError> {
        let listener = http::server::bind(config.service)
            .map_err(|source| StartError::Listen { address: config.service, source })?;
        let (node, report) = Self::start(config, control, threads, clock).await?;
        tokio::spawn(server::accept(Arc::clone(&node.node), listener));
        Ok((node, report))
    }

    /// Opens the journal, registers, and starts following assignments. Nothing listens.
    pub async fn start(
        config: &NodeConfig,
        control: Control,
        threads: &Threads,
        clock: Clock,
    ) -> Result<(Self, RecoveryReport), StartError> {
        let not_open = |source| StartError::Journal { folder: config.data.clone(), source };
        // A journal in memory belongs to nobody: it dies with the process.
        let folder = (config.durability != Durability::Memory).then(|| config.data.clone());
        match &folder {
            Some(folder) => {
                // Before there is a new, empty one.
                let has_segments = Journal::is_in(folder).map_err(|error| not_open(error.into()))?;
                if let (false, Some(has)) = (has_segments, cluster::read(folder)?) {
                    return Err(ClusterError::Gone { folder: folder.clone(), has }.into());
                }
            }
            None if Journal::is_in(&config.data).unwrap_or(false) => {
                tracing::warn!(folder = %config.data.display(), "the log in this folder is not read: records are kept in memory");
            }
            None => {}
        }
        let journal = JournalConfig::new(&config.data, config.durability);
        let (journal, report) = Journal::open(journal, threads, clock).map_err(not_open)?;
        let metrics = Arc::new(NodeMetrics::default());
        let node = Arc::new(Node::new(journal, clock, Arc::clone(&metrics)));
        // Under the journal's lock: nobody else writes them.
        let (cluster, noted) = match &folder {
            Some(folder) => (cluster::read(folder)?, foreign::read(folder)?),
            None => Default::default(),
        };
        let (member, life, told) = register(config, &control, cluster).await?;
        if let Some(folder) = &folder {
            cluster::claim(folder, told)?;
        }
        let ownership = Ownership::new(member, life, config.service, FIRST_TTL, node.recovered(), &noted);
        let (publish, fragments) = watch::channel(None);
        tokio::spawn(assignments::follow(Arc::clone(&node), control, ownership, folder, publish, clock));
        tokio::spawn(keep_house(Arc::clone(&node)));
        Ok((Self { node, fragments, metrics, member, life }, report))
    }

    /// What the node says of itself, each time that it changes or is renewed.
    pub fn fragments(&self) -> watch::Receiver<Option<Fragment>> {
        self.fragments.clone()
    }

    /// The node for a front end in the same process, which asks it on whichever of its threads.
    pub fn local(&self) -> Arc<dyn LocalNode> {
        Arc::new(Within(Arc::clone(&self.node)))
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Its counts.
    pub fn metrics(&self) -> &Arc<NodeMetrics> {
        &self.metrics
    }

    /// Keeps a home in every front-end cell informed.
    pub fn keep_homes(&self, config: &NodeConfig, control: Control, clock: Clock) {
        let identity = Identity { member: self.member, life: self.life, source: config.service.ip() };
        tokio::spawn(home_link::keep_homes(clock, control, identity, self.fragments()));
    }
}

async fn register(
    config: &NodeConfig,
    control: &Control,
    cluster: Option<ClusterId>,
) -> Result<(MemberId, Incarnation, ClusterId), StartError> {
    let request = ControlRequest::Register {
        cluster,
        name: config.name.clone(),
        role: Role::Backend,
        cell: None,
        service: config.service,
        mesh: None,
        admin: config.admin,
    };
    match (control.call(request).await, cluster) {
        (Ok(ControlReply::Registered { member, life, cluster }), _) => Ok((member, life, cluster)),
        (Ok(other), _) => Err(StartError::Register(ControlError::Invalid(format!("answered {other:?}")))),
        (Err(ControlError::OtherCluster(told)), Some(has)) => {
            Err(ClusterError::Other { folder: config.data.clone(), has, told }.into())
        }
        (Err(error), _) => Err(StartError::Register(error)),
    }
}

async fn keep_house(node: Arc<Node>) {
    let mut retain = tokio::time::interval(RETAIN_PERIOD);
    let mut observe = tokio::time::interval(OBSERVE_PERIOD);
    loop {
        tokio::select! {
            _ = retain.tick() => node.retain().await,
            _ = observe.tick() => node.observe(),
        }
    }
}
