//! Single steps of the fleet, and small fleets without chaos.

use std::time::Duration;

use weir_core::id::{CellName, Incarnation, MemberId};
use weir_wire::{
    control::{Bootstrap, Census, MeshKind, OnRefusal, Role},
    mesh::{Dialler, RefusedReason},
};

use super::network::{World, config};
use crate::fleet::{FleetAction, FleetEvent, Hello, Ticket};

/// Long enough for everybody to learn of everybody, to build and to be heard.
const SETTLED: Duration = Duration::from_secs(3);

fn fleet_of(servers: usize, nodes: usize, mut change: impl FnMut(&mut World)) -> World {
    let mut world = World::new(1, config());
    change(&mut world);
    for number in 0..nodes {
        let node = world.join_node();
        world.create_stream(number as u64, node);
    }
    for _ in 0..servers {
        world.join(Role::Frontend);
    }
    world
}

fn routes(world: &World, member: MemberId) -> usize {
    world.servers[&member].map.as_ref().map_or(0, |map| map.shards_count())
}

#[test]
fn a_fleet_of_one_has_no_peer_threads_and_routes() {
    let mut world = fleet_of(1, 2, |_| ());
    world.run(SETTLED);
    let (id, server) = world.servers.first_key_value().unwrap();
    assert!(server.threads.is_empty());
    assert_eq!(routes(&world, *id), 2);
}

#[test]
fn every_server_has_k_threads_a_peer_and_no_others() {
    for k in [1, 3] {
        let mut world = fleet_of(6, 2, |world| world.config.threads_per_peer = k);
        world.run(SETTLED);
        for (id, server) in &world.servers {
            assert_eq!(server.threads.len(), k * 5, "server {id} with k = {k}");
            assert_eq!(routes(&world, *id), 2);
            assert_eq!(server.fleet.threads_committed(None), k * 5);
        }
    }
}

#[test]
fn threads_are_committed_for_all_that_are_registered_before_they_are_learned_of() {
    for (mesh, role, before, after) in [
        (MeshKind::ThreadPerPeer, Role::Frontend, 8, 16),
        (MeshKind::Multiplexed, Role::Frontend, 0, 0),
        (MeshKind::CacheFleet, Role::Cache, 4, 12), // and one for each front end that it serves
    ] {
        let mut world = fleet_of(5, 1, |world| {
            (world.config.mesh, world.config.threads_per_peer) = (mesh, 2);
            if mesh == MeshKind::CacheFleet {
                for _ in 0..3 {
                    world.join(Role::Cache);
                }
            }
        });
        world.run(SETTLED);
        for _ in 0..4 {
            world.join(role);
        }
        let count = |role| world.view().members.iter().filter(|member| member.role == role).count();
        let census = Some(Census { frontends: count(Role::Frontend), caches: count(Role::Cache) });
        let first = world.view().members.iter().find(|member| member.role == role).unwrap().id;
        let fleet = &world.servers[&first].fleet;
        let served = world.servers[&first].threads.len() - before;
        assert_eq!(fleet.threads_committed(None), before + served, "{mesh:?}: what it knows");
        assert_eq!(fleet.threads_committed(census), after + served, "{mesh:?}: what is coming");
        world.run(SETTLED);
        let server = &world.servers[&first];
        assert_eq!(server.threads.len(), server.fleet.threads_committed(census), "{mesh:?}: what came");
    }
}

#[test]
fn a_steady_map_is_never_older_than_a_gossip_interval() {
    let mut world = fleet_of(4, 1, |_| ());
    world.run(SETTLED);
    for _ in 0..200 {
        world.run(super::network::STEP);
        for (id, server) in &world.servers {
            let age = world.now.since(server.map.as_ref().unwrap().built_at);
            assert!(age <= world.config.gossip_interval.0, "{id}: {age:?}");
        }
    }
}

#[test]
fn a_joiner_is_learned_by_one_after_the_other_within_the_discovery_window() {
    let mut world = fleet_of(12, 1, |_| ());
    world.run(SETTLED);
    let joiner = world.join(Role::Frontend);
    let mut learned_at = std::collections::BTreeMap::new();
    let started = world.now;
    for _ in 0..100 {
        world.run(super::network::STEP);
        for (id, server) in world.servers.iter().filter(|(id, _)| **id != joiner) {
            if server.fleet.facts().known_members == 13 {
                learned_at.entry(*id).or_insert(world.now.since(started));
            }
        }
    }
    let window = world.config.discovery_window.0 + 4 * super::network::STEP;
    assert_eq!(learned_at.len(), 12);
    assert!(learned_at.values().all(|after| *after <= window), "{learned_at:?}");
    let distinct: std::collections::BTreeSet<_> = learned_at.values().collect();
    assert!(distinct.len() >= 8, "a staircase, not a jump: {learned_at:?}");
}

