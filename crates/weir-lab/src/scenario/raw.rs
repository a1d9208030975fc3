//! A scenario as it is written: every key that the TOML may have, with its meaning and unit.
//!
//! Read by `read.rs`, checked by `validate.rs`, turned into the JSON Schema by `weir schema`. Unknown keys are refused.
//! Nothing here is checked beyond its form.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use weir_control::config::HealthConfig;
use weir_core::units::{Rate, Size, Span};
use weir_wire::control::{Bootstrap, OnRefusal};

use crate::series::{Expectations, Mesh};

/// One experiment: a fleet, a load, phases, arms that differ, and a negative control.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Weir scenario")]
pub(super) struct RawScenario {
    /// The scenario's name, as results carry it.
    pub(super) name: String,
    /// What it is about, in a sentence or two.
    pub(super) description: String,
    /// How many seconds of 2020 one second of the run stands for; `--time-scale` stretches all times by it.
    #[serde(default = "one")]
    pub(super) time_scale: f64,
    /// Run all arms at the same time on one clock instead of one after another.
    #[serde(default)]
    pub(super) arms_at_once: bool,
    /// Length of one sample window.
    #[serde(default = "half_a_second")]
    #[schemars(with = "String")]
    pub(super) window: Span,
    /// The front-end fleet.
    pub(super) fleet: RawFleet,
    /// The kernel limits that each front end (and each cache server) lives in.
    pub(super) envelope: RawEnvelope,
    /// What an operator would be called for.
    #[serde(default)]
    pub(super) alarm: RawAlarm,
    /// How servers are judged.
    #[serde(default)]
    pub(super) health: RawHealth,
    /// The back-end nodes.
    pub(super) nodes: RawNodes,
    /// Who uses the fleet.
    pub(super) tenants: RawTenants,
    /// What each tenant writes to.
    pub(super) streams: RawStreams,
    /// The load on all tenants' streams together.
    pub(super) load: RawLoad,
    /// Services on the streams.
    #[serde(default)]
    #[schemars(with = "Vec<RawConsumer>")]
    pub(super) consumers: Vec<Spanned<RawConsumer>>,
    /// What happens, in order.
    #[schemars(with = "Vec<RawPhase>")]
    pub(super) phases: Vec<Spanned<RawPhase>>,
    /// The variants that are compared.
    #[schemars(with = "Vec<RawArm>")]
    pub(super) arms: Vec<Spanned<RawArm>>,
    /// The negative control: the same growth with room, in which nothing may happen.
    #[schemars(with = "Option<RawArm>")]
    pub(super) control: Option<Spanned<RawArm>>,
}

fn one() -> f64 {
    1.0
}

fn half_a_second() -> Span {
    Span(std::time::Duration::from_millis(500))
}

/// The front-end fleet and how its servers hear from each other.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFleet {
    /// Front ends at the start, over all cells.
    pub(super) servers: u32,
    /// Front-end cells; servers and tenants are dealt out to them in turn.
    #[serde(default = "one_cell")]
    pub(super) cells: u32,
    /// How the servers of a cell hear from each other.
    pub(super) mesh: Mesh,
    /// k: threads for one peer.
    pub(super) threads_per_peer: u32,
    /// Cache servers in each cell (`mesh = "cache-fleet"`).
    #[serde(default)]
    pub(super) cache_servers: u32,
    /// How often a peer says that it is there and a node renews its fragment.
    #[schemars(with = "String")]
    pub(super) gossip_interval: Span,
    /// D: within this time every member has learned of a joiner.
    #[schemars(with = "String")]
    pub(super) discovery_window: Span,
    /// How old a shard map may be and still be routed by.
    #[schemars(with = "String")]
    pub(super) map_ttl: Span,
    /// How long one build of the map may take.
    #[schemars(with = "String")]
    pub(super) build_deadline: Span,
    /// What a builder does after the kernel refused it a thread: `wedge` stops for good, `retry` tries again.
    #[schemars(with = "String", extend("enum" = ["wedge", "retry"]))]
    pub(super) on_refusal: OnRefusal,
    /// Where a booting server gets its first map: from its `peers`, or from the `authoritative` store.
    #[schemars(with = "String", extend("enum" = ["peers", "authoritative"]))]
    pub(super) bootstrap: Bootstrap,
}

