//! From what is written to what can be run: every rule that a scenario must keep, each with its mend.
//!
//! Pure; called by `read.rs` once for each arm. A plan that comes out has no options left and no value out of bounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};

use toml::Spanned;
use weir_control::config::{HealthConfig, check_health};
use weir_core::{
    limits::{
        CELL_MEMBERS_MAX, CELLS_MAX, NODES_MAX, PUT_RECORDS_BYTES_MAX, PUT_RECORDS_COUNT_MAX,
        RECORD_BYTES_MAX, SHARDS_PER_STREAM_MAX, TENANTS_MAX, THREADS_PER_PEER_MAX,
    },
    nearest::nearest,
    units::{Rate, Span},
};
use weir_wire::control::{FleetConfig, MeshKind};

use super::{
    plan::{Act, ConsumerPlan, Durability, FleetPlan, LoadPlan, Mix, PhasePlan, Plan, Skew},
    raw::{RawAction, RawConsumer, RawFleet, RawHealth, RawLoad, RawMix, RawPhase, RawScenario, RawTenants},
};
use crate::{
    envelope::EnvelopeLimits,
    series::{ConsumerKind, Expectations, Mesh},
};

/// Events that a bus's targets take against those that it is offered, where a scenario does not say: a backlog drains in
/// as long as it grew.
const DELIVERY_RESERVE: f64 = 2.0;

/// Where a scenario does not say, health checks are not faster than this: five arms at once are probed by one host.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// A rule that is not kept, and where when it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: Option<Range<usize>>,
    /// Begins with the key that it is about, where it is about one.
    pub(super) message: String,
    /// The known word most like one that is not.
    pub(super) nearest: Option<String>,
}

impl Broken {
    fn of(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), nearest: None }
    }

    /// The word that is a key if the rule is about one.
    pub(super) fn key(&self) -> &str {
        self.message.split([' ', ':']).next().unwrap_or_default()
    }
}

/// Fails with a sentence unless the rule holds.
fn rule(holds: bool, message: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken::of(message())) }
}

/// The value that `word` stands for, or which words there are and which of them was probably meant.
fn one_of<T: Copy>(key: &str, word: &str, known: &[(&str, T)]) -> Result<T, Broken> {
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    let names = || known.iter().map(|(name, _)| *name);
    let all = names().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let message = format!("{key} is {word:?}: write one of {all}");
    Err(Broken { nearest: nearest(word, names()), ..Broken::of(message) })
}

/// Checks the whole scenario and makes the plan of one arm.
pub(super) fn plan(raw: &RawScenario, expect: Expectations) -> Result<Plan, Broken> {
    rule(raw.time_scale.is_finite() && raw.time_scale > 0.0, || "time_scale must be above 0".into())?;
    rule(raw.window.0 >= Duration::from_millis(100), || "window must be at least 100ms".into())?;
    let fleet = fleet(&raw.fleet)?;
    let envelope = EnvelopeLimits {
        threads_max: raw.envelope.threads_max,
        memory_max: raw.envelope.memory_max,
        cpu_max: raw.envelope.cpu_max,
    };
    rule(envelope.threads_max >= 4, || {
        "envelope.threads_max must be at least 4: a server has that many by itself".into()
    })?;
    rule(envelope.cpu_max.is_none_or(|cores| cores > 0.0), || "envelope.cpu_max must be above 0".into())?;
    rule((1..=NODES_MAX as u32).contains(&raw.nodes.count), || {
        format!("nodes.count must be 1 to {NODES_MAX}")
    })?;
    let durabilities = [("fsync", Durability::Fsync), ("os", Durability::Os), ("memory", Durability::Memory)];
    let durability = one_of("nodes.durability", &raw.nodes.durability, &durabilities)?;
    rule((1..=TENANTS_MAX as u32).contains(&raw.tenants.count), || {
        format!("tenants.count must be 1 to {TENANTS_MAX}")
    })?;
    rule((1..=SHARDS_PER_STREAM_MAX).contains(&raw.streams.shards), || {
        format!("streams.shards must be 1 to {SHARDS_PER_STREAM_MAX}")
    })?;
    let headroom_min = raw.alarm.headroom_min;
    rule((0.0..1.0).contains(&headroom_min), || {
        "alarm.headroom_min is a share of the limit: 0.0 to below 1.0".into()
    })?;
    let health = health(&raw.health, &raw.fleet)?;
    let pins = pins(&raw.tenants, &raw.fleet)?;
    let load = load(&raw.load)?;
    let mut names = BTreeSet::new();
    let consumers = raw.consumers.iter().map(|raw| placed(raw, |raw| consumer(raw, &mut names)));
    let consumers = consumers.collect::<Result<Vec<_>, _>>()?;
    let phases = phases(raw, &fleet)?;
    Ok(Plan {
        fleet,
        envelope,
        headroom_min,
        health,
        nodes: raw.nodes.count,
        durability,
        tenants: raw.tenants.count,
        pins,
        shards: raw.streams.shards,
        load,
        consumers,
        phases,
        expect,
    })
}

