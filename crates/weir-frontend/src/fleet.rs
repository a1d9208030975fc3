//! The fleet half of a server: who my peers are, which threads they need, what the shard map is.
//!
//! One pure state machine; `run` and `mesh` drive it with threads and sockets, the tests with a simulated network. It
//! must never read a clock, open a socket or compare a number of threads with a limit: a refused thread is an event.

mod book;
mod building;
mod dialling;
mod event;
mod facts;
mod hearing;
mod inquiry;
mod lanes;
mod membership;
mod plan;

use std::{sync::Arc, time::Duration};

use weir_core::{
    clock::Monotonic,
    entropy::{self, Rng},
    homes::Homes,
    id::Generation,
};
use weir_wire::control::{Census, FleetConfig, MembershipView};

use self::{book::FragmentBook, inquiry::Inquiry, lanes::LaneTable};
pub use self::{
    event::{Carrier, FleetAction, FleetEvent, Hello, LaneId, LinkKind, Myself, PeerPlan, Source, Ticket},
    facts::FleetFacts,
};
use crate::shard_map::Routes;

/// How soon a poll of the control plane that failed is repeated, at most; never later than the discovery window.
const FAILED_POLL_RETRY: Duration = Duration::from_millis(500);
/// Shards in one message of a whole map: about 1 MiB, far below `FRAME_BYTES_MAX`.
const WHOLE_MAP_SHARDS_MAX: usize = 8_192;

/// The state machine: `apply(now, event) -> actions`, one event at a time.
///
/// What comes in is a membership view, the fate of a thread, a connection, a fragment, or time; what goes out are
/// threads to start and stop, messages to send, and maps to publish. Because only one thing happens at a time, any
/// order of events can be replayed in a test, and the simulator can run ten thousand of these. The price: an exchange
/// of several steps (start the threads one by one, wait for each node's home) is spelled out as states, here and in
/// [`LaneTable`] and [`FragmentBook`].
///
/// A change of membership begins a build. It is complete when every peer has its threads and every node was heard, in
/// this build, from itself or from a server that it was brought to. Then the map is published, and confirmed again
/// twice each gossip interval. A build that misses its deadline or is refused a thread has failed: the old map
/// serves on, until it is older than its TTL, and nothing else looks wrong. A node that never speaks is no reason to
/// fail for ever: an [`Inquiry`] finds out whether its home knows it.
#[derive(Debug)]
pub struct Fleet {
    me: Myself,
    rng: Rng,
    view: Option<Box<MembershipView>>,
    poll: Poll,
    lanes: LaneTable,
    book: FragmentBook,
    build: Build,
    routes: Arc<Routes>,
    published: bool,
    /// A build has failed before the first map: whoever asks for it gets what there is.
    late: bool,
    /// After nodes that were never heard.
    inquiry: Option<Inquiry>,
    /// Only in a front end of a cache fleet: which cache server to ask.
    upstreams: Homes,
    store: StorePoll,
    builds_failed: u64,
    refused: u64,
    unequipped: u64,
    refused_at_members: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    /// Not a member of anything yet.
    Waiting,
    /// Threads are being started, nodes awaited.
    Running { deadline: Monotonic },
    /// The map is whole; it is confirmed again at `republish_at`.
    Complete { republish_at: Monotonic },
    /// A thread was refused under `retry`, or a lane was not equipped.
    Refused { retry_at: Monotonic },
    /// A thread was refused under `wedge`: over, until a restart.
    Wedged,
}

#[derive(Debug, Clone, Copy)]
struct Poll {
    at: Monotonic,
    asked: bool,
    /// Something changed while the answer was on its way.
    again: bool,
}

#[derive(Debug, Clone, Copy)]
struct StorePoll {
    at: Monotonic,
    asked: bool,
    /// The mesh has once confirmed every node: the store has done its part.
    over: bool,
}

impl Fleet {
    /// A server that knows nothing but itself. `seed` spreads its polls.
    pub fn new(me: Myself, seed: u64) -> Self {
        let upstreams = Homes::new(u64::from(me.member.0));
        Self {
            me,
            rng: entropy::seeded(seed, "fleet"),
            view: None,
            poll: Poll { at: Monotonic::ZERO, asked: false, again: false },
            lanes: LaneTable::default(),
            book: FragmentBook::default(),
            build: Build::Waiting,
            routes: Arc::new(Routes::default()),
            published: false,
            late: false,
            inquiry: None,
            upstreams,
            store: StorePoll { at: Monotonic::ZERO, asked: false, over: false },
            builds_failed: 0,
            refused: 0,
            unequipped: 0,
            refused_at_members: None,
        }
    }