fn one_cell() -> u32 {
    1
}

/// Kernel limits of one server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEnvelope {
    /// L: threads that one server may have, its first among them.
    pub(super) threads_max: u32,
    /// Memory of one server (control groups only).
    #[schemars(with = "Option<String>")]
    pub(super) memory_max: Option<Size>,
    /// Processor time of one server in cores (control groups only).
    pub(super) cpu_max: Option<f64>,
}

/// The alarm on headroom that the fleet of 2020 did not have. It acts on nothing: results say when it would have fired.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAlarm {
    /// It fires when a front end has less than this share of its limit left, counted over the threads that the registered
    /// members will take.
    pub(super) headroom_min: f64,
}

impl Default for RawAlarm {
    fn default() -> Self {
        Self { headroom_min: 0.1 }
    }
}

/// How the control plane judges servers: front ends by asking them through the listener that serves callers, cache servers
/// at their admin listener, nodes by what they report. A scenario that is run at another time scale keeps these times:
/// they are the host's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHealth {
    /// How often each front end and cache server is asked; without it, every `fleet.gossip_interval`, once a second at most.
    #[schemars(with = "Option<String>")]
    pub(super) interval: Option<Span>,
    /// An answer later than this is none.
    #[schemars(with = "String")]
    pub(super) timeout: Span,
    /// So many missing answers in a row take a front end off the endpoint list.
    pub(super) failures: u32,
    /// At most this share of a cell's front ends is off the list at once; 1.0 is no cap.
    pub(super) removal_cap: f64,
    /// A server that has not answered (a node: not reported) for this long is no member any more until it does.
    #[schemars(with = "String")]
    pub(super) forget_after: Span,
}

impl Default for RawHealth {
    /// As the control plane judges where nobody tells it otherwise.
    fn default() -> Self {
        let HealthConfig { interval: _, timeout, failures, removal_cap, forget_after } =
            HealthConfig::default();
        Self { interval: None, timeout, failures, removal_cap, forget_after }
    }
}

/// The back-end nodes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNodes {
    /// How many.
    pub(super) count: u32,
    /// When a write is acknowledged: after `fsync`, after the write to the `os`, or at once from `memory`.
    #[schemars(with = "String", extend("enum" = ["fsync", "os", "memory"]))]
    pub(super) durability: String,
}

/// The tenants: `tenant-0`, `tenant-1`, and so on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTenants {
    /// How many.
    pub(super) count: u32,
    /// Tenants by name with the front-end cell (from 0) that they are placed on (`pins = { tenant-0 = 1 }`); the others are
    /// dealt out to the cells in turn.
    #[serde(default)]
    pub(super) pins: BTreeMap<String, u32>,
}

/// Each tenant has one stream.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStreams {
    /// Shards of each tenant's stream.
    pub(super) shards: u32,
}

/// The load, open loop: calls start when they are due, whatever became of the earlier ones.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLoad {
    /// Calls of all tenants together (`200/s`).
    #[schemars(with = "String")]
    pub(super) rate: Rate,
    /// How calls are spaced: `constant` or `poisson`.
    #[schemars(with = "String", extend("enum" = ["constant", "poisson"]))]
    pub(super) arrivals: String,
    /// How the calls divide over the operations, by weight.
    pub(super) mix: RawMix,
    /// Records of one PutRecords call.
    pub(super) batch: u32,
    /// Bytes of one record's data.
    #[schemars(with = "String")]
    pub(super) record_size: Size,
    /// How partition keys are drawn: `uniform`, or `zipf` with its exponent (`zipf:1.1`).
    pub(super) skew: String,
    /// When a call without an answer is given up.
    #[schemars(with = "String")]
    pub(super) timeout: Span,
}

