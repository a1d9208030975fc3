//! Reshards from outside: nodes that do what they are told, late or never, and a control plane that restarts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_core::{id::Incarnation, shard::ClosedShard, units::Span};
use weir_wire::{
    control::{ControlReply, ControlRequest, Role, StreamChange, StreamDescription},
    fragment::Fragment,
};

use super::*;
use crate::machine::{
    ControlCommand,
    tests::{address, call, create, machine, register, stream},
};

const START: u64 = 1_700_000_000_000;
const DAY: u64 = 24 * 3_600_000;

/// A control plane and its nodes.
struct World {
    machine: Machine,
    wall: u64,
    nodes: Vec<Node>,
}

struct Node {
    id: (MemberId, Incarnation),
    sequence: u64,
    held: BTreeMap<ShardKey, OwnedShard>,
    silent: bool,
}

impl World {
    fn new(nodes: usize, shards: u32) -> Self {
        let mut machine = machine(&["a"]);
        let nodes = (0..nodes).map(|number| {
            let id = register(&mut machine, &format!("node-{number}"), Role::Backend, None);
            Node { id, sequence: 0, held: BTreeMap::new(), silent: false }
        });
        let nodes = nodes.collect();
        create(&mut machine, "s", shards).unwrap();
        let mut world = Self { machine, wall: START, nodes };
        world.settle();
        assert_eq!(world.stream().status, StreamStatus::Active);
        world
    }

    fn change(&mut self, change: StreamChange) -> Result<StreamDescription, ControlError> {
        let request = ControlRequest::ChangeStream { stream: stream("s"), change };
        let command = ControlCommand::Call(request);
        match self.machine.apply(Monotonic::ZERO, WallMs(self.wall), command).reply? {
            ControlReply::Stream(stream) => Ok(*stream),
            other => panic!("{other:?}"),
        }
    }

    fn stream(&mut self) -> StreamDescription {
        match call(&mut self.machine, ControlRequest::DescribeStream { stream: stream("s") }).unwrap() {
            ControlReply::Stream(stream) => *stream,
            other => panic!("{other:?}"),
        }
    }

    /// The node says what it has, hears what it should have, and does a part of it.
    fn report(&mut self, at: usize, does: bool) {
        let node = &mut self.nodes[at];
        node.sequence += 1;
        let fragment = Fragment {
            node: node.id.0,
            life: node.id.1,
            sequence: node.sequence,
            address: address(1),
            ttl: std::time::Duration::from_secs(1),
            shards: node.held.values().cloned().collect::<Vec<_>>().into(),
        };
        let command = ControlCommand::Call(ControlRequest::Report { fragment, traffic: Vec::new() });
        let reply = self.machine.apply(Monotonic::ZERO, WallMs(self.wall), command).reply.unwrap();
        let ControlReply::Assignments { shards, closing, .. } = reply else { panic!("{reply:?}") };
        if !does {
            return;
        }
        node.held.retain(|key, _| shards.iter().any(|shard| shard.key == *key));
        for shard in shards {
            node.held.entry(shard.key).or_insert(OwnedShard { closed: None, ..shard });
        }
        for key in closing {
            let end = ClosedShard { at_ms: self.wall, end: u64::from(key.shard.0) };
            node.held.get_mut(&key).unwrap().closed.get_or_insert(end);
        }
    }

