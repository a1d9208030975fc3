//! docs/THREADS.md against real processes: every thread that the kernel counts is in a formula.
//!
//! Small fleets, started by hand as the lab would; the numbers come from /proc and from nowhere else.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use weir_tests::{http, process::Process, scratch, server::Server, weir};

const CONTROL_PORT: u16 = 4567;

/// A fleet on loopback addresses of its own.
struct Fleet {
    net: u8,
    folder: tempfile::TempDir,
    processes: Vec<(&'static str, Process)>,
}

impl Fleet {
    fn new(net: u8, mesh: &str, threads_per_peer: u32) -> Self {
        let mut fleet = Self { net, folder: scratch::shared_folder(), processes: Vec::new() };
        let config = json!({
            "fleet": {
                "mesh": mesh, "threads_per_peer": threads_per_peer, "gossip_interval": "200ms",
                "discovery_window": "500ms", "map_ttl": "3s", "build_deadline": "2s",
                "on_refusal": "wedge", "bootstrap": "peers",
            },
            "shared": {
                "iterator_secret": "00".repeat(32), "credentials": [],
            },
            "cells": ["main"],
        });
        fleet.start("control", 1, &["--config", &config.to_string()]);
        fleet.ready(1); // a node that finds no control plane when it starts ends
        fleet
    }

    fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 91, self.net, host)
    }

    /// Starts `weir node ROLE` at the host's address.
    fn start(&mut self, role: &'static str, host: u8, more: &[&str]) {
        let mut command = Command::new(weir());
        command.args(["node", role, "--name", &format!("{role}-{host}"), "--address"]);
        command.arg(self.address(host).to_string()).args(more);
        if role != "control" && role != "consumer" {
            command.args(["--control", &format!("http://{}:{CONTROL_PORT}", self.address(1))]);
        }
        self.processes.push((role, Process::start(command.stdin(Stdio::null()).stderr(Stdio::null()))));
    }

    fn backend(&mut self, host: u8) {
        let data = self.folder.path().join(format!("node-{host}"));
        fs::create_dir(&data).expect("a fresh folder");
        self.start("backend", host, &["--data", data.to_str().expect("a plain path")]);
    }

    /// Threads of each process of a role, as the kernel counts them.
    fn threads(&self, role: &str) -> Vec<usize> {
        let of_role = self.processes.iter().filter(|(of, _)| *of == role);
        of_role.map(|(_, process)| threads_of(process)).collect()
    }

    /// Waits until the processes of a role have as many threads as the formula says, and stay there for a while.
    fn expect(&self, role: &str, expected: &[usize]) {
        self.expect_that(role, &format!("{expected:?}"), |counted| counted == expected);
    }

    /// The same for all processes of a role together.
    fn expect_in_all(&self, role: &str, expected: usize) {
        let formula = format!("{expected} in all");
        self.expect_that(role, &formula, |counted| counted.iter().sum::<usize>() == expected);
    }

    fn expect_that(&self, role: &str, formula: &str, holds: impl Fn(&[usize]) -> bool) {
        let mut held = 0;
        for _ in 0..6_000 {
            let mut counted = self.threads(role);
            counted.sort_unstable();
            held = if holds(&counted) { held + 1 } else { 0 };
            if held == 50 {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("{role}: {:?} threads, and the formula says {formula}", self.threads(role));
    }

    /// Waits until the process at this host says that it is ready.
    fn ready(&self, host: u8) {
        let admin = SocketAddr::from((self.address(host), 4569));
        let ask = format!("GET /ready HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
        for _ in 0..6_000 {
            if http::send(admin, ask.as_bytes()).is_ok_and(|answer| answer.status == 200) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("{admin} never became ready");
    }
}

fn threads_of(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/task", process.id())).map_or(0, Iterator::count)
}

#[test]
fn a_front_end_has_b_threads_and_k_more_for_each_peer() {
    for (net, k) in [(1, 1), (2, 2)] {
        let mut fleet = Fleet::new(net, "thread-per-peer", k);
        fleet.backend(10);
        fleet.start("frontend", 20, &[]);
        fleet.ready(20);
        fleet.expect("frontend", &[3]);
        for host in 21..25 {
            fleet.start("frontend", host, &[]);
        }
        fleet.expect("frontend", &[3 + k as usize * 4; 5]);
        fleet.expect("backend", &[4]);
        fleet.expect("control", &[2]);
    }
}

#[test]
fn multiplexed_front_ends_have_b_threads_and_no_others() {
    let mut fleet = Fleet::new(3, "multiplexed", 1);
    fleet.backend(10);
    for host in 20..24 {
        fleet.start("frontend", host, &[]);
    }
    for host in 20..24 {
        fleet.ready(host);
    }
    fleet.expect("frontend", &[3; 4]);
}

#[test]
fn cache_servers_carry_the_threads_of_a_cache_fleet() {
    let mut fleet = Fleet::new(4, "cache-fleet", 1);
    fleet.backend(10);
    fleet.start("cache", 30, &[]);
    fleet.ready(30);
    for host in 20..24 {
        fleet.start("frontend", host, &[]);
    }
    for host in 20..24 {
        fleet.ready(host);
    }
    fleet.expect("frontend", &[3; 4]);
    fleet.expect("cache", &[2 + 4]);
}

#[test]
fn two_cache_servers_have_a_mesh_and_share_the_front_ends() {
    for (net, k) in [(6, 1), (7, 2)] {
        let mut fleet = Fleet::new(net, "cache-fleet", k);
        fleet.backend(10);
        for host in [30, 31] {
            fleet.start("cache", host, &[]);
        }
        for host in [30, 31] {
            fleet.ready(host);
        }
        for host in 20..25 {
            fleet.start("frontend", host, &[]);
        }
        for host in 20..25 {
            fleet.ready(host);
        }
        fleet.expect("frontend", &[3; 5]);
        // Whose cache server is whose is a matter of hashing; all five front ends are somebody's, after the hand-over of
        // those who came before both were known.
        let (base, mesh, front_ends) = (2, k as usize, 5);
        fleet.expect_in_all("cache", 2 * (base + mesh) + front_ends);
    }
}

#[test]
fn a_consumer_has_the_threads_of_its_kind_and_its_workers() {
    let mut fleet = Fleet::new(8, "thread-per-peer", 1);
    // Nobody serves the stream: that is no reason for another thread, nor for one less.
    let stream = ["--stream", "s", "--endpoint", "http://127.91.8.9:4567"];
    let (main, consumer, flusher, reader) = (1, 1, 1, 1);
    let bus = ["--rule", "all"].as_slice();
    for (host, kind, own, workers, threads) in [
        (40, "auth-cache", &[][..], 4, main + consumer + flusher + 4),
        (41, "metrics-buffer", &[][..], 2, main + consumer + flusher + reader + 2),
        (42, "event-bus", bus, 1, main + consumer + flusher + reader + 1),
    ] {
        let data = fleet.folder.path().join(kind);
        fs::create_dir(&data).expect("a fresh folder");
        let workers = workers.to_string();
        let more = ["--kind", kind, "--workers", &workers, "--data", data.to_str().expect("a plain path")];
        fleet.start("consumer", host, &[&more[..], &stream[..], own].concat());
        fleet.ready(host);
        fleet.expect_in_all("consumer", threads);
        fleet.processes.pop();
    }
}

#[test]
fn weir_serve_has_four_threads_whatever_is_asked_of_it() {
    let mut server = Server::start();
    server.stream("one", 4);
    for number in 0..50 {
        server.ok(
            "PutRecord",
            &json!({"StreamName": "one", "PartitionKey": number.to_string(), "Data": "AAAA"}),
        );
    }
    let listed: Value = server.ok("ListShards", &json!({"StreamName": "one"}));
    assert_eq!(listed["Shards"].as_array().map(Vec::len), Some(4));
    assert_eq!(threads_of(server.process()), 4);
}

#[test]
fn a_front_end_that_is_told_to_stop_ends_with_all_its_threads() {
    let mut fleet = Fleet::new(5, "thread-per-peer", 1);
    fleet.backend(10);
    for host in 20..23 {
        fleet.start("frontend", host, &[]);
    }
    fleet.expect("frontend", &[3 + 2; 3]);
    let (_, last) = fleet.processes.last_mut().expect("just started");
    last.signal(Signal::SIGTERM);
    let status = last.wait(Duration::from_secs(30));
    assert!(status.success(), "{status}");
}
