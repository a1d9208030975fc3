//! Real front ends, threads and sockets in one process: they mesh up, publish, restart and end.
//!
//! The control plane here is the smallest that answers; the logic has its own tests beside it. What a kernel's limit
//! does is shown where there are envelopes: in the lab.

#[cfg(test)]
#[path = "mesh/cell.rs"]
mod cell;

use std::time::Duration;

use weir_wire::control::{Bootstrap, MeshKind, Role};

use cell::Cell;

#[test]
fn front_ends_mesh_up_with_k_threads_a_peer_and_route_to_every_node() {
    let mut cell = Cell::new(10, |fleet| fleet.threads_per_peer = 2);
    cell.nodes(3);
    for number in 0..6 {
        cell.start(number, Role::Frontend);
    }
    cell.eventually("all route", || cell.running().all(|server| server.shards() == 3));
    cell.eventually("all connected", || cell.running().all(|server| server.connected() == 5));
    for server in cell.running() {
        assert_eq!(server.threads.running(), 1 + 2 * 5, "the fleet thread, and k for each peer");
        let facts = server.facts().unwrap();
        assert_eq!((facts.known_members, facts.refused, facts.wedged), (6, 0, false));
    }
    cell.stop_all();
}

#[test]
fn a_stopped_server_leaves_no_thread_behind_and_comes_back_to_the_threads_of_its_peers() {
    let mut cell = Cell::new(11, |_| ());
    cell.nodes(2);
    for number in 0..4 {
        cell.start(number, Role::Frontend);
    }
    cell.eventually("all connected", || cell.running().all(|server| server.connected() == 3));
    let spawned: Vec<u64> = cell.running().map(|server| server.threads.spawned()).collect();
    let stopped = cell.stop(0);
    assert_eq!(stopped.running(), 0);
    cell.eventually("its peers lost it", || cell.running().all(|server| server.connected() == 2));
    cell.start(0, Role::Frontend);
    cell.eventually("all connected again", || cell.running().all(|server| server.connected() == 3));
    cell.eventually("it routes", || cell.running().all(|server| server.shards() == 2));
    let after: Vec<u64> = cell.running().skip(1).map(|server| server.threads.spawned()).collect();
    assert_eq!(after, spawned[1..], "its peers kept their threads");
    cell.stop_all();
}

#[test]
fn a_removed_member_takes_its_threads_with_it() {
    let mut cell = Cell::new(12, |_| ());
    cell.nodes(1);
    for number in 0..4 {
        cell.start(number, Role::Frontend);
    }
    cell.eventually("all connected", || cell.running().all(|server| server.connected() == 3));
    cell.stop(3);
    cell.remove(3);
    cell.eventually("threads end", || cell.running().all(|server| server.threads.running() == 1 + 2));
    cell.eventually("fresh maps", || cell.running().all(|server| server.age() < Duration::from_millis(300)));
    cell.stop_all();
}

#[test]
fn a_multiplexed_fleet_has_no_peer_threads() {
    let mut cell = Cell::new(13, |fleet| fleet.mesh = MeshKind::Multiplexed);
    cell.nodes(2);
    for number in 0..5 {
        cell.start(number, Role::Frontend);
    }
    cell.eventually("all route", || cell.running().all(|server| server.shards() == 2));
    cell.eventually("all connected", || cell.running().all(|server| server.connected() == 4));
    assert!(cell.running().all(|server| server.threads.running() == 1));
    cell.stop_all();
}

#[test]
fn in_a_cache_fleet_only_the_cache_servers_have_threads_and_a_dead_one_is_replaced() {
    let mut cell = Cell::new(14, |fleet| fleet.mesh = MeshKind::CacheFleet);
    cell.nodes(2);
    for number in 0..3 {
        cell.start(number, Role::Cache);
    }
    for number in 3..8 {
        cell.start(number, Role::Frontend);
    }
    cell.eventually("all route", || cell.running().all(|server| server.shards() == 2));
    cell.eventually("all connected", || {
        cell.running()
            .map(|server| server.facts().unwrap())
            .all(|facts| facts.peers_connected + facts.subscribers_connected == facts.peers_wanted)
    });
    let peer_threads = |cell: &Cell, role| -> usize {
        cell.running().filter(|s| s.role == role).map(|s| s.threads.running() - 1).sum()
    };
    assert_eq!(peer_threads(&cell, Role::Frontend), 0);
    // The mesh of three, and one for each front end; more only while front ends settle with their own cache server.
    cell.eventually("no more threads than that", || peer_threads(&cell, Role::Cache) == 3 * 2 + 5);
    cell.stop(0);
    cell.eventually("maps stay fresh without it", || {
        cell.running().all(|server| server.shards() == 2 && server.age() < Duration::from_millis(300))
    });
    cell.eventually("the others took its front ends over", || peer_threads(&cell, Role::Cache) == 2 * 2 + 5);
    cell.stop_all();
}

#[test]
fn a_server_that_starts_alone_waits_for_its_control_plane_and_ends_when_told() {
    let mut cell = Cell::new(15, |fleet| fleet.bootstrap = Bootstrap::Authoritative);
    cell.silence_control(true);
    cell.start(0, Role::Frontend);
    assert!(!cell.running().next().unwrap().outlet.is_ready());
    cell.silence_control(false);
    cell.nodes(1);
    cell.eventually("it is ready", || cell.running().all(|server| server.outlet.is_ready()));
    cell.eventually("it routes", || cell.running().all(|server| server.shards() == 1));
    cell.silence_control(true);
    cell.stop_all();
}

#[test]
fn the_numbers_are_exported_under_their_names() {
    let mut cell = Cell::new(16, |_| ());
    cell.nodes(1);
    cell.start(0, Role::Frontend);
    cell.start(1, Role::Frontend);
    cell.eventually("all connected", || cell.running().all(|server| server.connected() == 1));
    cell.eventually("all route", || {
        let complete = |server: &cell::Server| server.facts().unwrap().complete_ratio == 1.0;
        cell.running().all(|server| server.shards() == 1 && complete(server))
    });
    let exported = |start: &str| {
        let text = cell.running().next().unwrap().scrape();
        text.lines().any(|found| found.starts_with(start))
    };
    cell.eventually("the census is in", || exported("weir_frontend_registered_members 2"));
    let text = cell.running().next().unwrap().scrape();
    for line in [
        "weir_frontend_threads 3",
        "weir_frontend_base_threads 3",
        "weir_frontend_peer_threads 1",
        "weir_frontend_peers_connected 1",
        "weir_frontend_known_members 2",
        "weir_frontend_committed_threads 4",
        "weir_frontend_shard_map_complete_ratio 1",
        "weir_frontend_builds_failed_total 0",
        "weir_frontend_spawn_refused_total 0",
        "weir_frontend_refused_at_members 0",
        "weir_frontend_wedged 0",
        "weir_frontend_shard_map_shards 1",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
    // Others register: what is committed rises at once, what is known and what runs does not.
    cell.register_unborn(5);
    cell.eventually("they are counted", || exported("weir_frontend_registered_members 7"));
    for line in
        ["weir_frontend_committed_threads 9", "weir_frontend_known_members 2", "weir_frontend_peer_threads 1"]
    {
        assert!(exported(line), "{line}");
    }
    cell.stop_all();
}