/// Weights of the operations.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMix {
    /// One record a call.
    #[serde(default)]
    pub(super) put_record: f64,
    /// `batch` records a call.
    #[serde(default)]
    pub(super) put_records: f64,
    /// One read from the tip of a shard.
    #[serde(default)]
    pub(super) get_records: f64,
    /// One iterator at the oldest record of a shard.
    #[serde(default)]
    pub(super) get_shard_iterator: f64,
    /// One list of a stream's shards.
    #[serde(default)]
    pub(super) list_shards: f64,
}

/// A service on the streams.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsumer {
    /// Its name in results.
    pub(super) name: String,
    /// What it is.
    #[schemars(with = "String", extend("enum" = ["auth-cache", "metrics-buffer", "event-bus"]))]
    pub(super) service: crate::series::ConsumerKind,
    /// What its buffer does when full.
    #[schemars(with = "String", extend("enum" = ["block", "drop-newest", "drop-oldest", "spill"]))]
    pub(super) policy: String,
    /// Entries that its buffer holds.
    pub(super) buffer: u64,
    /// Sign-ins, data points or events that it is offered, open loop.
    #[schemars(with = "String")]
    pub(super) rate: Rate,
    /// `event-bus`: events that its targets take; without it, twice `rate`.
    #[schemars(with = "Option<String>")]
    pub(super) deliveries: Option<Rate>,
}

/// One phase. Which of the optional keys it takes depends on `action`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPhase {
    /// Its name in results; overrides name it, too (`phases.add-capacity.servers`).
    pub(super) name: String,
    /// What it does.
    pub(super) action: RawAction,
    /// How long it lasts at least; what it does begins at its start.
    #[schemars(with = "String")]
    pub(super) duration: Span,
    /// `add`: how many front ends. `fault`: how many servers it hits.
    pub(super) servers: Option<u32>,
    /// `add`, `remove`, `restart`, `fast-restart`: servers a second.
    #[schemars(with = "Option<String>")]
    pub(super) pace: Option<Rate>,
    /// `add`: the one cell (from 0) that grows; without it, all in turn.
    pub(super) cell: Option<u32>,
    /// `fault`: what breaks.
    pub(super) fault: Option<RawFault>,
    /// `raise-limit`: the new L of every server.
    pub(super) threads_max: Option<u32>,
    /// `set-bootstrap`: where booting servers get their first map from now on.
    #[schemars(with = "Option<String>", extend("enum" = ["peers", "authoritative"]))]
    pub(super) bootstrap: Option<Bootstrap>,
}

/// What a phase does to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawAction {
    /// Nothing: the steady state that the rest is measured against.
    Baseline,
    /// Front ends are added.
    Add,
    /// Nothing: what was started takes its course.
    Wait,
    /// The front ends that were added are taken away, the last first.
    Remove,
    /// Every front end is restarted, at a pace that leaves the rest serving.
    Restart,
    /// Every front end is restarted, faster than the rest can bear.
    FastRestart,
    /// Something breaks.
    Fault,
    /// The kernel's limit on threads is raised under the running servers.
    RaiseLimit,
    /// Booting servers get their maps from elsewhere from now on.
    SetBootstrap,
    /// Nothing: the fleet is whole again and runs on.
    Recovery,
}

/// What breaks in a `fault` phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawFault {
    /// Front ends are killed (SIGKILL) and stay away.
    KillFrontend,
    /// Back-end nodes are killed (SIGKILL) and started again at the end of the phase.
    KillNode,
    /// Front ends stand still (SIGSTOP) until the end of the phase.
    PauseFrontend,
    /// Back-end nodes stand still (SIGSTOP) until the end of the phase.
    PauseNode,
}

/// One arm: the scenario with some keys set otherwise.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArm {
    /// Its name in results; the control's is `control` unless it says otherwise.
    pub(super) name: Option<String>,
    /// What is different here, in one sentence.
    #[serde(default)]
    pub(super) description: String,
    /// Keys of the scenario with dots, and their values here (`"fleet.cells" = 4`).
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub(super) set: BTreeMap<String, Spanned<toml::Value>>,
    /// What must come out.
    #[serde(default)]
    pub(super) expect: Expectations,
}