/// Runs a check on a part that knows its place.
fn placed<R, T>(part: &Spanned<R>, check: impl FnOnce(&R) -> Result<T, Broken>) -> Result<T, Broken> {
    check(part.get_ref()).map_err(|broken| Broken { at: broken.at.or_else(|| Some(part.span())), ..broken })
}

fn fleet(raw: &RawFleet) -> Result<FleetPlan, Broken> {
    rule((1..=CELLS_MAX as u32).contains(&raw.cells), || format!("fleet.cells must be 1 to {CELLS_MAX}"))?;
    rule(raw.servers >= raw.cells, || {
        format!("fleet.servers is {}: each of the {} cells needs one at least", raw.servers, raw.cells)
    })?;
    rule(raw.servers.div_ceil(raw.cells) <= CELL_MEMBERS_MAX as u32, || {
        format!("fleet.servers: a cell holds {CELL_MEMBERS_MAX} at most")
    })?;
    rule((1..=THREADS_PER_PEER_MAX as u32).contains(&raw.threads_per_peer), || {
        format!("fleet.threads_per_peer must be 1 to {THREADS_PER_PEER_MAX}")
    })?;
    rule((raw.mesh == Mesh::CacheFleet) == (raw.cache_servers > 0), || {
        "fleet.cache_servers must be above 0 with mesh = \"cache-fleet\", and 0 with any other mesh".into()
    })?;
    let times = [
        ("gossip_interval", raw.gossip_interval),
        ("discovery_window", raw.discovery_window),
        ("map_ttl", raw.map_ttl),
        ("build_deadline", raw.build_deadline),
    ];
    for (key, span) in times {
        rule(span.0 >= Duration::from_millis(10), || format!("fleet.{key} must be at least 10ms"))?;
    }
    rule(raw.map_ttl.0 > raw.gossip_interval.0, || {
        "fleet.map_ttl must be above fleet.gossip_interval: maps would expire between two messages".into()
    })?;
    let config = FleetConfig {
        mesh: match raw.mesh {
            Mesh::ThreadPerPeer => MeshKind::ThreadPerPeer,
            Mesh::Multiplexed => MeshKind::Multiplexed,
            Mesh::CacheFleet => MeshKind::CacheFleet,
        },
        threads_per_peer: raw.threads_per_peer as usize,
        gossip_interval: raw.gossip_interval,
        discovery_window: raw.discovery_window,
        map_ttl: raw.map_ttl,
        build_deadline: raw.build_deadline,
        on_refusal: raw.on_refusal,
        bootstrap: raw.bootstrap,
    };
    let RawFleet { servers, cells, cache_servers, mesh, .. } = *raw;
    Ok(FleetPlan { servers, cells, cache_servers, mesh, config })
}

fn health(raw: &RawHealth, fleet: &RawFleet) -> Result<HealthConfig, Broken> {
    let RawHealth { interval, timeout, failures, removal_cap, forget_after } = *raw;
    let interval = interval.unwrap_or(Span(fleet.gossip_interval.0.max(HEALTH_INTERVAL)));
    let health = HealthConfig { interval, timeout, failures, removal_cap, forget_after };
    check_health(&health).map_err(|error| Broken::of(error.to_string()))?;
    Ok(health)
}

/// Tenants are named by their numbers.
fn pins(raw: &RawTenants, fleet: &RawFleet) -> Result<BTreeMap<u32, u32>, Broken> {
    let mut pins = BTreeMap::new();
    for (name, &cell) in &raw.pins {
        let number = name.strip_prefix("tenant-").and_then(|number| number.parse::<u32>().ok());
        let number = number.filter(|number| *number < raw.count && *name == format!("tenant-{number}"));
        let number = number.ok_or_else(|| {
            let last = raw.count - 1;
            Broken::of(format!("tenants.pins: there is no {name:?} among tenant-0 to tenant-{last}"))
        })?;
        rule(cell < fleet.cells, || {
            format!("tenants.pins.{name}: the cell must be below fleet.cells ({})", fleet.cells)
        })?;
        pins.insert(number, cell);
    }
    Ok(pins)
}