#[test]
fn the_joiners_arrival_never_leaves_a_settled_server_without_a_fresh_map() {
    let mut world = fleet_of(8, 4, |_| ());
    world.run(SETTLED);
    for _ in 0..4 {
        world.join(Role::Frontend);
        for _ in 0..100 {
            world.run(super::network::STEP);
            for (id, server) in &world.servers {
                let Some(map) = &server.map else { continue };
                let age = world.now.since(map.built_at);
                assert!(age < world.config.map_ttl.0, "{id}: {age:?}");
                assert_eq!((map.silent_nodes, map.shards_count()), (0, 4), "{id}");
            }
        }
    }
}

#[test]
fn the_kernels_refusal_wedges_at_the_predicted_member_and_for_good() {
    let (limit, k) = (7, 2);
    let mut world = fleet_of(4, 2, |world| {
        world.config.on_refusal = OnRefusal::Wedge;
        world.config.threads_per_peer = k;
        world.threads_max = limit;
    });
    world.run(SETTLED);
    assert!(world.servers.values().all(|server| server.fleet.facts().refused == 0));
    let n_star = limit / k + 2; // B is not part of this world
    let joiners: Vec<_> = (0..2).map(|_| world.join(Role::Frontend)).collect();
    world.run(SETTLED);
    for (id, server) in &world.servers {
        let facts = server.fleet.facts();
        assert_eq!((facts.refused, facts.refused_at_members), (1, Some(n_star)), "{id}");
        assert!(facts.wedged && facts.complete_ratio < 1.0 && facts.builds_failed == 1);
        let age = server.map.as_ref().map(|map| world.now.since(map.built_at));
        assert!(age.is_none_or(|age| age > world.config.map_ttl.0), "{id}: {age:?}");
    }
    for joiner in joiners {
        world.leave(joiner);
    }
    let published: Vec<u64> = world.servers.values().map(|server| server.published).collect();
    world.run(SETTLED);
    for (id, server) in &world.servers {
        assert_eq!(server.threads.len(), 3 * k, "{id} still has the threads of the joiners");
    }
    assert_eq!(published, world.servers.values().map(|server| server.published).collect::<Vec<_>>());
    // M8: only a restart helps, and it helps while the others are still wedged.
    let first = *world.servers.first_key_value().unwrap().0;
    world.restart(first);
    world.run(SETTLED);
    assert_eq!(routes(&world, first), 2);
    assert!(!world.servers[&first].fleet.facts().wedged);
}

#[test]
fn a_lane_without_a_descriptor_fails_the_build_but_wedges_nobody() {
    let mut world = fleet_of(2, 1, |world| world.config.on_refusal = OnRefusal::Wedge);
    world.run(SETTLED);
    world.descriptors_max = 1;
    world.join(Role::Frontend);
    world.run(SETTLED);
    for server in world.servers.values() {
        let facts = server.fleet.facts();
        assert!(facts.unequipped > 1 && facts.builds_failed > 1, "{facts:?}");
        assert_eq!((facts.wedged, facts.refused, facts.refused_at_members), (false, 0, None));
    }
    world.descriptors_max = usize::MAX;
    world.run(SETTLED);
    assert_eq!(old_maps(&world), []);
}

#[test]
fn under_retry_the_removal_of_the_joiners_heals() {
    let mut world = fleet_of(4, 2, |world| world.threads_max = 3);
    world.run(SETTLED);
    let joiner = world.join(Role::Frontend);
    world.run(SETTLED);
    let stale = |world: &World| {
        let ttl = world.config.map_ttl.0;
        let old = |map: &crate::shard_map::ShardMap| world.now.since(map.built_at) > ttl;
        world.servers.values().filter(|server| server.map.as_deref().is_none_or(old)).count()
    };
    assert_eq!(stale(&world), 5);
    assert!(world.servers.values().all(|server| server.fleet.facts().builds_failed > 1));
    world.leave(joiner);
    world.run(SETTLED);
    assert_eq!(stale(&world), 0);
}