    /// Every node that speaks reports until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..40 {
            for at in 0..self.nodes.len() {
                if !self.nodes[at].silent {
                    self.report(at, true);
                }
            }
        }
    }

    fn restart(&mut self) {
        let kept = serde_json::to_vec(self.machine.state()).unwrap();
        self.machine = Machine::new(serde_json::from_slice(&kept).unwrap());
    }

    /// What must hold at every moment.
    fn check(&mut self) {
        let stream = self.stream();
        for child in &stream.shards {
            for parent in child.parents.iter().flatten() {
                let parent = stream.shards.iter().find(|shard| shard.key.shard == *parent).unwrap();
                let ending = parent.ending_number().expect("a child is born after its parents' end");
                assert!(ending.to_string() < child.starting_number().to_string());
                let holders = self.nodes.iter().filter_map(|node| node.held.get(&parent.key));
                assert!(holders.into_iter().all(|held| held.closed == parent.closed), "as its node says it");
            }
        }
        if stream.status == StreamStatus::Active {
            let mut ranges: Vec<_> =
                stream.shards.iter().filter(|shard| shard.is_open()).map(|shard| shard.range).collect();
            ranges.sort_by_key(|range| range.start);
            assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (HashKey::MIN, HashKey::MAX));
            assert!(ranges.windows(2).all(|pair| pair[0].end.0 + 1 == pair[1].start.0), "{ranges:?}");
        }
    }

    fn open(&mut self) -> usize {
        self.stream().shards.iter().filter(|shard| shard.is_open()).count()
    }
}

fn split(shard: u32, at: u128) -> StreamChange {
    StreamChange::SplitShard { shard: ShardIndex(shard), at: HashKey(at) }
}

fn merge(shard: u32, adjacent: u32) -> StreamChange {
    StreamChange::MergeShards { shard: ShardIndex(shard), adjacent: ShardIndex(adjacent) }
}

fn text(error: &ControlError) -> String {
    error.to_string()
}

#[test]
fn children_are_placed_only_when_the_parents_node_says_that_it_is_closed() {
    let mut world = World::new(1, 1);
    let told = world.change(split(0, 1 << 127)).unwrap();
    assert_eq!((told.status, told.shards.len()), (StreamStatus::Updating, 1));
    world.report(0, false);
    assert_eq!(world.stream().shards.len(), 1, "a word from before the closing ends nothing");
    world.report(0, true); // closes
    assert_eq!(world.stream().shards.len(), 1);
    world.report(0, true); // says so, hears of the children and opens them
    let stream = world.stream();
    assert_eq!((stream.status, stream.shards.len()), (StreamStatus::Updating, 3));
    assert_eq!(stream.shards[0].closed, Some(ClosedShard { at_ms: START, end: 0 }));
    assert_eq!(stream.shards[1].parents, [Some(ShardIndex(0)), None]);
    assert_eq!(stream.shards[1].range.end.0 + 1, stream.shards[2].range.start.0);
    world.report(0, true);
    assert_eq!(world.stream().status, StreamStatus::Active);
    world.change(merge(1, 2)).unwrap();
    world.settle();
    let stream = world.stream();
    assert_eq!(stream.status, StreamStatus::Active);
    assert_eq!(stream.shards[3].parents, [Some(ShardIndex(1)), Some(ShardIndex(2))]);
    assert_eq!(stream.shards[3].range, HashKeyRange::ALL);
    world.check();
}

#[test]
fn a_reshard_goes_on_after_a_restart_at_any_step_and_waits_for_a_silent_node() {
    for reports in 0..8 {
        let mut world = World::new(2, 2);
        world.change(StreamChange::UpdateShardCount { target: 3 }).unwrap();
        for report in 0..reports {
            world.report(report % 2, true);
        }
        world.restart();
        world.check();
        world.nodes[0].silent = true;
        world.settle();
        assert_eq!(world.stream().status, StreamStatus::Updating, "after {reports} reports");
        world.restart();
        world.nodes[0].silent = false;
        world.settle();
        world.check();
        assert_eq!((world.stream().status, world.open()), (StreamStatus::Active, 3), "{reports}");
    }
}

#[test]
fn a_stream_that_is_deleted_under_a_delay_is_resharded_to_the_end() {
    let mut world = World::new(1, 1);
    world.machine.state.config.delays.delete = Span(std::time::Duration::from_secs(9));
    world.change(split(0, 1 << 127)).unwrap();
    call(&mut world.machine, ControlRequest::DeleteStream { stream: stream("s"), with_consumers: false })
        .unwrap();
    world.settle();
    assert_eq!((world.stream().status, world.open()), (StreamStatus::Deleting, 2));
}

