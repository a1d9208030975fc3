//! Routing: the MD5 of a partition key, then the shard whose range holds it, in streams of 1, 64 and 4,096 shards.
//!
//! What a front end does for each record. Beside it the plain way, which hashes one key after another and looks at one
//! shard after another, and the MD5 alone, of sixteen keys at once, below which no routing can go.

use std::{hint::black_box, num::NonZeroU32};

use criterion::{BenchmarkId, Criterion, Throughput};
use weir_benches::{BASELINE, CpuTime, Size, records, run, shards};
use weir_core::{
    hash_key::HashKey,
    id::{Generation, ShardIndex},
};
use weir_frontend::shard_map::StreamShards;

/// A whole `PutRecords` of keys an iteration, as they come.
const KEYS: usize = 500;

fn main() {
    run::run_alone(routing);
}

fn routing(criterion: &mut Criterion<CpuTime>, size: Size) {
    let records = records::records(size.pick(20, KEYS), 0);
    let keys: Vec<&str> = records.iter().map(|record| record.partition_key.as_str()).collect();
    for shards_count in [1, 64, 4_096] {
        let count = NonZeroU32::new(shards_count).expect("not zero");
        let map = shards::map(count, Generation(1));
        let found = |keys: &[&str]| {
            let stream = map.stream(&shards::stream()).expect("the map has it");
            sum(HashKey::of_partition_keys(keys.iter().copied()).map(|hash| routed(stream, hash)))
        };
        let searched = |keys: &[&str]| {
            let stream = map.stream(&shards::stream()).expect("the map has it");
            sum(keys.iter().map(|key| one_after_another(stream, key)))
        };
        let wanted = sum(keys.iter().map(|key| computed(key, count)));
        assert_eq!((found(&keys), searched(&keys)), (wanted, wanted), "of {shards_count} shards");

        let mut group = criterion.benchmark_group("routing");
        group.throughput(Throughput::Elements(keys.len() as u64));
        let work = if shards_count == 1 { "1 shard".to_owned() } else { format!("{shards_count} shards") };
        group.bench_function(BenchmarkId::new("weir", &work), |bencher| {
            bencher.iter(|| assert_eq!(found(black_box(&keys)), wanted));
        });
        group.bench_function(BenchmarkId::new(format!("{BASELINE} one after another"), &work), |bencher| {
            bencher.iter(|| assert_eq!(searched(black_box(&keys)), wanted));
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("routing");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("MD5 alone", |bencher| {
        bencher.iter(|| {
            let keys = black_box(&keys).iter().copied();
            HashKey::of_partition_keys(keys).fold(0, |all, hash| all ^ hash.0)
        });
    });
    group.finish();
}

/// Which shards, in which order: two keys that change places change the sum.
fn sum(shards: impl Iterator<Item = ShardIndex>) -> u64 {
    shards.fold(0, |sum, shard| (sum + u64::from(shard.0) + 1).wrapping_mul(0x0100_0000_01b3))
}

fn routed(stream: &StreamShards, hash: HashKey) -> ShardIndex {
    stream.route(hash).expect("the map is whole").shard.key.shard
}

fn one_after_another(stream: &StreamShards, key: &str) -> ShardIndex {
    let hash = HashKey::of_partition_key(key);
    let found = stream.shards().iter().find(|routed| routed.shard.range.contains(hash));
    found.expect("the map is whole").shard.key.shard
}

/// Where a key lands by arithmetic alone, as the counts here all divide 2^128.
fn computed(key: &str, count: NonZeroU32) -> ShardIndex {
    assert!(count.is_power_of_two());
    let hash = HashKey::of_partition_key(key).0;
    ShardIndex(hash.checked_shr(128 - count.ilog2()).unwrap_or(0) as u32)
}
