//! The control plane's protocol: one question, one answer, JSON over HTTP (`POST /v1/call`).
//!
//! Front ends, nodes, consumers, the load generator and the lab ask; `weir-control` answers, over a socket or in the
//! same process ([`ControlService`] hides which). It carries decisions and must never make one.

mod account;
mod attached;
mod change;
mod consumer;
mod new_stream;
mod remote;
mod settings;

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use weir_core::{
    id::{
        AccountId, CellName, ClusterId, Generation, Incarnation, MemberId, Region, ServerName, ShardIndex,
        ShardKey, StreamId, StreamName, StreamRef, TenantName,
    },
    limits::SHARD_ITERATOR_LIFETIME,
    monitoring::ShardLevelMetrics,
    shard::OwnedShard,
    units::Span,
};

pub use self::account::{AccountCall, AccountUsage, BillingCommitment, CommitmentStatus};
pub use self::attached::{Attached, AttachedChange, ResourceRef};
pub use self::change::StreamChange;
pub use self::consumer::{ConsumerCall, ConsumerDescription, ConsumerKey, ConsumerStatus};
pub use self::new_stream::NewStream;
pub use self::remote::{CallOutcome, RemoteControl};
pub use self::settings::{ConsumerPolicy, Intake, StreamSettings};
use crate::{fragment::Fragment, kinesis::limits::ServiceLimits};

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Takes requests, routes them, keeps a shard map.
    Frontend,
    /// Keeps the mesh for the front ends of a `cache-fleet` cell; takes no requests.
    Cache,
    /// Owns shards and their log.
    Backend,
}

/// How the servers of a cell hear from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeshKind {
    /// k operating-system threads for each peer, as in 2020.
    ThreadPerPeer,
    /// All peers on a fixed number of threads.
    Multiplexed,
    /// Front ends ask one of K cache servers; cache servers keep a thread per peer and per subscriber.
    CacheFleet,
}

/// What a builder does after the kernel refused it a peer thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRefusal {
    /// Stops for good; only a restart helps. As in 2020.
    Wedge,
    /// Tries again with the next generation and after the build deadline.
    Retry,
}

/// Where a booting server gets its first map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bootstrap {
    /// Whole maps from its peers.
    Peers,
    /// The control plane's store.
    Authoritative,
}

/// How the front-end fleet behaves: one mechanism, every fix a value of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetConfig {
    /// How servers of a cell hear from each other.
    pub mesh: MeshKind,
    /// k: threads for one peer.
    pub threads_per_peer: usize,
    /// How often a peer says that it is there and a node renews its fragment.
    pub gossip_interval: Span,
    /// D: within this time every member has learned of a joiner.
    pub discovery_window: Span,
    /// How old a shard map may be and still be routed by.
    pub map_ttl: Span,
    /// How long one build of the map may take.
    pub build_deadline: Span,
    /// After a refused thread.
    pub on_refusal: OnRefusal,
    /// Where the first map comes from.
    pub bootstrap: Bootstrap,
}

impl FleetConfig {
    /// How long a node goes on bringing its fragment to a home that a membership change has displaced: until every
    /// member has learned of the new home and had the time to build with it.
    pub fn hand_over(&self) -> Duration {
        self.discovery_window.0 + self.build_deadline.0
    }

    /// How long after it was heard a fragment may be routed by. A few renewals may be lost on the way; a silent node
    /// stops being routed to no later than a silent front end stops routing.
    pub fn fragment_ttl(&self) -> Duration {
        (self.gossip_interval.0 * 4).max(self.map_ttl.0)
    }
}

/// An access key and who it speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The session token, if the key is a temporary one: requests must bring it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
    /// The account.
    pub account: AccountId,
    /// The tenant that the key is placed and throttled as.
    pub tenant: TenantName,
}

/// What every front end must agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedConfig {
    /// Signs shard iterators: hexadecimal, 32 bytes.
    pub iterator_secret: String,
    /// For how long an iterator, or a token that a list goes on with, is taken: Kinesis's time if nothing is said.
    #[serde(default = "kinesis_iterator_lifetime")]
    pub iterator_lifetime: Span,
    /// Known access keys. Empty: any signature is accepted.
    pub credentials: Vec<Credential>,
    /// The limits of Kinesis that are kept: AWS's but for those written here.
    #[serde(default)]
    pub limits: ServiceLimits,
    /// Streams with settings of their own, by number. Filled in for each asker: the streams themselves are what is kept.
    #[serde(default)]
    pub streams: Vec<StreamSettings>,
    /// Rises with every change of a stream's settings. Filled in as well.
    #[serde(default)]
    pub settings_revision: u64,
}

