//! A fleet that is killed: two nodes, two front ends and their control plane, one of them or several at random moments.
//!
//! `WEIR_CRASH_KILLS` and `WEIR_CRASH_SEED` make the run long and another one; without them it is the short one of every
//! day. Streams last for a chapter of kills, so that a long run's history fits into memory and the log is let go of.

use std::{
    env, fmt,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use weir_tests::fleet::{CONTROL, Fleet};

use crate::load::Load;

const NODES: [u8; 2] = [10, 11];
const FRONT_ENDS: [u8; 2] = [20, 21];
/// Kills of the short run, and kills after which a long one begins a new stream.
const KILLS: usize = 24;
const KILLS_A_CHAPTER: usize = 24;
const SEED: u64 = 20_201_125;
/// Shards that a stream begins with, and that it has at most.
const SHARDS: u32 = 3;
const SHARDS_MAX: u32 = 6;
/// Records that are acknowledged between two kills, at most.
const RECORDS_MAX: usize = 300;
/// How long what was killed stays away, at most, and how long after an acknowledgement the kill comes, at most.
const AWAY_MAX_MS: u64 = 250;
const AFTER_MAX_US: u64 = 5_000;
/// How often a stream's state is asked for.
const LOOKS_MAX: u32 = 12_000;
const LOOK_PAUSE: Duration = Duration::from_millis(5);

#[test]
fn a_fleet_loses_nothing_when_any_of_it_is_killed() {
    let number = |name: &str, usual: u64| {
        env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?}")))
    };
    let (kills, seed) = (number("WEIR_CRASH_KILLS", KILLS as u64), number("WEIR_CRASH_SEED", SEED));
    let again = Again { kills, seed };
    let mut run = Run::new(seed);
    let mut chapter = 0;
    while run.told.kills() < kills as usize {
        run.chapter(chapter, kills as usize);
        chapter += 1;
    }
    eprintln!("{}", run.told);
    drop(again);
}

/// Says how to run this again, when it fails.
struct Again {
    kills: u64,
    seed: u64,
}

impl Drop for Again {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { kills, seed } = self;
            eprintln!(
                "again: WEIR_CRASH_KILLS={kills} WEIR_CRASH_SEED={seed} cargo test -p weir-tests --test crash -- \
                 a_fleet_loses_nothing --nocapture"
            );
        }
    }
}

/// Short intervals: what a fleet notices of a death it notices soon.
fn config() -> Value {
    let lifted = [
        "GetRecords",
        "shard-read-bytes",
        "shard-write-bytes",
        "shard-write-records",
        "CreateStream",
        "DeleteStream",
        "DescribeStreamSummary",
        "GetShardIterator",
        "ListShards",
        "UpdateShardCount",
        "shard-count-updates",
    ];
    let limits: serde_json::Map<_, _> =
        lifted.iter().map(|name| ((*name).to_owned(), json!("off"))).collect();
    json!({
        "fleet": {
            "mesh": "thread-per-peer", "threads_per_peer": 1, "gossip_interval": "50ms",
            "discovery_window": "100ms", "map_ttl": "10s", "build_deadline": "1s",
            "on_refusal": "retry", "bootstrap": "authoritative",
        },
        "shared": { "iterator_secret": "00".repeat(32), "credentials": [], "limits": limits },
        "cells": ["main"],
    })
}