#[test]
fn a_silent_nodes_shards_expire_and_the_rest_goes_on() {
    let mut world = fleet_of(4, 3, |_| ());
    world.run(SETTLED);
    let silent = *world.nodes.first_key_value().unwrap().0;
    world.nodes.get_mut(&silent).unwrap().silent = true;
    world.run(SETTLED);
    for server in world.servers.values() {
        let map = server.map.as_ref().unwrap();
        assert_eq!((map.shards_count(), map.silent_nodes), (2, 1));
        assert!(world.now.since(map.built_at) <= world.config.gossip_interval.0);
    }
    // A server that boots now does not wait for it for ever either.
    let joiner = world.join(Role::Frontend);
    world.run(SETTLED);
    assert_eq!(routes(&world, joiner), 2);
    world.nodes.get_mut(&silent).unwrap().silent = false;
    world.run(SETTLED);
    assert!(world.servers.keys().all(|id| routes(&world, *id) == 3));
}

fn old_maps(world: &World) -> Vec<MemberId> {
    let ttl = world.config.map_ttl.0;
    let old = |map: &crate::shard_map::ShardMap| world.now.since(map.built_at) > ttl;
    let servers = world.servers.iter();
    servers.filter(|(_, server)| server.map.as_deref().is_none_or(old)).map(|(id, _)| *id).collect()
}

#[test]
fn a_node_that_never_speaks_costs_one_build_and_no_map_becomes_too_old() {
    for bootstrap in [Bootstrap::Peers, Bootstrap::Authoritative] {
        let mut world = fleet_of(4, 2, |world| world.config.bootstrap = bootstrap);
        world.run(SETTLED);
        world.join_silent_node();
        for _ in 0..300 {
            world.run(Duration::from_millis(10));
            assert_eq!(old_maps(&world), [], "{bootstrap:?}");
        }
        world.join(Role::Frontend);
        world.run(SETTLED);
        for (id, server) in &world.servers {
            let map = server.map.as_ref().unwrap();
            assert_eq!((map.shards_count(), map.silent_nodes), (2, 1), "{id} {bootstrap:?}");
        }
        assert_eq!(old_maps(&world), []);
    }
}

#[test]
fn a_fleet_that_starts_beside_nodes_that_never_speak_starts() {
    for (servers, mesh) in
        [(1, MeshKind::ThreadPerPeer), (5, MeshKind::ThreadPerPeer), (5, MeshKind::CacheFleet)]
    {
        let mut world = fleet_of(servers, 1, |world| {
            world.config.mesh = mesh;
            for _ in 0..6 {
                world.join_silent_node(); // homes of all servers are among theirs
            }
            if mesh == MeshKind::CacheFleet {
                for _ in 0..3 {
                    world.join(Role::Cache);
                }
            }
        });
        world.run(2 * SETTLED);
        assert_eq!(old_maps(&world), [], "{servers} {mesh:?}");
        assert!(world.servers.keys().all(|id| routes(&world, *id) == 1));
    }
}

#[test]
fn a_home_that_restarts_after_its_node_died_is_not_stopped_by_what_others_repeat() {
    let mut world = fleet_of(4, 2, |_| ());
    world.run(SETTLED);
    let dead = *world.nodes.first_key_value().unwrap().0;
    let home = crate::fleet::plan::home_of(dead, &world.view()).unwrap();
    world.kill_node(dead);
    world.run(Duration::from_millis(100));
    world.restart(home);
    world.run(SETTLED);
    assert_eq!((old_maps(&world), routes(&world, home)), (vec![], 1));
}

#[test]
fn a_dead_nodes_word_in_the_store_stops_no_later_build() {
    let mut world = fleet_of(2, 2, |world| world.config.bootstrap = Bootstrap::Authoritative);
    world.run(SETTLED);
    let dead = *world.nodes.first_key_value().unwrap().0;
    world.kill_node(dead);
    let first = *world.servers.first_key_value().unwrap().0;
    world.restart(first); // the store still has the dead node's last word
    world.run(Duration::from_millis(50));
    assert_eq!(routes(&world, first), 2);
    world.run(SETTLED);
    world.join(Role::Frontend);
    world.run(Duration::from_millis(900));
    assert_eq!(old_maps(&world), []);
    world.run(SETTLED);
    assert!(world.servers.keys().all(|id| routes(&world, *id) == 1));
}