impl SharedConfig {
    /// As Kinesis has it, with nobody known: any signature is accepted.
    pub fn new(iterator_secret: String) -> Self {
        Self {
            iterator_secret,
            iterator_lifetime: kinesis_iterator_lifetime(),
            credentials: Vec::new(),
            limits: ServiceLimits::default(),
            streams: Vec::new(),
            settings_revision: 0,
        }
    }
}

fn kinesis_iterator_lifetime() -> Span {
    Span(SHARD_ITERATOR_LIFETIME)
}

/// A server of a cell as its peers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: MemberId,
    /// Its name.
    pub name: ServerName,
    /// Front end or cache server.
    pub role: Role,
    /// Which life of it is registered.
    pub life: Incarnation,
    /// Where its mesh listens.
    pub mesh: SocketAddr,
}

/// A back-end node as front ends see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Its number.
    pub id: MemberId,
    /// Its name.
    pub name: ServerName,
    /// Which life of it is registered.
    pub life: Incarnation,
    /// Where it takes frames.
    pub address: SocketAddr,
}

/// Who is in a cell and which nodes exist, at one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipView {
    /// Rises with every change of `members` or `nodes`.
    pub generation: Generation,
    /// The cell.
    pub cell: CellName,
    /// Its servers, by number.
    pub members: Vec<Member>,
    /// The nodes, by number.
    pub nodes: Vec<NodeEntry>,
    /// How the fleet behaves.
    pub fleet: FleetConfig,
    /// What all front ends agree on.
    pub shared: SharedConfig,
}

/// How many servers of a cell are registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Front ends.
    pub frontends: usize,
    /// Cache servers.
    pub caches: usize,
}

/// A stream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StreamStatus {
    /// Its shards are not all owned yet.
    Creating,
    /// Serves.
    Active,
    /// Is being changed, and serves all the while.
    Updating,
    /// Its shards are being given up.
    Deleting,
}

impl StreamStatus {
    /// As Kinesis spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}

/// What the shards of a stream on one node took in, in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTraffic {
    /// The stream.
    pub stream: StreamId,
    /// Bytes of its batches, as they lie in the log.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

/// A stream as the configuration store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDescription {
    /// The stream.
    pub stream: StreamRef,
    /// The state.
    pub status: StreamStatus,
    /// When it was created, milliseconds since 1970.
    pub created_ms: u64,
    /// How long records are kept.
    pub retention_hours: u32,
    /// True for the on-demand capacity mode.
    pub on_demand: bool,
    /// The key with which records are shown as encrypted; none: they are shown as not encrypted.
    #[serde(default)]
    pub encryption_key: Option<String>,
    /// The shard-level metrics that are enabled.
    #[serde(default)]
    pub metrics: ShardLevelMetrics,
    /// MiB a second that it is kept ready for; none: what it has grown to.
    #[serde(default)]
    pub warm_mibps: Option<u32>,
    /// How records come in.
    #[serde(default)]
    pub intake: Intake,
    /// A front end whose configuration is of an earlier revision does not know all of this stream's settings yet.
    #[serde(default)]
    pub settings_revision: u64,
    /// Its shards, by number.
    pub shards: Vec<OwnedShard>,
    /// Its registered consumers.
    pub consumers: u32,
}

