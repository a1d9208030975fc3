//! `weir limits`: every limit that a fleet on this host can meet, with the fleet size at which it binds.
//!
//! Pure computing over [`HostFacts`]: the same question can be asked of a host that is only a folder of files. It must never
//! try a limit out; what can be enforced here is the envelopes' to prove.

mod facts;
mod room;
mod table;

use serde::Serialize;

pub use self::{
    facts::{Budget, FactsError, HostFacts, ProcessLimit},
    room::NoRoom,
};
use crate::envelope::ProbeOutcome;

/// What one more peer or server costs: the numbers that turn a limit into a fleet size. All are stated in the output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeshCosts {
    /// Threads of a front end with no peers (B).
    pub base_threads: u64,
    /// Threads for each peer (k).
    pub threads_per_peer: u64,
    /// Open files of a front end with no peers.
    pub base_files: u64,
    /// Open files for each peer: the connection of each of its threads, and the descriptor that wakes that thread.
    pub files_per_peer: u64,
    /// Memory mappings of a front end with no peers.
    pub base_maps: u64,
    /// Memory mappings for each thread: its stack, its guard page, a share of an arena (measured: 2.07).
    pub maps_per_thread: f64,
    /// Bytes of a front-end process with no peers: resident memory and page tables.
    pub process_bytes: u64,
    /// Bytes of a parked thread: 16 KiB kernel stack, 7 KiB slab, 16 KiB resident (measured).
    pub thread_bytes: u64,
    /// Bytes of both ends of an idle loopback connection in the kernel (measured: 7 to 9 KiB).
    pub connection_bytes: u64,
}

impl MeshCosts {
    /// Of a thread-per-peer mesh with B and k.
    pub fn new(base_threads: u64, threads_per_peer: u64) -> Self {
        Self {
            base_threads,
            threads_per_peer,
            base_files: 32,
            files_per_peer: 2 * threads_per_peer,
            base_maps: 160,
            maps_per_thread: 2.07,
            process_bytes: 6 << 20,
            thread_bytes: 39 << 10,
            connection_bytes: 9 << 10,
        }
    }

    /// Threads of `n` front ends in a full mesh, and of each of them.
    fn threads(&self, n: u64) -> (u128, u128) {
        let each = u128::from(self.base_threads)
            + u128::from(self.threads_per_peer) * u128::from(n.saturating_sub(1));
        (u128::from(n) * each, each)
    }

    fn memory(&self, n: u64) -> u128 {
        let (threads, _) = self.threads(n);
        let connections = u128::from(self.threads_per_peer) * u128::from(n) * u128::from(n.saturating_sub(1));
        u128::from(n) * u128::from(self.process_bytes)
            + threads * u128::from(self.thread_bytes)
            + connections * u128::from(self.connection_bytes)
    }
}

/// Who shares a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All front ends together: N is how many of them, in a full mesh, this host cannot hold.
    Host,
    /// Each front end alone: N is the members that one server cannot bear, however many hosts there are.
    Server,
}

/// One limit and where it binds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitRow {
    /// The first fleet size that does not fit; `None`: no fleet that Weir could number meets it.
    pub binds_at_n: Option<u64>,
    /// Its usual name (`kernel.pid_max`).
    pub name: String,
    /// Who shares it.
    pub scope: Scope,
    /// The limit; `None`: there is none here.
    pub limit: Option<u64>,
    /// What is taken of it now.
    pub used: u64,
    /// What it counts.
    pub unit: &'static str,
    /// How N follows, or why none does.
    pub formula: String,
    /// The file, or the call, that told.
    pub source: String,
}

/// The answer of `weir limits`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitsReport {
    /// What a server and a peer cost.
    pub costs: MeshCosts,
    /// All limits, the one that binds first at the head.
    pub limits: Vec<LimitRow>,
    /// How each kind of envelope did here.
    pub envelopes: Vec<ProbeOutcome>,
}

impl LimitsReport {
    /// Computes where each limit of `facts` binds.
    pub fn new(facts: &HostFacts, costs: MeshCosts, envelopes: Vec<ProbeOutcome>) -> Self {
        let mut limits = rows(facts, &costs);
        limits.sort_by_key(|row| (row.binds_at_n.unwrap_or(u64::MAX), row.name.clone()));
        Self { costs, limits, envelopes }
    }
}

/// The largest fleet that is computed for: 127.0.0.0/8 has no more addresses. Above it a limit is said not to bind.
const N_MAX: u64 = 1 << 24;

/// The least N with `cost(N) > free`, for a cost that grows with N.
fn first_beyond(free: u64, cost: impl Fn(u64) -> u128) -> Option<u64> {
    let free = u128::from(free);
    if cost(N_MAX) <= free {
        return None;
    }
    let (mut fits, mut beyond) = (0, N_MAX);
    while beyond - fits > 1 {
        let middle = fits + (beyond - fits) / 2;
        if cost(middle) > free { beyond = middle } else { fits = middle }
    }
    Some(beyond)
}

/// How N follows from a limit that is not there. Its row is shown all the same: who looks for it finds it.
const UNLIMITED: &str = "unlimited";

