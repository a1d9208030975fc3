//! A cell in one thread: several [`Fleet`]s, nodes and a control plane over a network that delays, loses, repeats and
//! reorders, under a clock that the test moves.
//!
//! It checks on every published map what must hold at every moment; what must hold in the end, `converge` asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use rand::RngExt;
use weir_core::{
    clock::Monotonic,
    entropy::{self, Rng},
    hash_key::HashKeyRange,
    homes::Homes,
    id::{
        AccountId, CellName, Epoch, Generation, Incarnation, MemberId, Region, ServerName, ShardIndex,
        ShardKey, StreamId, StreamName,
    },
    shard::OwnedShard,
    units::Span,
};
use weir_wire::{
    control::{
        Bootstrap, FleetConfig, Member, MembershipView, MeshKind, NodeEntry, OnRefusal, Role, SharedConfig,
    },
    fragment::Fragment,
    mesh::{Dialler, MeshMessage},
};

use crate::{
    fleet::{
        Carrier, Fleet, FleetAction, FleetEvent, Hello, LaneId, LinkKind, Myself, PeerPlan, Source, Ticket,
        plan,
    },
    shard_map::ShardMap,
};

/// The world moves in steps of this.
pub(super) const STEP: Duration = Duration::from_millis(10);
/// A dialler that was refused tries again after this.
const REDIAL: Duration = Duration::from_millis(50);
/// And after a peer has ended a connection that stood.
const REDIAL_LOST: Duration = Duration::from_secs(1);

pub(super) fn config() -> FleetConfig {
    FleetConfig {
        mesh: MeshKind::ThreadPerPeer,
        threads_per_peer: 1,
        gossip_interval: Span(Duration::from_millis(200)),
        discovery_window: Span(Duration::from_millis(800)),
        map_ttl: Span(Duration::from_millis(1_000)),
        build_deadline: Span(Duration::from_millis(500)),
        on_refusal: OnRefusal::Retry,
        bootstrap: Bootstrap::Peers,
    }
}

pub(super) fn shared() -> SharedConfig {
    SharedConfig::new("00".repeat(32))
}

pub(super) fn address(member: MemberId) -> SocketAddr {
    SocketAddr::from(([127, 1, 0, u8::try_from(member.0).expect("few")], 4568))
}

pub(in crate::fleet) fn shard(stream: u64, epoch: u64) -> OwnedShard {
    OwnedShard {
        key: ShardKey { stream: StreamId(stream), shard: ShardIndex(0) },
        account: AccountId::DEFAULT,
        region: Region::US_EAST_1,
        stream_name: StreamName::new(format!("stream-{stream}")),
        range: HashKeyRange::ALL,
        created_ms: 1,
        epoch: Epoch(epoch),
        parents: [None; 2],
        closed: None,
    }
}

/// One server and its threads.
pub(super) struct Server {
    pub(super) fleet: Fleet,
    life: Incarnation,
    role: Role,
    pub(super) threads: BTreeSet<LaneId>,
    lanes: BTreeMap<LaneId, PeerPlan>,
    redial_at: BTreeMap<LaneId, Monotonic>,
    pub(super) map: Option<Arc<ShardMap>>,
    /// The highest epoch of each shard that this life was ever told.
    told: BTreeMap<ShardKey, Epoch>,
    pub(super) published: u64,
    /// Killed, but still registered.
    pub(super) down: bool,
}

/// One node.
pub(super) struct Node {
    life: Incarnation,
    sequence: u64,
    homes: Homes,
    pub(super) owns: BTreeMap<ShardKey, Epoch>,
    pub(super) silent: bool,
    /// Dead or never alive, but still registered: no healing makes it speak.
    pub(super) dead: bool,
    speaks_at: Monotonic,
    learns_at: Monotonic,
}

pub(super) struct World {
    pub(super) now: Monotonic,
    rng: Rng,
    pub(super) config: FleetConfig,
    generation: u64,
    numbers: u32,
    lives: u64,
    epochs: u64,
    pub(super) servers: BTreeMap<MemberId, Server>,
    pub(super) nodes: BTreeMap<MemberId, Node>,
    /// To whom each shard is assigned, and since which epoch.
    assigned: BTreeMap<ShardKey, (MemberId, Epoch)>,
    /// Lanes that are connected: dialler, acceptor, lane.
    links: BTreeSet<(MemberId, MemberId, u32)>,
    /// Two servers that cannot connect.
    pub(super) blocked: Option<(MemberId, MemberId)>,
    dials: BTreeMap<Ticket, (MemberId, LaneId)>,
    tickets: u64,
    /// What nodes reported, and when.
    store: BTreeMap<MemberId, (Monotonic, Fragment)>,
    /// Servers that the control plane has forgotten although they run.
    pub(super) forgotten: BTreeSet<MemberId>,
    post: BTreeMap<(Monotonic, u64), (MemberId, Incarnation, FleetEvent)>,
    posted: u64,
    /// Of messages, how many are lost, repeated or late: 0 to 1.
    pub(super) chaos: f64,
    /// Threads that each server may have.
    pub(super) threads_max: usize,
    /// The same for the file descriptors that wake them.
    pub(super) descriptors_max: usize,
}