/// A registered server, as the control plane judges it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its number.
    pub id: MemberId,
    /// Its name.
    pub name: ServerName,
    /// What it is.
    pub role: Role,
    /// Its cell; none for a node.
    pub cell: Option<CellName>,
    /// Its life.
    pub life: Incarnation,
    /// Has answered `/ready` in this life.
    pub ready: bool,
    /// Answers health checks in time.
    pub healthy: bool,
    /// Is being taken out.
    pub draining: bool,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ControlRequest {
    /// A server starts: it gets its number (the same for the same name) and a new, higher life.
    Register {
        /// Whose numbers it goes by already; another control plane refuses it and changes nothing. None: it has none.
        cluster: Option<ClusterId>,
        /// Its name.
        name: ServerName,
        /// What it is.
        role: Role,
        /// Its cell; none for a node.
        cell: Option<CellName>,
        /// Where it serves: HTTP for a front end, frames for a node.
        service: SocketAddr,
        /// Where its mesh listens; none for a node.
        mesh: Option<SocketAddr>,
        /// Where its admin listener is.
        admin: SocketAddr,
    },
    /// A server leaves for good.
    Deregister {
        /// Who.
        member: MemberId,
    },
    /// Take a server off the endpoint list (or put it back); it stays a member.
    Drain {
        /// Who.
        member: MemberId,
        /// Off or back.
        on: bool,
    },
    /// Who is in my cell?
    View {
        /// The cell.
        cell: CellName,
    },
    /// How many are in my cell? For numbers that are exported; a member is learned of by `View` alone.
    Census {
        /// The cell.
        cell: CellName,
    },
    /// Where does this tenant send its requests? The first tenant-less answer holds all endpoints.
    Endpoints {
        /// The tenant, or all.
        tenant: Option<TenantName>,
    },
    /// Where do all of these send theirs? One answer for a caller that speaks for many: a question each would make its
    /// picture as old as they are many.
    Routes {
        /// The tenants.
        tenants: Vec<TenantName>,
    },
    /// A node says what it owns and asks what it should own.
    Report {
        /// What it owns now.
        fragment: Fragment,
        /// What its streams took in since the last report that was answered; none of a stream that took nothing.
        #[serde(default)]
        traffic: Vec<StreamTraffic>,
    },
    /// Every fragment in the store: the authoritative bootstrap.
    Fragments,
    /// Every cell with its mesh members, so that a node finds its homes.
    Cells,
    /// Create a stream.
    CreateStream(NewStream),
    /// Delete a stream.
    DeleteStream {
        /// The stream.
        stream: StreamRef,
        /// Its consumers go with it; else a stream that has some stays.
        with_consumers: bool,
    },
    /// Change a stream's settings.
    ChangeStream {
        /// The stream.
        stream: StreamRef,
        /// What to change.
        change: StreamChange,
    },
    /// What is attached to this resource?
    Attached {
        /// The resource.
        resource: ResourceRef,
    },
    /// Change what is attached to a resource.
    ChangeAttached {
        /// The resource.
        resource: ResourceRef,
        /// What to change.
        change: AttachedChange,
    },
    /// What is this stream?
    DescribeStream {
        /// The stream.
        stream: StreamRef,
    },
    /// An account's streams in a region, in order of name.
    ListStreams {
        /// The account.
        account: AccountId,
        /// The region.
        region: Region,
        /// Only names after this one.
        after: Option<StreamName>,
        /// At most so many.
        limit: u32,
    },
    /// About an account in a region as a whole.
    Account {
        /// The account.
        account: AccountId,
        /// The region.
        region: Region,
        /// What.
        about: AccountCall,
    },
    /// About the consumers of a stream.
    Consumers {
        /// The stream.
        stream: StreamRef,
        /// What.
        about: ConsumerCall,
    },
    /// Put a tenant on a cell (or let rendezvous hashing place it).
    PlaceTenant {
        /// The tenant.
        tenant: TenantName,
        /// The cell; none: hashed.
        cell: Option<CellName>,
    },
    /// Change how the fleet behaves from the next poll on.
    SetFleet {
        /// The new configuration.
        fleet: FleetConfig,
    },
    /// Everything that the control plane knows of its servers.
    Status,
}

impl ControlRequest {
    /// Does it change nothing, so that it may be sent twice? False also for calls of which only some change something.
    pub(crate) fn only_asks(&self) -> bool {
        match self {
            Self::View { .. }
            | Self::Census { .. }
            | Self::Endpoints { .. }
            | Self::Routes { .. }
            | Self::Fragments
            | Self::Cells
            | Self::Attached { .. }
            | Self::DescribeStream { .. }
            | Self::ListStreams { .. }
            | Self::Status => true,
            Self::Register { .. }
            | Self::Deregister { .. }
            | Self::Drain { .. }
            | Self::Report { .. }
            | Self::CreateStream(_)
            | Self::DeleteStream { .. }
            | Self::ChangeStream { .. }
            | Self::ChangeAttached { .. }
            | Self::Account { .. }
            | Self::Consumers { .. }
            | Self::PlaceTenant { .. }
            | Self::SetFleet { .. } => false,
        }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "body", rename_all = "kebab-case")]
