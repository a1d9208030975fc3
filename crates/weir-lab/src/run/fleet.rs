//! The servers of one arm: who they are, where they listen, how they are started.
//!
//! Pure: laid out from the plan and a block of addresses before anything runs. Every server that the arm will ever have is
//! here, joiners too, so that its number and its address never change.

mod consumers;
mod tenants;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use weir_control::config::{ControlConfig, StreamDelays, TenantConfig};
use weir_core::id::CellName;

use self::tenants::tenants;
pub(super) use self::{
    consumers::{METRICS, SUBJECTS},
    tenants::{REGION, TenantAccess},
};
use crate::{
    envelope::EnvelopeLimits,
    launcher::{AddressError, ArmAddresses, ServerSpec},
    scenario::plan::{Act, ConsumerPlan, Plan},
    series::{Cohort, Mesh, Role, ServerId, ServerInfo},
};

/// The port that every server serves on.
pub(super) const SERVICE_PORT: u16 = 4567;
/// The port of `/metrics` and `/ready`.
pub(super) const ADMIN_PORT: u16 = 4569;

/// All servers of an arm, by purpose. Numbers are indexes into `specs` and `infos`.
#[derive(Debug)]
pub(super) struct Fleet {
    /// How each is started.
    pub(super) specs: Vec<ServerSpec>,
    /// How each is known in the series.
    pub(super) infos: Vec<ServerInfo>,
    /// The control plane.
    pub(super) control: ServerId,
    /// Where it answers calls.
    pub(super) control_address: SocketAddr,
    /// Back-end nodes.
    pub(super) nodes: Vec<ServerId>,
    /// Cache servers.
    pub(super) caches: Vec<ServerId>,
    /// Front ends that are there from the start.
    pub(super) originals: Vec<ServerId>,
    /// Front ends that `add` phases bring, in the order in which they join.
    pub(super) joiners: Vec<ServerId>,
    /// Consumers, with their plans.
    pub(super) consumers: Vec<(ServerId, ConsumerPlan)>,
    /// Front-end cells by name.
    pub(super) cells: Vec<String>,
    /// Tenants, their keys and streams.
    pub(super) tenants: Vec<TenantAccess>,
    /// Shards of each tenant's stream.
    pub(super) shards: u32,
    /// How front ends hear from each other.
    pub(super) mesh: Mesh,
}

/// Lays the fleet of `plan` out. Nodes keep their logs below `data`.
pub(super) fn lay_out(
    plan: &Plan,
    addresses: &mut ArmAddresses,
    data: &Path,
    seed: u64,
) -> Result<Fleet, AddressError> {
    let cells: Vec<String> = (0..plan.fleet.cells).map(|cell| format!("cell-{cell}")).collect();
    let tenants = tenants(plan, &cells, seed);
    let control_ip = addresses.take()?;
    let control_address = SocketAddr::from((control_ip, SERVICE_PORT));
    let mut fleet = Fleet {
        specs: Vec::new(),
        infos: Vec::new(),
        control: ServerId(0),
        control_address,
        nodes: Vec::new(),
        caches: Vec::new(),
        originals: Vec::new(),
        joiners: Vec::new(),
        consumers: Vec::new(),
        cells,
        tenants,
        shards: plan.shards,
        mesh: plan.fleet.mesh,
    };
    let config = control_config(plan, &fleet, seed);
    let config = serde_json::to_string(&config).expect("a configuration has text keys only");
    fleet.control = fleet.add(Role::Control, "control", control_ip, None, vec!["--config".into(), config]);
    for number in 0..plan.nodes {
        let name = format!("node-{number}");
        let folder = data.join(&name).display().to_string();
        let flags = ["--data", &folder, "--durability", plan.durability.as_str()];
        let mut flags: Vec<String> = flags.map(str::to_owned).to_vec();
        flags.extend(fleet.control_flag());
        let id = fleet.add(Role::Backend, &name, addresses.take()?, None, flags);
        fleet.nodes.push(id);
    }
    for cell in 0..plan.fleet.cells {
        for number in 0..plan.fleet.cache_servers {
            let name = format!("cache-{cell}-{number}");
            let id = fleet.in_cell(Role::Cache, &name, addresses.take()?, cell, plan.envelope);
            fleet.caches.push(id);
        }
    }
    for (number, cell) in front_end_cells(plan).into_iter().enumerate() {
        let name = format!("fe-{number:03}");
        let id = fleet.in_cell(Role::Frontend, &name, addresses.take()?, cell, plan.envelope);
        let joins = number >= plan.fleet.servers as usize;
        if joins {
            fleet.infos[id.0 as usize].cohort = Cohort::Joiner;
            fleet.joiners.push(id);
        } else {
            fleet.originals.push(id);
        }
    }
    for (number, consumer) in plan.consumers.iter().enumerate() {
        let tenant = &fleet.tenants[number % fleet.tenants.len()];
        let mut flags = consumers::flags(consumer, plan, tenant, &data.join(&consumer.name));
        flags.extend(fleet.control_flag());
        let id = fleet.add(Role::Consumer, &consumer.name, addresses.take()?, None, flags);
        fleet.consumers.push((id, consumer.clone()));
    }
    Ok(fleet)
}