fn load(raw: &RawLoad) -> Result<LoadPlan, Broken> {
    rule(raw.rate.0 > 0.0, || "load.rate must be above 0/s".into())?;
    let poisson = one_of("load.arrivals", &raw.arrivals, &[("constant", false), ("poisson", true)])?;
    let RawMix { put_record, put_records, get_records, get_shard_iterator, list_shards } = raw.mix;
    let parts = [put_record, put_records, get_records, get_shard_iterator, list_shards];
    let sum: f64 = parts.iter().sum();
    rule(parts.iter().all(|part| part.is_finite() && *part >= 0.0) && sum > 0.0, || {
        "load.mix needs weights of 0 or more, one of them above 0".into()
    })?;
    rule((1..=PUT_RECORDS_COUNT_MAX as u32).contains(&raw.batch), || {
        format!("load.batch must be 1 to {PUT_RECORDS_COUNT_MAX}")
    })?;
    let least = weir_loadgen::payload::RECORD_HEAD_BYTES as u64;
    rule((least..=RECORD_BYTES_MAX as u64).contains(&raw.record_size.0), || {
        format!("load.record_size must be {least}B to 1MiB: each record carries an id and a checksum")
    })?;
    rule(u64::from(raw.batch) * raw.record_size.0 <= PUT_RECORDS_BYTES_MAX as u64, || {
        "load.batch x load.record_size must be 10MiB at most, as one PutRecords call may carry".into()
    })?;
    rule(raw.timeout.0 >= Duration::from_millis(1), || "load.timeout must be at least 1ms".into())?;
    Ok(LoadPlan {
        rate: raw.rate.0,
        poisson,
        mix: Mix {
            put_record: put_record / sum,
            put_records: put_records / sum,
            get_records: get_records / sum,
            get_shard_iterator: get_shard_iterator / sum,
            list_shards: list_shards / sum,
        },
        batch: raw.batch,
        record_size: raw.record_size,
        skew: skew(&raw.skew)?,
        timeout: raw.timeout.0,
    })
}

fn skew(text: &str) -> Result<Skew, Broken> {
    let zipf = || text.strip_prefix("zipf:")?.parse::<f64>().ok().filter(|exponent| *exponent > 0.0);
    match text {
        "uniform" => Ok(Skew::Uniform),
        _ => zipf()
            .map(Skew::Zipf)
            .ok_or_else(|| Broken::of(format!("load.skew is {text:?}: write \"uniform\" or \"zipf:1.1\""))),
    }
}

fn consumer(raw: &RawConsumer, names: &mut BTreeSet<String>) -> Result<ConsumerPlan, Broken> {
    rule(names.insert(raw.name.clone()), || format!("two consumers are named {:?}", raw.name))?;
    rule(is_name(&raw.name), || {
        format!("{:?}: a name is made of small letters, digits and dashes", raw.name)
    })?;
    let of = |key: &str| format!("consumers.{}.{key}", raw.name);
    one_of(
        &of("policy"),
        &raw.policy,
        &["block", "drop-newest", "drop-oldest", "spill"].map(|known| (known, ())),
    )?;
    rule(raw.buffer >= 1, || format!("{} must be at least 1", of("buffer")))?;
    rule(raw.rate.0 > 0.0, || format!("{} must be above 0/s", of("rate")))?;
    rule(raw.deliveries.is_none() || raw.service == ConsumerKind::EventBus, || {
        format!("{} is for an event-bus", of("deliveries"))
    })?;
    let deliveries = raw.deliveries.map_or(raw.rate.0 * DELIVERY_RESERVE, |deliveries| deliveries.0);
    rule(deliveries > raw.rate.0, || {
        format!("{} must be above rate, or a backlog never drains", of("deliveries"))
    })?;
    let RawConsumer { name, service, policy, buffer, rate, .. } = raw.clone();
    Ok(ConsumerPlan { name, service, policy, buffer, rate: rate.0, deliveries })
}

/// What the phases so far have done, for the rules that look back.
struct Past {
    names: BTreeSet<String>,
    added: u32,
    threads_max: u32,
    cells: u32,
}

