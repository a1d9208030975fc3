//! The machine from outside: what callers are told, in any order of events.

mod quotas;

use std::{net::SocketAddr, time::Duration};

use proptest::prelude::*;
use weir_core::{
    clock::{Monotonic, WallMs},
    id::{
        AccountId, CellName, ClusterId, Incarnation, MemberId, Region, ServerName, StreamName, StreamRef,
        TenantName,
    },
    limits::NODES_MAX,
    shard::OwnedShard,
};
use weir_wire::{
    control::{
        Census, ControlError, ControlReply, ControlRequest, NewStream, Role, SharedConfig, StreamChange,
        StreamStatus,
    },
    fragment::Fragment,
};

use super::{Applied, ControlCommand, Machine};
use crate::{
    config::{TenantConfig, embedded},
    health::ProbeOutcome,
    state::State,
};

pub(super) fn machine(cells: &[&str]) -> Machine {
    let shared = SharedConfig::new("00".repeat(32));
    let mut config = embedded(shared, vec![TenantConfig { name: TenantName::new("pinned"), cell: None }]);
    config.cells = cells.iter().map(|&cell| CellName::new(cell)).collect();
    Machine::new(State::new(ClusterId(1), config))
}

pub(super) fn call(machine: &mut Machine, request: ControlRequest) -> Result<ControlReply, ControlError> {
    apply(machine, request).reply
}

pub(super) fn apply(machine: &mut Machine, request: ControlRequest) -> Applied {
    machine.apply(Monotonic::ZERO, WallMs(1_700_000_000_000), ControlCommand::Call(request))
}

pub(super) fn address(number: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], number))
}

pub(super) fn register(
    machine: &mut Machine,
    name: &str,
    role: Role,
    cell: Option<&str>,
) -> (MemberId, Incarnation) {
    let request = ControlRequest::Register {
        cluster: None,
        name: ServerName::new(name),
        role,
        cell: cell.map(CellName::new),
        service: address(1),
        mesh: (role != Role::Backend).then(|| address(2)),
        admin: address(3),
    };
    match call(machine, request).unwrap() {
        ControlReply::Registered { member, life, .. } => (member, life),
        other => panic!("{other:?}"),
    }
}

pub(super) fn stream(name: &str) -> StreamRef {
    StreamRef { account: AccountId::DEFAULT, region: Region::US_EAST_1, name: StreamName::new(name) }
}

pub(super) fn create(machine: &mut Machine, name: &str, shards: u32) -> Result<ControlReply, ControlError> {
    call(machine, ControlRequest::CreateStream(NewStream::provisioned(stream(name), shards)))
}

pub(super) fn status(machine: &mut Machine, name: &str) -> Result<StreamStatus, ControlError> {
    let request = ControlRequest::DescribeStream { stream: stream(name) };
    match call(machine, request)? {
        ControlReply::Stream(stream) => Ok(stream.status),
        other => panic!("{other:?}"),
    }
}

/// The node says that it owns `shards` and hears what it should own.
pub(super) fn report(
    machine: &mut Machine,
    node: (MemberId, Incarnation),
    sequence: u64,
    shards: &[OwnedShard],
) -> Vec<OwnedShard> {
    let fragment = Fragment {
        node: node.0,
        life: node.1,
        sequence,
        address: address(1),
        ttl: Duration::from_secs(1),
        shards: shards.into(),
    };
    match call(machine, ControlRequest::Report { fragment, traffic: Vec::new() }).unwrap() {
        ControlReply::Assignments { shards, .. } => shards,
        other => panic!("{other:?}"),
    }
}

fn endpoints(machine: &mut Machine, tenant: Option<&str>) -> usize {
    match call(machine, ControlRequest::Endpoints { tenant: tenant.map(TenantName::new) }).unwrap() {
        ControlReply::Endpoints { urls, .. } => urls.len(),
        other => panic!("{other:?}"),
    }
}

fn routes(machine: &mut Machine, tenants: &[&str]) -> (Vec<usize>, Vec<usize>) {
    let tenants = tenants.iter().copied().map(TenantName::new).collect();
    match call(machine, ControlRequest::Routes { tenants }).unwrap() {
        ControlReply::Routes { cells, tenants } => (cells.iter().map(Vec::len).collect(), tenants),
        other => panic!("{other:?}"),
    }
}

