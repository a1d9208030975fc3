//! A cell of real servers for `mesh.rs`: its control plane, its nodes, its addresses.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};
use weir_core::{
    clock::Clock,
    hash_key::HashKeyRange,
    homes::Homes,
    id::{
        AccountId, CellName, ClusterId, Epoch, Generation, Incarnation, MemberId, ServerName, ShardIndex,
        ShardKey, StreamId, StreamName,
    },
    shard::OwnedShard,
    threads::Threads,
    units::Span,
};
use weir_frontend::{
    fleet::FleetFacts,
    run::{FleetHalf, FleetOutlet, FrontendConfig},
};
use weir_sync::Shutdown;
use weir_wire::{
    control::{
        Bootstrap, Census, ControlError, ControlFuture, ControlReply, ControlRequest, ControlService,
        FleetConfig, Member, MembershipView, MeshKind, NodeEntry, OnRefusal, Role, SharedConfig,
    },
    fragment::Fragment,
    mesh::{Dialler, MeshMessage},
};

/// Far more than any of this takes; only a broken test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// One running server.
pub(crate) struct Server {
    pub(crate) role: Role,
    pub(crate) outlet: FleetOutlet,
    pub(crate) threads: Threads,
    clock: Clock,
    stop: Shutdown,
    thread: JoinHandle<()>,
}

impl Server {
    pub(crate) fn shards(&self) -> usize {
        self.outlet.map.newest().map_or(0, |map| map.shards_count())
    }

    pub(crate) fn connected(&self) -> usize {
        self.facts().map_or(0, |facts| facts.peers_connected)
    }

    /// None before it is registered.
    pub(crate) fn facts(&self) -> Option<FleetFacts> {
        self.outlet.metrics.moments().borrow().map(|moment| moment.facts)
    }

    pub(crate) fn age(&self) -> Duration {
        let newest = self.outlet.map.newest();
        newest.map_or(Duration::MAX, |map| self.clock.now().since(map.built_at))
    }

    pub(crate) fn scrape(&self) -> String {
        let mut registry = Registry::default();
        self.outlet.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }
}

/// The cell.
pub(crate) struct Cell {
    /// Keeps the addresses of the tests apart.
    net: u8,
    control: Arc<SmallControl>,
    servers: BTreeMap<u8, Server>,
    nodes: Option<(Shutdown, JoinHandle<()>)>,
    node_threads: Threads,
}

