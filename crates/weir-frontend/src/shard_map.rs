//! The shard map: stream -> hash range -> shard -> back-end node, with a generation and an age.
//!
//! The fleet builds it from fragments and publishes it; routing reads it. A map never changes: a fresher one takes its
//! place. It must never be asked without a `now`: a map older than its TTL is no map.

mod current;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use weir_core::{
    clock::{Monotonic, WallMs},
    hash_key::{HashKey, HashKeyRange},
    id::{Generation, MemberId, ShardIndex, StreamId, StreamRef},
    shard::OwnedShard,
};

pub use self::current::{CurrentMap, MapReader, MapState};

/// One shard and the node that serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedShard {
    /// The shard as its owner says it.
    pub shard: OwnedShard,
    /// The node that owns it.
    pub node: MemberId,
    /// Where that node takes frames.
    pub address: SocketAddr,
}

/// The shards of one stream that are known to be owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamShards {
    stream: StreamRef,
    id: StreamId,
    /// All, open and closed, by number.
    by_number: Vec<RoutedShard>,
    /// Positions in `by_number` of those that take records, by the first key of their range.
    by_range: Vec<usize>,
    /// Positions in `by_number` of those that were made of a shard, by the first key of their range.
    children: BTreeMap<ShardIndex, Vec<usize>>,
    /// Those that are closed and have no children yet, or not all, by the first key of their range.
    childless: Vec<Childless>,
}

/// A closed shard whose keys nobody takes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Childless {
    range: HashKeyRange,
    closed: WallMs,
    /// The last key of all before it and of itself: a shard and its child may both be here.
    reach: HashKey,
}

impl StreamShards {
    /// The stream as the outside names it.
    pub fn stream(&self) -> &StreamRef {
        &self.stream
    }

    /// The stream as the log knows it.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Its shards that take records, by the first key of their range.
    pub fn open_shards(&self) -> impl Iterator<Item = &RoutedShard> {
        self.by_range.iter().map(|&at| &self.by_number[at])
    }

    /// The shard that takes records in its turn, of which there are as many as one likes; `None` when there is none.
    pub fn open_shard(&self, turn: usize) -> Option<&RoutedShard> {
        let at = self.by_range.get(turn.checked_rem(self.by_range.len())?)?;
        Some(&self.by_number[*at])
    }

    /// All of its shards, by number.
    pub fn shards(&self) -> &[RoutedShard] {
        &self.by_number
    }

    /// The shard that takes `hash`; `None` when its owner is not known (it is silent, or has not spoken yet).
    pub fn route(&self, hash: HashKey) -> Option<&RoutedShard> {
        let after = self.by_range.partition_point(|&at| self.by_number[at].shard.range.start <= hash);
        let candidate = &self.by_number[self.by_range[after.checked_sub(1)?]];
        candidate.shard.range.contains(hash).then_some(candidate)
    }

    /// The shard of this number; `None` when its owner is not known.
    pub fn shard(&self, number: ShardIndex) -> Option<&RoutedShard> {
        let found = self.by_number.binary_search_by_key(&number, |routed| routed.shard.key.shard).ok()?;
        Some(&self.by_number[found])
    }

    /// When the shard was closed that took `hash`, if no other takes it yet.
    pub fn closed_over(&self, hash: HashKey) -> Option<WallMs> {
        let after = self.childless.partition_point(|shard| shard.range.start <= hash);
        let before = self.childless[..after].iter().rev().take_while(|shard| shard.reach >= hash);
        before.filter(|shard| shard.range.contains(hash)).map(|shard| shard.closed).max()
    }

    /// The shards that took the place of a closed one, by range; `None` while the owner of a part is not known.
    pub fn children_of(&self, parent: &OwnedShard) -> Option<Vec<&OwnedShard>> {
        let children = self.children.get(&parent.key.shard)?;
        let children: Vec<&OwnedShard> = children.iter().map(|&at| &self.by_number[at].shard).collect();
        let mut next = Some(parent.range.start.0);
        for child in &children {
            if next.is_none_or(|next| child.range.start.0 > next) {
                return None;
            }
            next = child.range.end.0.checked_add(1);
        }
        next.is_none_or(|next| next > parent.range.end.0).then_some(children)
    }

    fn find_childless(&self) -> Vec<Childless> {
        let closed = self.by_number.iter().filter_map(|RoutedShard { shard, .. }| {
            let closed = WallMs(shard.closed?.at_ms);
            let childless = Childless { range: shard.range, closed, reach: shard.range.end };
            self.children_of(shard).is_none().then_some(childless)
        });
        let mut childless: Vec<Childless> = closed.collect();
        childless.sort_by_key(|shard| shard.range.start);
        let mut reach = HashKey(0);
        for shard in &mut childless {
            reach = reach.max(shard.reach);
            shard.reach = reach;
        }
        childless
    }

