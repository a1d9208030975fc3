//! The shells around the fleet's logic: threads, tasks and sockets that do what it asks.
//!
//! `run` feeds it the actions of [`crate::fleet::Fleet`]; what the lanes see comes back as events over one bounded
//! queue. Three meshes, one mechanism: what differs is who has a lane to whom (`fleet`) and what serves it (here). It
//! must never decide.

mod accept;
mod driver;
mod lane;
mod mailbox;
mod multiplexed;
mod thread_per_peer;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use tokio::{net::TcpListener, sync::mpsc, task::AbortHandle};
use weir_core::{
    clock::Clock,
    id::MemberId,
    limits::{NODES_MAX, PEER_THREAD_STACK_BYTES},
    threads::{SpawnRefused, Threads},
};
use weir_wire::mesh::{MeshMessage, RefusedReason};

use self::{
    accept::Lobby,
    driver::Driver,
    lane::{Greeting, Lane},
    mailbox::{Bell, Mailbox},
};
use crate::fleet::{Carrier, FleetEvent, LaneId, Myself, PeerPlan, Ticket};

/// The lanes and the listener of one server. Owned by the fleet's loop.
pub(crate) struct Mesh {
    greeting: Greeting,
    source: IpAddr,
    clock: Clock,
    threads: Threads,
    events: mpsc::Sender<FleetEvent>,
    gossip: Duration,
    lanes: BTreeMap<LaneId, Running>,
    /// Stopped lanes whose threads have not ended.
    ending: BTreeMap<LaneId, JoinHandle<()>>,
    lobby: Lobby,
    nodes: BTreeMap<MemberId, AbortHandle>,
}