#[test]
fn what_cannot_be_split_or_merged_is_refused_in_kinesis_words() {
    let mut world = World::new(1, 3);
    let third = u128::MAX / 3;
    for (change, refused) in [
        (split(5, 7), ControlError::ShardNotFound(ShardIndex(5))),
        (merge(0, 9), ControlError::ShardNotFound(ShardIndex(9))),
    ] {
        assert_eq!(world.change(change), Err(refused));
    }
    for at in [0, 1, third - 1, u128::MAX] {
        let refused = text(&world.change(split(0, at)).unwrap_err());
        assert_eq!(
            refused,
            format!(
                "NewStartingHashKey {at} used in SplitShard() on shard shardId-000000000000 in stream s under account \
                 000000000000 is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's \
                 EndingHashKey {}.",
                third - 1
            )
        );
    }
    for (shard, adjacent) in [(0, 2), (1, 0), (1, 1)] {
        let refused = text(&world.change(merge(shard, adjacent)).unwrap_err());
        let ids = (ShardIndex(shard), ShardIndex(adjacent));
        let expected = format!(
            "Shards {} and {} in stream s under account 000000000000 are not an adjacent pair of shards eligible for \
             merging",
            ids.0, ids.1
        );
        assert_eq!(refused, expected);
    }
    world.change(split(0, 2)).unwrap();
    let scaled = StreamChange::UpdateShardCount { target: 99 };
    for change in [merge(1, 2), merge(0, 9), split(5, 7), scaled] {
        let busy = text(&world.change(change).unwrap_err());
        assert_eq!(busy, "Stream s under account 000000000000 not ACTIVE, instead in state UPDATING");
    }
    world.settle();
    let over = "Shard shardId-000000000000 in stream s under account 000000000000 has already been merged or split, and \
                thus is not eligible for merging or splitting.";
    assert_eq!(text(&world.change(split(0, 9)).unwrap_err()), over);
    assert_eq!(text(&world.change(merge(0, 1)).unwrap_err()), over);
}

#[test]
fn a_shard_count_is_at_most_doubled_at_least_halved_and_updated_ten_times_a_day() {
    let mut world = World::new(1, 4);
    for (target, what) in [(9, "up over double"), (1, "down below half"), (10_001, "greater than 10000")] {
        let refused = world.change(StreamChange::UpdateShardCount { target }).unwrap_err();
        assert!(matches!(&refused, ControlError::LimitExceeded(text) if text.contains(what)), "{refused}");
        assert!(
            text(&refused).ends_with(&format!("Current open shard count: 4 Target shard count: {target}"))
        );
    }
    for time in 0..10 {
        let target = if time % 2 == 0 { 5 } else { 4 };
        let told = world.change(StreamChange::UpdateShardCount { target }).unwrap();
        assert_eq!(told.shards.iter().filter(|shard| shard.is_open()).count() as u32, 9 - target);
        world.wall += 1_000;
        world.settle();
        world.check();
        assert_eq!(world.open() as u32, target);
    }
    let target = StreamChange::UpdateShardCount { target: 5 };
    assert!(text(&world.change(target.clone()).unwrap_err()).contains("rolling 24-hour period"));
    world.restart();
    world.wall = START + DAY - 1;
    assert!(matches!(world.change(target.clone()), Err(ControlError::LimitExceeded(_))));
    world.wall = START + DAY;
    world.change(target).unwrap();
}

