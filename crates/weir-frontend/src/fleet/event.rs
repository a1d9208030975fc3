//! What the fleet's state machine is told and what it asks for.
//!
//! The shells (`run`, `mesh`) and the simulated network of the tests speak these words. They carry facts and orders;
//! none of them decides anything.

use std::{net::SocketAddr, sync::Arc};

use weir_core::id::{CellName, Incarnation, MemberId};
use weir_wire::{
    control::{FleetConfig, MembershipView, Role, SharedConfig},
    fragment::Fragment,
    mesh::{Dialler, MeshMessage, RefusedReason},
};

use crate::shard_map::ShardMap;

/// The server whose fleet half this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Myself {
    /// Its number.
    pub member: MemberId,
    /// This life of it.
    pub life: Incarnation,
    /// Front end or cache server.
    pub role: Role,
    /// Its cell.
    pub cell: CellName,
}

/// One of the k connections to a peer, each with a thread (or a task) of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    /// The peer.
    pub peer: MemberId,
    /// Which of its lanes, from zero.
    pub lane: u32,
}

/// A connection that waits for the answer to its hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The first word of a dialler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Who dials.
    pub member: MemberId,
    /// Its life.
    pub life: Incarnation,
    /// Its cell.
    pub cell: CellName,
    /// What it is.
    pub dialler: Dialler,
    /// Which lane it wants.
    pub lane: u32,
}

/// Whom a fragment was heard from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The node itself: this server is one of its homes.
    Node(MemberId),
    /// Another server.
    Peer(MemberId),
    /// The control plane's store.
    Store,
}

/// What lies behind a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Another server of the mesh.
    Peer,
    /// A front end that this cache server serves.
    Subscriber,
    /// The cache server that this front end asks.
    Upstream,
}

/// What serves a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// An operating-system thread, which the kernel may refuse.
    Thread,
    /// A task on the fleet thread.
    Task,
}

/// How the lanes of one peer are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerPlan {
    /// What lies behind them.
    pub link: LinkKind,
    /// What serves each.
    pub carrier: Carrier,
    /// How many.
    pub lanes: u32,
    /// Where the peer's mesh listens.
    pub address: SocketAddr,
    /// Does this server dial (or does it wait to be dialled)?
    pub dials: bool,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum FleetEvent {
    /// Time has passed: the moment that [`super::Fleet::next_wake`] named has come, or any other.
    Tick,
    /// The control plane says that something changed (only within one process).
    ControlChanged,
    /// The answer to [`FleetAction::AskView`].
    View(Box<MembershipView>),
    /// The control plane did not answer [`FleetAction::AskView`].
    ViewFailed,
    /// The answer to [`FleetAction::AskStore`].
    Store(Vec<Fragment>),
    /// The control plane did not answer [`FleetAction::AskStore`].
    StoreFailed,
    /// The thread or task of a lane runs.
    LaneStarted(LaneId),
    /// The kernel refused the thread of a lane.
    LaneRefused(LaneId),
    /// The kernel refused a lane the file descriptor that wakes its thread; no thread was asked for.
    LaneUnequipped(LaneId),
    /// The thread or task of a stopped lane has ended.
    LaneEnded(LaneId),
    /// The connection of a lane stands.
    LaneOpen(LaneId),
    /// The connection of a lane broke; its thread goes on trying or waiting.
    LaneLost(LaneId),
    /// A dial of a lane to a cache server came to nothing; it goes on trying. Dials to peers are not reported: nothing
    /// would be done about them.
    DialFailed {
        /// Which.
        lane: LaneId,
        /// What the other side said, if it said anything.
        refused: Option<RefusedReason>,
    },
    /// Somebody connected and said hello.
    Dialled {
        /// To be named in the answer.
        ticket: Ticket,
        /// Who.
        hello: Hello,
    },
    /// Fragments arrived.
    Heard {
        /// From whom.
        from: Source,
        /// All that the sender knows (or only what it passes on)?
        whole_map: bool,
        /// The fragments.
        fragments: Vec<Fragment>,
    },
    /// A peer asks for the whole map.
    MapWanted(LaneId),
}

/// One thing to do.
#[derive(Debug, Clone)]
pub enum FleetAction {
    /// Ask the control plane who is in the cell.
    AskView,
    /// Ask the control plane for every fragment it has.
    AskStore,
    /// What the control plane wants to hold from now on.
    Configure {
        /// How the fleet behaves.
        fleet: Box<FleetConfig>,
        /// What all front ends agree on.
        shared: Box<SharedConfig>,
    },
    /// Start the thread or task of a lane; answer with [`FleetEvent::LaneStarted`], [`FleetEvent::LaneRefused`] or
    /// [`FleetEvent::LaneUnequipped`].
    StartLane {
        /// Which.
        lane: LaneId,
        /// How.
        plan: PeerPlan,
    },
    /// End the thread or task of a lane; answer with [`FleetEvent::LaneEnded`].
    StopLane(LaneId),
    /// Send one message over these lanes. A lane without a connection drops it.
    Send {
        /// Over which.
        lanes: Vec<LaneId>,
        /// What.
        message: MeshMessage,
    },
    /// Welcome the dialler and hand its connection to this lane.
    AcceptPeer {
        /// Which connection.
        ticket: Ticket,
        /// Whose thread serves it.
        lane: LaneId,
    },
    /// Welcome the node and listen to its fragments.
    AcceptNode {
        /// Which connection.
        ticket: Ticket,
    },
    /// Tell the dialler why not, and close.
    Refuse {
        /// Which connection.
        ticket: Ticket,
        /// Why.
        reason: RefusedReason,
    },
    /// Route by this map from now on.
    Publish(Arc<ShardMap>),
}
