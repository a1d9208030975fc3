//! What was recorded of one arm of a run: every server, call, consumer and phase on one clock.
//!
//! The recorder pushes [`Record`]s as they come (and stores them line by line); the oracle, the summary and the
//! report read an [`ArmSeries`]. A series must never hold a judgement: whatever is derived is derived again when a
//! stored result is read, so that an old run can be judged by a better oracle.

mod query;
mod record;
mod setup;
pub mod store;

#[cfg(test)]
pub(crate) mod synthetic;

pub(crate) use query::metric;
pub use query::{Calls, Lateness, Stage, Track, percentile_ms};
pub use record::{
    Alarms, ConsumerKind, ConsumerSample, ControlSample, HostPart, HostStall, Integrity, LatencyOf,
    LoadWindow, Outcome, Phase, PhaseKind, Record, ServerEvent, ServerHappening, ServerMetrics, ServerSample,
    TenantWindow,
};
pub use setup::{
    ArmRole, ArmSetup, Bound, Cohort, Expectations, Host, Mesh, Parameter, Role, RunHeader, ServerId,
    ServerInfo, Tenant, ThreadLaw,
};

use serde::{Deserialize, Serialize};

/// A moment on the arm's own clock: milliseconds since the recorder started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct At(pub u64);

impl At {
    /// Seconds since the recorder started.
    pub fn secs(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// Seconds from `earlier` to this moment; negative when `earlier` lies ahead.
    pub fn secs_since(self, earlier: Self) -> f64 {
        self.secs() - earlier.secs()
    }
}

/// One arm of one run, once (`setup.repeat` tells which time). Rows are kept in the order of their arrival, which is
/// the order of their `at` within each kind.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmSeries {
    /// What the arm was made of.
    pub setup: ArmSetup,
    /// The servers that took part; a [`ServerId`] is an index into this.
    pub servers: Vec<ServerInfo>,
    /// Phases in the order of time; the last one may be open (`end` is `None`) when the run was cut short.
    pub phases: Vec<Phase>,
    /// Starts, readiness and ends of processes.
    pub events: Vec<ServerEvent>,
    /// One row for each server and window.
    pub samples: Vec<ServerSample>,
    /// The control plane's view: members registered, in rotation, removed.
    pub control: Vec<ControlSample>,
    /// What callers saw, by the window of their *intended* start.
    pub load: Vec<LoadWindow>,
    /// The services on the stream.
    pub consumers: Vec<ConsumerSample>,
    /// When the host stood still.
    pub host_stalls: Vec<HostStall>,
    /// What the read-back after the run found; `None` when it did not run to its end.
    pub integrity: Option<Integrity>,
}

impl ArmSeries {
    /// An arm of which nothing is recorded yet.
    pub fn new(setup: ArmSetup) -> Self {
        Self {
            setup,
            servers: Vec::new(),
            phases: Vec::new(),
            events: Vec::new(),
            samples: Vec::new(),
            control: Vec::new(),
            load: Vec::new(),
            consumers: Vec::new(),
            host_stalls: Vec::new(),
            integrity: None,
        }
    }

    /// Takes one more record in. A second [`Record::Phase`] with the name and start of the last one closes it.
    pub fn push(&mut self, record: Record) {
        match record {
            Record::Setup(setup) => self.setup = *setup,
            Record::Server(info) => self.servers.push(info),
            Record::Phase(phase) => match self.phases.last_mut() {
                Some(last) if last.name == phase.name && last.start == phase.start => *last = phase,
                _ => self.phases.push(phase),
            },
            Record::Event(event) => self.events.push(event),
            Record::Sample(sample) => self.samples.push(sample),
            Record::Control(sample) => self.control.push(sample),
            Record::Load(window) => self.load.push(window),
            Record::Consumer(sample) => self.consumers.push(sample),
            Record::HostStall(stall) => self.host_stalls.push(stall),
            Record::Integrity(integrity) => self.integrity = Some(integrity),
        }
    }
}
