//! Room on this host: made and asked for before the first server starts.
//!
//! What is needed is counted from the plans, and counted low: each server at its limit or in its whole mesh, whichever is
//! less, and one thread of every server that keeps no thread for a peer. It must never refuse a run that would have worked.

use std::{io, path::Path};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    envelope::EnvelopeKind,
    limits::{HostFacts, NoRoom},
    scenario::{
        Scenario,
        plan::{Act, Plan},
    },
    series::Mesh,
};

/// Raises this process's own limit on threads (RLIMIT_NPROC) as far as it may. Every child inherits it, and the kernel takes
/// it as the limit of all servers together when they live in namespaces of their own: a lower one would refuse them before
/// their envelopes do.
pub(super) fn raise_thread_limit() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NPROC, hard, hard)?;
    }
    Ok(())
}

/// Do the arms that run at once fit below the limits that this host has for all threads together?
pub(super) fn ask(scenario: &Scenario, kind: EnvelopeKind) -> Result<(), NoRoom> {
    let facts = match HostFacts::read(Path::new("/")) {
        Ok(facts) => facts,
        Err(error) => {
            // Then the kernel will have to say it itself.
            tracing::warn!(%error, "the limits of this host are not known");
            return Ok(());
        }
    };
    let arms = scenario.arms.iter().map(|arm| threads_at_least(&arm.plan));
    let needed = if scenario.arms_at_once { arms.sum() } else { arms.max().unwrap_or(0) };
    // Version 2 gives no controllers to a group with processes, so that envelopes stand beside ours, not in it.
    facts.room_for(needed, kind != EnvelopeKind::CgroupV2)
}

/// Threads that all front ends and cache servers of an arm have at once, at the least.
fn threads_at_least(plan: &Plan) -> u64 {
    let fleet = &plan.fleet;
    let limit = u64::from(plan.envelope.threads_max);
    let peer_threads = fleet.config.threads_per_peer as u64;
    let in_mesh = |servers: u64, cells: u64| {
        let peers = (servers / cells.max(1)).saturating_sub(1);
        servers * (1 + peer_threads * peers).min(limit)
    };
    let (cells, front_ends) = (u64::from(fleet.cells), u64::from(front_ends_at_once(plan)));
    match fleet.mesh {
        Mesh::ThreadPerPeer => in_mesh(front_ends, cells),
        Mesh::Multiplexed => front_ends,
        Mesh::CacheFleet => front_ends + in_mesh(u64::from(fleet.cache_servers) * cells, cells),
    }
}

/// The largest fleet on the way: what is removed before more is added was never there with it.
fn front_ends_at_once(plan: &Plan) -> u32 {
    let (mut joined, mut most) = (0, 0);
    for phase in &plan.phases {
        match phase.act {
            Act::Add { servers, .. } => joined += servers,
            Act::Remove { .. } => joined = 0,
            _ => {}
        }
        most = most.max(joined);
    }
    plan.fleet.servers + most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_needs_is_counted_low_from_its_plans() {
        let scenario = Scenario::open("kinesis-2020").unwrap();
        let of = |name: &str| {
            let arm = scenario.arms.iter().find(|arm| arm.name == name).unwrap();
            (threads_at_least(&arm.plan), u64::from(arm.plan.envelope.threads_max))
        };
        let (shared, limit) = of("shared");
        assert_eq!(shared, 44 * limit.min(44), "30 grow to 44, each up to its limit");
        let (cellular, _) = of("cellular");
        assert_eq!(cellular, 44 * 11, "in four cells of eleven");
        let (cache, _) = of("cache-fleet");
        assert!(cache < cellular, "front ends without a thread for each other: {cache}");
    }

    #[test]
    fn the_limit_on_our_own_threads_is_raised_to_what_we_may_have() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
        // Lower, but far above what other tests of this process need.
        setrlimit(Resource::RLIMIT_NPROC, (hard - 1).min(1 << 20), hard).unwrap();
        raise_thread_limit().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NPROC), Ok((hard, hard)));
    }
}
