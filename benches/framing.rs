//! Frames between front end and node: what a `PutRecords` of 500 x 1 KiB and a record alone cost to lay out, to send
//! and to take in.
//!
//! Blobs are never copied by encoding and are sliced by decoding; the baselines copy, one into one buffer, the other
//! record by record. Bytes arrive in the decoder by a copy, as from a socket.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use weir_benches::{
    BASELINE, CpuTime, Size,
    records::{self, OwnRecord, batch_of},
    run, shards,
};
use weir_core::batch::Batch;
use weir_wire::{
    cell::{CellRequest, ShardAppend},
    framing::{Frame, FrameDecoder},
};

/// The id of every frame here.
const ID: u64 = 7;

fn main() {
    run::run_alone(framing);
}

fn framing(criterion: &mut Criterion<CpuTime>, size: Size) {
    for (records_count, shards_count) in [(1, 1), (size.pick(20, 500), 4)] {
        let records = records::records(records_count, 1_024);
        let work = format!("{records_count}x1024B");
        let appends = appends(&records, shards_count);
        layout(criterion, &work, &records);
        encode(criterion, &work, &appends);
        decode(criterion, &work, &appends, &records);
    }
}

/// The records, spread evenly over the shards.
fn appends(records: &[OwnRecord], shards_count: usize) -> Vec<ShardAppend> {
    let parts = records.chunks(records.len().div_ceil(shards_count)).enumerate();
    parts.map(|(at, part)| ShardAppend { key: shards::key(at as u32), batch: batch_of(part) }).collect()
}

/// Laying out a batch, and checking one that was laid out elsewhere. The copy alone is what neither can go below.
fn layout(criterion: &mut Criterion<CpuTime>, work: &str, records: &[OwnRecord]) {
    let batch = batch_of(records);
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Bytes(records::data_bytes(records)));
    group.bench_function(BenchmarkId::new("layout and checksum", work), |bencher| {
        bencher.iter(|| assert_eq!(batch_of(black_box(records)).crc(), batch.crc()));
    });
    group.bench_function(BenchmarkId::new("check", work), |bencher| {
        bencher.iter(|| {
            let body = black_box(batch.body()).clone();
            let checked = Batch::from_parts(batch.count(), batch.crc(), body).expect("it was laid out here");
            assert_eq!(checked.count() as usize, records.len());
        });
    });
    group.bench_function(BenchmarkId::new("copy alone", work), |bencher| {
        bencher.iter(|| Bytes::copy_from_slice(black_box(batch.body())));
    });
    group.finish();
}

/// From the question to what the socket takes: by vectored write, or, as baseline, in one piece.
fn encode(criterion: &mut Criterion<CpuTime>, work: &str, appends: &[ShardAppend]) {
    let frame = || CellRequest::Append(black_box(appends).to_vec()).into_frame(ID);
    let wanted = frame().encode();
    let parts = [vec![frame().encode_head()], frame().blobs].concat();
    assert_eq!(parts.concat(), wanted, "the parts are not the whole");

    let mut group = criterion.benchmark_group("frame_encode");
    group.throughput(Throughput::Bytes(wanted.len() as u64));
    group.bench_function(BenchmarkId::new("weir", work), |bencher| {
        bencher.iter(|| {
            let frame = frame();
            let head = frame.encode_head();
            assert_eq!(head.len() + frame.blobs.iter().map(Bytes::len).sum::<usize>(), wanted.len());
            (head, frame.blobs)
        });
    });
    group.bench_function(BenchmarkId::new(format!("{BASELINE} one buffer"), work), |bencher| {
        bencher.iter(|| {
            let encoded = frame().encode();
            assert_eq!(encoded.len(), wanted.len());
            encoded
        });
    });
    group.finish();
}

/// From the bytes of a socket to checked batches; as baseline, on to records that are owned one by one.
fn decode(criterion: &mut Criterion<CpuTime>, work: &str, appends: &[ShardAppend], records: &[OwnRecord]) {
    let frame = CellRequest::Append(appends.to_vec()).into_frame(ID);
    let bytes = frame.encode();
    let mut decoder = FrameDecoder::new();
    let mut decoded = |bytes: &Bytes| {
        decoder.extend(bytes);
        batches(decoder.next_frame().expect("it is a frame").expect("it is whole"))
    };
    assert_eq!(decoded(&bytes), appends);
    assert_eq!(owned(&decoded(&bytes)), records);

    let mut group = criterion.benchmark_group("frame_decode");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function(BenchmarkId::new("weir", work), |bencher| {
        bencher.iter(|| {
            let read = decoded(black_box(&bytes));
            assert_eq!(read.len(), appends.len());
            read
        });
    });
    group.bench_function(BenchmarkId::new(format!("{BASELINE} record by record"), work), |bencher| {
        bencher.iter(|| {
            let read = owned(&decoded(black_box(&bytes)));
            assert_eq!(read.len(), records.len());
            read
        });
    });
    group.bench_function(BenchmarkId::new("weir in memory", work), |bencher| {
        bencher.iter(|| {
            let read = batches(black_box(&frame).clone());
            assert_eq!(read.len(), appends.len());
            read
        });
    });
    group.finish();
}

fn batches(frame: Frame) -> Vec<ShardAppend> {
    assert_eq!(frame.id, ID, "an answer would go to another question");
    match CellRequest::from_frame(frame).expect("it is a question") {
        CellRequest::Append(appends) => appends,
        other => panic!("{other:?} is another question"),
    }
}

fn owned(appends: &[ShardAppend]) -> Vec<OwnRecord> {
    let records = appends.iter().flat_map(|append| append.batch.records());
    records
        .map(|record| OwnRecord {
            partition_key: record.partition_key.as_str().to_owned(),
            data: record.data.to_vec(),
        })
        .collect()
}
