//! What an arm was made of, before anything happened: limits, laws, tenants, expectations, and the host below.
//!
//! Written once at the head of a result by the runner, read by the oracle (which never guesses a limit) and shown in
//! the report. Nothing here is measured.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::oracle::SignatureId;

/// What all arms of a run share; stored as `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The scenario's name (`kinesis-2020`).
    pub scenario: String,
    /// What the scenario is about, in a sentence or two; may be empty.
    #[serde(default)]
    pub description: String,
    /// The seed that all arms share.
    pub seed: u64,
    /// How many seconds of 2020 one second of the run stands for (1 when the scenario does not scale).
    pub time_scale: f64,
    /// When the run started, milliseconds since 1970.
    pub started_wall_ms: u64,
    /// Weir's version, and the source revision when known.
    pub version: String,
    /// The machine.
    pub host: Host,
}

/// The machine that a run took place on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Logical processors that the run could use.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Kernel release (`uname -r`).
    pub kernel: String,
    /// Processor model.
    pub cpu: String,
    /// Whether the run had root.
    pub root: bool,
    /// Everything else worth knowing (`pid_max`, `threads-max`, cgroup version, ...), shown as it is.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

/// One arm's make-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmSetup {
    /// The arm's name (`shared`).
    pub arm: String,
    /// Its place among the scenario's arms, from 0: results show them in this order.
    pub order: u32,
    /// Which time this arm ran, from 0.
    pub repeat: u32,
    /// A variant, or the negative control.
    pub role: ArmRole,
    /// One sentence on what is different here; may be empty.
    #[serde(default)]
    pub description: String,
    /// How front ends hear from each other.
    pub mesh: Mesh,
    /// What enforces the limit: `cgroup-v1`, `cgroup-v2`, `user-namespace`, `uid`.
    pub limit_kind: String,
    /// Threads that one server may have (L).
    pub limit: u64,
    /// Threads of a front end with no peers (B).
    pub base_threads: u64,
    /// Threads for one peer (k).
    pub threads_per_peer: u64,
    /// The law of the role whose threads grow with the fleet: front ends, or the cache servers of a cache fleet.
    pub law: ThreadLaw,
    /// Front ends before the trigger (N0), over all cells.
    pub front_ends: u32,
    /// Front ends that the trigger adds, over all cells.
    pub front_ends_added: u32,
    /// The front-end cells, in order.
    pub cells: Vec<String>,
    /// The tenants and where they are placed.
    pub tenants: Vec<Tenant>,
    /// Length of one sample window, milliseconds.
    pub window_ms: u64,
    /// Discovery window D: how long until every member has learned of a joiner, milliseconds.
    pub discovery_ms: u64,
    /// How long a map serves on after its last refresh, milliseconds.
    pub map_ttl_ms: u64,
    /// The interval at which members send, milliseconds.
    pub gossip_ms: u64,
    /// Servers that the paced restart restarts in a second; `None` when the scenario has no such phase.
    #[serde(default)]
    pub restart_per_second: Option<f64>,
    /// The share of its limit below which an alarm on a front end's headroom fires; `None` in results of versions that had
    /// no such alarm.
    #[serde(default)]
    pub headroom_min: Option<f64>,
    /// Every parameter of the arm, for the reader; those that AWS never stated are marked as assumed.
    pub parameters: Vec<Parameter>,
    /// What must come out for the run to be called held.
    pub expect: Expectations,
}

/// Why an arm runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArmRole {
    /// A variant that is compared.
    Variant,
    /// The negative control: the same growth with room, in which nothing may happen.
    Control,
}

/// How front ends hear from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mesh {
    /// k threads for each peer (2020).
    ThreadPerPeer,
    /// All peers on a fixed number of threads.
    Multiplexed,
    /// Front ends ask cache servers; the cache servers hold the mesh.
    CacheFleet,
}

impl Mesh {
    /// The name that scenarios and results use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ThreadPerPeer => "thread-per-peer",
            Self::Multiplexed => "multiplexed",
            Self::CacheFleet => "cache-fleet",
        }
    }
}

/// The thread count of one server as a formula: `base + per_peer * (M - 1) + per_client * F`, where M is the number of
/// members of its mesh and F the number of front ends that it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadLaw {
    /// Whose law it is.
    pub role: Role,
    /// Threads without peers and clients.
    pub base: u64,
    /// Threads for each other member of the mesh (k; 0 when peers share threads).
    pub per_peer: u64,
    /// Threads for each front end served (0 except on cache servers).
    pub per_client: u64,
}

/// One named value of the arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its key in the scenario (`fleet.map_ttl`).
    pub name: String,
    /// Its value with its unit.
    pub value: String,
    /// True when AWS never stated it.
    pub assumed: bool,
    /// What it means; may be empty.
    #[serde(default)]
    pub note: String,
}

/// A tenant and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// The front-end cell that it is placed on.
    pub cell: String,
}

/// What must come out of an arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectations {
    /// Signatures that must be held.
    pub held: Vec<SignatureId>,
    /// Signatures whose onsets must come in this order.
    pub in_order: Vec<SignatureId>,
    /// The first refusal must come at the predicted fleet size, to the integer.
    pub n_star_exact: bool,
    /// Bounds on numbers of the summary.
    pub bounds: Vec<Bound>,
}

/// A bound on one number of the summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// A number of the arm's summary, with dots (`success_ratio.cliff`, `refusals`).
    pub metric: String,
    /// The least value that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// A server's number in its arm: an index into [`super::ArmSeries::servers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub u32);

/// One server of the arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Its number: servers are declared in order, from 0.
    pub id: ServerId,
    /// Its name, stable over restarts (`fe-03`).
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its front-end or back-end cell, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Whether it was there before the trigger.
    pub cohort: Cohort,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Authenticates, throttles, routes.
    Frontend,
    /// Holds the mesh for the front ends of a cache fleet.
    Cache,
    /// Owns shards.
    Backend,
    /// Membership, configuration, placement, health.
    Control,
    /// A service on the stream.
    Consumer,
}

/// Whether a server was there before the trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cohort {
    /// Part of the fleet from the start.
    Original,
    /// Added by the trigger.
    Joiner,
}