#[test]
fn a_node_whose_home_cannot_be_heard_is_never_taken_for_silent() {
    let mut world = fleet_of(4, 1, |_| ());
    world.run(SETTLED);
    let node = *world.nodes.first_key_value().unwrap().0;
    let joiner = world.join(Role::Frontend);
    let home = crate::fleet::plan::home_of(node, &world.view()).unwrap();
    assert_ne!(home, joiner, "the seed puts the home elsewhere");
    world.blocked = Some((home, joiner));
    world.run(3 * SETTLED);
    assert_eq!(world.servers[&joiner].published, 0, "a map without a living node's shards");
    world.blocked = None;
    world.run(SETTLED);
    assert_eq!(routes(&world, joiner), 1);
}

#[test]
fn a_server_that_was_forgotten_stops_confirming_its_map_and_heals_when_it_is_a_member_again() {
    let mut world = fleet_of(4, 2, |_| ());
    world.run(SETTLED);
    let paused = *world.servers.first_key_value().unwrap().0;
    world.forget(paused, true);
    world.run(SETTLED);
    assert_eq!(old_maps(&world), [paused]);
    assert!(world.servers[&paused].threads.is_empty());
    world.forget(paused, false);
    world.run(SETTLED);
    assert_eq!(old_maps(&world), []);
    assert!(world.servers.keys().all(|id| routes(&world, *id) == 2));
}

#[test]
fn a_home_that_dies_is_stood_in_for() {
    let mut world = fleet_of(5, 3, |_| ());
    world.run(SETTLED);
    let view = world.view();
    let home = crate::fleet::plan::home_of(*world.nodes.first_key_value().unwrap().0, &view).unwrap();
    world.kill(home);
    world.run(SETTLED);
    // Nor does it stop a build that begins while it is dead.
    let joiner = world.join(Role::Frontend);
    world.run(SETTLED);
    assert!(world.servers.contains_key(&joiner));
    for (id, server) in world.servers.iter().filter(|(id, _)| **id != home) {
        assert_eq!(routes(&world, *id), 3, "{id}");
        let map = server.map.as_ref().unwrap();
        assert_eq!(map.silent_nodes, 0);
        assert!(world.now.since(map.built_at) <= world.config.gossip_interval.0, "{id}");
    }
}

#[test]
fn a_server_boots_from_the_store_before_the_mesh_knows_it() {
    for (bootstrap, quick) in [(Bootstrap::Peers, false), (Bootstrap::Authoritative, true)] {
        let mut world = fleet_of(6, 3, |world| {
            world.config.bootstrap = bootstrap;
            world.config.discovery_window = weir_core::units::Span(Duration::from_secs(5));
        });
        world.run(Duration::from_secs(8));
        let joiner = world.join(Role::Frontend);
        world.run(Duration::from_millis(100));
        assert_eq!(routes(&world, joiner) == 3, quick, "{bootstrap:?}");
        world.run(Duration::from_secs(8));
        assert_eq!(routes(&world, joiner), 3, "{bootstrap:?}");
        let map = world.servers[&joiner].map.as_ref().unwrap();
        assert_eq!(map.silent_nodes, 0);
    }
}

#[test]
fn a_dialler_is_refused_for_the_reason_that_holds() {
    let mut world = fleet_of(3, 1, |_| ());
    world.run(SETTLED);
    let (id, last) =
        (*world.servers.first_key_value().unwrap().0, *world.servers.last_key_value().unwrap().0);
    let now = world.now;
    let fleet = &mut world.servers.get_mut(&id).unwrap().fleet;
    let mut dial = |member, life, cell: &str, dialler| {
        let cell = CellName::new(cell);
        let hello = Hello { member, life: Incarnation(life), cell, dialler, lane: 0 };
        let answer = fleet.apply(now, FleetEvent::Dialled { ticket: Ticket(9), hello });
        match answer.as_slice() {
            [FleetAction::Refuse { ticket: Ticket(9), reason }] => Some(*reason),
            [FleetAction::AcceptPeer { .. } | FleetAction::AcceptNode { .. }] => None,
            other => panic!("{other:?}"),
        }
    };
    let stranger = MemberId(77);
    assert_eq!(dial(stranger, 99, "a", Dialler::Peer), Some(RefusedReason::UnknownMember));
    assert_eq!(dial(last, 99, "b", Dialler::Peer), Some(RefusedReason::WrongCell));
    assert_eq!(dial(last, 0, "a", Dialler::Peer), Some(RefusedReason::UnknownMember), "an old life");
    assert_eq!(dial(last, 99, "a", Dialler::Subscriber), Some(RefusedReason::NoPeerThread));
    assert_eq!(dial(id, 99, "a", Dialler::Peer), Some(RefusedReason::NoPeerThread), "not its own peer");
    assert_eq!(dial(stranger, 99, "a", Dialler::Node), None, "nodes need not be known to be heard");
    // The last of three is dialled by the others; they are accepted by its threads.
    let fleet = &mut world.servers.get_mut(&last).unwrap().fleet;
    let hello = Hello {
        member: id,
        life: Incarnation(99),
        cell: CellName::new("a"),
        dialler: Dialler::Peer,
        lane: 0,
    };
    let answer = fleet.apply(now, FleetEvent::Dialled { ticket: Ticket(9), hello });
    assert!(matches!(answer[..], [FleetAction::AcceptPeer { ticket: Ticket(9), .. }]), "{answer:?}");
}