pub enum ControlReply {
    /// To `Register`.
    Registered {
        /// The server's number.
        member: MemberId,
        /// This life of it.
        life: Incarnation,
        /// Whose numbers these are.
        cluster: ClusterId,
    },
    /// Done, nothing to say.
    Done,
    /// To `View`.
    View(Box<MembershipView>),
    /// To `Census`.
    Census(Census),
    /// To `Endpoints`.
    Endpoints {
        /// Rises with every change.
        version: u64,
        /// Base URLs.
        urls: Vec<String>,
    },
    /// To `Routes`.
    Routes {
        /// Base URLs, cell by cell; only of cells that one of the tenants is on.
        cells: Vec<Vec<String>>,
        /// For each tenant, in the order of the question, the index of its cell in `cells`.
        tenants: Vec<usize>,
    },
    /// To `Report`: everything that the node should own. What it owns beyond that it gives up, if it was ever given it.
    Assignments {
        /// The shards.
        shards: Vec<OwnedShard>,
        /// Those of them that are to take no more records: they were split or merged.
        closing: Vec<ShardKey>,
        /// Retention by stream, in hours, where it is not the default.
        retention_hours: Vec<(StreamId, u32)>,
        /// The number of the next stream: from here on none was ever given out, and a node that holds one has it from
        /// somewhere else.
        next_stream: StreamId,
    },
    /// To `Fragments`.
    Fragments(Vec<Fragment>),
    /// To `Cells`.
    Cells {
        /// How the fleet behaves: a node renews its fragment each `gossip_interval`.
        fleet: Box<FleetConfig>,
        /// Each cell's mesh members (cache servers where the cell has them, else front ends).
        cells: Vec<(CellName, Vec<Member>)>,
    },
    /// To `CreateStream`, `ChangeStream` (after the change) and `DescribeStream`.
    Stream(Box<StreamDescription>),
    /// To `ListStreams`.
    Streams {
        /// In order of name.
        streams: Vec<StreamDescription>,
        /// Are there more?
        more: bool,
    },
    /// To `Account` about its usage.
    Usage(AccountUsage),
    /// To `Account` about its commitment, after the change if it was one.
    Commitment(BillingCommitment),
    /// To `Attached`.
    Attached(Attached),
    /// To `ChangeStream` where monitoring was changed.
    Monitoring {
        /// The shard-level metrics that were enabled before.
        before: ShardLevelMetrics,
        /// Those that are enabled now.
        after: ShardLevelMetrics,
    },
    /// To `Consumers`: one that was registered or described.
    Consumer(ConsumerDescription),
    /// To `Consumers`: a list.
    Consumers {
        /// In order of name.
        consumers: Vec<ConsumerDescription>,
        /// Are there more?
        more: bool,
    },
    /// To `Status`.
    Status(Vec<ServerStatus>),
}

/// Why the control plane did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", content = "detail", rename_all = "kebab-case")]
pub enum ControlError {
    /// No such thing.
    #[error("{0} not found")]
    NotFound(String),
    /// There is one already.
    #[error("{0} already exists")]
    AlreadyExists(String),
    /// Not in this state.
    #[error("{0}")]
    InUse(String),
    /// There is no such shard in the stream.
    #[error("shard {0} not found")]
    ShardNotFound(ShardIndex),
    /// To `DeleteStream`: the stream has consumers, and they were not to go with it.
    #[error("it has consumers")]
    HasConsumers,
    /// A bound was met.
    #[error("{0}")]
    LimitExceeded(String),
    /// The question makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// To `Register`: the server belongs to another cluster than this one.
    #[error("this is the control plane of cluster {0}")]
    OtherCluster(ClusterId),
    /// Its disk has no room to keep what would have changed: nothing has.
    #[error("the control plane's disk is full")]
    Full,
    /// The control plane could not be asked, or its store failed. It may have happened.
    #[error("the control plane is unavailable: {0}")]
    Unavailable(String),
}

/// The answer, when it comes.
pub type ControlFuture<'a> = Pin<Box<dyn Future<Output = Result<ControlReply, ControlError>> + Send + 'a>>;

/// Somebody who answers the control plane's questions: over a socket ([`RemoteControl`]) or in the same process.
pub trait ControlService: Send + Sync {
    /// Asks. Bounded in time: a control plane that does not answer is [`ControlError::Unavailable`].
    fn call(&self, request: ControlRequest) -> ControlFuture<'_>;

    /// A number that rises with every change of membership, assignments or configuration, for askers in the same
    /// process: they need not wait for their next poll. `None` over a socket.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// A shared way to the control plane.
pub type Control = Arc<dyn ControlService>;

#[cfg(test)]
mod tests;