#[test]
fn closed_shards_go_when_their_records_are_too_old_parents_first() {
    let mut world = World::new(1, 1);
    world.change(split(0, 1 << 127)).unwrap();
    world.settle();
    world.wall += 1_000;
    world.change(merge(1, 2)).unwrap();
    world.settle();
    let shards = |world: &mut World| -> Vec<u32> {
        world.stream().shards.iter().map(|shard| shard.key.shard.0).collect()
    };
    world.wall = START + DAY;
    world.settle();
    assert_eq!(shards(&mut world), [0, 1, 2, 3], "to the last millisecond");
    world.wall += 1;
    world.settle();
    assert_eq!(shards(&mut world), [1, 2, 3]);
    world.wall += 1_000;
    world.settle();
    assert_eq!(shards(&mut world), [3]);
    let held: Vec<_> = world.nodes[0].held.keys().map(|key| key.shard.0).collect();
    assert_eq!(held, [3], "its node deletes what is dropped");
    world.change(split(3, 1 << 127)).unwrap();
    world.settle();
    assert_eq!(shards(&mut world), [3, 4, 5], "numbers go on");
}

#[test]
fn an_on_demand_stream_is_doubled_by_its_traffic_and_a_provisioned_one_is_not() {
    for (on_demand, open) in [(true, 8), (false, 4)] {
        let mut world = World::new(1, 4);
        world.machine.state.streams[0].on_demand = on_demand;
        let busy = StreamTraffic { stream: world.machine.state.streams[0].id, bytes: 0, records: 30_000 };
        for second in [0, 10] {
            let now = Monotonic::ZERO + std::time::Duration::from_secs(second);
            let node = &mut world.nodes[0];
            node.sequence += 1;
            let fragment = Fragment {
                node: node.id.0,
                life: node.id.1,
                sequence: node.sequence,
                address: address(1),
                ttl: std::time::Duration::from_secs(1),
                shards: node.held.values().cloned().collect::<Vec<_>>().into(),
            };
            let report = ControlRequest::Report { fragment, traffic: vec![busy] };
            world.machine.apply(now, WallMs(START), ControlCommand::Call(report)).reply.unwrap();
        }
        world.settle();
        world.check();
        assert_eq!((world.stream().status, world.open()), (StreamStatus::Active, open));
    }
}

#[test]
fn a_parent_stays_until_its_children_are_born_however_long_the_other_parent_takes() {
    let mut world = World::new(2, 2);
    let held_by = |world: &World, shard: u32| {
        world
            .nodes
            .iter()
            .position(|node| node.held.keys().any(|key| key.shard == ShardIndex(shard)))
            .unwrap()
    };
    let late = held_by(&world, 1);
    assert_ne!(held_by(&world, 0), late, "the parents are on two nodes");
    world.nodes[late].silent = true;
    world.change(StreamChange::MergeShards { shard: ShardIndex(0), adjacent: ShardIndex(1) }).unwrap();
    world.settle();
    world.wall += 3 * DAY;
    world.settle();
    assert_eq!(world.stream().status, StreamStatus::Updating);
    world.nodes[late].silent = false;
    world.settle();
    let stream = world.stream();
    assert_eq!(stream.status, StreamStatus::Active);
    let open: Vec<_> =
        stream.shards.iter().filter(|shard| shard.is_open()).map(|shard| shard.range).collect();
    assert_eq!(open, [HashKeyRange::ALL]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_reshards_in_any_order_of_reports_and_restarts_tile_the_space_in_the_end(
        nodes in 1usize..4, shards in 1u32..5,
        steps in prop::collection::vec((0u8..5, any::<u32>(), any::<u128>()), 1..60),
    ) {
        let mut world = World::new(nodes, shards);
        for (kind, number, key) in steps {
            let (one, all) = (number % 12, world.stream().shards.len() as u32);
            match kind {
                0 => drop(world.change(split(number % all, key))),
                1 => drop(world.change(merge(number % all, (number / 16) % all))),
                2 => drop(world.change(StreamChange::UpdateShardCount { target: one + 1 })),
                3 => world.restart(),
                _ => world.report(number as usize % nodes, number % 3 > 0),
            }
            world.wall += 1;
            world.check();
        }
        world.settle();
        world.check();
        prop_assert_eq!(world.stream().status, StreamStatus::Active);
    }
}