    fn new(id: StreamId, mut by_number: Vec<RoutedShard>) -> Self {
        by_number.sort_by_key(|routed| routed.shard.key.shard);
        let in_order =
            |positions: &mut Vec<usize>| positions.sort_by_key(|&at| by_number[at].shard.range.start);
        let mut children: BTreeMap<ShardIndex, Vec<usize>> = BTreeMap::new();
        for (at, routed) in by_number.iter().enumerate() {
            for parent in routed.shard.parents.into_iter().flatten() {
                children.entry(parent).or_default().push(at);
            }
        }
        children.values_mut().for_each(in_order);
        // A child is born when its parents have ended, whether or not their own node has been heard since.
        let is_open = |shard: &OwnedShard| shard.is_open() && !children.contains_key(&shard.key.shard);
        let mut by_range: Vec<usize> =
            (0..by_number.len()).filter(|&at| is_open(&by_number[at].shard)).collect();
        in_order(&mut by_range);
        let first = &by_number.first().expect("a stream without shards is not in the map").shard;
        let stream = first.stream();
        let mut shards = Self { stream, id, by_number, by_range, children, childless: vec![] };
        shards.childless = shards.find_childless();
        shards
    }
}

/// Everything that a map says, apart from when it was said: shared by the maps that confirm it.
#[derive(Debug, Default)]
pub struct Routes {
    by_id: BTreeMap<StreamId, Arc<StreamShards>>,
    by_name: HashMap<StreamRef, Arc<StreamShards>>,
    shards_count: usize,
}

impl Routes {
    /// Routes to these shards. The caller has decided between owners: no shard may come twice.
    pub fn new(shards: impl IntoIterator<Item = RoutedShard>) -> Self {
        let mut grouped: BTreeMap<StreamId, Vec<RoutedShard>> = BTreeMap::new();
        let mut shards_count = 0;
        for routed in shards {
            shards_count += 1;
            grouped.entry(routed.shard.key.stream).or_default().push(routed);
        }
        let mut routes = Self { shards_count, ..Self::default() };
        // In order of id, so that of two streams of one name (the older is being deleted) the newer is found by name.
        for (id, shards) in grouped {
            let stream = Arc::new(StreamShards::new(id, shards));
            routes.by_name.insert(stream.stream.clone(), Arc::clone(&stream));
            routes.by_id.insert(id, stream);
        }
        routes
    }
}

/// One published map.
#[derive(Debug, Clone)]
pub struct ShardMap {
    /// The membership generation that it was built in.
    pub generation: Generation,
    /// When it was last confirmed as complete.
    pub built_at: Monotonic,
    /// Nodes that exist but have gone silent: their shards are missing from this map.
    pub silent_nodes: usize,
    routes: Arc<Routes>,
}

impl ShardMap {
    /// A map of `routes`, confirmed at `built_at`.
    pub fn new(
        generation: Generation,
        built_at: Monotonic,
        silent_nodes: usize,
        routes: Arc<Routes>,
    ) -> Self {
        Self { generation, built_at, silent_nodes, routes }
    }

    /// The stream of this name. `None` while `silent_nodes` is zero means that no node owns a shard of it; else it may
    /// only mean that its owners are silent.
    pub fn stream(&self, stream: &StreamRef) -> Option<&StreamShards> {
        self.routes.by_name.get(stream).map(Arc::as_ref)
    }

    /// The stream of this id.
    pub fn stream_by_id(&self, id: StreamId) -> Option<&StreamShards> {
        self.routes.by_id.get(&id).map(Arc::as_ref)
    }

    /// All streams, by id.
    pub fn streams(&self) -> impl Iterator<Item = &StreamShards> {
        self.routes.by_id.values().map(Arc::as_ref)
    }

