//! A shard map of one stream, as the fleet would publish it.
//!
//! Used by the benches that route or publish.

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

use weir_core::{
    clock::Monotonic,
    hash_key::HashKeyRange,
    id::{
        AccountId, Epoch, Generation, MemberId, Region, ShardIndex, ShardKey, StreamId, StreamName, StreamRef,
    },
    shard::OwnedShard,
};
use weir_frontend::shard_map::{RoutedShard, Routes, ShardMap};

/// The stream's name, in the default account.
pub const STREAM: &str = "orders";

/// Nodes that the shards are spread over.
const NODES: u32 = 4;

/// The stream.
pub fn stream() -> StreamRef {
    StreamRef { account: AccountId::DEFAULT, region: Region::US_EAST_1, name: StreamName::new(STREAM) }
}

/// The key of shard `index`.
pub fn key(index: u32) -> ShardKey {
    ShardKey { stream: StreamId(1), shard: ShardIndex(index) }
}

/// Shard `index` of `count`, each with an equal part of the hash keys.
pub fn owned(index: u32, count: NonZeroU32) -> OwnedShard {
    OwnedShard {
        key: key(index),
        account: AccountId::DEFAULT,
        region: Region::US_EAST_1,
        stream_name: StreamName::new(STREAM),
        range: HashKeyRange::uniform(index, count),
        created_ms: 1_606_266_240_000,
        epoch: Epoch(1),
        parents: [None; 2],
        closed: None,
    }
}

/// The shards of a stream of `count`, on their nodes.
pub fn routed(count: NonZeroU32) -> Vec<RoutedShard> {
    (0..count.get())
        .map(|index| RoutedShard {
            shard: owned(index, count),
            node: MemberId(index % NODES),
            address: SocketAddr::from(([127, 0, 1, 1], 4_000 + (index % NODES) as u16)),
        })
        .collect()
}

/// A map of that stream alone.
pub fn map(count: NonZeroU32, generation: Generation) -> ShardMap {
    ShardMap::new(generation, Monotonic::ZERO, 0, Arc::new(Routes::new(routed(count))))
}

#[cfg(test)]
mod tests {
    use weir_core::hash_key::HashKey;

    use super::*;

    #[test]
    fn the_map_is_whole() {
        let map = map(NonZeroU32::new(64).expect("not zero"), Generation(3));
        let stream = map.stream(&stream()).expect("it is there");
        assert_eq!(stream.shards().len(), 64);
        assert_eq!(stream.route(HashKey::MAX).map(|found| found.shard.key), Some(key(63)));
        assert_eq!(stream.route(HashKey::MIN).map(|found| found.shard.key), Some(key(0)));
    }
}
