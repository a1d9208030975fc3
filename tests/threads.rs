//! docs/THREADS.md against real processes: every thread that the kernel counts is in a formula.
//!
//! Small fleets, started by hand as the lab would; the numbers come from /proc and from nowhere else.

use std::{fs, net::SocketAddr, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use weir_tests::{fleet::Fleet, http, process::Process, server::Server};

/// A fleet of this mesh with nothing but its control plane.
fn fleet(mesh: &str, threads_per_peer: u32) -> Fleet {
    Fleet::new(&json!({
        "fleet": {
            "mesh": mesh, "threads_per_peer": threads_per_peer, "gossip_interval": "200ms",
            "discovery_window": "500ms", "map_ttl": "3s", "build_deadline": "2s",
            "on_refusal": "wedge", "bootstrap": "peers",
        },
        "shared": {
            "iterator_secret": "00".repeat(32), "credentials": [],
        },
        "cells": ["main"],
    }))
}

/// Waits until the processes of a role have as many threads as the formula says, and stay there for a while.
fn expect(fleet: &Fleet, role: &str, expected: &[usize]) {
    expect_that(fleet, role, &format!("{expected:?}"), |counted| counted == expected);
}

/// The same for all processes of a role together.
fn expect_in_all(fleet: &Fleet, role: &str, expected: usize) {
    let formula = format!("{expected} in all");
    expect_that(fleet, role, &formula, |counted| counted.iter().sum::<usize>() == expected);
}

fn expect_that(fleet: &Fleet, role: &str, formula: &str, holds: impl Fn(&[usize]) -> bool) {
    let count = || -> Vec<usize> { fleet.processes(role).map(threads_of).collect() };
    let mut held = 0;
    for _ in 0..6_000 {
        let mut counted = count();
        counted.sort_unstable();
        held = if holds(&counted) { held + 1 } else { 0 };
        if held == 50 {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{role}: {:?} threads, and the formula says {formula}", count());
}

/// Threads of a process, as the kernel counts them.
fn threads_of(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/task", process.id())).map_or(0, Iterator::count)
}

#[test]
fn a_front_end_has_b_threads_and_k_more_for_each_peer() {
    for k in [1, 2] {
        let mut fleet = fleet("thread-per-peer", k);
        fleet.backend(10);
        fleet.start("frontend", 20, &[]);
        fleet.ready(20);
        expect(&fleet, "frontend", &[3]);
        says_base_threads(fleet.admin(20), 3);
        for host in 21..25 {
            fleet.start("frontend", host, &[]);
        }
        expect(&fleet, "frontend", &[3 + k as usize * 4; 5]);
        expect(&fleet, "backend", &[5]);
        expect(&fleet, "control", &[2]);
    }
}

#[test]
fn multiplexed_front_ends_have_b_threads_and_no_others() {
    let mut fleet = fleet("multiplexed", 1);
    fleet.backend(10);
    for host in 20..24 {
        fleet.start("frontend", host, &[]);
    }
    for host in 20..24 {
        fleet.ready(host);
    }
    expect(&fleet, "frontend", &[3; 4]);
}

#[test]
fn cache_servers_carry_the_threads_of_a_cache_fleet() {
    let mut fleet = fleet("cache-fleet", 1);
    fleet.backend(10);
    fleet.start("cache", 30, &[]);
    fleet.ready(30);
    for host in 20..24 {
        fleet.start("frontend", host, &[]);
    }
    for host in 20..24 {
        fleet.ready(host);
    }
    expect(&fleet, "frontend", &[3; 4]);
    expect(&fleet, "cache", &[2 + 4]);
}

#[test]
fn two_cache_servers_have_a_mesh_and_share_the_front_ends() {
    for k in [1, 2] {
        let mut fleet = fleet("cache-fleet", k);
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
        expect(&fleet, "frontend", &[3; 5]);
        // Whose cache server is whose is a matter of hashing; all five front ends are somebody's, after the hand-over of
        // those who came before both were known.
        let (base, mesh, front_ends) = (2, k as usize, 5);
        expect_in_all(&fleet, "cache", 2 * (base + mesh) + front_ends);
    }
}

#[test]
fn a_consumer_has_the_threads_of_its_kind_and_its_workers() {
    let mut fleet = fleet("thread-per-peer", 1);
    // Nobody serves the stream: that is no reason for another thread, nor for one less.
    let nobody = format!("http://{}", fleet.service(9));
    let stream = ["--stream", "s", "--endpoint", &nobody];
    let (main, consumer, flusher, reader) = (1, 1, 1, 1);
    let bus = ["--rule", "all"].as_slice();
    for (host, kind, own, workers, threads) in [
        (40, "auth-cache", &[][..], 4, main + consumer + flusher + 4),
        (41, "metrics-buffer", &[][..], 2, main + consumer + flusher + reader + 2),
        (42, "event-bus", bus, 1, main + consumer + flusher + reader + 1),
    ] {
        let data = fleet.data(kind);
        let workers = workers.to_string();
        let more = ["--kind", kind, "--workers", &workers, "--data", &data];
        fleet.start("consumer", host, &[&more[..], &stream[..], own].concat());
        fleet.ready(host);
        expect_in_all(&fleet, "consumer", threads);
        fleet.remove(host);
    }
}

#[test]
fn weir_serve_has_four_threads_and_those_that_serve_whatever_is_asked_of_it() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    for (arguments, serve_threads) in
        [(&[][..], processors.min(8)), (&["--serve-threads", "1"], 1), (&["--serve-threads", "5"], 5)]
    {
        has_threads(arguments, 4 + serve_threads);
    }
}

fn has_threads(arguments: &[&str], threads: usize) {
    let mut server = Server::start_with(&[arguments, &["--admin", "127.0.0.1:0"]].concat());
    server.stream("one", 4);
    for number in 0..50 {
        server.ok(
            "PutRecord",
            &json!({"StreamName": "one", "PartitionKey": number.to_string(), "Data": "AAAA"}),
        );
    }
    let listed: Value = server.ok("ListShards", &json!({"StreamName": "one"}));
    assert_eq!(listed["Shards"].as_array().map(Vec::len), Some(4));
    assert_eq!(threads_of(server.process()), threads, "{arguments:?}");
    says_base_threads(server.admin_address(), threads);
}

/// The server knows its own B.
fn says_base_threads(admin: SocketAddr, threads: usize) {
    let ask = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let metrics = http::send(admin, ask.as_bytes()).expect("the admin listener answers");
    let says =
        String::from_utf8_lossy(&metrics.body).contains(&format!("weir_frontend_base_threads {threads}.0\n"));
    assert!(says, "{}", String::from_utf8_lossy(&metrics.body));
}

#[test]
fn a_front_end_that_is_told_to_stop_ends_with_all_its_threads() {
    let mut fleet = fleet("thread-per-peer", 1);
    fleet.backend(10);
    for host in 20..23 {
        fleet.start("frontend", host, &[]);
    }
    expect(&fleet, "frontend", &[3 + 2; 3]);
    let last = fleet.process(22);
    last.signal(Signal::SIGTERM);
    let status = last.wait(Duration::from_secs(30));
    assert!(status.success(), "{status}");
}
