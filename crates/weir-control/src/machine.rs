//! The control plane's decisions: one command in, an answer and what changed out.
//!
//! A pure state machine: `apply(now, wall, command)`. `embedded.rs` drives it under one lock, saves the state when it
//! changed and only then answers. The benefit: every order of events is testable without a socket. The downside: one
//! lock for the whole control plane, which is why nothing on the data path may ask it.

mod accounts;
mod attached;
mod consumers;
mod fleet;
mod quotas;
mod reshard;
mod settings;
mod streams;
#[cfg(test)]
mod tests;
mod transitions;

use std::collections::BTreeMap;

use weir_core::{
    clock::{Monotonic, WallMs},
    id::MemberId,
};
use weir_wire::{
    control::{AttachedChange, ConsumerCall, ControlError, ControlReply, ControlRequest, StreamChange},
    fragment::Fragment,
};

use crate::{
    health::{HealthBook, NodeBook, ProbeOutcome},
    on_demand::TrafficBook,
    state::State,
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum ControlCommand {
    /// Somebody asks.
    Call(ControlRequest),
    /// A round of probes begins: who has been silent for too long?
    Round,
    /// A front end or a cache server was probed.
    Probed(ProbeOutcome),
    /// The time of a stream that is held has come.
    Tick,
}

impl ControlCommand {
    /// Does somebody wish for something that could as well come later? Not so whoever lets go, starts, or reports.
    pub(crate) fn is_wish(&self) -> bool {
        use ControlRequest::{
            Account, ChangeAttached, ChangeStream, Consumers, CreateStream, PlaceTenant, SetFleet,
        };
        let Self::Call(request) = self else { return false };
        match request {
            CreateStream(_) | Account { .. } | PlaceTenant { .. } | SetFleet { .. } => true,
            ChangeStream { change, .. } => !matches!(change, StreamChange::DecreaseRetention { .. }),
            ChangeAttached { change, .. } => !matches!(change, AttachedChange::RemoveTags(_)),
            Consumers { about, .. } => !matches!(about, ConsumerCall::Deregister { .. }),
            _ => false,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The answer.
    pub reply: Result<ControlReply, ControlError>,
    /// The kept state changed: save it before answering.
    pub save: bool,
    /// Something that pollers wait for changed.
    pub notify: bool,
}

impl Applied {
    fn answer(reply: ControlReply) -> Self {
        Self { reply: Ok(reply), save: false, notify: false }
    }

    fn changed(reply: ControlReply) -> Self {
        Self { reply: Ok(reply), save: true, notify: true }
    }

    fn refused(error: ControlError) -> Self {
        Self { reply: Err(error), save: false, notify: false }
    }
}

/// The control plane's state and what it has heard since it started.
#[derive(Debug)]
pub struct Machine {
    state: State,
    health: HealthBook,
    nodes: NodeBook,
    fragments: BTreeMap<MemberId, Fragment>,
    traffic: TrafficBook,
}

impl Machine {
    /// Goes on from a kept state.
    pub fn new(state: State) -> Self {
        let (health, nodes) = (HealthBook::default(), NodeBook::default());
        Self { state, health, nodes, fragments: BTreeMap::new(), traffic: TrafficBook::default() }
    }

    /// What is kept.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Goes back to `kept`, because what was decided since could not be saved. What was heard from servers stays: it is
    /// fact, and the next word of each settles again what follows from it.
    pub(crate) fn take_back(&mut self, kept: State) {
        self.state = kept;
    }

    /// One command.
    pub fn apply(&mut self, now: Monotonic, wall: WallMs, command: ControlCommand) -> Applied {
        let applied = match command {
            ControlCommand::Probed(outcome) => self.probed(now, outcome),
            ControlCommand::Round => self.round(now),
            ControlCommand::Tick => self.tick(wall),
            ControlCommand::Call(request) => self.call(now, wall, request),
        };
        if applied.save {
            self.state.version += 1;
        }
        applied
    }

    fn call(&mut self, now: Monotonic, wall: WallMs, request: ControlRequest) -> Applied {
        self.settle_consumers(wall);
        match request {
            ControlRequest::Register { cluster, name, role, cell, service, mesh, admin } => {
                let new = fleet::Registration { name, role, cell, service, mesh, admin };
                self.register(now, cluster, new)
            }
            ControlRequest::Deregister { member } => self.deregister(member),
            ControlRequest::Drain { member, on } => self.drain(member, on),
            ControlRequest::View { cell } => self.view(&cell),
            ControlRequest::Census { cell } => self.census(&cell),
            ControlRequest::Endpoints { tenant } => self.endpoints(tenant.as_ref()),
            ControlRequest::Routes { tenants } => self.routes(&tenants),
            ControlRequest::Report { fragment, traffic } => self.report(now, wall, fragment, traffic),
            ControlRequest::Fragments => Applied::answer(ControlReply::Fragments(self.last_words(now))),
            ControlRequest::Cells => self.cells(),
            ControlRequest::CreateStream(new) => self.create_stream(now, wall, new),
            ControlRequest::DeleteStream { stream, with_consumers } => {
                self.delete_stream(wall, &stream, with_consumers)
            }
            ControlRequest::Attached { resource } => self.attached(&resource),
            ControlRequest::ChangeAttached { resource, change } => self.change_attached(&resource, change),
            ControlRequest::ChangeStream { stream, change } => self.change_stream(wall, &stream, change),
            ControlRequest::DescribeStream { stream } => self.describe_stream(wall, &stream),
            ControlRequest::ListStreams { account, region, after, limit } => {
                self.list_streams(account, region, after.as_ref(), limit)
            }
            ControlRequest::Account { account, region, about } => self.account(wall, account, region, &about),
            ControlRequest::Consumers { stream, about } => self.consumers(wall, &stream, about),
            ControlRequest::PlaceTenant { tenant, cell } => self.place_tenant(tenant, cell),
            ControlRequest::SetFleet { fleet } => self.set_fleet(fleet),
            ControlRequest::Status => self.status(now),
        }
    }
}
