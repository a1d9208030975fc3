//! Limits on the threads of all servers together, and whether a run fits below them.
//!
//! The budgets are rows of `weir limits`; a run asks [`HostFacts::room_for`] before its first server. The answer is a
//! refusal only where the kernel's is certain: it must never keep anybody from a run that would have worked.

use super::{HostFacts, NO_GROUP};

/// After a first round pid numbers start again at 300: the kernel keeps those below for itself (RESERVED_PIDS).
const PIDS_RESERVED: u64 = 300;

/// One limit on the threads of all servers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThreadBudget {
    pub(super) name: &'static str,
    /// `None`: there is none here.
    pub(super) limit: Option<u64>,
    pub(super) used: u64,
    /// What the kernel gives to nobody.
    pub(super) reserved: u64,
    /// It is there, but not for us.
    pub(super) spares_us: bool,
    pub(super) source: String,
}

impl ThreadBudget {
    /// Threads that can still be had; `None`: it does not bind.
    pub(super) fn free(&self) -> Option<u64> {
        let limit = self.limit.filter(|_| !self.spares_us)?;
        Some(limit.saturating_sub(self.used + self.reserved))
    }
}

/// All of them, each under its usual name, whether it binds or not.
pub(super) fn thread_budgets(facts: &HostFacts) -> Vec<ThreadBudget> {
    let mut budgets = group_budgets(facts);
    budgets.extend(host_budgets(facts));
    budgets
}

fn group_budgets(facts: &HostFacts) -> Vec<ThreadBudget> {
    let budget = |limit, used, source| ThreadBudget {
        name: "pids.max",
        limit,
        used,
        reserved: 0,
        spares_us: false,
        source,
    };
    if facts.pids_max.is_empty() {
        return vec![budget(None, 0, NO_GROUP.into())];
    }
    let groups = facts.pids_max.iter();
    groups.map(|group| budget(Some(group.limit), group.used, group.source.display().to_string())).collect()
}

fn host_budgets(facts: &HostFacts) -> Vec<ThreadBudget> {
    let mut budgets = vec![ThreadBudget {
        name: "RLIMIT_NPROC",
        limit: facts.processes.hard,
        used: facts.user_threads,
        reserved: 0,
        spares_us: facts.root,
        source: "/proc/self/limits, Max processes (hard: the lab raises itself to it)".into(),
    }];
    let kernel =
        [("kernel.pid_max", &facts.pid_max, PIDS_RESERVED), ("kernel.threads-max", &facts.threads_max, 0)];
    for (name, budget, reserved) in kernel {
        if let Some(budget) = budget {
            budgets.push(ThreadBudget {
                name,
                limit: Some(budget.limit),
                used: budget.used,
                reserved,
                spares_us: false,
                source: budget.source.display().to_string(),
            });
        }
    }
    budgets
}

/// A limit of this host that refuses a run's threads before the limits of its servers do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this run needs {needed} threads at once, and {name} leaves {free} ({source_of_limit}): raise it, or run a smaller \
     scenario or fewer arms at a time (--arm); `weir limits` tells which fleet fits"
)]
pub struct NoRoom {
    /// Threads that all servers have at once, at the least.
    pub needed: u64,
    /// Threads that can be had.
    pub free: u64,
    /// The limit's usual name.
    pub name: &'static str,
    /// The file, or the call, that told.
    pub source_of_limit: String,
}

impl HostFacts {
    /// Is there room for `needed` threads? With `in_our_group` false the servers stand elsewhere in the tree of control
    /// groups, and the limits of ours are not theirs.
    pub(crate) fn room_for(&self, needed: u64, in_our_group: bool) -> Result<(), NoRoom> {
        let groups = if in_our_group { group_budgets(self) } else { Vec::new() };
        let budgets = groups.into_iter().chain(host_budgets(self));
        let least = budgets.filter_map(|budget| budget.free().map(|free| (free, budget)));
        match least.min_by_key(|(free, _)| *free) {
            Some((free, budget)) if free < needed => {
                Err(NoRoom { needed, free, name: budget.name, source_of_limit: budget.source })
            }
            _ => Ok(()),
        }
    }
}