/// The cell of each front end, joiners after originals: dealt out in turn, or to the one cell that a phase names.
fn front_end_cells(plan: &Plan) -> Vec<u32> {
    let cells = plan.fleet.cells;
    let mut dealt: Vec<u32> = (0..plan.fleet.servers).map(|number| number % cells).collect();
    for phase in &plan.phases {
        if let Act::Add { servers, cell, .. } = phase.act {
            let start = dealt.len() as u32;
            dealt.extend((start..start + servers).map(|number| cell.unwrap_or(number % cells)));
        }
    }
    dealt
}

impl Fleet {
    /// All front ends.
    pub(super) fn front_ends(&self) -> impl Iterator<Item = ServerId> {
        self.originals.iter().chain(&self.joiners).copied()
    }

    /// The flag that tells a server where the control plane is.
    pub(super) fn control_flag(&self) -> [String; 2] {
        ["--control".into(), format!("http://{}", self.control_address)]
    }

    /// Makes a server known that is started as `weir node ROLE --name NAME --address IP FLAGS`.
    pub(super) fn add(
        &mut self,
        role: Role,
        name: &str,
        address: Ipv4Addr,
        limits: Option<EnvelopeLimits>,
        flags: Vec<String>,
    ) -> ServerId {
        let id = ServerId(u32::try_from(self.specs.len()).expect("addresses run out long before"));
        let command = match role {
            Role::Frontend => "frontend",
            Role::Cache => "cache",
            Role::Backend => "backend",
            Role::Control => "control",
            Role::Consumer => "consumer",
        };
        let place = ["node", command, "--name", name, "--address", &address.to_string()];
        let args = place.into_iter().map(str::to_owned).chain(flags).collect();
        let admin = SocketAddr::from((address, ADMIN_PORT));
        self.specs.push(ServerSpec { id, name: name.to_owned(), role, limits, args, admin, watched: true });
        let info = ServerInfo { id, name: name.to_owned(), role, cell: None, cohort: Cohort::Original };
        self.infos.push(info);
        id
    }

    fn in_cell(
        &mut self,
        role: Role,
        name: &str,
        address: Ipv4Addr,
        cell: u32,
        limits: EnvelopeLimits,
    ) -> ServerId {
        let cell = self.cells[cell as usize].clone();
        let mut flags = vec!["--cell".to_owned(), cell.clone()];
        flags.extend(self.control_flag());
        let id = self.add(role, name, address, Some(limits), flags);
        self.infos[id.0 as usize].cell = Some(cell);
        id
    }

    /// Front ends of one cell among `servers`.
    pub(super) fn count_in_cell<'a>(&self, servers: impl Iterator<Item = &'a ServerId>, cell: &str) -> usize {
        servers.filter(|server| self.infos[server.0 as usize].cell.as_deref() == Some(cell)).count()
    }
}

