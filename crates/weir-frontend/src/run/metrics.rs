//! What the fleet half tells about itself, by name.
//!
//! Names, units and meaning are in `docs/METRICS.md`. Read at each scrape, so that the age of a map that nobody
//! publishes any more still grows.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::sync::watch;
use weir_core::{clock::Clock, threads::Threads};
use weir_wire::control::Census;

use super::thread_limit;
use crate::{fleet::FleetFacts, shard_map::CurrentMap};

/// The numbers of one server's fleet half.
#[derive(Clone)]
pub struct FleetMetrics {
    sources: Arc<Sources>,
}

struct Sources {
    clock: Clock,
    threads: Threads,
    base_threads: usize,
    map: Arc<CurrentMap>,
    moment: watch::Sender<Option<Moment>>,
}

/// How things stand.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// What the fleet knows.
    pub facts: FleetFacts,
    /// That run.
    pub(super) peer_threads: usize,
    /// That its peers will need, known to it or not.
    pub(super) committed_peer_threads: usize,
    /// Servers of the cell; none before the control plane has said.
    pub(super) registered: Option<Census>,
}

impl FleetMetrics {
    /// Nothing happened yet. `base_threads` is B.
    pub(super) fn new(clock: Clock, threads: Threads, base_threads: usize, map: Arc<CurrentMap>) -> Self {
        let moment = watch::Sender::new(None);
        Self { sources: Arc::new(Sources { clock, threads, base_threads, map, moment }) }
    }

    /// Registers every name.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// How things stand now.
    pub(super) fn observe(&self, moment: Moment) {
        self.sources.moment.send_replace(Some(moment));
    }

    /// How things stand, told after everything that happens; none before the server is registered.
    pub fn moments(&self) -> watch::Receiver<Option<Moment>> {
        self.sources.moment.subscribe()
    }

    /// Threads of this process: those that were spawned and the main one.
    pub fn threads(&self) -> usize {
        self.sources.threads.running() + 1
    }
}

impl fmt::Debug for FleetMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetMetrics")
    }
}

impl Collector for FleetMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Lines(&mut encoder);
        let sources = &self.sources;
        let threads = self.threads();
        out.gauge("threads", "Threads of this process", threads as f64)?;
        out.gauge("base_threads", "B: its threads without any peer", sources.base_threads as f64)?;
        out.counter("spawn_refused", "Threads that the kernel refused", sources.threads.refused())?;
        if let Some(map) = sources.map.newest() {
            let age = sources.clock.now().since(map.built_at);
            out.gauge("shard_map_age_seconds", "Since the map was last confirmed", age.as_secs_f64())?;
            out.gauge("shard_map_generation", "Membership that it was built in", map.generation.0 as f64)?;
            out.gauge("shard_map_shards", "Shards that it routes to", map.shards_count() as f64)?;
        }
        let limit = thread_limit::read();
        if let Some(limit) = limit {
            out.gauge("threads_max", "The kernel's limit, as far as it can be read", limit as f64)?;
            let free = limit as f64 - threads as f64;
            out.gauge("headroom_running_threads", "Limit minus threads that run", free)?;
        }
        let Some(moment) = *sources.moment.borrow() else { return Ok(()) };
        let (facts, peer_threads) = (moment.facts, moment.peer_threads);
        let committed = sources.base_threads + moment.committed_peer_threads;
        out.gauge("committed_threads", "B and k for each registered peer", committed as f64)?;
        if let Some(Census { frontends, caches }) = moment.registered {
            let registered = (frontends + caches) as f64;
            out.gauge("registered_members", "Servers of the cell that are registered", registered)?;
        }
        if let Some(limit) = limit {
            let free = limit as f64 - committed as f64;
            out.gauge("headroom_committed_threads", "Limit minus committed threads", free)?;
        }
        out.gauge("peer_threads", "Threads that serve a peer", peer_threads as f64)?;
        out.gauge("peers_wanted", "Servers that there should be lanes to", facts.peers_wanted as f64)?;
        out.gauge("peers_connected", "Peers that are connected", facts.peers_connected as f64)?;
        let subscribers = facts.subscribers_connected as f64;
        out.gauge("subscribers_connected", "Front ends that are served and connected", subscribers)?;
        out.gauge("known_members", "Servers of the cell that it knows", facts.known_members as f64)?;
        out.gauge("silent_nodes", "Nodes that exist and say nothing", facts.silent_nodes as f64)?;
        out.gauge("shard_map_complete_ratio", "How far the build is", facts.complete_ratio)?;
        out.counter("builds_failed", "Builds of the map that failed", facts.builds_failed)?;
        let unequipped = "File descriptors that the kernel refused to lanes";
        out.counter("lanes_unequipped", unequipped, facts.unequipped)?;
        let refused_at = facts.refused_at_members.unwrap_or(0);
        out.gauge("refused_at_members", "Servers at the first refusal, or 0", refused_at as f64)?;
        out.gauge("wedged", "1: the builder has stopped for good", f64::from(u8::from(facts.wedged)))
    }
}

struct Lines<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Lines<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        let name = format!("weir_frontend_{name}");
        gauge.encode(self.0.encode_descriptor(&name, help, None, gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        let name = format!("weir_frontend_{name}");
        counter.encode(self.0.encode_descriptor(&name, help, None, counter.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use weir_core::id::{CellName, Generation, Incarnation, MemberId};
    use weir_wire::control::Role;

    use super::*;
    use crate::{
        fleet::{Fleet, Myself},
        shard_map::{Routes, ShardMap},
    };

    fn exported() -> String {
        let (clock, map) = (Clock::new(), Arc::new(CurrentMap::new(Duration::from_secs(1))));
        let metrics = FleetMetrics::new(clock, Threads::new(), 3, Arc::clone(&map));
        map.publish(Arc::new(ShardMap::new(Generation(1), clock.now(), 0, Arc::new(Routes::default()))));
        let cell = CellName::new("a");
        let me = Myself { member: MemberId(1), life: Incarnation(1), role: Role::Frontend, cell };
        metrics.observe(Moment {
            facts: Fleet::new(me, 1).facts(),
            peer_threads: 0,
            committed_peer_threads: 7,
            registered: Some(Census { frontends: 8, caches: 0 }),
        });
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn the_document_names_what_is_exported_and_nothing_else() {
        let text = exported();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let exported: BTreeSet<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
        let document = include_str!("../../../../docs/METRICS.md");
        let section = document.split("\n## ").find(|section| section.starts_with("Front end: fleet"));
        let rows = section.expect("docs/METRICS.md has a section of its own for them").split("| `").skip(1);
        let documented: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        let unknown: Vec<_> = exported.difference(&documented).collect();
        assert!(unknown.is_empty(), "not in the document: {unknown:?}");
        // Where no limit can be read, what follows from it is absent.
        let of_limit = ["threads_max", "headroom_running_threads", "headroom_committed_threads"];
        let gone: Vec<_> = documented
            .difference(&exported)
            .filter(|name| !of_limit.iter().any(|suffix| name.ends_with(suffix)))
            .collect();
        assert!(gone.is_empty(), "only in the document: {gone:?}");
    }
}
