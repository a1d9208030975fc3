//! Servers: registration, lives, views, endpoints, health.
//!
//! Part of the machine. A server keeps its number over restarts and gets a new life with each; numbers and lives are
//! never given twice. One that has been silent for long is away: nobody is told of it, but it is not forgotten, since it
//! may own shards, and it is back with its first sign of life.

use std::{collections::BTreeSet, net::SocketAddr};

use weir_core::{
    clock::Monotonic,
    id::{CellName, ClusterId, Generation, Incarnation, MemberId, ServerName, TenantName},
    limits::{CELL_MEMBERS_MAX, NODES_MAX, TENANTS_MAX},
};
use weir_wire::{
    control::{
        Census, ControlError, ControlReply, FleetConfig, Member, MembershipView, NodeEntry, Role,
        ServerStatus, SharedConfig,
    },
    fragment::Fragment,
};

use super::{Applied, Machine};
use crate::{
    config::check_fleet,
    health::{ProbeOutcome, ProbeTarget},
    placement,
    state::Server,
};

/// Who registers.
pub(super) struct Registration {
    pub(super) name: ServerName,
    pub(super) role: Role,
    pub(super) cell: Option<CellName>,
    pub(super) service: SocketAddr,
    pub(super) mesh: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
}

impl Machine {
    /// One of another cluster must leave no trace: its number and its name's life would be taken from a server of this.
    pub(super) fn register(
        &mut self,
        now: Monotonic,
        cluster: Option<ClusterId>,
        new: Registration,
    ) -> Applied {
        if cluster.is_some_and(|cluster| cluster != self.state.cluster) {
            return Applied::refused(ControlError::OtherCluster(self.state.cluster));
        }
        if let Err(error) = self.check_registration(&new) {
            return Applied::refused(error);
        }
        let known = self.state.servers.values().find(|server| server.name == new.name);
        let id = match known {
            Some(server) if server.role != new.role || server.cell != new.cell => {
                let error = format!("{} is registered as another role or in another cell", new.name);
                return Applied::refused(ControlError::AlreadyExists(error));
            }
            Some(server) => server.id,
            None => {
                if let Err(error) = self.make_room(&new) {
                    return Applied::refused(error);
                }
                let id = MemberId(self.state.next_member);
                self.state.next_member += 1;
                id
            }
        };
        let life = Incarnation(self.state.next_life);
        self.state.next_life += 1;
        let Registration { name, role, cell, service, mesh, admin } = new;
        let server =
            Server { id, name, role, cell, life, service, mesh, admin, draining: false, away: false };
        self.bump_generations(&server);
        if role == Role::Backend {
            self.nodes.heard(now, id);
        }
        self.state.servers.insert(id, server);
        let cluster = self.state.cluster;
        Applied::changed(ControlReply::Registered { member: id, life, cluster })
    }

    fn check_registration(&self, new: &Registration) -> Result<(), ControlError> {
        let invalid = |detail: String| Err(ControlError::Invalid(detail));
        match (new.role, &new.cell, new.mesh) {
            (Role::Backend, None, None) => Ok(()),
            (Role::Backend, _, _) => invalid(format!("node {} has no cell and no mesh", new.name)),
            (_, Some(cell), Some(_)) if self.state.config.cells.contains(cell) => Ok(()),
            (_, Some(cell), Some(_)) => invalid(format!("there is no cell {cell}")),
            _ => invalid(format!("front end {} needs a cell and a mesh address", new.name)),
        }
    }

