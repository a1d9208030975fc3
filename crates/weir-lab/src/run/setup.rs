//! What a result says an arm was made of, from its plan: pure.

use super::fleet::Fleet;
use crate::{
    envelope::EnvelopeKind,
    scenario::{
        Arm,
        plan::{Act, Plan},
    },
    series::{ArmSetup, Mesh, Role, Tenant, ThreadLaw},
};

/// An arm's place in its run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Among the scenario's arms, from 0.
    pub(super) order: u32,
    /// Which time it runs, from 0.
    pub(super) repeat: u32,
    /// What enforces the limits.
    pub(super) kind: EnvelopeKind,
    /// Length of a window, milliseconds.
    pub(super) window_ms: u64,
}

/// B of each role: constants of the servers, which they state under `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BaseThreads {
    /// Of a front end.
    pub(super) front_end: u64,
    /// Of a cache server; 0 in an arm without any.
    pub(super) cache: u64,
}

/// The set-up of `arm` as the series keeps it.
pub(super) fn setup(arm: &Arm, fleet: &Fleet, base: BaseThreads, turn: Turn) -> ArmSetup {
    let plan = &arm.plan;
    let config = &plan.fleet.config;
    let millis = |duration: std::time::Duration| duration.as_millis() as u64;
    let restart = plan.phases.iter().find_map(|phase| match phase.act {
        Act::Restart { pace, fast: false } => Some(pace),
        _ => None,
    });
    let tenants = fleet.tenants.iter().map(|tenant| Tenant {
        name: tenant.credential.tenant.as_str().to_owned(),
        cell: tenant.cell.clone(),
    });
    ArmSetup {
        arm: arm.name.clone(),
        order: turn.order,
        repeat: turn.repeat,
        role: arm.role,
        description: arm.description.clone(),
        mesh: plan.fleet.mesh,
        limit_kind: turn.kind.as_str().to_owned(),
        limit: plan.envelope.threads_max.into(),
        base_threads: base.front_end,
        threads_per_peer: config.threads_per_peer as u64,
        law: law(plan, base),
        front_ends: plan.fleet.servers,
        front_ends_added: plan.servers_added(),
        cells: fleet.cells.clone(),
        tenants: tenants.collect(),
        window_ms: turn.window_ms,
        discovery_ms: millis(config.discovery_window.0),
        map_ttl_ms: millis(config.map_ttl.0),
        gossip_ms: millis(config.gossip_interval.0),
        restart_per_second: restart,
        headroom_min: Some(plan.headroom_min),
        parameters: arm.parameters.clone(),
        expect: plan.expect.clone(),
    }
}

/// Whose threads grow with the fleet, and how.
fn law(plan: &Plan, base: BaseThreads) -> ThreadLaw {
    let k = plan.fleet.config.threads_per_peer as u64;
    match plan.fleet.mesh {
        Mesh::ThreadPerPeer => {
            ThreadLaw { role: Role::Frontend, base: base.front_end, per_peer: k, per_client: 0 }
        }
        Mesh::Multiplexed => {
            ThreadLaw { role: Role::Frontend, base: base.front_end, per_peer: 0, per_client: 0 }
        }
        // Cache servers keep k threads for each other and one for each front end that they serve.
        Mesh::CacheFleet => ThreadLaw { role: Role::Cache, base: base.cache, per_peer: k, per_client: 1 },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{launcher::AddressBlock, run::fleet::lay_out, scenario::Scenario};

    #[test]
    fn an_arms_set_up_carries_its_law_and_everything_that_the_oracle_asks() {
        let scenario = Scenario::open("kinesis-2020").unwrap();
        let of = |name: &str| {
            let arm = scenario.arms.iter().find(|arm| arm.name == name).unwrap();
            let mut addresses = AddressBlock::claim().unwrap().next_arm();
            let fleet = lay_out(&arm.plan, &mut addresses, Path::new("/data"), 7).unwrap();
            let turn = Turn { order: 2, repeat: 1, kind: EnvelopeKind::UserNamespace, window_ms: 500 };
            setup(arm, &fleet, BaseThreads { front_end: 4, cache: 2 }, turn)
        };
        let shared = of("shared");
        assert_eq!(shared.law, ThreadLaw { role: Role::Frontend, base: 4, per_peer: 1, per_client: 0 });
        assert_eq!((shared.front_ends, shared.front_ends_added), (30, 14));
        assert_eq!(
            (shared.discovery_ms, shared.map_ttl_ms, shared.restart_per_second),
            (4_000, 6_000, Some(3.0))
        );
        assert_eq!((shared.limit_kind.as_str(), shared.order, shared.repeat), ("user-namespace", 2, 1));
        let cache = of("cache-fleet");
        assert_eq!(cache.law, ThreadLaw { role: Role::Cache, base: 2, per_peer: 1, per_client: 1 });
        assert_eq!(of("cellular").cells.len(), 4);
    }
}
