//! Routes new records: each to its shard, each shard's records into one batch.
//!
//! Two passes over the records: the first finds shards and asks their buckets, so that the second can lay every batch
//! out in a buffer of the right size. Data is decoded from base64 by the second, straight into its last place.

use std::{collections::HashMap, sync::Arc};

use weir_core::{
    batch::{Batch, BatchBuilder, RECORD_HEADER_BYTES},
    clock::{Monotonic, WallMs},
    hash_key::HashKey,
    id::ShardIndex,
    limits::RESHARD_WAIT,
};
use weir_wire::kinesis::blob::Blob;

use super::{Routed, ShardPlace, Turn};
use crate::{
    shard_map::StreamShards,
    throttle::{Admitted, ShardGate, ShardLimits},
};

/// A record as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRecord<'a> {
    /// The partition key; empty: there is none, as streams allow that spread their records.
    pub(crate) partition_key: &'a str,
    /// The hash key that counts instead of the partition key's.
    pub(crate) explicit_hash_key: Option<HashKey>,
    /// The data.
    pub(crate) data: &'a Blob<'a>,
}

impl NewRecord<'_> {
    /// What counts to the limits: data and key.
    pub(crate) fn counted_bytes(&self) -> usize {
        self.partition_key.len() + self.data.decoded_len()
    }

    /// The key that its shard is found by.
    pub(crate) fn hash_key(&self) -> HashKey {
        self.explicit_hash_key.unwrap_or_else(|| HashKey::of_partition_key(self.partition_key))
    }

    fn batch_bytes(&self) -> usize {
        let explicit = if self.explicit_hash_key.is_some() { size_of::<HashKey>() } else { 0 };
        RECORD_HEADER_BYTES + explicit + self.counted_bytes()
    }
}

/// Where one record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordPlace {
    /// Into a batch.
    Placed {
        /// Which batch of the plan.
        group: usize,
        /// Records of that batch before it.
        at: u32,
    },
    /// Nowhere: its shard is over its limit.
    Throttled(ShardIndex),
    /// Nowhere yet: the shard of its key was closed a moment ago, and who takes its place is not known.
    BetweenShards,
    /// Nowhere: the owner of its key is not known.
    NoOwner,
}

/// What to send where.
#[derive(Debug)]
pub(crate) struct PutPlan {
    /// One batch for each shard that has records.
    pub(crate) groups: Vec<(ShardPlace, Batch)>,
    /// One place for each record, in the order of the request.
    pub(crate) places: Vec<RecordPlace>,
}