#[test]
fn a_multiplexed_fleet_routes_without_a_thread() {
    let mut world = fleet_of(6, 3, |world| {
        world.config.mesh = MeshKind::Multiplexed;
        world.threads_max = 0;
    });
    world.run(SETTLED);
    assert!(world.servers.keys().all(|id| routes(&world, *id) == 3));
}

#[test]
fn in_a_cache_fleet_the_front_ends_are_flat_and_the_caches_carry_the_slope() {
    let mut world = fleet_of(9, 3, |world| {
        world.config.mesh = MeshKind::CacheFleet;
        for _ in 0..3 {
            world.join(Role::Cache);
        }
    });
    world.run(SETTLED);
    let view = world.view();
    let mut subscribers = 0;
    for member in &view.members {
        let server = &world.servers[&member.id];
        assert_eq!(routes(&world, member.id), 3, "{} {:?}", member.id, member.role);
        let homed = view
            .members
            .iter()
            .filter(|other| other.role == Role::Frontend)
            .filter(|other| crate::fleet::plan::home_of(other.id, &view) == Some(member.id))
            .count();
        match member.role {
            Role::Frontend => assert!(server.threads.is_empty()),
            _ => assert_eq!(server.threads.len(), 2 + homed, "{}", member.id),
        }
        subscribers += homed;
    }
    assert_eq!(subscribers, 9);
}

#[test]
fn a_front_end_turns_to_the_next_cache_server_when_its_own_dies_and_back() {
    let mut world = fleet_of(4, 2, |world| {
        world.config.mesh = MeshKind::CacheFleet;
        for _ in 0..3 {
            world.join(Role::Cache);
        }
    });
    world.run(SETTLED);
    let frontend = *world.servers.last_key_value().unwrap().0;
    let own = world.servers[&frontend].fleet.upstream().unwrap();
    world.kill(own);
    world.run(SETTLED);
    let next = world.servers[&frontend].fleet.upstream().unwrap();
    assert_ne!(next, own);
    assert_eq!(routes(&world, frontend), 2);
    let guests = |world: &World| {
        let threads = &world.servers[&next].threads;
        threads.iter().filter(|lane| lane.peer == frontend).count()
    };
    assert_eq!(guests(&world), 1);
    world.restart(own);
    world.run(SETTLED);
    assert_eq!(world.servers[&frontend].fleet.upstream(), Some(own));
    assert_eq!(guests(&world), 0, "the stand-in lets its thread go");
    assert_eq!(routes(&world, frontend), 2);
}

#[test]
fn a_cache_server_without_a_thread_to_spare_turns_a_guest_away_and_stays_whole() {
    let mut world = fleet_of(6, 2, |world| {
        world.config.mesh = MeshKind::CacheFleet;
        world.config.on_refusal = OnRefusal::Wedge;
        for _ in 0..2 {
            world.join(Role::Cache);
        }
    });
    world.run(SETTLED);
    let caches: Vec<_> =
        world.view().members.iter().filter(|member| member.role == Role::Cache).map(|m| m.id).collect();
    let (dead, other) = (caches[0], caches[1]);
    world.threads_max = world.servers[&other].threads.len() + 1;
    world.kill(dead);
    world.run(SETTLED);
    let facts = world.servers[&other].fleet.facts();
    assert!(facts.refused > 0 && !facts.wedged && facts.builds_failed == 0, "{facts:?}");
    assert_eq!(world.servers[&other].threads.len(), world.threads_max);
    let age = world.now.since(world.servers[&other].map.as_ref().unwrap().built_at);
    assert!(age <= world.config.gossip_interval.0);
}