    /// One event in, the actions it causes out.
    pub fn apply(&mut self, now: Monotonic, event: FleetEvent) -> Vec<FleetAction> {
        let mut out = Vec::new();
        match event {
            FleetEvent::Tick => {}
            FleetEvent::ControlChanged => {
                self.poll.at = now;
                self.poll.again = self.poll.asked;
            }
            FleetEvent::View(view) => self.learn(now, view, &mut out),
            FleetEvent::ViewFailed => self.view_failed(now),
            FleetEvent::Store(fragments) => self.hear_store(now, fragments, &mut out),
            FleetEvent::StoreFailed => self.store_answered(now),
            FleetEvent::LaneStarted(lane) => {
                out.extend(self.lanes.started(lane).map(|ticket| FleetAction::AcceptPeer { ticket, lane }));
            }
            FleetEvent::LaneRefused(lane) => self.lane_refused(now, lane, &mut out),
            FleetEvent::LaneUnequipped(lane) => self.lane_unequipped(now, lane, &mut out),
            FleetEvent::LaneEnded(lane) => self.lanes.ended(lane),
            FleetEvent::LaneOpen(lane) => self.lane_open(now, lane, &mut out),
            FleetEvent::LaneLost(lane) => self.lane_lost(now, lane, &mut out),
            FleetEvent::DialFailed { lane, refused } => self.dial_failed(now, lane, refused, &mut out),
            FleetEvent::Dialled { ticket, hello } => self.dialled(now, ticket, &hello, &mut out),
            FleetEvent::Heard { from, whole_map, fragments } => {
                self.hear(now, from, whole_map, fragments, &mut out);
            }
            FleetEvent::MapWanted(lane) => self.map_wanted(now, lane, &mut out),
        }
        self.settle(now, &mut out);
        out
    }

    /// When [`FleetEvent::Tick`] is next of use.
    pub fn next_wake(&self) -> Monotonic {
        let poll = (!self.poll.asked).then_some(self.poll.at);
        let build = match self.build {
            Build::Waiting | Build::Wedged => None,
            Build::Running { deadline } => Some(deadline),
            Build::Complete { republish_at } => Some(republish_at),
            Build::Refused { retry_at } => Some(retry_at),
        };
        let store = (self.wants_store() && !self.store.asked).then_some(self.store.at);
        let inquiry = self.inquiry.as_ref().map(Inquiry::next_wake);
        let wakes = [poll, build, store, inquiry, self.book.next_expiry(), self.next_guest_end()];
        wakes.into_iter().flatten().min().unwrap_or(Monotonic(u64::MAX))
    }

    /// How things stand.
    pub fn facts(&self) -> FleetFacts {
        let lanes = self.lanes.counts();
        let (settled, nodes) = self.book.settled();
        let whole = lanes.wanted + nodes;
        let part = lanes.threaded + settled;
        FleetFacts {
            generation: self.generation(),
            known_members: self.view.as_ref().map_or(0, |view| view.members.len()),
            peers_wanted: lanes.wanted,
            peers_threaded: lanes.threaded,
            peers_connected: lanes.peers_connected,
            subscribers_connected: lanes.subscribers_connected,
            silent_nodes: self.book.silent_count(),
            complete_ratio: if whole == 0 { 1.0 } else { part as f64 / whole as f64 },
            builds_failed: self.builds_failed,
            refused: self.refused,
            unequipped: self.unequipped,
            refused_at_members: self.refused_at_members,
            wedged: self.build == Build::Wedged,
        }
    }

    /// The threads that its peers will need once it has learned of all that are `registered` (without a census: of those
    /// that it knows), and the front ends that it serves. For metrics: nothing may be decided by a census.
    pub fn threads_committed(&self, registered: Option<Census>) -> usize {
        let peers = match (self.config(), registered) {
            (Some(fleet), Some(registered)) => plan::peer_threads(self.me.role, fleet, registered),
            _ => self.lanes.threads(LinkKind::Peer),
        };
        peers + self.lanes.threads(LinkKind::Subscriber)
    }

    fn generation(&self) -> Generation {
        self.view.as_ref().map_or(Generation(0), |view| view.generation)
    }

    fn config(&self) -> Option<&FleetConfig> {
        self.view.as_ref().map(|view| &view.fleet)
    }

    /// What follows from time and from the state that the event left behind.
    fn settle(&mut self, now: Monotonic, out: &mut Vec<FleetAction>) {
        if !self.poll.asked && self.poll.at <= now {
            self.poll.asked = true;
            out.push(FleetAction::AskView);
        }
        self.book.expire(now);
        self.end_guests(now, out);
        self.refresh_upstreams(now, out);
        if self.wants_store() && !self.store.asked && self.store.at <= now {
            self.store.asked = true;
            out.push(FleetAction::AskStore);
        }
        self.inquire(now, out);
        self.go_on_building(now, out);
    }
}

#[cfg(test)]
mod tests;
