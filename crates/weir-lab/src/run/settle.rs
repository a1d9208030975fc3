//! Waits until a fleet is steady before the first phase, and asks its servers for their constants.
//!
//! Ready means that a first map is there; steady means that every front end knows every other, its map is whole, and the
//! control plane sends callers to it. Only then is a baseline a baseline.

use std::time::Duration;

use weir_wire::control::{ControlReply, ControlRequest};

use super::{crew::Crew, error::RunError, fleet::Fleet, setup::BaseThreads};
use crate::{
    recorder::{ServerView, view_servers},
    series::{Mesh, ServerId},
};

/// How long it may take until all members know each other: several discovery windows of the largest scenario.
const STEADY_PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK_PERIOD: Duration = Duration::from_millis(250);
/// One answer of one server.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a front end (and a cache server) for its base thread count.
pub(super) fn base_threads(crew: &mut Crew, fleet: &Fleet) -> Result<BaseThreads, RunError> {
    let of = |crew: &mut Crew, server: Option<&ServerId>| -> Result<u64, RunError> {
        let Some(&server) = server else { return Ok(0) };
        let view = look(crew, fleet, &[server]).into_iter().next().flatten();
        view.and_then(|view| view.base_threads).ok_or_else(|| RunError::Control {
            arm: crew.arm.clone(),
            what: "ask a server for its base threads",
            detail: format!("{} does not say", fleet.specs[server.0 as usize].name),
        })
    };
    let front_end = of(crew, fleet.originals.first())?;
    let cache = of(crew, fleet.caches.first())?;
    Ok(BaseThreads { front_end, cache })
}

/// Waits until every front end and cache server knows its whole cell and has a whole map, and callers are sent to all.
pub(super) fn until_steady(crew: &mut Crew, fleet: &Fleet) -> Result<(), RunError> {
    let servers: Vec<ServerId> = fleet.originals.iter().chain(&fleet.caches).copied().collect();
    let start = crew.clock.now();
    loop {
        let views = look(crew, fleet, &servers);
        let mut unsettled: Vec<String> = servers
            .iter()
            .zip(&views)
            .filter_map(|(&server, view)| unsettled(fleet, server, view.as_ref()))
            .collect();
        unsettled.extend(unnamed(crew, fleet)?);
        if unsettled.is_empty() {
            return Ok(());
        }
        if crew.clock.now().since(start) > STEADY_PATIENCE {
            return Err(RunError::TooSlow {
                arm: crew.arm.clone(),
                what: "a steady fleet",
                waited: STEADY_PATIENCE,
                detail: format!("{} are not, the first: {}", unsettled.len(), unsettled[0]),
            });
        }
        let next = crew.clock.now() + LOOK_PERIOD;
        crew.idle_until(next)?;
    }
}

/// Cells in which the control plane, which has its own look at everybody's health, does not name all endpoints yet.
fn unnamed(crew: &Crew, fleet: &Fleet) -> Result<Vec<String>, RunError> {
    let mut unnamed = Vec::new();
    for cell in &fleet.cells {
        let Some(tenant) = fleet.tenants.iter().find(|tenant| &tenant.cell == cell) else { continue };
        let tenant = tenant.credential.tenant.clone();
        let reply = crew.ask("name the endpoints", ControlRequest::Endpoints { tenant: Some(tenant) })?;
        let named = if let ControlReply::Endpoints { urls, .. } = reply { urls.len() } else { 0 };
        let members = fleet.count_in_cell(fleet.originals.iter(), cell);
        if named < members {
            unnamed.push(format!("{cell} has {named} of {members} endpoints for callers"));
        }
    }
    Ok(unnamed)
}

fn look(crew: &Crew, fleet: &Fleet, servers: &[ServerId]) -> Vec<Option<ServerView>> {
    let asked: Vec<_> = servers.iter().map(|server| &fleet.specs[server.0 as usize]).collect();
    let asked: Vec<_> = asked.iter().map(|spec| (spec.role, spec.admin)).collect();
    crew.runtime.block_on(view_servers(&asked, LOOK_TIMEOUT))
}

/// What a server still lacks.
fn unsettled(fleet: &Fleet, server: ServerId, view: Option<&ServerView>) -> Option<String> {
    let info = &fleet.infos[server.0 as usize];
    let Some(view) = view else { return Some(format!("{} does not answer", info.name)) };
    let metrics = &view.metrics;
    let cell = info.cell.as_deref().unwrap_or_default();
    let members = fleet.count_in_cell(fleet.originals.iter().chain(&fleet.caches), cell) as u64;
    if metrics.known_members != Some(members) {
        return Some(format!("{} knows {:?} of {members} members", info.name, metrics.known_members));
    }
    if metrics.map_completeness.is_none_or(|share| share < 1.0) {
        return Some(format!("{} has a map that is {:?} complete", info.name, metrics.map_completeness));
    }
    if fleet.mesh == Mesh::ThreadPerPeer && metrics.peers_connected != Some(members - 1) {
        return Some(format!(
            "{} is connected to {:?} of {}",
            info.name,
            metrics.peers_connected,
            members - 1
        ));
    }
    None
}
