//! The control plane's status as rows: members by cell, rotation, removals.
//!
//! Removals are seen as changes between two looks: the control plane tells what is, not what was.

use std::collections::BTreeMap;

use weir_core::id::{Incarnation, MemberId};
use weir_wire::control::{Role, ServerStatus};

use crate::series::{At, ControlSample};

/// Turns looks at the control plane into samples.
#[derive(Debug)]
pub(super) struct ControlView {
    cells: Vec<String>,
    healthy: BTreeMap<MemberId, (Incarnation, bool)>,
    removals: u64,
}

impl ControlView {
    /// For the cells of an arm, in their order.
    pub(super) fn new(cells: Vec<String>) -> Self {
        Self { cells, healthy: BTreeMap::new(), removals: 0 }
    }

    /// One look.
    pub(super) fn sample(&mut self, at: At, servers: &[ServerStatus]) -> ControlSample {
        let front_ends = || servers.iter().filter(|server| server.role == Role::Frontend);
        let registered = self.cells.iter().map(|cell| {
            let here =
                |server: &&ServerStatus| server.cell.as_ref().is_some_and(|name| name.as_str() == cell);
            front_ends().filter(here).count() as u64
        });
        let registered = registered.collect();
        for server in front_ends() {
            let now = (server.life, server.healthy);
            let fell = self.healthy.insert(server.id, now) == Some((server.life, true)) && !server.healthy;
            // One that the lab takes out is off the list already, and silent until its next life.
            self.removals += u64::from(fell && !server.draining);
        }
        let in_rotation =
            front_ends().filter(|server| server.ready && server.healthy && !server.draining).count();
        ControlSample {
            at,
            registered,
            cache_servers: servers.iter().filter(|server| server.role == Role::Cache).count() as u64,
            in_rotation: Some(in_rotation as u64),
            health_removals: Some(self.removals),
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::id::{CellName, ServerName};

    use super::*;

    fn server(id: u32, cell: &str, life: u64, healthy: bool) -> ServerStatus {
        ServerStatus {
            id: MemberId(id),
            name: ServerName::new(format!("fe-{id}")),
            role: Role::Frontend,
            cell: Some(CellName::new(cell)),
            life: Incarnation(life),
            ready: true,
            healthy,
            draining: false,
        }
    }

    #[test]
    fn a_removal_is_counted_when_a_healthy_life_turns_unhealthy_and_only_then() {
        let mut view = ControlView::new(vec!["cell-0".into(), "cell-1".into()]);
        let first = view.sample(At(0), &[server(1, "cell-0", 1, true), server(2, "cell-1", 1, false)]);
        assert_eq!(
            (first.registered, first.in_rotation, first.health_removals),
            (vec![1, 1], Some(1), Some(0))
        );
        let looks = [
            (server(1, "cell-0", 1, false), 1),
            (server(1, "cell-0", 1, false), 1),
            (server(1, "cell-0", 1, true), 1),
            (server(1, "cell-0", 2, false), 1),
            (server(1, "cell-0", 2, true), 1),
            (server(1, "cell-0", 2, false), 2),
        ];
        for (status, removals) in looks {
            assert_eq!(view.sample(At(1), &[status]).health_removals, Some(removals));
        }
        // Taken out by the lab: it is down, and nobody's health check removed it.
        let draining = |healthy| ServerStatus { draining: true, ..server(1, "cell-0", 3, healthy) };
        for status in [server(1, "cell-0", 3, true), draining(true), draining(false)] {
            assert_eq!(view.sample(At(2), &[status]).health_removals, Some(2));
        }
    }
}
