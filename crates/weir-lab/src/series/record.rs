//! The rows of a series: one [`Record`] is one line of `series.ndjson`.
//!
//! The recorder, the launcher, the load generator's reader and the integrity checker write them. Counters are
//! cumulative as their source counts them, and start again at zero in a new incarnation; differences are the
//! reader's work ([`super::query`]). A value that could not be read is `None`, never zero.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ArmSetup, At, ServerId, ServerInfo};

/// One line of a stored series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// The first line.
    Setup(Box<ArmSetup>),
    /// A server is declared, before anything else is said of it.
    Server(ServerInfo),
    /// A phase starts (`end` is `None`) or ends (the same name and start once more, with its end).
    Phase(Phase),
    /// Something happened to a server's process.
    Event(ServerEvent),
    /// A server in one window.
    Sample(ServerSample),
    /// The control plane in one window.
    Control(ControlSample),
    /// What callers saw in one window.
    Load(LoadWindow),
    /// A consumer in one window.
    Consumer(ConsumerSample),
    /// The host stood still.
    HostStall(HostStall),
    /// What the read-back after the run found.
    Integrity(Integrity),
}

/// A stretch of the run with a purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name in the scenario (`add-capacity`).
    pub name: String,
    /// What it does.
    pub action: PhaseKind,
    /// When it started.
    pub start: At,
    /// When it ended; `None` while it runs.
    pub end: Option<At>,
}

/// What a phase does to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseKind {
    /// Nothing: the steady state that everything else is measured against.
    Baseline,
    /// The trigger: front ends are added.
    Add,
    /// Nothing: what was started takes its course.
    Wait,
    /// The added front ends are taken away again.
    Remove,
    /// Front ends are restarted at a pace that leaves the rest serving.
    Restart,
    /// Front ends are restarted faster than the rest can bear.
    FastRestart,
    /// A fault is injected.
    Fault,
    /// The kernel's limit on threads is raised under the running servers.
    RaiseLimit,
    /// Booting servers get their maps from elsewhere from now on.
    SetBootstrap,
    /// Nothing: the fleet is whole again and runs on.
    Recovery,
}

/// Something that happened to a server's process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerEvent {
    /// When.
    pub at: At,
    /// To whom.
    pub server: ServerId,
    /// What.
    #[serde(flatten)]
    pub happening: ServerHappening,
}

/// What can happen to a server's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "happening", rename_all = "kebab-case")]
pub enum ServerHappening {
    /// A process was started.
    Started {
        /// Its number for the kernel.
        pid: u32,
        /// Which life of the server this is, from 0.
        incarnation: u32,
    },
    /// It answered `/ready` with yes for the first time in this life.
    Ready,
    /// The lab told it to stop (a removal, a restart). It may take some seconds to end.
    Told,
    /// It ended because the lab had told it to.
    Stopped,
    /// It ended although nobody asked it to.
    Exited {
        /// Its exit code, when it ended by itself.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
}

/// One server in one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerSample {
    /// When the sample was taken.
    pub at: At,
    /// Whose.
    pub server: ServerId,
    /// Threads, from `/proc/PID/stat`.
    pub threads: u32,
    /// The limit in force (L); `None` for a server without an envelope.
    pub limit: Option<u64>,
    /// The cgroup's `pids.current`; `None` where the envelope is no cgroup.
    pub pids_current: Option<u64>,
    /// The cgroup's `pids.events` `max`: clones that the kernel refused, since the cgroup was made.
    pub pids_events_max: Option<u64>,
    /// Kills for lack of memory in the cgroup, since it was made.
    pub oom_kills: Option<u64>,
    /// Bytes of resident memory.
    pub rss_bytes: u64,
    /// Processor seconds, user and system, of this incarnation.
    pub cpu_seconds: f64,
    /// What the server said of itself; `None` when it did not answer.
    pub metrics: Option<ServerMetrics>,
}