    /// Sees to it that one more node, or member of a cell, stays within its bound: of those that are away and own no
    /// shard, the one of the earliest life is forgotten for good.
    fn make_room(&mut self, new: &Registration) -> Result<(), ControlError> {
        let alike = self.state.servers.values().filter(|server| server.cell == new.cell); // nodes have no cell
        let (max, whose) = match &new.cell {
            Some(cell) => (CELL_MEMBERS_MAX, format!("cell {cell} has {CELL_MEMBERS_MAX} members")),
            None => (NODES_MAX, format!("there are {NODES_MAX} nodes")),
        };
        if alike.clone().count() < max {
            return Ok(());
        }
        let assigned = self.state.streams.iter().flat_map(|stream| &stream.shards);
        let owners: BTreeSet<MemberId> = assigned.map(|assigned| assigned.node).collect();
        let spare = alike.filter(|server| server.away && !owners.contains(&server.id));
        let spare = spare.min_by_key(|server| server.life).map(|server| server.id);
        let spare = spare.ok_or_else(|| ControlError::LimitExceeded(format!("{whose} already")))?;
        self.state.servers.remove(&spare);
        Ok(())
    }

    pub(super) fn deregister(&mut self, member: MemberId) -> Applied {
        match self.state.servers.remove(&member) {
            Some(server) => {
                self.no_longer_heard(member);
                self.bump_generations(&server);
                Applied::changed(ControlReply::Done)
            }
            None => Applied::refused(ControlError::NotFound(format!("member {member}"))),
        }
    }

    pub(super) fn drain(&mut self, member: MemberId, on: bool) -> Applied {
        match self.state.servers.get_mut(&member) {
            Some(server) => {
                server.draining = on;
                Applied::changed(ControlReply::Done)
            }
            None => Applied::refused(ControlError::NotFound(format!("member {member}"))),
        }
    }

    /// Who hears of a change of `server`: its cell, or every cell when it is a node.
    fn bump_generations(&mut self, server: &Server) {
        for (cell, generation) in &mut self.state.generations {
            if server.cell.as_ref().is_none_or(|of| of == cell) {
                *generation += 1;
            }
        }
    }

    /// Servers that others are told of.
    fn present(&self) -> impl Iterator<Item = &Server> {
        self.state.servers.values().filter(|server| !server.away)
    }

    pub(super) fn present_nodes(&self) -> impl Iterator<Item = &Server> {
        self.present().filter(|server| server.role == Role::Backend)
    }

    fn of_cell<'a>(&'a self, cell: &'a CellName) -> impl Iterator<Item = &'a Server> {
        self.present().filter(move |server| server.cell.as_ref() == Some(cell))
    }

    pub(super) fn view(&self, cell: &CellName) -> Applied {
        let Some(&generation) = self.state.generations.get(cell) else {
            return Applied::refused(ControlError::NotFound(format!("cell {cell}")));
        };
        let view = MembershipView {
            generation: Generation(generation),
            cell: cell.clone(),
            members: self.of_cell(cell).filter_map(as_member).collect(),
            nodes: self
                .present_nodes()
                .map(|node| NodeEntry {
                    id: node.id,
                    name: node.name.clone(),
                    life: node.life,
                    address: node.service,
                })
                .collect(),
            fleet: self.state.config.fleet.clone(),
            shared: SharedConfig {
                streams: self.stream_settings(),
                settings_revision: self.state.settings_revision,
                ..self.state.config.shared.clone()
            },
        };
        Applied::answer(ControlReply::View(Box::new(view)))
    }

    pub(super) fn census(&self, cell: &CellName) -> Applied {
        if !self.state.config.cells.contains(cell) {
            return Applied::refused(ControlError::NotFound(format!("cell {cell}")));
        }
        let count = |role| self.of_cell(cell).filter(|server| server.role == role).count();
        let census = Census { frontends: count(Role::Frontend), caches: count(Role::Cache) };
        Applied::answer(ControlReply::Census(census))
    }

    pub(super) fn cells(&self) -> Applied {
        let mesh_of = |cell: &CellName| {
            let caches: Vec<Member> =
                self.of_cell(cell).filter(|s| s.role == Role::Cache).filter_map(as_member).collect();
            if caches.is_empty() { self.of_cell(cell).filter_map(as_member).collect() } else { caches }
        };
        let cells = self.state.config.cells.iter().map(|cell| (cell.clone(), mesh_of(cell))).collect();
        Applied::answer(ControlReply::Cells { fleet: Box::new(self.state.config.fleet.clone()), cells })
    }