fn control_config(plan: &Plan, fleet: &Fleet, seed: u64) -> ControlConfig {
    let placed = fleet.tenants.iter().map(|tenant| TenantConfig {
        name: tenant.credential.tenant.clone(),
        cell: Some(CellName::new(tenant.cell.as_str())),
    });
    ControlConfig {
        fleet: plan.fleet.config.clone(),
        shared: tenants::shared_config(&fleet.tenants, seed),
        cells: fleet.cells.iter().map(|cell| CellName::new(cell.as_str())).collect(),
        tenants: placed.collect(),
        health: plan.health.clone(),
        delays: StreamDelays::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{launcher::AddressBlock, scenario::Scenario};

    fn fleet_of(arm: &str) -> (Plan, Fleet) {
        let scenario = Scenario::open("kinesis-2020").unwrap();
        let plan = scenario.arms.into_iter().find(|found| found.name == arm).unwrap().plan;
        let mut addresses = AddressBlock::claim().unwrap().next_arm();
        let fleet = lay_out(&plan, &mut addresses, Path::new("/data"), 7).unwrap();
        (plan, fleet)
    }

    #[test]
    fn every_server_of_every_phase_has_a_number_an_address_and_its_limits() {
        let (plan, fleet) = fleet_of("shared");
        assert_eq!((fleet.originals.len(), fleet.joiners.len(), fleet.nodes.len()), (30, 14, 2));
        for (index, (spec, info)) in fleet.specs.iter().zip(&fleet.infos).enumerate() {
            assert_eq!((spec.id.0 as usize, info.id), (index, spec.id));
            let limited = matches!(spec.role, Role::Frontend | Role::Cache);
            assert_eq!(spec.limits, limited.then_some(plan.envelope), "{}", spec.name);
        }
        let mut admins: Vec<_> = fleet.specs.iter().map(|spec| spec.admin).collect();
        admins.sort();
        admins.dedup();
        assert_eq!(admins.len(), fleet.specs.len());
        assert!(fleet.joiners.iter().all(|id| fleet.infos[id.0 as usize].cohort == Cohort::Joiner));
    }

    #[test]
    fn cells_are_dealt_out_evenly_before_and_after_the_trigger() {
        let (_, fleet) = fleet_of("cellular");
        let count = |servers: &[ServerId], cell: &str| fleet.count_in_cell(servers.iter(), cell);
        for cell in &fleet.cells {
            assert!((7..=8).contains(&count(&fleet.originals, cell)));
            let all: Vec<_> = fleet.front_ends().collect();
            assert_eq!(count(&all, cell), 11);
            assert_eq!(fleet.tenants.iter().filter(|tenant| &tenant.cell == cell).count(), 2);
        }
    }

    #[test]
    fn a_pinned_tenant_is_on_its_cell_and_health_checks_are_told_as_planned() {
        let scenario = Scenario::open("kinesis-2020").unwrap();
        let mut plan = scenario.arms.into_iter().find(|arm| arm.name == "cellular").unwrap().plan;
        plan.pins = [(0, 3)].into();
        plan.health.removal_cap = 0.2;
        let mut addresses = AddressBlock::claim().unwrap().next_arm();
        let fleet = lay_out(&plan, &mut addresses, Path::new("/data"), 7).unwrap();
        let cells: Vec<&str> = fleet.tenants.iter().map(|tenant| tenant.cell.as_str()).collect();
        assert_eq!(cells[..4], ["cell-3", "cell-1", "cell-2", "cell-3"]);
        let args = &fleet.specs[fleet.control.0 as usize].args;
        let config: ControlConfig = serde_json::from_str(args.last().unwrap()).unwrap();
        assert_eq!(config.health, plan.health);
        assert_eq!(config.tenants[0].cell.as_ref().unwrap().as_str(), "cell-3");
    }

    #[test]
    fn the_control_plane_accepts_what_it_is_told() {
        for arm in ["shared", "cellular", "cache-fleet"] {
            let (_, fleet) = fleet_of(arm);
            let args = &fleet.specs[fleet.control.0 as usize].args;
            let config: ControlConfig = serde_json::from_str(args.last().unwrap()).unwrap();
            config.check().unwrap();
            assert_eq!(config.shared.credentials.len(), fleet.tenants.len());
        }
    }
}