fn rows(facts: &HostFacts, costs: &MeshCosts) -> Vec<LimitRow> {
    let mut rows = thread_rows(facts, costs);
    rows.extend(server_rows(facts, costs));
    rows.extend(memory_rows(facts, costs));
    if let Some(file_max) = &facts.file_max {
        let MeshCosts { base_files, files_per_peer, .. } = *costs;
        let files = |n: u64| {
            u128::from(n) * u128::from(base_files)
                + u128::from(files_per_peer) * u128::from(n) * u128::from(n.saturating_sub(1))
        };
        rows.push(LimitRow {
            binds_at_n: first_beyond(file_max.free(), files),
            name: "fs.file-max".into(),
            scope: Scope::Host,
            limit: Some(file_max.limit),
            used: file_max.used,
            unit: "open files",
            formula: format!("{base_files}N + {files_per_peer}N(N-1) > limit - used"),
            source: file_max.source.display().to_string(),
        });
    }
    if let Some(limit) = facts.max_user_namespaces {
        rows.push(LimitRow {
            binds_at_n: first_beyond(limit, u128::from),
            name: "user.max_user_namespaces".into(),
            scope: Scope::Host,
            limit: Some(limit),
            used: 0,
            unit: "namespaces",
            formula: "N > limit, when each server lives in a namespace of its own".into(),
            source: "/proc/sys/user/max_user_namespaces".into(),
        });
    }
    rows
}

/// Limits on the threads of all servers together.
fn thread_rows(facts: &HostFacts, costs: &MeshCosts) -> Vec<LimitRow> {
    let MeshCosts { base_threads: base, threads_per_peer: k, .. } = *costs;
    let row = |budget: room::ThreadBudget| {
        let kept =
            if budget.reserved > 0 { format!(" - {} reserved", budget.reserved) } else { String::new() };
        LimitRow {
            binds_at_n: budget.free().and_then(|free| first_beyond(free, |n| costs.threads(n).0)),
            name: budget.name.into(),
            scope: Scope::Host,
            limit: budget.limit,
            used: budget.used,
            unit: "threads",
            formula: match (budget.spares_us, budget.limit) {
                (true, _) => "does not bind root".into(),
                (false, None) => UNLIMITED.into(),
                (false, Some(_)) => format!("{base}N + {k}N(N-1) > limit - used{kept}"),
            },
            source: budget.source,
        }
    };
    room::thread_budgets(facts).into_iter().map(row).collect()
}

/// Limits that each server meets alone.
fn server_rows(facts: &HostFacts, costs: &MeshCosts) -> Vec<LimitRow> {
    let server =
        |name: &str, limit: Option<u64>, unit, formula: String, source: &str, cost: &dyn Fn(u64) -> u128| {
            LimitRow {
                binds_at_n: limit.and_then(|limit| first_beyond(limit, cost)),
                name: name.into(),
                scope: Scope::Server,
                limit,
                used: 0,
                unit,
                formula: if limit.is_some() { formula } else { UNLIMITED.into() },
                source: source.into(),
            }
        };
    let MeshCosts { base_files, files_per_peer, base_maps, maps_per_thread, .. } = *costs;
    let (base, k) = (costs.base_threads, costs.threads_per_peer);
    let peers = |n: u64| u128::from(n.saturating_sub(1));
    let mut rows = vec![server(
        "RLIMIT_NOFILE",
        facts.open_files.hard,
        "open files",
        format!("{base_files} + {files_per_peer}(N-1) > limit"),
        "/proc/self/limits, Max open files (hard: each server raises itself to it)",
        &|n| u128::from(base_files) + u128::from(files_per_peer) * peers(n),
    )];
    if let Some(limit) = facts.max_map_count {
        rows.push(server(
            "vm.max_map_count",
            Some(limit),
            "mappings",
            format!("{base_maps} + {maps_per_thread} x ({base} + {k}(N-1)) > limit"),
            "/proc/sys/vm/max_map_count",
            &|n| u128::from(base_maps) + (costs.threads(n).1 as f64 * maps_per_thread).ceil() as u128,
        ));
    }
    if let Some((first, last)) = facts.ephemeral_ports {
        rows.push(server(
            "net.ipv4.ip_local_port_range",
            Some((last + 1).saturating_sub(first)),
            "ports",
            format!(
                "{k}(N-1) > limit: the server with the lowest number dials all others from its one address"
            ),
            "/proc/sys/net/ipv4/ip_local_port_range",
            &|n| u128::from(k) * peers(n),
        ));
    }
    rows
}

/// Memory: what the host has left, and what control groups allow.
fn memory_rows(facts: &HostFacts, costs: &MeshCosts) -> Vec<LimitRow> {
    let formula = format!(
        "N x {} MiB a process + threads x {} KiB + connections x {} KiB > limit - used",
        costs.process_bytes >> 20,
        costs.thread_bytes >> 10,
        costs.connection_bytes >> 10
    );
    let row = |name: &str, limit: Option<u64>, used: u64, source: String| LimitRow {
        binds_at_n: limit.and_then(|limit| first_beyond(limit.saturating_sub(used), |n| costs.memory(n))),
        name: name.into(),
        scope: Scope::Host,
        limit,
        used,
        unit: "bytes",
        formula: if limit.is_some() { formula.clone() } else { UNLIMITED.into() },
        source,
    };
    let mut rows = Vec::new();
    if let Some(bytes) = facts.memory_available {
        rows.push(row("memory available", Some(bytes), 0, "/proc/meminfo, MemAvailable".into()));
    }
    for group in &facts.memory_max {
        rows.push(row("memory.max", Some(group.limit), group.used, group.source.display().to_string()));
    }
    if facts.memory_max.is_empty() {
        rows.push(row("memory.max", None, 0, NO_GROUP.into()));
    }
    rows
}

/// Where a limit of control groups was looked for in vain.
const NO_GROUP: &str = "no control group from ours upwards sets one";

#[cfg(test)]
mod tests;
