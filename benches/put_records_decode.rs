//! `PutRecords`: from the body, JSON or CBOR, to one batch a shard, checked, laid out and summed.
//!
//! What a front end does between the signature and the socket to the node. Two baselines do the same work from JSON:
//! serde_json into owned strings with the `base64` crate, as a first version would, and the fastest stack without a
//! decoder of one's own. CBOR stands beside them without one. All must come to the same batches.

use std::{borrow::Cow, collections::HashMap, hint::black_box, num::NonZeroU32};

use base64::Engine as _;
use criterion::{BenchmarkId, Criterion, Throughput};
use serde::Deserialize;
use weir_benches::{
    BASELINE, CpuTime, Size,
    records::{self, OwnRecord, as_record},
    run, shards,
};
use weir_core::{
    batch::{Batch, BatchBuilder, RECORD_HEADER_BYTES, Record},
    hash_key::HashKey,
    id::{Generation, ShardIndex},
};
use weir_frontend::shard_map::StreamShards;
use weir_wire::kinesis::{
    blob::Blob,
    cbor,
    error::ApiError,
    json,
    put_records::{PutRecordsInput, PutRecordsRequestEntry},
    shape::Fields,
    validate::validate,
};

const SHARDS: NonZeroU32 = NonZeroU32::new(4).expect("not zero");

fn main() {
    run::run_alone(decode);
}

fn decode(criterion: &mut Criterion<CpuTime>, size: Size) {
    let map = shards::map(SHARDS, Generation(1));
    let stream = map.stream(&shards::stream()).expect("the map has it");
    for data_bytes in [100, 1_024] {
        let records = records::records(size.pick(20, 500), data_bytes);
        let body = records::put_records_body(shards::STREAM, &records);
        let cbor = records::put_records_cbor(shards::STREAM, &records);
        let batches = ours(json::decode, &body, stream);
        holds(&batches, &records, stream);
        assert_eq!(batches, ours(cbor::decode, &cbor, stream), "CBOR comes to other batches");
        assert_eq!(batches, owned_strings(&body, stream), "the first baseline comes to other batches");
        assert_eq!(batches, borrowed_strings(&body, stream), "the second baseline comes to other batches");

        let mut group = criterion.benchmark_group("put_records_decode");
        group.throughput(Throughput::Bytes(records::data_bytes(&records)));
        let work = format!("{}x{data_bytes}B", records.len());
        group.bench_function(BenchmarkId::new("weir", &work), |bencher| {
            bencher.iter(|| same(ours(json::decode, black_box(&body), stream), &batches));
        });
        group.bench_function(BenchmarkId::new("weir, CBOR", &work), |bencher| {
            bencher.iter(|| same(ours(cbor::decode, black_box(&cbor), stream), &batches));
        });
        group.bench_function(
            BenchmarkId::new(format!("{BASELINE} serde_json and base64"), &work),
            |bencher| {
                bencher.iter(|| same(owned_strings(black_box(&body), stream), &batches));
            },
        );
        group.bench_function(BenchmarkId::new("serde_json borrowed and base64-simd", &work), |bencher| {
            bencher.iter(|| same(borrowed_strings(black_box(&body), stream), &batches));
        });
        let count = |decode: Decode, body| parsed(decode, black_box(body)).records.map_or(0, |all| all.len());
        group.bench_function(BenchmarkId::new("weir without layout", &work), |bencher| {
            bencher.iter(|| assert_eq!(count(json::decode, &body), records.len()));
        });
        group.bench_function(BenchmarkId::new("weir, CBOR, without layout", &work), |bencher| {
            bencher.iter(|| assert_eq!(count(cbor::decode, &cbor), records.len()));
        });
        group.finish();
    }
}

type Batches = HashMap<ShardIndex, Batch>;

/// Every shard's batch has the records that belong there, in the order of the request, and no others.
fn holds(batches: &Batches, records: &[OwnRecord], stream: &StreamShards) {
    assert_eq!(batches.values().map(Batch::count).sum::<u32>() as usize, records.len());
    for (shard, batch) in batches {
        let belong = records
            .iter()
            .filter(|record| shard_of(HashKey::of_partition_key(&record.partition_key), stream) == *shard);
        assert!(batch.records().eq(belong.map(as_record)), "{shard} has other records");
    }
}