struct Run {
    fleet: Fleet,
    rng: StdRng,
    seed: u64,
    told: Summary,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut fleet = Fleet::new(&config());
        for host in NODES {
            fleet.backend(host);
        }
        for host in FRONT_ENDS {
            fleet.start("frontend", host, &[]);
        }
        for host in NODES.into_iter().chain(FRONT_ENDS) {
            fleet.ready(host);
        }
        Self { fleet, rng: StdRng::seed_from_u64(seed), seed, told: Summary::default() }
    }

    fn front_ends(&self) -> [std::net::SocketAddr; 2] {
        FRONT_ENDS.map(|host| self.fleet.service(host))
    }

    /// A stream from its creation to its deletion, with kills until there are `kills` or the chapter is full.
    fn chapter(&mut self, chapter: u64, kills: usize) {
        let stream = format!("chapter-{chapter}");
        let load = Load::new(&stream, self.seed.wrapping_add(chapter));
        load.go_on_at(&self.front_ends());
        create(&load, &stream, SHARDS);
        let last = kills.min(self.told.kills() + KILLS_A_CHAPTER);
        load.run(&self.front_ends(), || {
            let mut round = 0;
            while self.told.kills() < last {
                self.round(&load, round);
                round += 1;
            }
        });
        await_status(&load, &stream, Some("ACTIVE"));
        load.check_at_the_end();
        delete(&load, &stream);
        self.told.acknowledged += load.acknowledged();
        self.told.retries += load.retries();
        self.told.read += load.history.records_read();
    }

    /// Streams come and go, a reshard begins, somebody is killed and comes back, and everything is still there.
    fn round(&mut self, load: &Load, round: u64) {
        let turn = self.rng.random_range(0..FRONT_ENDS.len());
        load.wait_for(load.acknowledged() + self.rng.random_range(1..RECORDS_MAX));
        create(load, &format!("{}-{round}", load.stream), 1);
        if round > 0 {
            delete(load, &format!("{}-{}", load.stream, round - 1));
        }
        if self.rng.random_ratio(1, 2) {
            // Refused while another one goes on; whether it is taken or not, nothing is lost.
            load.witness(turn).scale(&load.stream, self.rng.random_range(2..=SHARDS_MAX));
        }
        load.wait_for(load.acknowledged() + self.rng.random_range(0..RECORDS_MAX));
        std::thread::park_timeout(Duration::from_micros(self.rng.random_range(0..AFTER_MAX_US)));
        let victims = self.victims();
        self.kill(load, &victims);
        load.check(turn);
        let name = format!("{}-{round}", load.stream);
        await_status(load, &name, Some("ACTIVE"));
        if round > 0 {
            await_status(load, &format!("{}-{}", load.stream, round - 1), None);
        }
    }

    /// Most often one, sometimes several, sometimes all; the control plane among them.
    fn victims(&mut self) -> Vec<u8> {
        let anybody = [NODES[0], NODES[1], FRONT_ENDS[0], FRONT_ENDS[1], CONTROL];
        let of = |hosts: &[u8], rng: &mut StdRng| vec![*hosts.choose(rng).expect("there are some")];
        match self.rng.random_range(0..10) {
            0..4 => of(&NODES, &mut self.rng),
            4..6 => of(&FRONT_ENDS, &mut self.rng),
            6 => [of(&NODES, &mut self.rng), of(&FRONT_ENDS, &mut self.rng)].concat(),
            7 => NODES.to_vec(),
            8 => of(&[CONTROL], &mut self.rng),
            _ => anybody.to_vec(),
        }
    }

    /// Kills these at once, starts them again, kills some of them again while they start, and waits for every producer's next
    /// acknowledgement.
    fn kill(&mut self, load: &Load, victims: &[u8]) {
        let killed = now();
        self.kill_9(load, victims);
        let before = load.by_producer();
        std::thread::park_timeout(Duration::from_millis(self.rng.random_range(0..AWAY_MAX_MS)));
        self.restart(victims);
        if self.rng.random_ratio(1, 5) {
            std::thread::park_timeout(Duration::from_micros(self.rng.random_range(0..20 * AFTER_MAX_US)));
            self.kill_9(load, victims);
            self.restart(victims);
        }
        load.wait_for(before.iter().sum::<usize>() + 1);
        self.told.first.push(now() - killed);
        load.wait_until("an acknowledgement of every producer", || {
            load.by_producer().iter().zip(before).all(|(now, before)| *now > before)
        });
        self.told.every.push(now() - killed);
        for &host in victims {
            self.fleet.ready(host);
        }
    }

    fn kill_9(&mut self, load: &Load, victims: &[u8]) {
        for &host in victims {
            self.fleet.process(host).kill_9();
            match host {
                CONTROL => self.told.control += 1,
                host if NODES.contains(&host) => self.told.nodes += 1,
                _ => self.told.front_ends += 1,
            }
        }
        let names: Vec<_> = victims.iter().map(|host| self.fleet.name(*host)).collect();
        load.history.write(weir_tests::history::Event::Killed(names.join(", ")));
    }

    /// The control plane first: nobody starts without it.
    fn restart(&mut self, victims: &[u8]) {
        if victims.contains(&CONTROL) {
            self.fleet.restart(CONTROL);
            self.fleet.ready(CONTROL);
        }
        for &host in victims.iter().filter(|host| **host != CONTROL) {
            self.fleet.restart(host);
        }
    }
}

fn create(load: &Load, stream: &str, shards: u32) {
    for turn in 0..LOOKS_MAX as usize {
        load.witness(turn).create(stream, shards);
        if let Some(Some(_)) = load.witness(turn).look(stream) {
            return await_status(load, stream, Some("ACTIVE"));
        }
        std::thread::park_timeout(LOOK_PAUSE);
    }
    panic!("{stream} was never created");
}

fn delete(load: &Load, stream: &str) {
    for turn in 0..LOOKS_MAX as usize {
        if load.witness(turn).delete(stream) {
            return;
        }
        std::thread::park_timeout(LOOK_PAUSE);
    }
    panic!("{stream} was never deleted");
}

fn await_status(load: &Load, stream: &str, wanted: Option<&str>) {
    for turn in 0..LOOKS_MAX as usize {
        if load.witness(turn).look(stream).is_some_and(|seen| seen.as_deref() == wanted) {
            return;
        }
        std::thread::park_timeout(LOOK_PAUSE);
    }
    panic!("{stream} was never {wanted:?}");
}

#[expect(clippy::disallowed_methods, reason = "how long a fleet takes is told by the machine's own clock")]
fn now() -> Instant {
    Instant::now()
}

/// What happened in all.
#[derive(Debug, Default)]
struct Summary {
    nodes: usize,
    front_ends: usize,
    control: usize,
    acknowledged: usize,
    retries: usize,
    read: usize,
    /// From a kill to the next acknowledgement of anybody, and to one of every producer.
    first: Vec<Duration>,
    every: Vec<Duration>,
}

impl Summary {
    fn kills(&self) -> usize {
        self.nodes + self.front_ends + self.control
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, front_ends, control, acknowledged, retries, read, .. } = self;
        writeln!(
            f,
            "{} kills: {nodes} of nodes, {front_ends} of front ends, {control} of the control plane",
            self.kills()
        )?;
        writeln!(
            f,
            "{acknowledged} records acknowledged, all there once and in order; {retries} retries; {read} read"
        )?;
        for (what, times) in [("any", &self.first), ("every", &self.every)] {
            let mut times = times.clone();
            times.sort_unstable();
            let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
            writeln!(f, "acknowledged again, {what} producer: median {median:.0?}, worst {worst:.0?}")?;
        }
        Ok(())
    }
}