/// What a server says of itself under `/metrics`. What its role does not have is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerMetrics {
    /// It takes traffic.
    pub ready: bool,
    /// Members of its cell that it knows, itself included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_members: Option<u64>,
    /// Peers with a live connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers_connected: Option<u64>,
    /// Peer threads that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_threads: Option<u64>,
    /// Front ends that a cache server serves (threads for them, or connections).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients_connected: Option<u64>,
    /// Threads that the kernel refused to this incarnation (EAGAIN from clone), counted at the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusals: Option<u64>,
    /// Members it was building for when it was first refused: itself, those it had threads for, and the refused one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_at_members: Option<u64>,
    /// Seconds since the map that serves was last confirmed whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_age_seconds: Option<f64>,
    /// Share of the homes of the map being built that were heard (1 = whole).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_completeness: Option<f64>,
    /// The generation of the map that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_generation: Option<u64>,
    /// Map builds that failed in this incarnation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builds_failed: Option<u64>,
    /// Requests answered in this incarnation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Of those, answered with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
    /// A node's appends that wait for the committer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_queue: Option<u64>,
}

/// The control plane in one window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ControlSample {
    /// When.
    pub at: At,
    /// Registered front ends by cell, in the order of `setup.cells`.
    pub registered: Vec<u64>,
    /// Registered cache servers.
    #[serde(default)]
    pub cache_servers: u64,
    /// Front ends on the endpoint list: those that health checks left in.
    #[serde(default)]
    pub in_rotation: Option<u64>,
    /// Servers that health checks took off the endpoint list, since the start.
    #[serde(default)]
    pub health_removals: Option<u64>,
}

/// What callers saw of the calls that were *meant* to start in one window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LoadWindow {
    /// Start of the window.
    pub at: At,
    /// Its length, milliseconds.
    pub length_ms: u64,
    /// Calls meant to start.
    pub offered: u64,
    /// Calls that started more than a millisecond later than meant, or never.
    pub late_starts: u64,
    /// Of those, the ones that the load generator itself came to late; the rest had no free connection. `None` in results
    /// of versions that did not keep them apart.
    #[serde(default)]
    pub late_dispatches: Option<u64>,
    /// How they ended, by operation and error code.
    pub outcomes: Vec<Outcome>,
    /// How they ended, by tenant.
    pub tenants: Vec<TenantWindow>,
    /// Latency from intended start of the calls that succeeded. Stored beside the series as an HDR log.
    #[serde(skip)]
    pub latency: Vec<LatencyOf>,
}

/// Calls of one operation that ended the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The Kinesis operation (`PutRecords`).
    pub operation: String,
    /// The error code as the caller saw it (`ServiceUnavailable`, `timeout`, `connect`); `None` is success.
    pub error: Option<String>,
    /// How many.
    pub count: u64,
}

/// One tenant's calls in one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantWindow {
    /// The tenant's name.
    pub tenant: String,
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
}

/// Latencies of one operation (and of one tenant, when they are kept apart), in microseconds from intended start to
/// the last byte of the answer. Kept as the buckets of an HDR histogram of three significant digits: a whole histogram
/// takes up to 200 KiB, the used buckets of one window a few hundred bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyOf {
    /// The operation.
    pub operation: String,
    /// The tenant; `None` when the window does not tell them apart.
    pub tenant: Option<String>,
    /// Value and count of every bucket in use, ascending.
    buckets: Vec<(u64, u64)>,
}

impl LatencyOf {
    /// Significant decimal digits that are kept.
    pub const DIGITS: u8 = 3;

    /// Takes over what a histogram of microseconds recorded.
    pub fn new(operation: impl Into<String>, tenant: Option<String>, histogram: &Histogram<u64>) -> Self {
        let buckets = histogram
            .iter_recorded()
            .map(|v| (v.value_iterated_to(), v.count_since_last_iteration()))
            .collect();
        Self { operation: operation.into(), tenant, buckets }
    }

    /// The same from single values below 16 ms, without a histogram: made-up runs have thousands of small ones.
    #[cfg(test)]
    pub(crate) fn of_values(operation: &str, tenant: Option<String>, mut values: Vec<u64>) -> Self {
        // A histogram of three digits keeps 2,048 values exactly, then pairs, then fours, and names the highest.
        let bucket = |v: u64| v | ((1 << (64 - (v / 2048).leading_zeros())) - 1);
        values.iter_mut().for_each(|v| *v = bucket(*v));
        values.sort_unstable();
        let mut buckets: Vec<(u64, u64)> = Vec::new();
        for value in values {
            match buckets.last_mut() {
                Some(last) if last.0 == value => last.1 += 1,
                _ => buckets.push((value, 1)),
            }
        }
        Self { operation: operation.to_owned(), tenant, buckets }
    }