/// The kernel refused what a peer thread is made of.
#[derive(Debug, thiserror::Error)]
enum NoLane {
    #[error(transparent)]
    Thread(#[from] SpawnRefused),
    #[error("the kernel refused a file descriptor: {0}")]
    Descriptor(#[from] nix::errno::Errno),
}

struct Running {
    mailbox: Arc<Mailbox>,
    /// `None` for a task.
    thread: Option<JoinHandle<()>>,
}

impl Mesh {
    /// No lanes yet. `source` is the server's own address; what happens goes to `events`.
    pub(crate) fn new(
        me: &Myself,
        source: IpAddr,
        clock: Clock,
        threads: Threads,
        events: mpsc::Sender<FleetEvent>,
    ) -> Self {
        let greeting = Greeting { member: me.member, life: me.life, cell: me.cell.clone() };
        Self {
            greeting,
            source,
            clock,
            threads,
            events,
            gossip: Duration::from_secs(1),
            lanes: BTreeMap::new(),
            ending: BTreeMap::new(),
            lobby: Lobby::default(),
            nodes: BTreeMap::new(),
        }
    }

    /// Takes dials on `listener` from now on, on the current runtime.
    pub(crate) fn listen(&self, listener: TcpListener) {
        tokio::spawn(accept::accept(listener, self.lobby.clone(), self.events.clone()));
    }

    /// The gossip interval that lanes keep from now on.
    pub(crate) fn set_gossip(&mut self, gossip: Duration) {
        self.gossip = gossip;
        for running in self.lanes.values() {
            running.mailbox.set_gossip(gossip);
        }
    }

    /// Starts what serves a lane. The answer is for the fleet: started, or refused by the kernel.
    pub(crate) fn start_lane(&mut self, id: LaneId, plan: &PeerPlan) -> FleetEvent {
        let lane = Lane::new(id, plan, self.greeting.clone(), self.gossip);
        let started = match plan.carrier {
            Carrier::Thread => self.start_thread(id, lane, plan.address),
            Carrier::Task => Ok(self.start_task(id, lane, plan.address)),
        };
        match started {
            Ok(running) => {
                self.lanes.insert(id, running);
                FleetEvent::LaneStarted(id)
            }
            Err(error) => {
                tracing::warn!(peer = %id.peer, lane = id.lane, %error, "no thread for a peer");
                match error {
                    NoLane::Thread(_) => FleetEvent::LaneRefused(id),
                    NoLane::Descriptor(_) => FleetEvent::LaneUnequipped(id),
                }
            }
        }
    }

    /// Asks a lane to end; [`FleetEvent::LaneEnded`] says when it has.
    pub(crate) fn stop_lane(&mut self, id: LaneId) {
        if let Some(running) = self.lanes.remove(&id) {
            running.mailbox.stop();
            if let Some(thread) = running.thread {
                self.ending.insert(id, thread);
            }
        }
    }

    /// A stopped lane says that it is at its end: waits for the last microseconds of its thread, so that the kernel
    /// no longer counts it when the next one is asked for.
    pub(crate) fn lane_ended(&mut self, id: LaneId) {
        if let Some(thread) = self.ending.remove(&id) {
            thread.join().expect("a panic aborts the process");
        }
    }

    /// Sends a message over these lanes; encoded once.
    pub(crate) fn send(&self, lanes: &[LaneId], message: &MeshMessage) {
        let bytes: Bytes = message.to_frame().encode();
        for running in lanes.iter().filter_map(|id| self.lanes.get(id)) {
            running.mailbox.send(bytes.clone());
        }
    }

    /// Hands a dialler's connection to a lane.
    pub(crate) fn accept_peer(&self, ticket: Ticket, id: LaneId) {
        let (Some(greeted), Some(running)) = (self.lobby.take(ticket), self.lanes.get(&id)) else { return };
        match greeted.stream.into_std() {
            Ok(stream) => running.mailbox.adopt(stream, greeted.rest),
            Err(error) => tracing::warn!(%error, "a connection could not be handed to its lane"),
        }
    }

    /// Listens to a node from now on, in place of an older connection of the same node.
    pub(crate) fn accept_node(&mut self, ticket: Ticket) {
        let Some(greeted) = self.lobby.take(ticket) else { return };
        self.nodes.retain(|_, link| !link.is_finished());
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&greeted.member) {
            return tracing::warn!(node = %greeted.member, "no node is listened to beyond the bound");
        }
        let welcome = MeshMessage::Welcome { member: self.greeting.member, life: self.greeting.life };
        let node = greeted.member;
        let link = tokio::spawn(accept::listen_to_node(greeted, welcome, self.events.clone()));
        if let Some(older) = self.nodes.insert(node, link.abort_handle()) {
            older.abort();
        }
    }

    /// Says no to a dialler.
    pub(crate) fn refuse(&self, ticket: Ticket, reason: RefusedReason) {
        if let Some(greeted) = self.lobby.take(ticket) {
            tokio::spawn(accept::refuse(greeted, MeshMessage::Refused(reason)));
        }
    }

    /// Lanes that a thread serves.
    pub(crate) fn threads_count(&self) -> usize {
        self.lanes.values().filter(|running| running.thread.is_some()).count()
    }

    /// Ends every lane and every link; returns when all threads have ended. The receiver of the events must be gone,
    /// so that no thread waits for room in the queue.
    pub(crate) fn close(self) {
        assert!(self.events.is_closed(), "a lane could wait for ever to report");
        for running in self.lanes.values() {
            running.mailbox.stop();
        }
        for link in self.nodes.values() {
            link.abort();
        }
        let running = self.lanes.into_values().filter_map(|running| running.thread);
        for thread in running.chain(self.ending.into_values()) {
            thread.join().expect("a panic aborts the process");
        }
    }

    fn start_thread(&self, id: LaneId, lane: Lane, peer: SocketAddr) -> Result<Running, NoLane> {
        let mailbox = Arc::new(Mailbox::new(Bell::thread()?));
        let driver = Driver::new(lane, self.clock, self.source, peer);
        let (mail, clock, events) = (Arc::clone(&mailbox), self.clock, self.events.clone());
        let name = format!("peer-{}.{}", id.peer, id.lane);
        let thread = self.threads.spawn_small(name, PEER_THREAD_STACK_BYTES, move || {
            thread_per_peer::run(driver, &mail, clock, &events);
            let _ = events.blocking_send(FleetEvent::LaneEnded(id)); // the fleet may be gone
        })?;
        Ok(Running { mailbox, thread: Some(thread) })
    }

    fn start_task(&self, id: LaneId, lane: Lane, peer: SocketAddr) -> Running {
        let mailbox = Arc::new(Mailbox::new(Bell::Task(tokio::sync::Notify::new())));
        let driver = Driver::new(lane, self.clock, self.source, peer);
        let (mail, clock, events) = (Arc::clone(&mailbox), self.clock, self.events.clone());
        tokio::spawn(async move {
            multiplexed::run(driver, mail, clock, events.clone()).await;
            let _ = events.send(FleetEvent::LaneEnded(id)).await; // the fleet may be gone
        });
        Running { mailbox, thread: None }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, net::TcpStream};
    use weir_core::id::{CellName, Incarnation};
    use weir_wire::control::Role;

    use super::{accept::Greeted, *};

    #[tokio::test]
    async fn no_more_nodes_are_listened_to_than_there_may_be() {
        let cell = CellName::new("a");
        let me = Myself { member: MemberId(1), life: Incarnation(1), role: Role::Frontend, cell };
        let (events, _heard) = mpsc::channel(1);
        let source = IpAddr::from([127, 0, 0, 1]);
        let mut mesh = Mesh::new(&me, source, Clock::new(), Threads::new(), events);
        let bound = u32::try_from(NODES_MAX).unwrap();
        for node in 0..bound {
            mesh.nodes.insert(MemberId(node), tokio::spawn(std::future::pending::<()>()).abort_handle());
        }
        let listener = TcpListener::bind((source, 0)).await.unwrap();
        for (node, welcomed) in [(bound, false), (bound - 1, true)] {
            let mut dialler = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let stream = listener.accept().await.unwrap().0;
            let greeted = Greeted { member: MemberId(node), stream, rest: Bytes::new() };
            let ticket = mesh.lobby.put(greeted);
            mesh.accept_node(ticket);
            assert_eq!(dialler.read_u8().await.is_ok(), welcomed, "node {node}");
        }
        assert_eq!(mesh.nodes.len(), NODES_MAX);
    }
}