impl Cell {
    pub(crate) fn new(net: u8, change: impl FnOnce(&mut FleetConfig)) -> Self {
        let mut fleet = FleetConfig {
            mesh: MeshKind::ThreadPerPeer,
            threads_per_peer: 1,
            gossip_interval: Span(Duration::from_millis(100)),
            discovery_window: Span(Duration::from_millis(300)),
            map_ttl: Span(Duration::from_secs(2)),
            build_deadline: Span(Duration::from_secs(1)),
            on_refusal: OnRefusal::Wedge,
            bootstrap: Bootstrap::Peers,
        };
        change(&mut fleet);
        let control =
            Arc::new(SmallControl { silent: AtomicBool::new(false), state: Mutex::default(), fleet });
        Self { net, control, servers: BTreeMap::new(), nodes: None, node_threads: Threads::new() }
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    /// Waits until `condition` holds: it is asked whenever something has happened in a server.
    pub(crate) fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        let happened = Arc::new(Notify::new());
        let watching = async {
            for server in self.running() {
                let (mut moments, happened) = (server.outlet.metrics.moments(), Arc::clone(&happened));
                tokio::spawn(async move {
                    while moments.changed().await.is_ok() {
                        happened.notify_one();
                    }
                });
            }
            while !condition() {
                happened.notified().await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(async { tokio::time::timeout(PATIENCE, watching).await });
        outcome.unwrap_or_else(|_| panic!("never: {what}"));
    }

    pub(crate) fn start(&mut self, number: u8, role: Role) {
        let address = SocketAddr::from(([127, 90, self.net, number + 1], 4568));
        let config = FrontendConfig {
            name: ServerName::new(format!("s-{number}")),
            role,
            cell: CellName::new("a"),
            service: address,
            mesh: Some(address),
            admin: address,
            base_threads: 3,
        };
        let (threads, clock) = (Threads::new(), Clock::new());
        let half = FleetHalf::new(config, Arc::clone(&self.control) as _, threads.clone(), clock);
        let outlet = half.outlet();
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let thread = threads
            .spawn("fleet", move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(half.run(stopped)).unwrap();
            })
            .unwrap();
        self.servers.insert(number, Server { role, outlet, threads, clock, stop, thread });
    }

    /// Stops a server; it stays registered. Returns its thread counts.
    pub(crate) fn stop(&mut self, number: u8) -> Threads {
        let server = self.servers.remove(&number).unwrap();
        server.stop.begin();
        server.thread.join().unwrap();
        server.threads
    }

    pub(crate) fn stop_all(mut self) {
        for number in self.servers.keys().copied().collect::<Vec<_>>() {
            assert_eq!(self.stop(number).running(), 0, "server {number} left threads behind");
        }
        if let Some((stop, thread)) = self.nodes.take() {
            stop.begin();
            thread.join().unwrap();
        }
    }

    pub(crate) fn member(&self, number: u8) -> MemberId {
        self.control.state.lock().numbers[&ServerName::new(format!("s-{number}"))]
    }

    /// Takes a server off the membership.
    pub(crate) fn remove(&self, number: u8) {
        let member = self.member(number);
        let mut state = self.control.state.lock();
        state.members.remove(&member);
        state.generation += 1;
    }

    pub(crate) fn silence_control(&self, silent: bool) {
        self.control.silent.store(silent, Ordering::Relaxed);
    }

    /// So many front ends are registered that no poll has brought yet.
    pub(crate) fn register_unborn(&self, count: usize) {
        self.control.state.lock().unborn = count;
    }

    /// Starts so many nodes with one stream of one shard each.
    pub(crate) fn nodes(&mut self, count: u8) {
        let mut ids = Vec::new();
        for number in 0..count {
            let mut state = self.control.state.lock();
            let id = state.number(&ServerName::new(format!("n-{number}")));
            let address = SocketAddr::from(([127, 90, self.net, 200 + number], 4567));
            state.nodes.insert(id, address);
            state.generation += 1;
            ids.push((id, address));
        }
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let control = Arc::clone(&self.control);
        let thread = self.node_threads.spawn("nodes", move || run_nodes(&control, ids, stopped)).unwrap();
        self.nodes = Some((stop, thread));
    }
}

/// The smallest control plane that a fleet can live with.
struct SmallControl {
    silent: AtomicBool,
    state: Mutex<SmallState>,
    fleet: FleetConfig,
}

#[derive(Default)]
struct SmallState {
    generation: u64,
    lives: u64,
    numbers: BTreeMap<ServerName, MemberId>,
    members: BTreeMap<MemberId, Member>,
    nodes: BTreeMap<MemberId, SocketAddr>,
    fragments: BTreeMap<MemberId, Fragment>,
    /// Front ends that a census counts and no view shows yet.
    unborn: usize,
}

impl SmallState {
    fn number(&mut self, name: &ServerName) -> MemberId {
        let next = MemberId(u32::try_from(self.numbers.len()).unwrap() + 1);
        *self.numbers.entry(name.clone()).or_insert(next)
    }
}

impl SmallControl {
    fn answer(&self, request: ControlRequest) -> Result<ControlReply, ControlError> {
        if self.silent.load(Ordering::Relaxed) {
            return Err(ControlError::Unavailable("silent".to_owned()));
        }
        let mut state = self.state.lock();
        match request {
            ControlRequest::Register { name, role, mesh, .. } => {
                let member = state.number(&name);
                state.lives += 1;
                state.generation += 1;
                let life = Incarnation(state.lives);
                state.members.insert(member, Member { id: member, name, role, life, mesh: mesh.unwrap() });
                Ok(ControlReply::Registered { member, life, cluster: ClusterId(1) })
            }
            ControlRequest::View { cell } => Ok(ControlReply::View(Box::new(self.view(&state, cell)))),
            ControlRequest::Census { .. } => {
                let count = |role| state.members.values().filter(|member| member.role == role).count();
                let frontends = count(Role::Frontend) + state.unborn;
                Ok(ControlReply::Census(Census { frontends, caches: count(Role::Cache) }))
            }
            ControlRequest::Fragments => {
                Ok(ControlReply::Fragments(state.fragments.values().cloned().collect()))
            }
            other => Err(ControlError::Invalid(format!("{other:?}"))),
        }
    }

