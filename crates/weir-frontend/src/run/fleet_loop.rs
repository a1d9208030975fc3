//! The loop of the fleet thread: one event to the state machine, its actions to the mesh, the control plane and the
//! outlet.
//!
//! It waits for the next event, the next moment that the machine asked for, or the end. It must never wait for
//! anything else: a slow control plane or a full lane is somebody else's task.

use std::{collections::VecDeque, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use weir_core::{clock::Clock, id::CellName};
use weir_sync::Shutdown;
use weir_wire::{
    control::{Control, ControlReply, ControlRequest, SharedConfig},
    fragment::Fragment,
};

use super::{FleetOutlet, census::CensusTaker, metrics::Moment};
use crate::{
    fleet::{Fleet, FleetAction, FleetEvent, Source},
    mesh::Mesh,
};

/// Events taken in before the metrics are brought up to date.
const EVENTS_AT_ONCE_MAX: usize = 256;

/// The fleet half, registered.
pub(super) struct FleetLoop {
    pub(super) cell: CellName,
    pub(super) fleet: Fleet,
    pub(super) mesh: Mesh,
    pub(super) control: Control,
    pub(super) clock: Clock,
    pub(super) sender: mpsc::Sender<FleetEvent>,
    pub(super) shared: watch::Sender<Option<Arc<SharedConfig>>>,
    pub(super) outlet: FleetOutlet,
    pub(super) census: CensusTaker,
}

impl FleetLoop {
    /// Runs until `stop` begins; ends every lane before it returns.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<FleetEvent>,
        mut local_node: Option<watch::Receiver<Option<Fragment>>>,
        stop: Shutdown,
    ) {
        let mut changes = self.control.changes();
        let mut stopped = stop.wait_async();
        if let Some(fragments) = &mut local_node {
            fragments.mark_changed(); // it may have spoken before this loop began
        }
        loop {
            let wake = Instant::from_std(self.clock.instant(self.fleet.next_wake()));
            let event = tokio::select! {
                () = &mut stopped => break,
                event = events.recv() => Some(event.expect("the loop holds a sender")),
                fragment = next_fragment(local_node.as_mut()) => Some(FleetEvent::Heard {
                    from: Source::Node(fragment.node),
                    whole_map: false,
                    fragments: vec![fragment],
                }),
                () = changed(changes.as_mut()) => Some(FleetEvent::ControlChanged),
                () = tokio::time::sleep_until(wake) => Some(FleetEvent::Tick),
                () = self.census.changed() => None, // only the metrics are told
            };
            if let Some(event) = event {
                self.apply(event);
            }
            for _ in 0..EVENTS_AT_ONCE_MAX {
                let Ok(event) = events.try_recv() else { break };
                self.apply(event);
            }
            self.observe();
        }
        drop(events);
        self.mesh.close();
    }

    fn observe(&self) {
        let registered = self.census.newest();
        self.outlet.metrics.observe(Moment {
            facts: self.fleet.facts(),
            peer_threads: self.mesh.threads_count(),
            committed_peer_threads: self.fleet.threads_committed(registered),
            registered,
        });
    }

    fn apply(&mut self, event: FleetEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            if let FleetEvent::LaneEnded(lane) = event {
                self.mesh.lane_ended(lane);
            }
            for action in self.fleet.apply(self.clock.now(), event) {
                events.extend(self.carry_out(action));
            }
        }
    }

    /// Does it; returns what the fleet must be told at once.
    fn carry_out(&mut self, action: FleetAction) -> Option<FleetEvent> {
        match action {
            FleetAction::AskView => self.ask_view(),
            FleetAction::AskStore => self.ask_store(),
            FleetAction::Configure { fleet, shared } => {
                self.outlet.map.set_ttl(fleet.map_ttl.0);
                self.mesh.set_gossip(fleet.gossip_interval.0);
                self.census.set_pace(fleet.gossip_interval.0);
                self.shared.send_replace(Some(Arc::new(*shared)));
            }
            FleetAction::StartLane { lane, plan } => return Some(self.mesh.start_lane(lane, &plan)),
            FleetAction::StopLane(lane) => self.mesh.stop_lane(lane),
            FleetAction::Send { lanes, message } => self.mesh.send(&lanes, &message),
            FleetAction::AcceptPeer { ticket, lane } => self.mesh.accept_peer(ticket, lane),
            FleetAction::AcceptNode { ticket } => self.mesh.accept_node(ticket),
            FleetAction::Refuse { ticket, reason } => self.mesh.refuse(ticket, reason),
            FleetAction::Publish(map) => self.outlet.map.publish(map),
        }
        None
    }

    fn ask_view(&self) {
        let request = ControlRequest::View { cell: self.cell.clone() };
        self.ask(request, |reply| match reply {
            Some(ControlReply::View(view)) => FleetEvent::View(view),
            _ => FleetEvent::ViewFailed,
        });
    }

    fn ask_store(&self) {
        self.ask(ControlRequest::Fragments, |reply| match reply {
            Some(ControlReply::Fragments(fragments)) => FleetEvent::Store(fragments),
            _ => FleetEvent::StoreFailed,
        });
    }

    fn ask(&self, request: ControlRequest, answer: fn(Option<ControlReply>) -> FleetEvent) {
        let (control, sender) = (Arc::clone(&self.control), self.sender.clone());
        tokio::spawn(async move {
            let reply = control.call(request).await;
            if let Err(error) = &reply {
                tracing::warn!(%error, "the control plane did not answer");
            }
            let _ = sender.send(answer(reply.ok())).await; // the loop may be gone
        });
    }
}

/// The next word of a node in this process; never, when there is none.
async fn next_fragment(fragments: Option<&mut watch::Receiver<Option<Fragment>>>) -> Fragment {
    let Some(fragments) = fragments else { return std::future::pending().await };
    loop {
        if fragments.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let Some(fragment) = fragments.borrow_and_update().clone() {
            return fragment;
        }
    }
}

/// The next change that the control plane tells of; never, when it is in another process.
async fn changed(changes: Option<&mut watch::Receiver<u64>>) {
    if let Some(changes) = changes
        && changes.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