fn probe(machine: &mut Machine, server: (MemberId, Incarnation), second: u64, answered: bool) {
    let outcome = ProbeOutcome { member: server.0, life: server.1, ready: answered, answered };
    let now = Monotonic::ZERO + Duration::from_secs(second);
    machine.apply(now, WallMs(0), ControlCommand::Probed(outcome)).reply.unwrap();
}

#[test]
fn a_stream_is_active_once_every_node_says_that_it_owns_its_shards() {
    let mut machine = machine(&["main"]);
    let nodes = [
        register(&mut machine, "node-1", Role::Backend, None),
        register(&mut machine, "node-2", Role::Backend, None),
    ];
    create(&mut machine, "s", 4).unwrap();
    assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Creating));
    let first = report(&mut machine, nodes[0], 1, &[]);
    let second = report(&mut machine, nodes[1], 1, &[]);
    assert_eq!((first.len(), second.len()), (2, 2), "spread by count");
    report(&mut machine, nodes[0], 2, &first);
    assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Creating), "one node is not all");
    report(&mut machine, nodes[1], 2, &second);
    assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Active));
}

#[test]
fn a_deleted_stream_is_gone_once_no_node_says_so_any_more() {
    let mut machine = machine(&["main"]);
    let node = register(&mut machine, "node-1", Role::Backend, None);
    create(&mut machine, "s", 1).unwrap();
    let shards = report(&mut machine, node, 1, &[]);
    report(&mut machine, node, 2, &shards);
    let delete = ControlRequest::DeleteStream { stream: stream("s"), with_consumers: false };
    call(&mut machine, delete.clone()).unwrap();
    assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Deleting));
    assert_eq!(create(&mut machine, "s", 1).unwrap_err(), ControlError::AlreadyExists("stream s".to_owned()));
    assert!(report(&mut machine, node, 3, &shards).is_empty(), "it should own nothing");
    report(&mut machine, node, 4, &[]);
    assert!(matches!(status(&mut machine, "s"), Err(ControlError::NotFound(_))));
    assert!(matches!(call(&mut machine, delete), Err(ControlError::NotFound(_))));
}