fn phases(raw: &RawScenario, fleet: &FleetPlan) -> Result<Vec<PhasePlan>, Broken> {
    let none = || Broken::of("there are no phases: the first must be a baseline");
    let first = raw.phases.first().ok_or_else(none)?;
    placed(first, |phase| {
        rule(phase.action == RawAction::Baseline, || {
            "the first phase must be a baseline: everything later is measured against it".into()
        })
    })?;
    let mut past =
        Past { names: BTreeSet::new(), added: 0, threads_max: raw.envelope.threads_max, cells: fleet.cells };
    raw.phases.iter().map(|raw| placed(raw, |raw| phase(raw, &mut past))).collect()
}

fn phase(raw: &RawPhase, past: &mut Past) -> Result<PhasePlan, Broken> {
    rule(past.names.insert(raw.name.clone()), || format!("two phases are named {:?}", raw.name))?;
    rule(is_name(&raw.name), || {
        format!("{:?}: a name is made of small letters, digits and dashes", raw.name)
    })?;
    let takes: &[&str] = match raw.action {
        RawAction::Baseline | RawAction::Wait | RawAction::Recovery => &[],
        RawAction::Add => &["servers", "pace", "cell"],
        RawAction::Remove | RawAction::Restart | RawAction::FastRestart => &["pace"],
        RawAction::Fault => &["fault", "servers"],
        RawAction::RaiseLimit => &["threads_max"],
        RawAction::SetBootstrap => &["bootstrap"],
    };
    let given = [
        ("servers", raw.servers.is_some()),
        ("pace", raw.pace.is_some()),
        ("cell", raw.cell.is_some()),
        ("fault", raw.fault.is_some()),
        ("threads_max", raw.threads_max.is_some()),
        ("bootstrap", raw.bootstrap.is_some()),
    ];
    for (key, is_given) in given {
        rule(!is_given || takes.contains(&key), || {
            format!("phases.{}.{key}: its action takes no {key}", raw.name)
        })?;
        rule(is_given || key == "cell" || !takes.contains(&key), || {
            format!("phases.{} needs {key}", raw.name)
        })?;
    }
    let act = act(raw, past)?;
    Ok(PhasePlan { name: raw.name.clone(), duration: raw.duration.0, act })
}

/// Every key that the action needs is there; now their values.
fn act(raw: &RawPhase, past: &mut Past) -> Result<Act, Broken> {
    let name = &raw.name;
    let pace = raw.pace.map_or(0.0, |Rate(pace)| pace);
    rule(raw.pace.is_none_or(|_| pace > 0.0), || format!("phases.{name}.pace must be above 0/s"))?;
    let servers = raw.servers.unwrap_or(0);
    rule(raw.servers.is_none_or(|servers| servers > 0), || format!("phases.{name}.servers must be above 0"))?;
    match raw.action {
        RawAction::Baseline => Ok(Act::Baseline),
        RawAction::Wait => Ok(Act::Wait),
        RawAction::Recovery => Ok(Act::Recovery),
        RawAction::Add => {
            rule(raw.cell.is_none_or(|cell| cell < past.cells), || {
                format!("phases.{name}.cell must be below fleet.cells ({})", past.cells)
            })?;
            past.added += servers;
            Ok(Act::Add { servers, pace, cell: raw.cell })
        }
        RawAction::Remove => {
            rule(past.added > 0, || format!("phases.{name}: nothing was added that could be removed"))?;
            past.added = 0;
            Ok(Act::Remove { pace })
        }
        RawAction::Restart => Ok(Act::Restart { pace, fast: false }),
        RawAction::FastRestart => Ok(Act::Restart { pace, fast: true }),
        RawAction::Fault => {
            let fault = raw.fault.expect("asked for above");
            Ok(Act::Fault { fault, servers })
        }
        RawAction::RaiseLimit => {
            let threads_max = raw.threads_max.expect("asked for above");
            rule(threads_max > past.threads_max, || {
                format!("phases.{name}.threads_max must be above the {} in force", past.threads_max)
            })?;
            past.threads_max = threads_max;
            Ok(Act::RaiseLimit { threads_max })
        }
        RawAction::SetBootstrap => {
            Ok(Act::SetBootstrap { bootstrap: raw.bootstrap.expect("asked for above") })
        }
    }
}

/// Names go into file names, addresses of series and process lists.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 40 && text.bytes().all(plain)
}