impl World {
    pub(super) fn new(seed: u64, config: FleetConfig) -> Self {
        Self {
            now: Monotonic::ZERO + Duration::from_secs(1),
            rng: entropy::seeded(seed, "network"),
            config,
            generation: 1,
            numbers: 0,
            lives: 0,
            epochs: 0,
            servers: BTreeMap::new(),
            nodes: BTreeMap::new(),
            assigned: BTreeMap::new(),
            links: BTreeSet::new(),
            blocked: None,
            dials: BTreeMap::new(),
            tickets: 0,
            store: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            post: BTreeMap::new(),
            posted: 0,
            chaos: 0.0,
            threads_max: usize::MAX,
            descriptors_max: usize::MAX,
        }
    }

    // ---- what a test does to the world ----

    pub(super) fn join(&mut self, role: Role) -> MemberId {
        let member = self.number();
        self.generation += 1;
        self.boot(member, role);
        member
    }

    pub(super) fn join_node(&mut self) -> MemberId {
        let member = self.number();
        self.generation += 1;
        self.lives += 1;
        let node = Node {
            life: Incarnation(self.lives),
            sequence: 0,
            homes: Homes::new(u64::from(member.0)),
            owns: BTreeMap::new(),
            silent: false,
            dead: false,
            speaks_at: self.now,
            learns_at: self.now,
        };
        self.nodes.insert(member, node);
        member
    }

    /// A node that is registered and never says a word.
    pub(super) fn join_silent_node(&mut self) -> MemberId {
        let member = self.join_node();
        self.kill_node(member);
        member
    }

    /// Kills a node without taking it off the membership.
    pub(super) fn kill_node(&mut self, member: MemberId) {
        self.nodes.get_mut(&member).expect("a node of the test").dead = true;
    }

    /// A new life, which owns what its journal says.
    pub(super) fn restart_node(&mut self, member: MemberId) {
        self.generation += 1;
        self.lives += 1;
        let node = self.nodes.get_mut(&member).expect("a node of the test");
        node.life = Incarnation(self.lives);
        node.sequence = 0;
        node.homes = Homes::new(u64::from(member.0));
        node.dead = false;
        (node.speaks_at, node.learns_at) = (self.now, self.now);
    }

    /// The node is taken off the membership, and its shards are gone with it.
    pub(super) fn leave_node(&mut self, member: MemberId) {
        self.generation += 1;
        self.nodes.remove(&member);
        self.store.remove(&member);
        self.assigned.retain(|_, (owner, _)| *owner != member);
    }

    /// Takes a server that runs off the membership (or puts it back).
    pub(super) fn forget(&mut self, member: MemberId, forgotten: bool) {
        self.generation += 1;
        if forgotten {
            self.forgotten.insert(member);
        } else {
            self.forgotten.remove(&member);
        }
    }

    pub(super) fn leave(&mut self, member: MemberId) {
        self.generation += 1;
        self.forgotten.remove(&member);
        self.cut(|a, b| a == member || b == member);
        self.servers.remove(&member);
    }

    pub(super) fn restart(&mut self, member: MemberId) {
        self.generation += 1;
        self.cut(|a, b| a == member || b == member);
        let role = self.servers[&member].role;
        self.boot(member, role);
    }

    /// Kills a server without taking it off the membership.
    pub(super) fn kill(&mut self, member: MemberId) {
        self.cut(|a, b| a == member || b == member);
        self.servers.get_mut(&member).expect("a server of the test").down = true;
    }

    fn is_up(&self, member: MemberId) -> bool {
        self.servers.get(&member).is_some_and(|server| !server.down)
    }

    pub(super) fn create_stream(&mut self, stream: u64, node: MemberId) {
        let key = ShardKey { stream: StreamId(stream), shard: ShardIndex(0) };
        if self.assigned.contains_key(&key) {
            return;
        }
        let epoch = self.next_epoch();
        self.assigned.insert(key, (node, epoch));
        self.own(node, key, Some(epoch));
    }