    pub(super) fn endpoints(&self, tenant: Option<&TenantName>) -> Applied {
        let urls = self.urls(tenant.and_then(|tenant| self.cell_of(tenant)));
        Applied::answer(ControlReply::Endpoints { version: self.state.version, urls })
    }

    pub(super) fn routes(&self, tenants: &[TenantName]) -> Applied {
        let (mut named, mut cells) = (Vec::new(), Vec::new());
        let tenants = tenants.iter().map(|tenant| {
            let cell = self.cell_of(tenant);
            named.iter().position(|named| *named == cell).unwrap_or_else(|| {
                named.push(cell);
                cells.push(self.urls(cell));
                cells.len() - 1
            })
        });
        let tenants = tenants.collect();
        Applied::answer(ControlReply::Routes { cells, tenants })
    }

    fn cell_of(&self, tenant: &TenantName) -> Option<&CellName> {
        let pinned = self.state.tenants.get(tenant).and_then(Option::as_ref);
        placement::cell_for(tenant, pinned, &self.state.config.cells)
    }

    /// The front ends of a cell (or of all) that requests may be sent to.
    fn urls(&self, cell: Option<&CellName>) -> Vec<String> {
        self.present()
            .filter(|server| server.role == Role::Frontend && !server.draining)
            .filter(|server| cell.is_none_or(|cell| server.cell.as_ref() == Some(cell)))
            .filter(|server| self.health.of(server.id, server.life) == (true, true))
            .map(|server| format!("http://{}", server.service))
            .collect()
    }

    pub(super) fn place_tenant(&mut self, tenant: TenantName, cell: Option<CellName>) -> Applied {
        if let Some(cell) = cell.as_ref().filter(|cell| !self.state.config.cells.contains(cell)) {
            return Applied::refused(ControlError::NotFound(format!("cell {cell}")));
        }
        if self.state.tenants.len() >= TENANTS_MAX && !self.state.tenants.contains_key(&tenant) {
            return Applied::refused(ControlError::LimitExceeded(format!(
                "there are {TENANTS_MAX} tenants already"
            )));
        }
        self.state.tenants.insert(tenant, cell);
        Applied::changed(ControlReply::Done)
    }

    pub(super) fn set_fleet(&mut self, fleet: FleetConfig) -> Applied {
        if let Err(error) = check_fleet(&fleet) {
            return Applied::refused(ControlError::Invalid(error.to_string()));
        }
        self.state.config.fleet = fleet;
        Applied::changed(ControlReply::Done)
    }

    pub(super) fn status(&self, now: Monotonic) -> Applied {
        let servers = self.present().map(|server| {
            let (ready, healthy) = match server.role {
                Role::Frontend | Role::Cache => self.health.of(server.id, server.life),
                Role::Backend => {
                    let reported =
                        self.fragments.get(&server.id).is_some_and(|word| word.life == server.life);
                    (reported, reported && !self.is_silent(now, server.id))
                }
            };
            ServerStatus {
                id: server.id,
                name: server.name.clone(),
                role: server.role,
                cell: server.cell.clone(),
                life: server.life,
                ready,
                healthy,
                draining: server.draining,
            }
        });
        Applied::answer(ControlReply::Status(servers.collect()))
    }

    /// All servers, and what was heard of them in this life.
    pub(crate) fn probe_targets(&self) -> Vec<ProbeTarget> {
        let target = |server: &Server| ProbeTarget {
            server: server.clone(),
            said_ready: self.health.of(server.id, server.life).0,
        };
        self.state.servers.values().map(target).collect()
    }

