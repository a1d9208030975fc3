//! What the control plane keeps: the part that survives a restart.
//!
//! Changed by the machine only, written by the store as it is. Persisted as JSON: a field is added with a default and
//! never given another meaning. Access keys are told at each start and must never be persisted.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize, Serializer};
use weir_core::{
    id::{
        AccountId, CellName, ClusterId, ConsumerName, Epoch, Incarnation, MemberId, Region, ServerName,
        ShardIndex, StreamId, StreamName, StreamRef, TenantName,
    },
    monitoring::ShardLevelMetrics,
    shard::OwnedShard,
};
use weir_wire::control::{Attached, Intake, Role, StreamStatus};

use crate::{
    commitment::Commitment,
    config::ControlConfig,
    reshard::{OpenShard, Reshard},
};

/// A registered server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
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
    /// Where it serves.
    pub service: SocketAddr,
    /// Where its mesh listens.
    pub mesh: Option<SocketAddr>,
    /// Where its admin listener is.
    pub admin: SocketAddr,
    /// Off the endpoint list on purpose.
    pub draining: bool,
    /// Not heard for so long that nobody is told of it; it keeps its number and is back with its next sign of life.
    #[serde(default)]
    pub away: bool,
}

/// A shard and the node that it is assigned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedShard {
    /// The shard.
    pub shard: OwnedShard,
    /// The node.
    pub node: MemberId,
}

/// What a stream's callers hear of its encryption, and when it was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// The key, as the caller named it; none: records are shown as not encrypted.
    pub key: Option<String>,
    /// Records that arrived since then are shown as encrypted, as long as there is a key; milliseconds since 1970.
    pub since_ms: u64,
    /// When it was started within the last day, milliseconds since 1970.
    pub started_ms: Vec<u64>,
    /// When it was stopped.
    pub stopped_ms: Vec<u64>,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// As the log knows it.
    pub id: StreamId,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The name.
    pub name: StreamName,
    /// The state.
    pub status: StreamStatus,
    /// Until when it is kept from going on to its next state, milliseconds since 1970.
    #[serde(default)]
    pub held_until_ms: Option<u64>,
    /// When it was created, milliseconds since 1970.
    pub created_ms: u64,
    /// How long records are kept.
    pub retention_hours: u32,
    /// The on-demand capacity mode.
    pub on_demand: bool,
    /// Tags and policy.
    #[serde(default)]
    pub attached: Attached,
    /// Encryption at rest, as it is shown.
    #[serde(default)]
    pub encryption: Encryption,
    /// The shard-level metrics that are enabled.
    #[serde(default)]
    pub metrics: ShardLevelMetrics,
    /// MiB a second that it is kept ready for; none: what it has grown to.
    #[serde(default)]
    pub warm_mibps: Option<u32>,
    /// How records come in.
    #[serde(default)]
    pub intake: Intake,
    /// The revision of its last change of settings.
    #[serde(default)]
    pub settings_revision: u64,
    /// When its capacity mode was changed, milliseconds since 1970, as far as that still counts.
    #[serde(default)]
    pub mode_changed_ms: Vec<u64>,
    /// Its shards, by number: those that take records and, until their records are too old, those that did.
    pub shards: Vec<AssignedShard>,
    /// Its registered consumers, in order of registration.
    #[serde(default)]
    pub consumers: Vec<Consumer>,
    /// The splits and merges that are under way.
    #[serde(default)]
    pub reshard: Option<Reshard>,
    /// When its shard count was updated, milliseconds since 1970, as far as that still counts.
    #[serde(default)]
    pub scaled_ms: Vec<u64>,
}

impl Stream {
    /// The shard of this number.
    pub fn shard(&self, shard: ShardIndex) -> Option<&OwnedShard> {
        let found = self.shards.binary_search_by_key(&shard, |assigned| assigned.shard.key.shard).ok()?;
        Some(&self.shards[found].shard)
    }

    /// Its shards that take records, by range.
    pub fn open_shards(&self) -> Vec<OpenShard> {
        let open = self.shards.iter().map(|assigned| &assigned.shard).filter(|shard| shard.is_open());
        let mut open: Vec<_> =
            open.map(|shard| OpenShard { shard: shard.key.shard, range: shard.range }).collect();
        open.sort_by_key(|shard| shard.range.start);
        open
    }
}

impl Stream {
    /// How many of its shards are open.
    pub fn open_shards_count(&self) -> usize {
        self.shards.iter().filter(|assigned| assigned.shard.is_open()).count()
    }

    /// Is it the one that is called so?
    pub fn is(&self, stream: &StreamRef) -> bool {
        self.name == stream.name && self.account == stream.account && self.region == stream.region
    }

    /// What it is called.
    pub fn reference(&self) -> StreamRef {
        StreamRef { account: self.account, region: self.region, name: self.name.clone() }
    }
}

/// A registered consumer of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// The name.
    pub name: ConsumerName,
    /// When it was registered, milliseconds since 1970.
    pub created_ms: u64,
    /// From when on it is what it is becoming: active, or gone if it is being deleted.
    pub settles_ms: u64,
    /// It is being deleted.
    pub deleting: bool,
    /// Its tags and policy.
    #[serde(default)]
    pub attached: Attached,
}

/// Everything that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Whose numbers these are: drawn once, at the first start.
    #[serde(default = "ClusterId::draw")]
    pub cluster: ClusterId,
    /// Rises with every change; what pollers and endpoint lists compare.
    pub version: u64,
    /// The next numbers to give out. None is ever given twice.
    pub next_member: u32,
    /// As above.
    pub next_life: u64,
    /// As above.
    pub next_stream: u64,
    /// Rises with every change of a stream's settings.
    #[serde(default)]
    pub settings_revision: u64,
    /// The epoch of the next assignment.
    pub next_epoch: Epoch,
    /// How the fleet behaves, its cells, what front ends agree on.
    #[serde(serialize_with = "without_credentials")]
    pub config: ControlConfig,
    /// A cell's view changes, its generation rises.
    pub generations: BTreeMap<CellName, u64>,
    /// Registered servers.
    pub servers: BTreeMap<MemberId, Server>,
    /// Tenants pinned to a cell (or known, and hashed).
    pub tenants: BTreeMap<TenantName, Option<CellName>>,
    /// Streams.
    pub streams: Vec<Stream>,
    /// What accounts have committed to.
    #[serde(default)]
    pub commitments: Vec<Commitment>,
}

impl State {
    /// A control plane's first state.
    pub fn new(cluster: ClusterId, config: ControlConfig) -> Self {
        let tenants =
            config.tenants.iter().map(|tenant| (tenant.name.clone(), tenant.cell.clone())).collect();
        let generations = config.cells.iter().map(|cell| (cell.clone(), 1)).collect();
        Self {
            cluster,
            version: 1,
            next_member: 1,
            next_life: 1,
            next_stream: 1,
            settings_revision: 0,
            next_epoch: Epoch(1),
            config,
            generations,
            servers: BTreeMap::new(),
            tenants,
            streams: Vec::new(),
            commitments: Vec::new(),
        }
    }

    /// The stream that is called so.
    pub fn stream(&self, stream: &StreamRef) -> Option<&Stream> {
        self.streams.iter().find(|known| known.is(stream))
    }
}

fn without_credentials<S: Serializer>(config: &ControlConfig, serializer: S) -> Result<S::Ok, S::Error> {
    let mut kept = config.clone();
    kept.shared.credentials.clear();
    kept.serialize(serializer)
}
