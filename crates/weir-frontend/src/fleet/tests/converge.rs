//! Whatever happens in whatever order: when messages stop being lost, all maps converge to the owners' truth.
//!
//! The network checks on the way that no map routes to an owner older than one its server was told of, and that a
//! wedged server never publishes.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use weir_core::id::MemberId;
use weir_wire::control::{Bootstrap, MeshKind, OnRefusal, Role};

use super::network::{World, config};

const STREAMS: u64 = 5;

#[derive(Debug, Clone)]
enum Op {
    Join,
    Leave(prop::sample::Index),
    Restart(prop::sample::Index),
    Kill(prop::sample::Index),
    JoinNode,
    JoinSilentNode,
    LeaveNode(prop::sample::Index),
    KillNode(prop::sample::Index),
    RestartNode(prop::sample::Index),
    CreateStream(u64, prop::sample::Index),
    MoveShard(u64, prop::sample::Index, bool),
    Cut(prop::sample::Index),
    Silence(prop::sample::Index, bool),
    Wait(u16),
}

fn op() -> impl Strategy<Value = Op> {
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        2 => Just(Op::Join),
        2 => index().prop_map(Op::Leave),
        3 => index().prop_map(Op::Restart),
        1 => index().prop_map(Op::Kill),
        1 => Just(Op::JoinNode),
        1 => Just(Op::JoinSilentNode),
        1 => index().prop_map(Op::LeaveNode),
        1 => index().prop_map(Op::KillNode),
        2 => index().prop_map(Op::RestartNode),
        3 => (0..STREAMS, index()).prop_map(|(stream, node)| Op::CreateStream(stream, node)),
        5 => (0..STREAMS, index(), any::<bool>()).prop_map(|(s, node, forgetful)| Op::MoveShard(s, node, forgetful)),
        3 => index().prop_map(Op::Cut),
        2 => (index(), any::<bool>()).prop_map(|(node, silent)| Op::Silence(node, silent)),
        6 => (1..1_500u16).prop_map(Op::Wait),
    ]
}

#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    chaos: f64,
    mesh: MeshKind,
    bootstrap: Bootstrap,
    threads_per_peer: usize,
    ops: Vec<Op>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let mesh =
        prop_oneof![Just(MeshKind::ThreadPerPeer), Just(MeshKind::Multiplexed), Just(MeshKind::CacheFleet)];
    let bootstrap = prop_oneof![Just(Bootstrap::Peers), Just(Bootstrap::Authoritative)];
    (any::<u64>(), 0.0..0.4, mesh, bootstrap, 1..3usize, prop::collection::vec(op(), 1..25)).prop_map(
        |(seed, chaos, mesh, bootstrap, threads_per_peer, ops)| Plan {
            seed,
            chaos,
            mesh,
            bootstrap,
            threads_per_peer,
            ops,
        },
    )
}

fn pick<T>(from: &BTreeMap<MemberId, T>, index: prop::sample::Index) -> Option<MemberId> {
    (!from.is_empty()).then(|| *from.keys().nth(index.index(from.len())).unwrap())
}

fn go_through(world: &mut World, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Join if world.servers.len() < 8 => drop(world.join(Role::Frontend)),
            Op::JoinNode if world.nodes.len() < 5 => drop(world.join_node()),
            Op::JoinSilentNode if world.nodes.len() < 5 => drop(world.join_silent_node()),
            Op::Join | Op::JoinNode | Op::JoinSilentNode => {}
            Op::LeaveNode(index) if world.nodes.len() > 1 => {
                world.leave_node(pick(&world.nodes, *index).unwrap());
            }
            Op::LeaveNode(_) => {}
            Op::KillNode(index) => world.kill_node(pick(&world.nodes, *index).unwrap()),
            Op::RestartNode(index) => world.restart_node(pick(&world.nodes, *index).unwrap()),
            Op::Leave(index) => {
                let leaver = pick(&world.servers, *index).unwrap();
                let alike = world.view().members;
                let role = alike.iter().find(|member| member.id == leaver).unwrap().role;
                if alike.iter().filter(|member| member.role == role).count() > 1 {
                    world.leave(leaver);
                }
            }
            Op::Restart(index) => world.restart(pick(&world.servers, *index).unwrap()),
            Op::Kill(index) => world.kill(pick(&world.servers, *index).unwrap()),
            Op::CreateStream(stream, index) => {
                world.create_stream(*stream, pick(&world.nodes, *index).unwrap());
            }
            Op::MoveShard(stream, index, forgetful) => {
                world.move_shard(*stream, pick(&world.nodes, *index).unwrap(), *forgetful);
            }
            Op::Cut(index) => {
                let one = pick(&world.servers, *index).unwrap();
                world.cut(|a, b| a == one || b == one);
            }
            Op::Silence(index, silent) => {
                let node = pick(&world.nodes, *index).unwrap();
                world.nodes.get_mut(&node).unwrap().silent = *silent;
            }
            Op::Wait(ms) => world.run(Duration::from_millis(u64::from(*ms))),
        }
        world.run(Duration::from_millis(20));
    }
}