    /// Moves a shard. `forgetful`: the old owner goes on saying that it owns it until [`Self::remind`].
    pub(super) fn move_shard(&mut self, stream: u64, node: MemberId, forgetful: bool) {
        let key = ShardKey { stream: StreamId(stream), shard: ShardIndex(0) };
        let Some(&(old, _)) = self.assigned.get(&key) else { return };
        let epoch = self.next_epoch();
        self.assigned.insert(key, (node, epoch));
        if !forgetful {
            self.own(old, key, None);
        }
        self.own(node, key, Some(epoch));
    }

    /// Every node learns what it should own.
    pub(super) fn remind(&mut self) {
        for (id, node) in &mut self.nodes {
            let assigned = self.assigned.iter();
            node.owns = assigned
                .filter(|(_, (owner, _))| owner == id)
                .map(|(key, (_, epoch))| (*key, *epoch))
                .collect();
            node.speaks_at = self.now;
        }
    }

    /// The shards of living owners: what every map should come to.
    pub(super) fn truth(&self) -> BTreeMap<ShardKey, (MemberId, Epoch)> {
        let lives = |owner: &MemberId| self.nodes.get(owner).is_some_and(|node| !node.dead);
        let living = self.assigned.iter().filter(|(_, (owner, _))| lives(owner));
        living.map(|(key, owned)| (*key, *owned)).collect()
    }

    /// Breaks every connection for which `which` says so.
    pub(super) fn cut(&mut self, which: impl Fn(MemberId, MemberId) -> bool) {
        let cut: Vec<_> = self.links.iter().copied().filter(|(a, b, _)| which(*a, *b)).collect();
        for (a, b, lane) in cut {
            self.links.remove(&(a, b, lane));
            for (id, peer) in [(a, b), (b, a)] {
                let lane = LaneId { peer, lane };
                if self.link_of(id, lane) == Some(LinkKind::Peer) {
                    let server = self.servers.get_mut(&id).expect("it has the lane");
                    server.redial_at.insert(lane, self.now + REDIAL_LOST);
                }
                self.apply(id, FleetEvent::LaneLost(lane));
            }
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + STEP;
            self.step();
        }
    }

    // ---- what the world does by itself ----

