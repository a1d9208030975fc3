//! `GetRecords`: from the batches that a node reads to the JSON answer.
//!
//! What lies between the file and the socket: checksum and bounds of each batch, the walk over its records, their numbers,
//! base64. The baseline does what a first version would: serde_json over owned strings from the `base64` crate. Both must
//! come to the same answer.

use std::hint::black_box;

use base64::Engine as _;
use criterion::{BenchmarkId, Criterion, Throughput};
use serde::Serialize;
use weir_benches::{BASELINE, CpuTime, Size, records, run};
use weir_core::{
    batch::{Batch, BatchBuilder, StoredBatch},
    clock::WallMs,
    id::ShardIndex,
    sequence::SequenceNumber,
};
use weir_wire::kinesis::{
    encoded_body::EncodedBody,
    encoding::Encoding,
    get_records::{GetRecordsReply, RecordFacts},
};

const SHARD: ShardIndex = ShardIndex(3);
const CREATED_SECS: u64 = 1_606_300_000;
/// Records of one batch: what a `PutRecords` of 500 has for each of four shards.
const BATCH_RECORDS: usize = 125;

fn main() {
    run::run_alone(encode);
}

fn encode(criterion: &mut Criterion<CpuTime>, size: Size) {
    for data_bytes in [100, 1_024] {
        let records = records::records(size.pick(20, 500), data_bytes);
        let mut first = 41;
        let batches: Vec<StoredBatch> = records
            .chunks(BATCH_RECORDS)
            .map(|records| {
                let mut builder = BatchBuilder::default();
                records.iter().for_each(|record| builder.push(&records::as_record(record)));
                let stored =
                    StoredBatch { first, arrived: WallMs(1_606_300_007_042), batch: builder.finish() };
                first = stored.end();
                stored
            })
            .collect();
        let answer = ours(&batches);
        assert_eq!(answer[..], plainly(&batches), "the baseline comes to another answer");

        let mut group = criterion.benchmark_group("get_records_encode");
        group.throughput(Throughput::Bytes(records::data_bytes(&records)));
        let work = format!("{}x{data_bytes}B", records.len());
        group.bench_function(BenchmarkId::new("weir", &work), |bencher| {
            bencher.iter(|| assert_eq!(ours(black_box(&batches)).len(), answer.len()));
        });
        group.bench_function(
            BenchmarkId::new(format!("{BASELINE} serde_json and base64"), &work),
            |bencher| bencher.iter(|| assert_eq!(plainly(black_box(&batches)).len(), answer.len())),
        );
        group.bench_function(BenchmarkId::new("weir checks alone", &work), |bencher| {
            bencher.iter(|| batches.iter().map(|stored| checked(black_box(stored)).count()).sum::<u32>());
        });
        group.finish();
    }
}

/// The batch as it comes from a file: its bytes are checked.
fn checked(stored: &StoredBatch) -> Batch {
    let batch = &stored.batch;
    Batch::from_parts(batch.count(), batch.crc(), batch.body().clone()).expect("it was just made")
}

fn number(record: u64, stored: &StoredBatch) -> SequenceNumber {
    SequenceNumber::of_record(SHARD, CREATED_SECS, record, stored.arrived.secs())
}

fn ours(batches: &[StoredBatch]) -> EncodedBody {
    let checked: Vec<Batch> = batches.iter().map(checked).collect();
    let bytes: usize =
        checked.iter().map(|batch| batch.payload_bytes() / 3 * 4 + batch.count() as usize * 192).sum();
    let records = batches.iter().zip(&checked).flat_map(|(stored, batch)| {
        batch.records().zip(stored.first..).map(move |(record, at)| RecordFacts {
            sequence: number(at, stored),
            arrived: stored.arrived,
            data: record.data,
            partition_key: record.partition_key,
            encrypted: false,
        })
    });
    let reply =
        GetRecordsReply { records, next_shard_iterator: None, millis_behind_latest: 7, children: Vec::new() };
    Encoding::Json.encode(&reply, bytes)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PlainRecord {
    sequence_number: String,
    approximate_arrival_timestamp: serde_json::Number,
    data: String,
    partition_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PlainReply {
    records: Vec<PlainRecord>,
    millis_behind_latest: u64,
}

fn plainly(batches: &[StoredBatch]) -> Vec<u8> {
    let mut records = Vec::new();
    for stored in batches {
        let batch = checked(stored);
        for (record, at) in batch.records().zip(stored.first..) {
            records.push(PlainRecord {
                sequence_number: number(at, stored).to_string(),
                approximate_arrival_timestamp: serde_json::Number::from_f64(
                    stored.arrived.0 as f64 / 1_000.0,
                )
                .expect("a time is finite"),
                data: base64::engine::general_purpose::STANDARD.encode(record.data),
                partition_key: record.partition_key.as_str().to_owned(),
            });
        }
    }
    serde_json::to_vec(&PlainReply { records, millis_behind_latest: 7 }).expect("it has text keys only")
}