fn start(plan: &Plan) -> World {
    let mut config = config();
    config.mesh = plan.mesh;
    config.bootstrap = plan.bootstrap;
    config.threads_per_peer = plan.threads_per_peer;
    let mut world = World::new(plan.seed, config);
    let (first, second) = (world.join_node(), world.join_node());
    world.create_stream(0, first);
    world.create_stream(1, second);
    if plan.mesh == MeshKind::CacheFleet {
        for _ in 0..2 {
            world.join(Role::Cache);
        }
    }
    for _ in 0..3 {
        world.join(Role::Frontend);
    }
    world
}

/// Messages stop being lost, dead servers are restarted, nodes that live know what they own and speak; then enough time
/// for everything bounded. Dead nodes stay dead.
fn heal(world: &mut World) {
    world.chaos = 0.0;
    for node in world.nodes.values_mut() {
        node.silent = false;
    }
    for id in world.servers.keys().copied().collect::<Vec<_>>() {
        if world.servers[&id].down {
            world.restart(id);
        }
    }
    world.remind();
    world.run(Duration::from_secs(8));
}

fn assert_all_maps_are_the_truth(world: &World) {
    let truth = world.truth();
    for (id, server) in &world.servers {
        let facts = server.fleet.facts();
        let map = server.map.as_ref().unwrap_or_else(|| panic!("{id} has no map: {facts:?}"));
        let routed: BTreeMap<_, _> = map
            .streams()
            .flat_map(|stream| stream.shards())
            .map(|routed| (routed.shard.key, (routed.node, routed.shard.epoch)))
            .collect();
        assert_eq!(routed, truth, "{id}: {facts:?}");
        let age = world.now.since(map.built_at);
        assert!(age <= world.config.gossip_interval.0, "{id}: the map is {age:?} old, {facts:?}");
        assert_eq!(
            facts.peers_connected + facts.subscribers_connected,
            facts.peers_wanted,
            "{id}: {facts:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_maps_converge_to_the_owners_truth(plan in plans()) {
        let mut world = start(&plan);
        world.chaos = plan.chaos;
        go_through(&mut world, &plan.ops);
        heal(&mut world);
        assert_all_maps_are_the_truth(&world);
    }

    #[test]
    fn a_wedged_server_never_publishes_again_and_a_restart_heals_it(plan in plans(), threads_max in 2usize..5) {
        let mut world = start(&Plan { mesh: MeshKind::ThreadPerPeer, threads_per_peer: 1, ..plan.clone() });
        world.config.on_refusal = OnRefusal::Wedge;
        world.chaos = plan.chaos;
        world.threads_max = threads_max;
        go_through(&mut world, &plan.ops);
        // The network has asserted that nobody published while wedged. Now the joiners leave, and everybody restarts.
        while world.servers.len() > threads_max {
            let last = *world.servers.last_key_value().unwrap().0;
            world.leave(last);
        }
        world.run(Duration::from_secs(2));
        for id in world.servers.keys().copied().collect::<Vec<_>>() {
            world.restart(id);
            world.run(Duration::from_millis(300));
        }
        heal(&mut world);
        assert_all_maps_are_the_truth(&world);
    }

    #[test]
    fn under_retry_a_fleet_that_fits_again_heals_without_a_restart(plan in plans(), threads_max in 2usize..5) {
        let mut world = start(&Plan { mesh: MeshKind::ThreadPerPeer, threads_per_peer: 1, ..plan.clone() });
        world.chaos = plan.chaos;
        world.threads_max = threads_max;
        go_through(&mut world, &plan.ops);
        while world.servers.len() > threads_max {
            let last = *world.servers.last_key_value().unwrap().0;
            world.leave(last);
        }
        heal(&mut world);
        assert_all_maps_are_the_truth(&world);
    }
}
