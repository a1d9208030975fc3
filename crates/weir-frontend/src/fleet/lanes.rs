//! The lanes that a server has or wants: which run, which are connected, which are still on their way out.
//!
//! The fleet's state machine keeps one table. It starts nothing: it says which lane comes next.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use weir_core::{clock::Monotonic, id::MemberId};

use super::event::{Carrier, LaneId, LinkKind, PeerPlan, Ticket};

/// How far one lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LaneState {
    /// Has no thread.
    Missing,
    /// Its thread was asked for.
    Starting,
    /// Its thread runs without a connection.
    Closed,
    /// Its thread runs and its connection stands.
    Open,
}

/// One peer and its lanes.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) plan: PeerPlan,
    lanes: Vec<LaneState>,
    /// Waits for this server's whole map.
    pub(super) wants_map: bool,
    /// A front end that another cache server should serve: when its lane was last in use.
    pub(super) guest_since: Option<Monotonic>,
}

impl Peer {
    fn is_threaded(&self) -> bool {
        self.lanes.iter().all(|lane| matches!(lane, LaneState::Closed | LaneState::Open))
    }

    fn is_connected(&self) -> bool {
        self.lanes.iter().all(|lane| *lane == LaneState::Open)
    }
}

/// All lanes of a server.
#[derive(Debug, Default)]
pub(super) struct LaneTable {
    peers: BTreeMap<MemberId, Peer>,
    /// Stopped, not yet ended: their threads still count.
    ending: BTreeSet<LaneId>,
    /// Dialled while their thread was on its way.
    waiting: BTreeMap<LaneId, Ticket>,
}

/// How many peers are how far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LaneCounts {
    /// That there should be lanes to.
    pub(super) wanted: usize,
    /// Of them, those whose lanes all run.
    pub(super) threaded: usize,
    /// Servers of the mesh (or the cache server that is asked) whose lanes are all connected.
    pub(super) peers_connected: usize,
    /// Front ends that are served here and connected.
    pub(super) subscribers_connected: usize,
}

/// What a change of the wanted peers comes to.
#[derive(Debug, Default)]
pub(super) struct PeerChanges {
    /// Lanes to stop.
    pub(super) stop: Vec<LaneId>,
    /// Diallers that wait for a lane which will not come.
    pub(super) refuse: Vec<Ticket>,
    /// Anything at all, additions included.
    pub(super) any: bool,
}