/// Routes records of one request to one stream, now. `gate` comes with how many shards the map has; none: there are no limits.
/// `turn` says whose turn it is where records are spread over the shards; none: they go by their keys.
pub(crate) fn route_put(
    _admitted: &Admitted,
    stream: &StreamShards,
    records: &[NewRecord<'_>],
    gate: Option<(&ShardGate, usize)>,
    turn: Option<&Turn>,
    (now, wall): (Monotonic, WallMs),
) -> Routed<PutPlan> {
    let mut planner = Planner { stream, gate, wall, met: Vec::new(), by_shard: HashMap::new() };
    let mut places: Vec<_> = match turn {
        Some(turn) => {
            let hash = |record| hash_of(stream, record, Some(turn.take()));
            records.iter().map(|record| planner.place(record, hash(record), now)).collect()
        }
        None => {
            let hashed = records.iter().zip(hash_keys(records));
            hashed.map(|(record, hash)| planner.place(record, hash, now)).collect()
        }
    };
    let mut builders: Vec<(ShardPlace, BatchBuilder)> = Vec::with_capacity(planner.met.len());
    for met in planner.met.iter_mut().filter(|met| met.records > 0) {
        met.group = builders.len();
        builders.push((met.place, BatchBuilder::with_capacity(met.bytes)));
    }
    for (record, place) in records.iter().zip(&mut places) {
        if let RecordPlace::Placed { group, .. } = place {
            *group = planner.met[*group].group;
            let batch = &mut builders[*group].1;
            record.data.push_to(batch, record.partition_key.into(), record.explicit_hash_key);
        }
    }
    let groups = builders.into_iter().map(|(place, builder)| (place, builder.finish())).collect();
    Routed { what: PutPlan { groups, places } }
}

/// Where a record cannot go now, if that is so, told as [`route_put`] would; takes nothing.
pub(crate) fn look_put(
    stream: &StreamShards,
    record: &NewRecord<'_>,
    gate: Option<(&ShardGate, usize)>,
    turn: Option<&Turn>,
    (now, wall): (Monotonic, WallMs),
) -> Option<RecordPlace> {
    let hash = hash_of(stream, record, turn.map(Turn::look));
    let Some(routed) = stream.route(hash) else { return Some(no_owner(stream, hash, wall)) };
    let (gate, known_shards) = gate?;
    let limits = gate.limits(routed.shard.key, known_shards);
    let admitted = limits.would_admit(now, record.counted_bytes());
    (!admitted).then_some(RecordPlace::Throttled(routed.shard.key.shard))
}

/// [`NewRecord::hash_key`] of each.
fn hash_keys(records: &[NewRecord<'_>]) -> impl Iterator<Item = HashKey> {
    let by_key = records.iter().filter(|record| record.explicit_hash_key.is_none());
    let mut hashes = HashKey::of_partition_keys(by_key.map(|record| record.partition_key));
    let mut next = move || hashes.next().expect("there is one for each record without an explicit one");
    records.iter().map(move |record| record.explicit_hash_key.unwrap_or_else(&mut next))
}

/// What the record's shard is found by: the first key of the shard whose turn it is, where there are turns. The shards get
/// the same, however much of the keys each has.
fn hash_of(stream: &StreamShards, record: &NewRecord<'_>, turn: Option<usize>) -> HashKey {
    let spread = turn.and_then(|turn| stream.open_shard(turn)).map(|routed| routed.shard.range.start);
    spread.unwrap_or_else(|| record.hash_key())
}

/// A reshard ends soon; an owner that is silent may be so for good.
fn no_owner(stream: &StreamShards, hash: HashKey, wall: WallMs) -> RecordPlace {
    let wait_ms = u64::try_from(RESHARD_WAIT.as_millis()).expect("seconds");
    match stream.closed_over(hash) {
        Some(closed) if wall.0.saturating_sub(closed.0) <= wait_ms => RecordPlace::BetweenShards,
        Some(_) | None => RecordPlace::NoOwner,
    }
}

/// A shard that the request's records have met.
struct MetShard {
    place: ShardPlace,
    limits: Option<Arc<ShardLimits>>,
    records: u32,
    bytes: usize,
    /// Its batch, once it is known to have one.
    group: usize,
}

/// Shards that are looked through one by one; of more it is known where they are.
const SHARDS_LOOKED_THROUGH: usize = 16;

struct Planner<'a> {
    stream: &'a StreamShards,
    /// The buckets, and how many shards the map has.
    gate: Option<(&'a ShardGate, usize)>,
    wall: WallMs,
    met: Vec<MetShard>,
    /// Where each shard is among those met, once they are many.
    by_shard: HashMap<ShardIndex, usize>,
}

impl Planner<'_> {
    /// Where a record goes that is found by `hash`; the group is still the position among the shards met.
    fn place(&mut self, record: &NewRecord<'_>, hash: HashKey, now: Monotonic) -> RecordPlace {
        let Some(routed) = self.stream.route(hash) else { return no_owner(self.stream, hash, self.wall) };
        let group = self.meet(ShardPlace::from(routed));
        let met = &mut self.met[group];
        if met.limits.as_ref().is_some_and(|limits| !limits.admit_record(now, record.counted_bytes())) {
            return RecordPlace::Throttled(met.place.key.shard);
        }
        let at = met.records;
        met.records += 1;
        met.bytes += record.batch_bytes();
        RecordPlace::Placed { group, at }
    }

    fn meet(&mut self, place: ShardPlace) -> usize {
        if let Some(at) = self.position(place.key.shard) {
            return at;
        }
        let limits = self.gate.map(|(gate, known_shards)| gate.limits(place.key, known_shards));
        self.met.push(MetShard { place, limits, records: 0, bytes: 0, group: 0 });
        let at = self.met.len() - 1;
        if at == SHARDS_LOOKED_THROUGH {
            self.by_shard = self.met.iter().enumerate().map(|(at, met)| (met.place.key.shard, at)).collect();
        } else if at > SHARDS_LOOKED_THROUGH {
            self.by_shard.insert(place.key.shard, at);
        }
        at
    }

    fn position(&self, shard: ShardIndex) -> Option<usize> {
        if self.by_shard.is_empty() {
            self.met.iter().position(|met| met.place.key.shard == shard)
        } else {
            self.by_shard.get(&shard).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use weir_core::{
        id::{Generation, StreamId},
        shard::ClosedShard,
    };

    use super::*;
    use crate::{
        route::Turns,
        shard_map::{Routes, ShardMap, tests::routed},
        throttle::tests::admitted,
    };

    fn map(shards: u32, missing: Option<u32>) -> ShardMap {
        let owned = (0..shards).filter(|&at| Some(at) != missing).map(|at| routed(5, at, shards, at));
        ShardMap::new(Generation(1), Monotonic::ZERO, 0, Arc::new(Routes::new(owned)))
    }

    /// As JSON carries data, and as CBOR does.
    fn either_blob(data: &[u8], is_plain: bool) -> Blob<'static> {
        if is_plain { Blob::from_bytes(Cow::Owned(data.to_vec())) } else { blob(data) }
    }

    fn blob(data: &[u8]) -> Blob<'static> {
        Blob::from_base64(Cow::Owned(base64_simd::STANDARD.encode_to_string(data).into_bytes())).unwrap()
    }

    fn plan(map: &ShardMap, records: &[NewRecord<'_>], gate: Option<&ShardGate>) -> PutPlan {
        let stream = map.stream_by_id(StreamId(5)).unwrap();
        let gate = gate.map(|gate| (gate, map.shards_count()));
        route_put(&admitted(), stream, records, gate, None, (Monotonic::ZERO, WallMs(0))).into_inner()
    }

    #[test]
    fn a_shard_over_its_limit_refuses_records_one_by_one() {
        let (map, gate, data) = (map(1, None), ShardGate::default(), blob(b"x"));
        let record = NewRecord { partition_key: "k", explicit_hash_key: None, data: &data };
        let records = vec![record; 500];
        let (first, second) = (plan(&map, &records, Some(&gate)), plan(&map, &records, Some(&gate)));
        assert_eq!(first.groups[0].1.count() + second.groups[0].1.count(), 1_000);
        let third = plan(&map, &records[..3], Some(&gate));
        assert!(third.groups.is_empty());
        assert_eq!(third.places, [RecordPlace::Throttled(ShardIndex(0)); 3]);
        assert_eq!(plan(&map, &records, None).groups[0].1.count(), 500, "no limits, no refusal");
    }

    #[test]
    fn spread_records_come_to_every_shard_alike_whatever_their_keys() {
        let (map, data, turn) = (map(3, None), blob(b"x"), Turns::default().of(StreamId(5)));
        let record = |key| NewRecord { partition_key: key, explicit_hash_key: Some(HashKey(7)), data: &data };
        let records: Vec<_> = (0..10).map(|n| record(if n % 2 == 0 { "same" } else { "" })).collect();
        let stream = map.stream_by_id(StreamId(5)).unwrap();
        let now = (Monotonic::ZERO, WallMs(0));
        let mut counts = [0; 3];
        for _ in 0..3 {
            let plan = route_put(&admitted(), stream, &records, None, Some(&turn), now).into_inner();
            plan.groups.iter().for_each(|(place, batch)| counts[place.key.shard.0 as usize] += batch.count());
        }
        assert_eq!(counts, [10; 3]);
    }

    #[test]
    fn a_record_whose_owner_is_unknown_goes_nowhere_and_the_others_go_on() {
        let data = blob(b"x");
        let keys = [0, 1u128 << 127];
        let records = keys.map(|key| NewRecord {
            partition_key: "k",
            explicit_hash_key: Some(HashKey(key)),
            data: &data,
        });
        let plan = plan(&map(2, Some(0)), &records, None);
        assert_eq!(plan.places, [RecordPlace::NoOwner, RecordPlace::Placed { group: 0, at: 0 }]);
        assert_eq!(plan.groups[0].0.key.shard, ShardIndex(1));
    }

    #[test]
    fn a_record_between_a_closed_shard_and_its_children_waits_for_a_moment_and_not_for_good() {
        let data = blob(b"x");
        let mut parent = routed(5, 0, 1, 0);
        parent.shard.closed = Some(ClosedShard { at_ms: 50_000, end: 1 });
        let map = ShardMap::new(Generation(1), Monotonic::ZERO, 0, Arc::new(Routes::new([parent])));
        let stream = map.stream_by_id(StreamId(5)).unwrap();
        let records = [NewRecord { partition_key: "k", explicit_hash_key: None, data: &data }];
        let wait_ms = RESHARD_WAIT.as_millis() as u64;
        for (wall, place) in [
            (49_000, RecordPlace::BetweenShards), // this server's clock is behind the node's
            (50_000 + wait_ms, RecordPlace::BetweenShards),
            (50_001 + wait_ms, RecordPlace::NoOwner),
        ] {
            let plan = route_put(&admitted(), stream, &records, None, None, (Monotonic::ZERO, WallMs(wall)));
            assert_eq!(plan.get().places, [place], "{wall}");
        }
    }

    proptest! {
        #[test]
        fn every_record_is_in_the_batch_of_the_shard_that_holds_its_key(
            shards in 1..40u32,
            given in prop::collection::vec((".{0,12}", any::<Option<u128>>(), prop::collection::vec(any::<u8>(), 0..30)), 1..60),
            is_plain: bool,
        ) {
            let map = map(shards, None);
            let blobs: Vec<_> = given.iter().map(|(_, _, data)| either_blob(data, is_plain)).collect();
            let records: Vec<_> = given.iter().zip(&blobs).map(|((key, explicit, _), data)| NewRecord {
                partition_key: key, explicit_hash_key: explicit.map(HashKey), data,
            }).collect();
            let plan = plan(&map, &records, None);
            let stream = map.stream_by_id(StreamId(5)).unwrap();
            for ((key, explicit, data), place) in given.iter().zip(&plan.places) {
                let RecordPlace::Placed { group, at } = *place else { panic!("every key is owned") };
                let (shard, batch) = &plan.groups[group];
                let hash = explicit.map_or_else(|| HashKey::of_partition_key(key), HashKey);
                prop_assert!(stream.shard(shard.key.shard).unwrap().shard.range.contains(hash));
                let stored = batch.records().nth(at as usize).unwrap();
                prop_assert_eq!((stored.partition_key.as_str(), stored.data), (key.as_str(), data.as_slice()));
                prop_assert_eq!(stored.explicit_hash_key, explicit.map(HashKey));
            }
            let total: u32 = plan.groups.iter().map(|(_, batch)| batch.count()).sum();
            prop_assert_eq!(total as usize, given.len());
        }
    }
}