    fn view(&self, state: &SmallState, cell: CellName) -> MembershipView {
        let nodes = state.nodes.iter().map(|(&id, &address)| NodeEntry {
            id,
            name: ServerName::new("node"),
            life: Incarnation(1),
            address,
        });
        MembershipView {
            generation: Generation(state.generation),
            cell,
            members: state.members.values().cloned().collect(),
            nodes: nodes.collect(),
            fleet: self.fleet.clone(),
            shared: SharedConfig::new("00".repeat(32)),
        }
    }
}

impl ControlService for SmallControl {
    fn call(&self, request: ControlRequest) -> ControlFuture<'_> {
        Box::pin(std::future::ready(self.answer(request)))
    }
}

/// Nodes that bring their fragments to their homes each gossip interval, on one runtime.
fn run_nodes(control: &Arc<SmallControl>, ids: Vec<(MemberId, SocketAddr)>, stop: Shutdown) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (id, address) in ids {
            tokio::spawn(run_node(Arc::clone(control), id, address));
        }
        stop.wait_async().await;
    });
}

async fn run_node(control: Arc<SmallControl>, id: MemberId, address: SocketAddr) {
    let clock = Clock::new();
    let mut homes = Homes::new(u64::from(id.0));
    let mut links: BTreeMap<u64, tokio::net::TcpStream> = BTreeMap::new();
    let mut ticks = tokio::time::interval(control.fleet.gossip_interval.0);
    for sequence in 0.. {
        ticks.tick().await;
        let key = ShardKey { stream: StreamId(u64::from(id.0)), shard: ShardIndex(0) };
        let shard = OwnedShard {
            key,
            account: AccountId::DEFAULT,
            region: weir_core::id::Region::US_EAST_1,
            stream_name: StreamName::new(format!("stream-{id}")),
            range: HashKeyRange::ALL,
            created_ms: 1,
            epoch: Epoch(1),
            parents: [None; 2],
            closed: None,
        };
        let ttl = control.fleet.fragment_ttl();
        let fragment =
            Fragment { node: id, life: Incarnation(1), sequence, address, ttl, shards: Arc::new([shard]) };
        let members: BTreeMap<u64, Member> = {
            let mut state = control.state.lock();
            state.fragments.insert(id, fragment.clone());
            let role = if control.fleet.mesh == MeshKind::CacheFleet { Role::Cache } else { Role::Frontend };
            let members = state.members.values().filter(|member| member.role == role);
            members.map(|member| (u64::from(member.id.0), member.clone())).collect()
        };
        homes.members(clock.now(), members.keys().copied(), control.fleet.hand_over());
        for target in homes.targets(clock.now()) {
            match bring(&mut links, target, &members[&target], id, address, &fragment).await {
                Ok(()) => homes.reached(clock.now(), target),
                Err(_) => {
                    links.remove(&target);
                    homes.unreachable(clock.now(), target);
                }
            }
        }
    }
}

async fn bring(
    links: &mut BTreeMap<u64, tokio::net::TcpStream>,
    target: u64,
    home: &Member,
    id: MemberId,
    address: SocketAddr,
    fragment: &Fragment,
) -> std::io::Result<()> {
    if let std::collections::btree_map::Entry::Vacant(vacant) = links.entry(target) {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(address.ip(), 0))?;
        let mut stream = socket.connect(home.mesh).await?;
        let cell = CellName::new("a");
        let hello =
            MeshMessage::Hello { member: id, life: Incarnation(1), cell, dialler: Dialler::Node, lane: 0 };
        stream.write_all(&hello.to_frame().encode()).await?;
        let mut welcome = [0; 32];
        stream.read_exact(&mut welcome).await?;
        vacant.insert(stream);
    }
    let message = MeshMessage::Fragments { whole_map: false, fragments: vec![fragment.clone()] };
    let stream = links.get_mut(&target).expect("inserted just now");
    // A home that has ended is noticed by its end of file, not by the write that the kernel still takes.
    let mut end = [0; 1];
    if matches!(stream.try_read(&mut end), Ok(0)) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    stream.write_all(&message.to_frame().encode()).await
}