    pub(super) fn probed(&mut self, now: Monotonic, outcome: ProbeOutcome) -> Applied {
        let Some(server) = self.state.servers.get(&outcome.member) else {
            return Applied::answer(ControlReply::Done); // it left while it was asked
        };
        if server.life != outcome.life {
            return Applied::answer(ControlReply::Done); // a life that is over
        }
        if server.away && !outcome.answered {
            return Applied::answer(ControlReply::Done);
        }
        let returned = self.come_back(outcome.member);
        let server = &self.state.servers[&outcome.member];
        let (cell, role) = (server.cell.clone(), server.role);
        let mates: Vec<(MemberId, Incarnation)> = self
            .present()
            .filter(|mate| mate.role == role && mate.cell == cell)
            .map(|mate| (mate.id, mate.life))
            .collect();
        let off_list = mates
            .iter()
            .filter(|&&(id, life)| id != outcome.member && self.health.of(id, life) == (true, false))
            .count();
        let config = &self.state.config.health;
        let changed = self.health.observe(now, config, outcome, mates.len(), off_list);
        if self.health.forgotten(now, config, outcome.member) {
            self.send_away(outcome.member);
            return Applied::changed(ControlReply::Done);
        }
        // The judgement is not kept, but whoever waits for an endpoint must hear of it.
        Applied { reply: Ok(ControlReply::Done), save: returned, notify: changed || returned }
    }

    /// Nodes say of themselves that they live: those that have not for long are away from now on.
    pub(super) fn round(&mut self, now: Monotonic) -> Applied {
        let nodes: Vec<MemberId> = self.present_nodes().map(|node| node.id).collect();
        let mut gone = false;
        for node in nodes {
            if self.nodes.round(now, &self.state.config.health, node) {
                self.send_away(node);
                gone = true;
            }
        }
        Applied { reply: Ok(ControlReply::Done), save: gone, notify: gone }
    }

    /// A node gave a sign of life; true when it was away.
    pub(super) fn heard_node(&mut self, now: Monotonic, node: MemberId) -> bool {
        self.nodes.heard(now, node);
        self.come_back(node)
    }

    /// Has the last word of a node expired?
    pub(super) fn is_silent(&self, now: Monotonic, node: MemberId) -> bool {
        self.nodes.silence(now, node) >= self.state.config.fleet.fragment_ttl()
    }

    /// The last words of nodes, each with the time for which it may still be routed by: none for one that is silent, or
    /// whose life is over. Even those say what was owned.
    pub(super) fn last_words(&self, now: Monotonic) -> Vec<Fragment> {
        let aged = |(node, fragment): (&MemberId, &Fragment)| {
            let speaks = self.state.servers.get(node).is_some_and(|server| server.life == fragment.life);
            let age = if speaks { self.nodes.silence(now, *node) } else { fragment.ttl };
            Fragment { ttl: fragment.ttl.saturating_sub(age), ..fragment.clone() }
        };
        self.fragments.iter().map(aged).collect()
    }

    /// Nobody is told of it from now on.
    fn send_away(&mut self, member: MemberId) {
        self.no_longer_heard(member);
        if let Some(server) = self.state.servers.get_mut(&member) {
            server.away = true;
            let server = server.clone();
            self.bump_generations(&server);
        }
    }

    fn come_back(&mut self, member: MemberId) -> bool {
        let Some(server) = self.state.servers.get_mut(&member).filter(|server| server.away) else {
            return false;
        };
        server.away = false;
        let server = server.clone();
        self.bump_generations(&server);
        true
    }

    fn no_longer_heard(&mut self, member: MemberId) {
        self.health.remove(member);
        self.nodes.remove(member);
        self.fragments.remove(&member);
    }
}

fn as_member(server: &Server) -> Option<Member> {
    Some(Member {
        id: server.id,
        name: server.name.clone(),
        role: server.role,
        life: server.life,
        mesh: server.mesh?,
    })
}