    /// How many shards it routes to.
    pub fn shards_count(&self) -> usize {
        self.routes.shards_count
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;
    use weir_core::{
        id::{AccountId, Epoch, Region, ShardKey, StreamName},
        shard::ClosedShard,
    };

    use super::*;

    /// Shard `index` of `count` of stream `stream`, owned by `node`.
    pub(crate) fn routed(stream: u64, index: u32, count: u32, node: u32) -> RoutedShard {
        let name = StreamName::new(format!("stream-{stream}"));
        RoutedShard {
            shard: OwnedShard {
                key: ShardKey { stream: StreamId(stream), shard: ShardIndex(index) },
                account: AccountId::DEFAULT,
                region: Region::US_EAST_1,
                stream_name: name,
                range: HashKeyRange::uniform(index, NonZeroU32::new(count).unwrap()),
                created_ms: 1,
                epoch: Epoch(1),
                parents: [None; 2],
                closed: None,
            },
            node: MemberId(node),
            address: SocketAddr::from(([127, 0, 0, 1], 4000)),
        }
    }

    fn map(shards: impl IntoIterator<Item = RoutedShard>) -> ShardMap {
        ShardMap::new(Generation(1), Monotonic::ZERO, 0, Arc::new(Routes::new(shards)))
    }

    #[test]
    fn a_stream_is_found_by_name_and_by_id_and_only_in_its_account_and_region() {
        let routed = routed(7, 0, 1, 3);
        let stream = routed.shard.stream();
        let map = map([routed]);
        let by_name = map.stream(&stream).unwrap();
        assert_eq!(by_name, map.stream_by_id(StreamId(7)).unwrap());
        assert!(map.stream(&StreamRef { account: AccountId::new(1).unwrap(), ..stream.clone() }).is_none());
        assert!(map.stream(&StreamRef { region: "eu-west-1".parse().unwrap(), ..stream }).is_none());
        assert_eq!(by_name.shard(ShardIndex(0)).unwrap().node, MemberId(3));
        assert!(by_name.shard(ShardIndex(1)).is_none());
    }

    #[test]
    fn of_two_streams_of_one_name_the_newer_is_found() {
        let mut older = routed(7, 0, 1, 3);
        older.shard.stream_name = StreamName::new("stream-8");
        let stream = older.shard.stream();
        let map = map([routed(8, 0, 1, 4), older]);
        assert_eq!(map.stream(&stream).unwrap().id(), StreamId(8));
    }

    #[test]
    fn a_hole_where_an_owner_is_unknown_routes_nowhere() {
        let map = map([routed(1, 0, 3, 1), routed(1, 2, 3, 2)]);
        let stream = map.stream_by_id(StreamId(1)).unwrap();
        let middle = HashKeyRange::uniform(1, NonZeroU32::new(3).unwrap());
        assert!(stream.route(middle.start).is_none());
        assert!(stream.route(middle.end).is_none());
        assert_eq!(stream.route(HashKey::MAX).unwrap().node, MemberId(2));
        assert_eq!(stream.route(HashKey::MIN).unwrap().node, MemberId(1));
    }

    /// Shard `number`, which takes or took the keys from `start` to `end`.
    pub(crate) fn ranged(number: u32, start: u128, end: u128) -> RoutedShard {
        let mut shard = routed(1, number, number + 1, 1);
        shard.shard.range = HashKeyRange { start: HashKey(start), end: HashKey(end) };
        shard
    }

    fn closed(mut shard: RoutedShard) -> RoutedShard {
        shard.shard.closed = Some(ClosedShard { at_ms: 1_000 + u64::from(shard.shard.key.shard.0), end: 5 });
        shard
    }

    fn child_of(parents: [Option<u32>; 2], mut shard: RoutedShard) -> RoutedShard {
        shard.shard.parents = parents.map(|parent| parent.map(ShardIndex));
        shard
    }

    #[test]
    fn a_closed_shard_is_found_by_number_and_takes_no_key() {
        let parent = closed(ranged(0, 0, u128::MAX));
        let lower = child_of([Some(0), None], ranged(1, 0, 9));
        let upper = child_of([Some(0), None], ranged(2, 10, u128::MAX));
        let between = map([parent.clone(), lower.clone()]);
        let stream = between.stream_by_id(StreamId(1)).unwrap();
        assert_eq!(stream.route(HashKey(9)), Some(&lower));
        assert_eq!(stream.route(HashKey(10)), None);
        assert_eq!(stream.closed_over(HashKey(10)), Some(WallMs(1_000)));
        assert_eq!(stream.shard(ShardIndex(0)), Some(&parent));
        assert_eq!(stream.children_of(&parent.shard), None, "one is not known yet");
        let whole = map([parent.clone(), upper.clone(), lower.clone()]);
        let stream = whole.stream_by_id(StreamId(1)).unwrap();
        assert_eq!(stream.children_of(&parent.shard), Some(vec![&lower.shard, &upper.shard]));
        assert_eq!(stream.open_shards().count(), 2);
        assert_eq!(stream.children_of(&lower.shard), None);
    }

    #[test]
    fn a_key_goes_to_the_child_even_while_the_parents_node_is_not_heard_to_have_closed() {
        let (lower, upper) = (ranged(0, 0, 9), ranged(1, 10, u128::MAX));
        let child = child_of([Some(0), Some(1)], ranged(2, 0, u128::MAX));
        let map = map([lower, upper.clone(), child.clone()]);
        let stream = map.stream_by_id(StreamId(1)).unwrap();
        for key in [0, 9, 10, u128::MAX] {
            assert_eq!(stream.route(HashKey(key)), Some(&child), "{key}");
        }
        assert_eq!(stream.closed_over(HashKey(10)), None);
        assert_eq!(stream.children_of(&upper.shard), Some(vec![&child.shard]));
    }

    proptest! {
        #[test]
        fn every_key_of_a_whole_stream_routes_to_the_shard_that_holds_it(count in 1u32..64, key: u128) {
            let map = map((0..count).rev().map(|index| routed(5, index, count, index)));
            let found = map.stream_by_id(StreamId(5)).unwrap().route(HashKey(key)).unwrap();
            prop_assert!(found.shard.range.contains(HashKey(key)));
        }
    }
}