impl LaneTable {
    /// Makes the table want exactly these peers.
    pub(super) fn want(&mut self, wanted: &BTreeMap<MemberId, PeerPlan>) -> PeerChanges {
        let mut changes = PeerChanges::default();
        let gone: Vec<MemberId> = self
            .peers
            .iter()
            .filter(|(id, peer)| wanted.get(*id) != Some(&peer.plan))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.remove(id, &mut changes);
        }
        for (&id, &plan) in wanted {
            self.peers.entry(id).or_insert_with(|| {
                changes.any = true;
                let lanes = vec![LaneState::Missing; plan.lanes as usize];
                Peer { plan, lanes, wants_map: false, guest_since: None }
            });
        }
        changes
    }

    fn remove(&mut self, id: MemberId, changes: &mut PeerChanges) {
        let peer = self.peers.remove(&id).expect("listed a moment ago");
        changes.any = true;
        for (lane, state) in (0..).zip(&peer.lanes) {
            let lane = LaneId { peer: id, lane };
            if *state != LaneState::Missing {
                changes.stop.push(lane);
                self.ending.insert(lane);
            }
            changes.refuse.extend(self.waiting.remove(&lane));
        }
    }

    /// Makes room for a front end whose own cache server does not serve it; one that has lanes already keeps them.
    pub(super) fn invite(&mut self, id: MemberId, plan: PeerPlan, now: Monotonic) {
        let lanes = vec![LaneState::Missing; plan.lanes as usize];
        let guest = Peer { plan, lanes, wants_map: false, guest_since: Some(now) };
        self.peers.entry(id).or_insert(guest);
    }

    /// Guests that are not connected, and since when.
    pub(super) fn idle_guests(&self) -> impl Iterator<Item = (MemberId, Monotonic)> {
        let idle = self.peers.iter().filter(|(_, peer)| !peer.is_connected());
        idle.filter_map(|(id, peer)| Some((*id, peer.guest_since?)))
    }

    /// Stops the lanes of guests that have not been connected for `linger`.
    pub(super) fn part_with_guests(&mut self, now: Monotonic, linger: Duration) -> PeerChanges {
        let mut changes = PeerChanges::default();
        let gone: Vec<_> = self.idle_guests().filter(|(_, since)| *since + linger <= now).collect();
        for (id, _) in gone {
            self.remove(id, &mut changes);
        }
        changes
    }

    /// Forgets a guest for whom there is no thread.
    pub(super) fn turn_away(&mut self, id: MemberId) -> PeerChanges {
        let mut changes = PeerChanges::default();
        self.remove(id, &mut changes);
        changes
    }

    /// The next lane to start, in order of peers; `None` when all run, when one is being started, or while threads of
    /// the past have not ended (the kernel would count both).
    pub(super) fn next_missing(&self) -> Option<(LaneId, PeerPlan)> {
        if !self.ending.is_empty() {
            return None;
        }
        let mut first = None;
        for (&id, peer) in &self.peers {
            for (lane, state) in (0..).zip(&peer.lanes) {
                match state {
                    LaneState::Starting => return None,
                    LaneState::Missing if first.is_none() => {
                        first = Some((LaneId { peer: id, lane }, peer.plan))
                    }
                    _ => {}
                }
            }
        }
        first
    }

    /// Marks a lane as being started.
    pub(super) fn starting(&mut self, lane: LaneId) {
        *self.lane_mut(lane).expect("was missing a moment ago") = LaneState::Starting;
    }

    /// Its thread runs. Returns the dialler that waited for it.
    pub(super) fn started(&mut self, lane: LaneId) -> Option<Ticket> {
        let state = self.lane_mut(lane)?;
        if *state == LaneState::Starting {
            *state = LaneState::Closed;
        }
        self.waiting.remove(&lane)
    }

    /// Its thread was refused. Returns the dialler that waited for it.
    pub(super) fn refused(&mut self, lane: LaneId) -> Option<Ticket> {
        self.ending.remove(&lane);
        *self.lane_mut(lane)? = LaneState::Missing;
        self.waiting.remove(&lane)
    }

    /// A stopped lane's thread has ended.
    pub(super) fn ended(&mut self, lane: LaneId) {
        self.ending.remove(&lane);
    }

    /// Its connection stands (or not). False for a lane that is no longer wanted.
    pub(super) fn connected(&mut self, lane: LaneId, open: bool) -> bool {
        let Some(state) = self.lane_mut(lane) else { return false };
        if matches!(state, LaneState::Closed | LaneState::Open) {
            *state = if open { LaneState::Open } else { LaneState::Closed };
        }
        true
    }

    /// Can a dialler be handed to this lane now (`Some(true)`), soon (`Some(false)`), or never (`None`)?
    pub(super) fn can_adopt(&self, lane: LaneId) -> Option<bool> {
        let peer = self.peers.get(&lane.peer)?;
        if peer.plan.dials {
            return None;
        }
        let state = peer.lanes.get(lane.lane as usize)?;
        Some(matches!(state, LaneState::Closed | LaneState::Open))
    }

    /// Lets a dialler wait for a lane. Returns the one that waited before.
    pub(super) fn wait(&mut self, lane: LaneId, ticket: Ticket) -> Option<Ticket> {
        self.waiting.insert(lane, ticket)
    }

    /// Nobody will start threads any more: diallers need not wait.
    pub(super) fn stop_waiting(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// One peer.
    pub(super) fn peer_mut(&mut self, id: MemberId) -> Option<&mut Peer> {
        self.peers.get_mut(&id)
    }

    /// Do all lanes of this peer stand?
    pub(super) fn is_connected(&self, id: MemberId) -> bool {
        self.peers.get(&id).is_some_and(Peer::is_connected)
    }

    /// All peers, by number.
    pub(super) fn peers(&self) -> impl Iterator<Item = (MemberId, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, peer))
    }

    /// All peers, by number.
    pub(super) fn peers_mut(&mut self) -> impl Iterator<Item = (MemberId, &mut Peer)> {
        self.peers.iter_mut().map(|(id, peer)| (*id, peer))
    }

    /// The connected lanes over which fragments of `node` go to peers of these kinds.
    pub(super) fn open_for(&self, node: MemberId, kinds: &[LinkKind]) -> Vec<LaneId> {
        let open = self.peers.iter().filter(|(_, peer)| kinds.contains(&peer.plan.link));
        open.filter_map(|(&id, peer)| {
            let lane = node.0 % peer.plan.lanes;
            (peer.lanes[lane as usize] == LaneState::Open).then_some(LaneId { peer: id, lane })
        })
        .collect()
    }

    /// Do all wanted lanes (guests apart) run?
    pub(super) fn all_threaded(&self) -> bool {
        self.peers.values().all(|peer| peer.guest_since.is_some() || peer.is_threaded())
    }

    /// How far the lanes are.
    pub(super) fn counts(&self) -> LaneCounts {
        let mut counts = LaneCounts { wanted: self.peers.len(), ..LaneCounts::default() };
        for peer in self.peers.values() {
            counts.threaded += usize::from(peer.is_threaded());
            let connected = usize::from(peer.is_connected());
            match peer.plan.link {
                LinkKind::Subscriber => counts.subscribers_connected += connected,
                LinkKind::Peer | LinkKind::Upstream => counts.peers_connected += connected,
            }
        }
        counts
    }

    /// Threads that the wanted lanes of this kind need.
    pub(super) fn threads(&self, link: LinkKind) -> usize {
        let peers = self.peers.values().filter(|peer| peer.plan.link == link);
        let threaded = peers.filter(|peer| peer.plan.carrier == Carrier::Thread);
        threaded.map(|peer| peer.plan.lanes as usize).sum()
    }

    fn lane_mut(&mut self, lane: LaneId) -> Option<&mut LaneState> {
        self.peers.get_mut(&lane.peer)?.lanes.get_mut(lane.lane as usize)
    }
}
