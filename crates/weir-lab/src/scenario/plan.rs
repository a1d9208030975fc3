//! What one arm will do: the scenario with the arm's overrides applied, checked, with no options left.
//!
//! Made by `validate.rs`; the launcher, the recorder and the run read it. A plan that exists can be started.

use std::{collections::BTreeMap, time::Duration};

use weir_control::config::HealthConfig;
use weir_core::units::Size;
use weir_wire::control::{Bootstrap, FleetConfig};

pub use super::raw::RawFault as Fault;
use crate::{
    envelope::EnvelopeLimits,
    series::{ConsumerKind, Expectations, Mesh, PhaseKind},
};

/// One arm, ready to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The front-end fleet.
    pub fleet: FleetPlan,
    /// The kernel limits of each front end and cache server.
    pub envelope: EnvelopeLimits,
    /// The share of its limit below which an alarm on a front end's headroom fires.
    pub headroom_min: f64,
    /// How the control plane judges servers.
    pub health: HealthConfig,
    /// Back-end nodes.
    pub nodes: u32,
    /// When a node acknowledges a write: `fsync`, `os` or `memory`.
    pub durability: Durability,
    /// Tenants, each with one stream.
    pub tenants: u32,
    /// The tenants (by number) that are placed on a certain front-end cell; the others are dealt out in turn.
    pub pins: BTreeMap<u32, u32>,
    /// Shards of each tenant's stream.
    pub shards: u32,
    /// The load.
    pub load: LoadPlan,
    /// Services on the streams.
    pub consumers: Vec<ConsumerPlan>,
    /// What happens, in order.
    pub phases: Vec<PhasePlan>,
    /// What must come out.
    pub expect: Expectations,
}

impl Plan {
    /// Front ends that the `add` phases bring.
    pub fn servers_added(&self) -> u32 {
        let added = self.phases.iter().map(|phase| match phase.act {
            Act::Add { servers, .. } => servers,
            _ => 0,
        });
        added.sum()
    }

    /// The least time that all phases take.
    pub fn duration(&self) -> Duration {
        self.phases.iter().map(|phase| phase.duration).sum()
    }
}

/// The front-end fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetPlan {
    /// Front ends at the start, over all cells.
    pub servers: u32,
    /// Front-end cells.
    pub cells: u32,
    /// Cache servers in each cell.
    pub cache_servers: u32,
    /// How servers hear from each other, as the series names it.
    pub mesh: Mesh,
    /// What the control plane is told.
    pub config: FleetConfig,
}

/// When a node acknowledges a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// After fdatasync.
    Fsync,
    /// After the write to the page cache.
    Os,
    /// At once.
    Memory,
}

impl Durability {
    /// The name as flags carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
            Self::Memory => "memory",
        }
    }
}

/// The load on all tenants together.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadPlan {
    /// Calls a second.
    pub rate: f64,
    /// Poisson arrivals, else evenly spaced.
    pub poisson: bool,
    /// Shares of the operations; their sum is 1.
    pub mix: Mix,
    /// Records of one PutRecords call.
    pub batch: u32,
    /// Bytes of one record.
    pub record_size: Size,
    /// How partition keys are drawn.
    pub skew: Skew,
    /// When a call is given up.
    pub timeout: Duration,
}

/// Shares of the operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// Of PutRecord.
    pub put_record: f64,
    /// Of PutRecords.
    pub put_records: f64,
    /// Of GetRecords.
    pub get_records: f64,
    /// Of GetShardIterator.
    pub get_shard_iterator: f64,
    /// Of ListShards.
    pub list_shards: f64,
}

/// How partition keys are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Skew {
    /// All alike.
    Uniform,
    /// Zipf with this exponent.
    Zipf(f64),
}

/// A service on the streams.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerPlan {
    /// Its name in results.
    pub name: String,
    /// What it is.
    pub service: ConsumerKind,
    /// What its buffer does when full: `block`, `drop-newest`, `drop-oldest`, `spill`.
    pub policy: String,
    /// Entries that its buffer holds.
    pub buffer: u64,
    /// What it is offered a second.
    pub rate: f64,
    /// Events that its targets take in a second (event bus). More than `rate`, or a backlog would never drain.
    pub deliveries: f64,
}

/// One phase.
#[derive(Debug, Clone, PartialEq)]
pub struct PhasePlan {
    /// Its name.
    pub name: String,
    /// How long it lasts at least.
    pub duration: Duration,
    /// What it does.
    pub act: Act,
}

/// What a phase does. Paces are servers a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// Nothing, before the trigger.
    Baseline,
    /// Front ends are added.
    Add {
        /// How many.
        servers: u32,
        /// How fast.
        pace: f64,
        /// The one cell that grows; `None`: all in turn.
        cell: Option<u32>,
    },
    /// Nothing.
    Wait,
    /// The added front ends are taken away.
    Remove {
        /// How fast.
        pace: f64,
    },
    /// Every front end is restarted.
    Restart {
        /// How fast.
        pace: f64,
        /// Meant to be too fast for the rest.
        fast: bool,
    },
    /// Something breaks.
    Fault {
        /// What.
        fault: Fault,
        /// How many servers it hits.
        servers: u32,
    },
    /// Every server's limit is raised while it runs.
    RaiseLimit {
        /// The new L.
        threads_max: u32,
    },
    /// Booting servers get their maps from elsewhere from now on.
    SetBootstrap {
        /// From where.
        bootstrap: Bootstrap,
    },
    /// Nothing, after the mending.
    Recovery,
}

impl Act {
    /// The kind under which the series keeps the phase.
    pub const fn kind(&self) -> PhaseKind {
        match self {
            Self::Baseline => PhaseKind::Baseline,
            Self::Add { .. } => PhaseKind::Add,
            Self::Wait => PhaseKind::Wait,
            Self::Remove { .. } => PhaseKind::Remove,
            Self::Restart { fast: false, .. } => PhaseKind::Restart,
            Self::Restart { fast: true, .. } => PhaseKind::FastRestart,
            Self::Fault { .. } => PhaseKind::Fault,
            Self::RaiseLimit { .. } => PhaseKind::RaiseLimit,
            Self::SetBootstrap { .. } => PhaseKind::SetBootstrap,
            Self::Recovery => PhaseKind::Recovery,
        }
    }
}