#[test]
fn streams_of_one_name_in_two_regions_or_accounts_are_two() {
    let mut machine = machine(&["main"]);
    register(&mut machine, "node-1", Role::Backend, None);
    let here = stream("s");
    let elsewhere = StreamRef { region: "eu-west-1".parse().unwrap(), ..here.clone() };
    let others = StreamRef { account: AccountId::new(7).unwrap(), ..here.clone() };
    for (shards, stream) in (1..).zip([&here, &elsewhere, &others]) {
        let request = ControlRequest::CreateStream(NewStream::provisioned(stream.clone(), shards));
        call(&mut machine, request).unwrap();
    }
    let listed = |machine: &mut Machine, of: &StreamRef| {
        let StreamRef { account, region, .. } = *of;
        match call(machine, ControlRequest::ListStreams { account, region, after: None, limit: 9 }) {
            Ok(ControlReply::Streams { streams, more: false }) => {
                streams.into_iter().map(|known| (known.stream, known.shards.len())).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    for (shards, stream) in (1..).zip([&here, &elsewhere, &others]) {
        assert_eq!(listed(&mut machine, stream), [(stream.clone(), shards)]);
    }
    call(&mut machine, ControlRequest::DeleteStream { stream: elsewhere.clone(), with_consumers: false })
        .unwrap();
    assert_eq!(listed(&mut machine, &elsewhere), []);
    assert_eq!(listed(&mut machine, &here).len(), 1, "nobody but the one that was named");
}

#[test]
fn shards_are_bounded_for_a_stream_and_for_all_in_kinesis_words() {
    let mut machine = machine(&["main"]);
    machine.state.config.shared.limits.assign(&"account-shards=off".parse().unwrap());
    register(&mut machine, "node-1", Role::Backend, None);
    let refused = |machine: &mut Machine, name: &str, shards| match create(machine, name, shards) {
        Err(ControlError::LimitExceeded(text)) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(&mut machine, "wide", 10_001),
        "This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count for \
         the account: 0. Limit: 10000. Number of additional shards that would have resulted from this request: \
         10001. Refer to the AWS Service Limits page \
         (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request \
         higher limits."
    );
    for number in 0..4 {
        create(&mut machine, &format!("s-{number}"), 10_000).unwrap();
    }
    let text = refused(&mut machine, "one-more", 1);
    assert!(text.contains("account: 40000. Limit: 40000. Number of additional"), "{text}");
    assert!(matches!(create(&mut machine, "none", 0), Err(ControlError::Invalid(_))));
}

#[test]
fn an_older_report_does_not_take_back_a_newer_one() {
    let mut machine = machine(&["main"]);
    let node = register(&mut machine, "node-1", Role::Backend, None);
    create(&mut machine, "s", 1).unwrap();
    let shards = report(&mut machine, node, 1, &[]);
    report(&mut machine, node, 5, &shards);
    report(&mut machine, node, 4, &[]);
    assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Active));
    assert!(matches!(machine.fragments.get(&node.0), Some(fragment) if fragment.sequence == 5));
}

#[test]
fn a_restart_keeps_the_number_and_gets_a_higher_life() {
    let mut machine = machine(&["main"]);
    let first = register(&mut machine, "fe-1", Role::Frontend, Some("main"));
    let other = register(&mut machine, "fe-2", Role::Frontend, Some("main"));
    let again = register(&mut machine, "fe-1", Role::Frontend, Some("main"));
    assert_eq!(first.0, again.0);
    assert!(again.1 > other.1 && other.1 > first.1);
    let fragment = Fragment {
        node: first.0,
        life: first.1,
        sequence: 9,
        address: address(1),
        ttl: Duration::ZERO,
        shards: [].into(),
    };
    let stale = call(&mut machine, ControlRequest::Report { fragment, traffic: Vec::new() });
    assert!(matches!(stale, Err(ControlError::Invalid(_))), "a life that is over is not heard");
}

#[test]
fn a_change_in_one_cell_is_no_new_generation_for_another() {
    let mut machine = machine(&["a", "b"]);
    let generation = |machine: &mut Machine, cell: &str| match call(
        machine,
        ControlRequest::View { cell: CellName::new(cell) },
    ) {
        Ok(ControlReply::View(view)) => view.generation,
        other => panic!("{other:?}"),
    };
    let before = (generation(&mut machine, "a"), generation(&mut machine, "b"));
    register(&mut machine, "fe-1", Role::Frontend, Some("a"));
    let after = (generation(&mut machine, "a"), generation(&mut machine, "b"));
    assert!(after.0 > before.0 && after.1 == before.1);
    register(&mut machine, "node-1", Role::Backend, None);
    assert!(generation(&mut machine, "a") > after.0 && generation(&mut machine, "b") > after.1);
}

#[test]
fn endpoints_are_ready_healthy_not_draining_and_of_the_tenants_cell() {
    let mut machine = machine(&["a", "b"]);
    let in_a = register(&mut machine, "fe-1", Role::Frontend, Some("a"));
    let in_b = register(&mut machine, "fe-2", Role::Frontend, Some("b"));
    assert_eq!(endpoints(&mut machine, None), 0, "nobody is ready");
    probe(&mut machine, in_a, 0, true);
    probe(&mut machine, in_b, 0, true);
    assert_eq!(endpoints(&mut machine, None), 2);
    let place =
        ControlRequest::PlaceTenant { tenant: TenantName::new("pinned"), cell: Some(CellName::new("b")) };
    call(&mut machine, place).unwrap();
    call(&mut machine, ControlRequest::Drain { member: in_a.0, on: true }).unwrap();
    assert_eq!((endpoints(&mut machine, None), endpoints(&mut machine, Some("pinned"))), (1, 1));
    call(&mut machine, ControlRequest::Drain { member: in_a.0, on: false }).unwrap();
    for second in 1..4 {
        probe(&mut machine, in_b, second, false);
    }
    assert_eq!((endpoints(&mut machine, None), endpoints(&mut machine, Some("pinned"))), (1, 0));
}

#[test]
fn a_server_has_said_to_be_ready_until_its_next_life() {
    let mut machine = machine(&["a"]);
    let said_ready = |machine: &Machine| machine.probe_targets()[0].said_ready;
    let first = register(&mut machine, "fe-1", Role::Frontend, Some("a"));
    assert!(!said_ready(&machine));
    probe(&mut machine, first, 0, true);
    assert!(said_ready(&machine));
    register(&mut machine, "fe-1", Role::Frontend, Some("a"));
    assert!(!said_ready(&machine));
}

#[test]
fn one_answer_tells_where_many_tenants_go_and_names_each_cell_once() {
    let mut machine = machine(&["a", "b"]);
    for (tenant, cell) in [("t-1", "a"), ("t-2", "b"), ("t-3", "a")] {
        let cell = Some(CellName::new(cell));
        call(&mut machine, ControlRequest::PlaceTenant { tenant: TenantName::new(tenant), cell }).unwrap();
    }
    for (name, cell) in [("fe-1", "a"), ("fe-2", "a"), ("fe-3", "b")] {
        let server = register(&mut machine, name, Role::Frontend, Some(cell));
        probe(&mut machine, server, 0, true);
    }
    let drained = register(&mut machine, "fe-4", Role::Frontend, Some("a"));
    probe(&mut machine, drained, 0, true);
    call(&mut machine, ControlRequest::Drain { member: drained.0, on: true }).unwrap();
    assert_eq!(routes(&mut machine, &["t-3", "t-2", "t-1"]), (vec![2, 1], vec![0, 1, 0]));
    assert_eq!(routes(&mut machine, &["t-2"]), (vec![1], vec![0]));
    assert_eq!(routes(&mut machine, &[]), (vec![], vec![]));
}

fn members(machine: &mut Machine) -> (Vec<MemberId>, Vec<MemberId>) {
    match call(machine, ControlRequest::View { cell: CellName::new("main") }) {
        Ok(ControlReply::View(view)) => {
            (view.members.iter().map(|m| m.id).collect(), view.nodes.iter().map(|n| n.id).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn at(second: u64) -> Monotonic {
    Monotonic::ZERO + Duration::from_secs(second)
}

fn report_at(machine: &mut Machine, node: (MemberId, Incarnation), second: u64) -> Applied {
    let (sequence, ttl) = (second, Duration::from_secs(30));
    let fragment =
        Fragment { node: node.0, life: node.1, sequence, address: address(1), ttl, shards: [].into() };
    let report = ControlCommand::Call(ControlRequest::Report { fragment, traffic: Vec::new() });
    machine.apply(at(second), WallMs(0), report)
}

#[test]
fn a_server_that_does_not_answer_for_long_is_away_until_it_answers_again() {
    let mut machine = machine(&["main"]);
    let paused = register(&mut machine, "fe-1", Role::Frontend, Some("main"));
    let cache = register(&mut machine, "cache-1", Role::Cache, Some("main"));
    for server in [paused, cache] {
        probe(&mut machine, server, 0, true);
        for second in [20, 40, 61] {
            probe(&mut machine, server, second, false);
        }
    }
    assert_eq!((members(&mut machine).0, endpoints(&mut machine, None)), (vec![], 0));
    probe(&mut machine, cache, 62, false);
    probe(&mut machine, paused, 62, true);
    assert_eq!(
        (members(&mut machine).0, endpoints(&mut machine, None)),
        (vec![paused.0], 1),
        "the same life"
    );
    let census = call(&mut machine, ControlRequest::Census { cell: CellName::new("main") });
    assert_eq!(census, Ok(ControlReply::Census(Census { frontends: 1, caches: 0 })));
    let drained = call(&mut machine, ControlRequest::Deregister { member: paused.0 });
    assert!(drained.is_ok());
    probe(&mut machine, paused, 63, true);
    assert_eq!(members(&mut machine).0, [], "who was taken off stays off, however healthy");
    let again = register(&mut machine, "cache-1", Role::Cache, Some("main"));
    assert_eq!((again.0, members(&mut machine).0), (cache.0, vec![cache.0]), "a new life is back at once");
}

#[test]
fn a_server_that_never_answered_is_away_too_and_a_slow_boot_is_not_held_against_it() {
    let mut machine = machine(&["main"]);
    let slow = register(&mut machine, "fe-1", Role::Frontend, Some("main"));
    for second in [0, 30, 61] {
        probe(&mut machine, slow, second, false);
    }
    assert_eq!(members(&mut machine).0, []);
    probe(&mut machine, slow, 90, true);
    assert_eq!(members(&mut machine).0, [slow.0]);
}

#[test]
fn a_node_that_does_not_report_for_long_is_away_and_its_next_report_brings_it_back() {
    let mut machine = machine(&["main"]);
    let ghost = register(&mut machine, "ghost", Role::Backend, None);
    let node = register(&mut machine, "node", Role::Backend, None);
    report_at(&mut machine, node, 1);
    let round =
        |machine: &mut Machine, second| machine.apply(at(second), WallMs(0), ControlCommand::Round).save;
    assert!(!round(&mut machine, 2) && !round(&mut machine, 59));
    report_at(&mut machine, node, 59);
    assert!(round(&mut machine, 61));
    assert_eq!(members(&mut machine).1, [node.0], "the ghost never spoke");
    assert!(!round(&mut machine, 190), "this process was paused, and what came meanwhile waits");
    assert!(round(&mut machine, 191));
    assert_eq!(members(&mut machine).1, []);
    assert!(!round(&mut machine, 192), "once");
    let back = report_at(&mut machine, node, 193);
    assert!(back.save && back.notify);
    assert_eq!((members(&mut machine).1, ghost.0 == node.0), (vec![node.0], false));
}

#[test]
fn streams_are_placed_on_nodes_that_give_signs_of_life() {
    let mut machine = machine(&["main"]);
    let dead = register(&mut machine, "dead", Role::Backend, None);
    let node = register(&mut machine, "node", Role::Backend, None);
    report_at(&mut machine, node, 31);
    let create = |machine: &mut Machine, name: &str, second| {
        let request = ControlRequest::CreateStream(NewStream::provisioned(stream(name), 2));
        machine.apply(at(second), WallMs(0), ControlCommand::Call(request)).reply.unwrap();
        let stream = machine.state().streams.last().unwrap();
        stream.shards.iter().map(|assigned| assigned.node).collect::<Vec<_>>()
    };
    assert_eq!(create(&mut machine, "early", 1), [dead.0, node.0], "both have just registered");
    assert_eq!(create(&mut machine, "late", 40), [node.0, node.0]);
    assert_eq!(create(&mut machine, "no-life", 90).len(), 2, "better there than nowhere");
}

#[test]
fn the_store_hands_out_a_nodes_word_no_longer_than_it_is_good_for() {
    let mut machine = machine(&["main"]);
    let node = register(&mut machine, "node", Role::Backend, None);
    report_at(&mut machine, node, 1);
    let ttls = |machine: &mut Machine, second| {
        let ask = ControlCommand::Call(ControlRequest::Fragments);
        match machine.apply(at(second), WallMs(0), ask).reply.unwrap() {
            ControlReply::Fragments(words) => words.iter().map(|word| word.ttl.as_secs()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([1, 21, 31, 99].map(|second| ttls(&mut machine, second)), [[30], [10], [0], [0]]);
    report_at(&mut machine, node, 100);
    register(&mut machine, "node", Role::Backend, None);
    assert_eq!(ttls(&mut machine, 100), [0], "that life is over");
}

#[test]
fn a_full_fleet_forgets_those_that_are_away_and_own_nothing() {
    let mut machine = machine(&["main"]);
    let owner = register(&mut machine, "node-0", Role::Backend, None);
    create(&mut machine, "s", 1).unwrap();
    for number in 1..NODES_MAX {
        register(&mut machine, &format!("node-{number}"), Role::Backend, None);
    }
    let one_more = |machine: &mut Machine| {
        call(
            machine,
            ControlRequest::Register {
                cluster: None,
                name: ServerName::new("one-more"),
                role: Role::Backend,
                cell: None,
                service: address(1),
                mesh: None,
                admin: address(3),
            },
        )
    };
    assert!(matches!(one_more(&mut machine), Err(ControlError::LimitExceeded(_))));
    register(&mut machine, "node-7", Role::Backend, None); // a restart needs no room
    for second in [0, 30, 60] {
        machine.apply(at(second), WallMs(0), ControlCommand::Round);
    }
    assert!(one_more(&mut machine).is_ok());
    let known = &machine.state().servers;
    assert_eq!(known.len(), NODES_MAX);
    assert!(known.contains_key(&owner.0), "its shards are still its own");
}

#[test]
fn a_node_of_another_cluster_is_refused_without_a_trace() {
    let mut machine = machine(&["main"]);
    let living = register(&mut machine, "node-1", Role::Backend, None);
    let before = machine.state().clone();
    let request = |cluster| ControlRequest::Register {
        cluster: Some(ClusterId(cluster)),
        name: ServerName::new("node-1"),
        role: Role::Backend,
        cell: None,
        service: address(1),
        mesh: None,
        admin: address(3),
    };
    let refused = apply(&mut machine, request(2));
    assert_eq!((refused.reply, refused.save), (Err(ControlError::OtherCluster(ClusterId(1))), false));
    assert_eq!(machine.state(), &before);
    report(&mut machine, living, 1, &[]); // its namesake's life goes on
    assert!(call(&mut machine, request(1)).is_ok());
}

#[test]
fn registrations_that_make_no_sense_are_refused() {
    let mut machine = machine(&["main"]);
    let request = |role, cell: Option<&str>, mesh| ControlRequest::Register {
        cluster: None,
        name: ServerName::new("x"),
        role,
        cell: cell.map(CellName::new),
        service: address(1),
        mesh,
        admin: address(3),
    };
    for bad in [
        request(Role::Frontend, None, Some(address(2))),
        request(Role::Frontend, Some("main"), None),
        request(Role::Frontend, Some("nowhere"), Some(address(2))),
        request(Role::Backend, Some("main"), None),
    ] {
        assert!(matches!(call(&mut machine, bad), Err(ControlError::Invalid(_))));
    }
    register(&mut machine, "x", Role::Frontend, Some("main"));
    let other_role = call(&mut machine, request(Role::Backend, None, None));
    assert!(matches!(other_role, Err(ControlError::AlreadyExists(_))));
}

proptest! {
    /// Whatever is created, reported and deleted in whatever order: a kept state reads back as itself, every shard has
    /// one node, and the ranges of a stream tile the hash key space.
    #[test]
    fn streams_stay_whole_under_any_order(steps in prop::collection::vec((0..3u8, 0..4u8, 1..6u32), 1..60)) {
        let mut machine = machine(&["main"]);
        let node = register(&mut machine, "node-1", Role::Backend, None);
        let mut owned: Vec<OwnedShard> = Vec::new();
        for (sequence, (step, stream, shards)) in (1..).zip(steps) {
            let name = format!("s-{stream}");
            match step {
                0 => drop(create(&mut machine, &name, shards)),
                1 => drop(call(&mut machine, ControlRequest::DeleteStream { stream: self::stream(&name), with_consumers: true })),
                _ => owned = report(&mut machine, node, sequence, &owned),
            }
            let json = serde_json::to_string(machine.state()).unwrap();
            let kept: State = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&kept, machine.state());
            for stream in &machine.state().streams {
                let mut next = Some(0u128);
                for assigned in &stream.shards {
                    prop_assert_eq!(assigned.node, node.0);
                    prop_assert_eq!(Some(assigned.shard.range.start.0), next);
                    next = assigned.shard.range.end.0.checked_add(1);
                }
                prop_assert_eq!(next, None);
            }
        }
        for sequence in 1_000..1_003 {
            owned = report(&mut machine, node, sequence, &owned);
        }
        let settled = machine.state().streams.iter().all(|stream| stream.status == StreamStatus::Active);
        prop_assert!(settled, "once the node has caught up, nothing is in between");
    }
}

#[test]
fn who_lets_go_of_something_is_heard_on_a_full_disk_and_who_wishes_for_more_can_wait() {
    let change = |change| ControlRequest::ChangeStream { stream: stream("s"), change };
    let delete = ControlRequest::DeleteStream { stream: stream("s"), with_consumers: true };
    for (request, is_wish) in [
        (delete, false),
        (change(StreamChange::DecreaseRetention { hours: 24 }), false),
        (change(StreamChange::IncreaseRetention { hours: 48 }), true),
        (ControlRequest::CreateStream(NewStream::provisioned(stream("s"), 1)), true),
    ] {
        assert_eq!(ControlCommand::Call(request.clone()).is_wish(), is_wish, "{request:?}");
    }
    assert!(!ControlCommand::Tick.is_wish());
}