    fn step(&mut self) {
        while let Some(entry) = self.post.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, life, event) = entry.remove();
            if self.servers.get(&to).is_some_and(|server| server.life == life) {
                self.apply(to, event);
            }
        }
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.node_step(id);
        }
        for id in self.servers.keys().copied().filter(|id| self.is_up(*id)).collect::<Vec<_>>() {
            if self.servers[&id].fleet.next_wake() <= self.now {
                self.apply(id, FleetEvent::Tick);
                let wake = self.servers[&id].fleet.next_wake();
                assert!(wake > self.now, "{id} would spin");
            }
            self.dial_step(id);
        }
    }

    fn node_step(&mut self, id: MemberId) {
        let members: Vec<u64> = plan::mesh_members(&self.view()).map(|m| u64::from(m.id.0)).collect();
        let (now, config) = (self.now, self.config.clone());
        let node = self.nodes.get_mut(&id).expect("listed a moment ago");
        if node.silent || node.dead {
            return;
        }
        if node.learns_at <= now {
            node.learns_at = now + config.discovery_window.0 / 2;
            node.homes.members(now, members, config.hand_over());
        }
        if node.speaks_at > now {
            return;
        }
        node.speaks_at = now + config.gossip_interval.0;
        node.sequence += 1;
        let shards = node.owns.iter().map(|(key, epoch)| shard(key.stream.0, epoch.0));
        let fragment = Fragment {
            node: id,
            life: node.life,
            sequence: node.sequence,
            address: address(id),
            ttl: config.fragment_ttl(),
            shards: shards.collect(),
        };
        let targets = node.homes.targets(now);
        self.store.insert(id, (now, fragment.clone()));
        for target in targets {
            let target = plan::member_id(target);
            let reached = self.is_up(target);
            let homes = &mut self.nodes.get_mut(&id).expect("still there").homes;
            if reached {
                homes.reached(now, u64::from(target.0));
            } else {
                homes.unreachable(now, u64::from(target.0));
            }
            let heard = FleetEvent::Heard {
                from: Source::Node(id),
                whole_map: false,
                fragments: vec![fragment.clone()],
            };
            self.send(target, heard);
        }
    }

    fn link_of(&self, id: MemberId, lane: LaneId) -> Option<LinkKind> {
        self.servers.get(&id)?.lanes.get(&lane).map(|plan| plan.link)
    }

    fn dial_step(&mut self, id: MemberId) {
        let server = &self.servers[&id];
        let (life, now) = (server.life, self.now);
        let due: Vec<(LaneId, PeerPlan)> = server
            .lanes
            .iter()
            .filter(|(lane, plan)| {
                plan.dials
                    && !self.links.contains(&(id, lane.peer, lane.lane))
                    && server.redial_at.get(lane).is_none_or(|at| *at <= now)
            })
            .map(|(lane, plan)| (*lane, *plan))
            .collect();
        for (lane, plan) in due {
            self.servers.get_mut(&id).expect("still there").redial_at.insert(lane, now + REDIAL);
            if !self.is_up(lane.peer) {
                if plan.link == LinkKind::Upstream {
                    self.apply(id, FleetEvent::DialFailed { lane, refused: None });
                }
                continue;
            }
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            self.dials.insert(ticket, (id, lane));
            let dialler = match plan.link {
                LinkKind::Upstream => Dialler::Subscriber,
                LinkKind::Peer | LinkKind::Subscriber => Dialler::Peer,
            };
            let hello = Hello { member: id, life, cell: CellName::new("a"), dialler, lane: lane.lane };
            self.send(lane.peer, FleetEvent::Dialled { ticket, hello });
        }
    }

    /// A message on its way: late, lost or repeated while there is chaos.
    fn send(&mut self, to: MemberId, event: FleetEvent) {
        let copies = match self.rng.random_range(0.0..1.0) {
            luck if luck < self.chaos / 2.0 => 0,
            luck if luck < self.chaos => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = if self.rng.random_bool(self.chaos) { 40 } else { 1 };
            let delay = STEP * self.rng.random_range(0..=late);
            self.deliver_after(delay, to, event.clone());
        }
    }

    fn deliver_after(&mut self, delay: Duration, to: MemberId, event: FleetEvent) {
        let Some(server) = self.servers.get(&to) else { return };
        self.posted += 1;
        self.post.insert((self.now + delay, self.posted), (to, server.life, event));
    }

    pub(super) fn apply(&mut self, to: MemberId, event: FleetEvent) {
        let Some(server) = self.servers.get_mut(&to).filter(|server| !server.down) else { return };
        if let FleetEvent::Heard { fragments, .. } | FleetEvent::Store(fragments) = &event {
            for shard in fragments.iter().flat_map(|fragment| fragment.shards.iter()) {
                let told = server.told.entry(shard.key).or_insert(Epoch(0));
                *told = (*told).max(shard.epoch);
            }
        }
        for action in server.fleet.apply(self.now, event) {
            self.carry_out(to, action);
        }
    }

    fn carry_out(&mut self, me: MemberId, action: FleetAction) {
        match action {
            FleetAction::AskView => {
                let event = if self.rng.random_bool(self.chaos) {
                    FleetEvent::ViewFailed
                } else {
                    FleetEvent::View(Box::new(self.view()))
                };
                self.deliver_after(STEP, me, event);
            }
            FleetAction::AskStore => {
                let aged = |(at, fragment): &(Monotonic, Fragment)| {
                    let ttl = fragment.ttl.saturating_sub(self.now.since(*at));
                    Fragment { ttl, ..fragment.clone() }
                };
                let stored = self.store.values().map(aged).collect();
                self.deliver_after(STEP, me, FleetEvent::Store(stored));
            }
            FleetAction::Configure { .. } => {}
            FleetAction::StartLane { lane, plan } => self.start_lane(me, lane, plan),
            FleetAction::StopLane(lane) => {
                self.cut(|a, b| (a, b) == (me, lane.peer) || (a, b) == (lane.peer, me));
                let server = self.servers.get_mut(&me).expect("it acts");
                server.lanes.remove(&lane);
                server.threads.remove(&lane);
                self.deliver_after(STEP, me, FleetEvent::LaneEnded(lane));
            }
            FleetAction::Send { lanes, message } => {
                for lane in lanes {
                    self.send_over(me, lane, &message);
                }
            }
            FleetAction::AcceptPeer { ticket, lane } => self.connect(me, ticket, lane),
            FleetAction::AcceptNode { .. } => {}
            FleetAction::Refuse { ticket, reason } => {
                if let Some((dialler, lane)) = self.dials.remove(&ticket)
                    && self.link_of(dialler, lane) == Some(LinkKind::Upstream)
                {
                    self.deliver_after(STEP, dialler, FleetEvent::DialFailed { lane, refused: Some(reason) });
                }
            }
            FleetAction::Publish(map) => self.published(me, map),
        }
    }

    fn start_lane(&mut self, me: MemberId, lane: LaneId, plan: PeerPlan) {
        let server = self.servers.get_mut(&me).expect("it acts");
        if plan.carrier == Carrier::Thread && server.threads.len() >= self.descriptors_max {
            self.apply(me, FleetEvent::LaneUnequipped(lane));
            return;
        }
        if plan.carrier == Carrier::Thread && server.threads.len() >= self.threads_max {
            self.apply(me, FleetEvent::LaneRefused(lane));
            return;
        }
        if plan.carrier == Carrier::Thread {
            assert!(server.threads.insert(lane), "{lane:?} has a thread already");
        }
        server.lanes.insert(lane, plan);
        self.apply(me, FleetEvent::LaneStarted(lane));
    }

    fn connect(&mut self, acceptor: MemberId, ticket: Ticket, lane: LaneId) {
        let Some((dialler, theirs)) = self.dials.remove(&ticket) else { return };
        let alive = |id: &MemberId, lane: &LaneId| {
            self.servers.get(id).is_some_and(|server| server.lanes.contains_key(lane))
        };
        let blocked =
            self.blocked.is_some_and(|pair| [(dialler, acceptor), (acceptor, dialler)].contains(&pair));
        if !blocked && alive(&dialler, &theirs) && alive(&acceptor, &lane) {
            self.links.insert((dialler, acceptor, lane.lane));
            self.apply(acceptor, FleetEvent::LaneOpen(lane));
            self.apply(dialler, FleetEvent::LaneOpen(theirs));
        }
    }

    fn send_over(&mut self, me: MemberId, lane: LaneId, message: &MeshMessage) {
        let linked = self.links.contains(&(me, lane.peer, lane.lane))
            || self.links.contains(&(lane.peer, me, lane.lane));
        if !linked {
            return;
        }
        let event = match message.clone() {
            MeshMessage::Fragments { whole_map, fragments } => {
                FleetEvent::Heard { from: Source::Peer(me), whole_map, fragments }
            }
            MeshMessage::WantMap => FleetEvent::MapWanted(LaneId { peer: me, lane: lane.lane }),
            other => panic!("the fleet does not send {other:?}"),
        };
        self.send(lane.peer, event);
    }

    /// What must hold of every map at every moment.
    fn published(&mut self, me: MemberId, map: Arc<ShardMap>) {
        let server = self.servers.get_mut(&me).expect("it acts");
        assert!(!server.fleet.facts().wedged, "{me} is wedged and publishes");
        assert_eq!(map.built_at, self.now);
        for routed in map.streams().flat_map(|stream| stream.shards()) {
            let told = server.told[&routed.shard.key];
            assert!(
                routed.shard.epoch >= told,
                "{me} routes {} to epoch {} and knows of {told}",
                routed.shard.key,
                routed.shard.epoch
            );
        }
        server.published += 1;
        server.map = Some(map);
    }

    // ---- small things ----

    pub(super) fn view(&self) -> MembershipView {
        let known = self.servers.iter().filter(|(id, _)| !self.forgotten.contains(id));
        let members = known.map(|(&id, server)| Member {
            id,
            name: ServerName::new(format!("s-{id}")),
            role: server.role,
            life: server.life,
            mesh: address(id),
        });
        let nodes = self.nodes.iter().map(|(&id, node)| NodeEntry {
            id,
            name: ServerName::new(format!("n-{id}")),
            life: node.life,
            address: address(id),
        });
        MembershipView {
            generation: Generation(self.generation),
            cell: CellName::new("a"),
            members: members.collect(),
            nodes: nodes.collect(),
            fleet: self.config.clone(),
            shared: shared(),
        }
    }

    fn boot(&mut self, member: MemberId, role: Role) {
        self.lives += 1;
        let life = Incarnation(self.lives);
        let me = Myself { member, life, role, cell: CellName::new("a") };
        let server = Server {
            fleet: Fleet::new(me, self.rng.random()),
            life,
            role,
            threads: BTreeSet::new(),
            lanes: BTreeMap::new(),
            redial_at: BTreeMap::new(),
            map: None,
            told: BTreeMap::new(),
            published: 0,
            down: false,
        };
        self.servers.insert(member, server);
    }

    fn number(&mut self) -> MemberId {
        self.numbers += 1;
        MemberId(self.numbers)
    }

    /// None is given twice, whatever the stream: one that is deleted and created anew has a later one.
    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }

    fn own(&mut self, node: MemberId, key: ShardKey, epoch: Option<Epoch>) {
        let node = self.nodes.get_mut(&node).expect("a node of the test");
        match epoch {
            Some(epoch) => node.owns.insert(key, epoch),
            None => node.owns.remove(&key),
        };
        node.speaks_at = self.now;
    }
}