    /// An empty histogram of the precision that is kept.
    pub fn histogram() -> Histogram<u64> {
        Histogram::new(Self::DIGITS).expect("three digits are within the library's one to five")
    }

    /// Value and count of every bucket in use, ascending; values in microseconds.
    pub fn buckets(&self) -> &[(u64, u64)] {
        &self.buckets
    }

    /// Adds what was recorded to `histogram`.
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for &(value, count) in &self.buckets {
            histogram.record_n(value, count).expect("a histogram of LatencyOf::histogram() resizes itself");
        }
    }

    /// Calls recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

/// One consumer in one window. Counters are cumulative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumerSample {
    /// When.
    pub at: At,
    /// The consumer's name; one series for each.
    pub consumer: String,
    /// What it is.
    pub service: ConsumerKind,
    /// What its buffer does when full: `block`, `drop-newest`, `drop-oldest`, `spill`.
    pub policy: String,
    /// Entries in the buffer.
    pub buffer_fill: u64,
    /// Entries that the buffer holds.
    pub buffer_capacity: u64,
    /// Entries dropped.
    #[serde(default)]
    pub dropped: u64,
    /// Entries written aside.
    #[serde(default)]
    pub spilled: u64,
    /// Workers that wait for room right now.
    #[serde(default)]
    pub blocked: u64,
    /// Sign-ins that succeeded (auth cache).
    #[serde(default)]
    pub sign_ins_ok: Option<u64>,
    /// Sign-ins that failed (auth cache).
    #[serde(default)]
    pub sign_ins_failed: Option<u64>,
    /// Median latency of the window's sign-ins from intended start, milliseconds.
    #[serde(default)]
    pub sign_in_p50_ms: Option<f64>,
    /// 99th percentile of the same.
    #[serde(default)]
    pub sign_in_p99_ms: Option<f64>,
    /// Alarms by state (metrics buffer).
    #[serde(default)]
    pub alarms: Option<Alarms>,
    /// Age of the oldest event not yet delivered, seconds (event bus).
    #[serde(default)]
    pub lag_seconds: Option<f64>,
    /// Events not yet delivered (event bus).
    #[serde(default)]
    pub backlog: Option<u64>,
}

/// Alarms by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Alarms {
    /// In order.
    pub ok: u64,
    /// Firing.
    pub alarm: u64,
    /// Without the data to tell.
    pub insufficient_data: u64,
}

/// What a consumer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsumerKind {
    /// Sign-in and temporary credentials.
    AuthCache,
    /// Metrics and alarms.
    MetricsBuffer,
    /// Events to rules to targets.
    EventBus,
}

/// A moment in which the host gave the run nothing. Arms that ran together have the same ones, but for the length of one that had
/// not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStall {
    /// When it was last seen to run.
    pub at: At,
    /// For how much longer than it should have, milliseconds.
    pub length_ms: u64,
    /// What stood still.
    pub part: HostPart,
}

impl HostStall {
    /// Its length.
    pub fn seconds(&self) -> f64 {
        self.length_ms as f64 / 1e3
    }
}

/// What of a host may stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostPart {
    /// A thread that had slept was not run.
    Processor,
    /// A page that was written was not on the disk.
    Disk,
}

/// What the read-back after the run found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Integrity {
    /// Records whose write was acknowledged.
    pub acknowledged: u64,
    /// Of those, found at their sequence number.
    pub found: u64,
    /// Of those, not found.
    pub lost: u64,
    /// Found more than once.
    pub duplicated: u64,
    /// Read back out of order, or numbered below a record that was acknowledged before this one was sent.
    pub reordered: u64,
    /// Records of the log, acknowledged or not, whose bytes are not those that were sent.
    #[serde(default)]
    pub damaged: u64,
}

impl Integrity {
    /// Nothing lost, doubled, out of order or damaged.
    pub const fn is_whole(&self) -> bool {
        let Self { acknowledged, found, lost, duplicated, reordered, damaged } = *self;
        lost + duplicated + reordered + damaged == 0 && found == acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_without_a_histogram_fall_into_a_histograms_buckets() {
        let values: Vec<u64> = (1..16_000).step_by(7).collect();
        let mut histogram = LatencyOf::histogram();
        values.iter().for_each(|v| histogram.record(*v).unwrap());
        let direct = LatencyOf::of_values("PutRecord", None, values);
        assert_eq!(direct, LatencyOf::new("PutRecord", None, &histogram));
    }
}