/// Checksums tell whether two batches are the same, at next to no cost in the measured loop.
fn same(batches: Batches, wanted: &Batches) {
    assert_eq!(batches.len(), wanted.len());
    for (shard, batch) in &batches {
        assert_eq!((batch.count(), batch.crc()), (wanted[shard].count(), wanted[shard].crc()));
    }
}

/// Reads a body in its encoding.
type Decode = for<'a> fn(&'a [u8], &mut dyn Fields<'a>) -> Result<(), ApiError>;

fn parsed(decode: Decode, body: &[u8]) -> PutRecordsInput<'_> {
    let mut input = PutRecordsInput::default();
    decode(body, &mut input).expect("the body reads");
    validate(&input).expect("the body is valid");
    input
}

/// As the front end does it: decode and validate, find each record's shard, then base64 straight into buffers of the
/// right size.
fn ours(decode: Decode, body: &[u8], stream: &StreamShards) -> Batches {
    let entries = parsed(decode, body).records.expect("required");
    let mut groups: Vec<(ShardIndex, usize)> = Vec::new();
    let mut by_shard: HashMap<ShardIndex, usize> = HashMap::new();
    let mut places: Vec<usize> = Vec::with_capacity(entries.len());
    let hashes = HashKey::of_partition_keys(entries.iter().map(|entry| required(entry).0));
    for (entry, hash) in entries.iter().zip(hashes) {
        let (partition_key, data) = required(entry);
        let shard = shard_of(hash, stream);
        let group = *by_shard.entry(shard).or_insert_with(|| {
            groups.push((shard, 0));
            groups.len() - 1
        });
        groups[group].1 += RECORD_HEADER_BYTES + partition_key.len() + data.decoded_len();
        places.push(group);
    }
    let mut builders: Vec<(ShardIndex, BatchBuilder)> =
        groups.into_iter().map(|(shard, bytes)| (shard, BatchBuilder::with_capacity(bytes))).collect();
    for (entry, group) in entries.iter().zip(places) {
        let (partition_key, data) = required(entry);
        data.push_to(&mut builders[group].1, partition_key.into(), None);
    }
    builders.into_iter().map(|(shard, builder)| (shard, builder.finish())).collect()
}

fn required<'a, 'b>(entry: &'b PutRecordsRequestEntry<'a>) -> (&'b str, &'b Blob<'a>) {
    (entry.partition_key.as_deref().expect("required"), entry.data.as_ref().expect("required"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OwnedEntry {
    data: String,
    partition_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OwnedBody {
    records: Vec<OwnedEntry>,
    stream_name: String,
}

fn owned_strings(body: &[u8], stream: &StreamShards) -> Batches {
    let body: OwnedBody = serde_json::from_slice(body).expect("the body is JSON");
    assert_eq!(body.stream_name, shards::STREAM);
    gather(stream, body.records, |entry| {
        let data = base64::engine::general_purpose::STANDARD.decode(&entry.data).expect("it is base64");
        (Cow::Owned(entry.partition_key), data)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BorrowedEntry<'a> {
    data: &'a str,
    partition_key: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BorrowedBody<'a> {
    #[serde(borrow)]
    records: Vec<BorrowedEntry<'a>>,
    stream_name: &'a str,
}

fn borrowed_strings(body: &[u8], stream: &StreamShards) -> Batches {
    let body: BorrowedBody<'_> = serde_json::from_slice(body).expect("the body is JSON");
    assert_eq!(body.stream_name, shards::STREAM);
    gather(stream, body.records, |entry| {
        let data = base64_simd::STANDARD.decode_to_vec(entry.data).expect("it is base64");
        (entry.partition_key, data)
    })
}

/// Decodes each record into a buffer of its own and copies it into its shard's batch.
fn gather<'a, T>(
    stream: &StreamShards,
    entries: Vec<T>,
    open: impl Fn(T) -> (Cow<'a, str>, Vec<u8>),
) -> Batches {
    let mut builders: HashMap<ShardIndex, BatchBuilder> = HashMap::new();
    for entry in entries {
        let (partition_key, data) = open(entry);
        let builder =
            builders.entry(shard_of(HashKey::of_partition_key(&partition_key), stream)).or_default();
        builder.push(&Record {
            partition_key: partition_key.as_ref().into(),
            explicit_hash_key: None,
            data: &data,
        });
    }
    builders.into_iter().map(|(shard, builder)| (shard, builder.finish())).collect()
}

fn shard_of(hash: HashKey, stream: &StreamShards) -> ShardIndex {
    stream.route(hash).expect("the map is whole").shard.key.shard
}
