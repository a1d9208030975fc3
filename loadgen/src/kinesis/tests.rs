//! Kinesis calls as a workload, from outside: what is prepared, and what an answer acknowledges.

use serde_json::{Value, json};
use weir_core::{checksum::crc32c, clock::Clock};
use weir_wire::{
    kinesis::{encoding::Encoding, put_record::PutRecordInput, put_records::PutRecordsInput},
    sigv4::{BodyHash, Identity, KeyCache, Presented, SERVICE},
};

use super::*;
use crate::{
    acks::{self, AckReader},
    config::Skew,
    payload,
};

fn load(batch: usize, unique: bool) -> Arc<KinesisLoad> {
    load_in(Encoding::Json, batch, unique)
}

fn load_in(encoding: Encoding, batch: usize, unique: bool) -> Arc<KinesisLoad> {
    let identity = Identity { access_key: "AKID".into(), secret_key: "secret".into(), session_token: None };
    Arc::new(KinesisLoad {
        tenants: vec![TenantLoad { name: "t".into(), streams: vec!["s".into()], weight: 1.0, identity }],
        mix: vec![(if batch == 1 { Operation::PutRecord } else { Operation::PutRecords }, 1.0)],
        batch,
        record_bytes: 100,
        encoding,
        keys: 50,
        skew: Skew::Uniform,
        region: "us-east-1".into(),
        signed: true,
        unique,
        from_oldest: false,
        seed: 3,
    })
}

fn workload(load: &Arc<KinesisLoad>) -> KinesisWorkload {
    KinesisWorkload::new(load.clone(), 9, 1, &[vec!["shardId-000000000000".into()]])
}

fn endpoint() -> Endpoint {
    "http://127.0.0.1:4567".parse().unwrap()
}

/// Chooses and prepares the next request; its ticket, head and body.
fn next(workload: &mut KinesisWorkload, buffer: &mut RequestBuffer) -> (Prepared<Ticket>, String, Value) {
    let choice = workload.choose();
    let prepared = workload.prepare(choice, &endpoint(), Clock::new().wall(), buffer);
    let head = String::from_utf8(buffer.head.clone()).unwrap();
    (prepared, head, serde_json::from_slice(buffer.body()).unwrap())
}

fn data_of(record: &Value) -> Vec<u8> {
    base64_simd::STANDARD.decode_to_vec(record["Data"].as_str().unwrap()).unwrap()
}

fn answered(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

#[test]
fn every_record_of_a_patched_body_is_whole_and_has_an_id_of_its_own() {
    let mut workload = workload(&load(5, true));
    let mut buffer = RequestBuffer::default();
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let (_, _, body) = next(&mut workload, &mut buffer);
        for record in body["Records"].as_array().unwrap() {
            let data = data_of(record);
            assert_eq!(data.len(), 100);
            let id = payload::read(&data).unwrap();
            assert_eq!((id.run, id.number >> 48), (9, 1));
            assert!(ids.insert(id));
            assert_eq!(record["PartitionKey"].as_str().unwrap().len(), 10);
        }
    }
    assert_eq!(ids.len(), 15);
}

#[test]
fn the_signature_holds_for_patched_and_for_shared_bodies() {
    for unique in [true, false] {
        let mut workload = workload(&load(3, unique));
        let mut buffer = RequestBuffer::default();
        for _ in 0..20 {
            let (_, head, _) = next(&mut workload, &mut buffer);
            let mut request = hyper_head(&head);
            request.uri = "/".parse().unwrap();
            let presented = Presented::read(&request).unwrap();
            let keys = KeyCache::new();
            let now = Clock::new().wall();
            let hash = || BodyHash::of(buffer.body());
            presented.check(&request, hash, "secret", SERVICE, now, &keys).unwrap();
        }
    }
}

/// Parses our own head the way a server would.
fn hyper_head(head: &str) -> http::request::Parts {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Request::new(&mut headers);
    assert!(parsed.parse(head.as_bytes()).unwrap().is_complete(), "{head}");
    let mut request = http::Request::builder().method(parsed.method.unwrap()).uri("/");
    for header in parsed.headers.iter() {
        request = request.header(header.name, header.value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_body_in_cbor_has_the_same_records_and_its_answer_counts_them() {
    for batch in [1, 3] {
        let mut workload = workload(&load_in(Encoding::Cbor, batch, true));
        let mut buffer = RequestBuffer::default();
        for _ in 0..3 {
            let choice = workload.choose();
            let prepared = workload.prepare(choice, &endpoint(), Clock::new().wall(), &mut buffer);
            let head = String::from_utf8(buffer.head.clone()).unwrap();
            assert!(head.contains("content-type: application/x-amz-cbor-1.1\r\n"), "{head}");
            let read = |blob: &weir_wire::kinesis::blob::Blob<'_>| {
                let mut data = vec![0; blob.decoded_len()];
                blob.decode_into(&mut data);
                payload::read(&data).expect("each record is whole")
            };
            let ids: std::collections::BTreeSet<_> = if batch == 1 {
                let input: PutRecordInput<'_> = Encoding::Cbor.decode(buffer.body()).unwrap();
                input.data.iter().map(read).collect()
            } else {
                let input: PutRecordsInput<'_> = Encoding::Cbor.decode(buffer.body()).unwrap();
                input.records.unwrap().iter().filter_map(|record| record.data.as_ref()).map(read).collect()
            };
            assert_eq!(ids.len(), batch);
            let stored = b"\xa2\x67ShardId\x74shardId-000000000000\x6eSequenceNumber\x617";
            let answer = match batch {
                1 => stored.to_vec(),
                _ => [&b"\xa1\x67Records\x83"[..], stored, stored, stored].concat(),
            };
            let answer = Answer { status: 200, body: &answer, sent_ms: 0, at_ms: 0 };
            let verdict = workload.judge(prepared.ticket, answer);
            assert_eq!((verdict.code, verdict.records), (Code::Success, batch as u64));
        }
    }
}

#[test]
fn what_the_service_named_is_written_down_and_what_failed_is_not() {
    let mut workload = workload(&load(3, true));
    let mut buffer = RequestBuffer::default();
    let (prepared, _, body) = next(&mut workload, &mut buffer);
    let numbers = [
        "49000000000000000000000000000000000000000000000000000001",
        "49000000000000000000000000000000000000000000000000000002",
    ];
    let answer = answered(&json!({"FailedRecordCount": 1, "Records": [
        {"ShardId": "shardId-000000000000", "SequenceNumber": numbers[0]},
        {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow"},
        {"ShardId": "shardId-000000000004", "SequenceNumber": numbers[1]},
    ]}));
    let verdict =
        workload.judge(prepared.ticket, Answer { status: 200, body: &answer, sent_ms: 70, at_ms: 77 });
    assert_eq!(verdict, Verdict { code: Code::Error(PARTIAL), records: 2, bytes: 200 });

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acks");
    let mut file = acks::header(&ack_targets(&workload.load.tenants));
    file.extend(workload.take_acks(true));
    file.extend(acks::end_mark(2));
    std::fs::write(&path, file).unwrap();
    let read: Vec<_> = AckReader::open(&path).unwrap().map(Result::unwrap).collect();
    let records = body["Records"].as_array().unwrap();
    for (ack, (record, (shard, number))) in
        read.iter().zip([(0, (0, numbers[0])), (2, (4, numbers[1]))].map(|(i, named)| (&records[i], named)))
    {
        let data = data_of(record);
        assert_eq!((ack.shard, ack.sequence_number.as_str()), (shard, number));
        assert_eq!((ack.sent_ms, ack.acked_ms), (70, 77));
        assert_eq!((ack.id, ack.checksum), (payload::read(&data).unwrap(), crc32c(&data)));
    }
    assert_eq!(read.len(), 2);
}

#[test]
fn an_answer_that_makes_no_sense_acknowledges_nothing() {
    for body in [
        json!({"FailedRecordCount": 0, "Records": [{"ShardId": "shardId-000000000000", "SequenceNumber": "1"}]}),
        json!({"FailedRecordCount": 0}),
        json!([]),
    ] {
        let mut workload = workload(&load(3, true));
        let (prepared, _, _) = next(&mut workload, &mut RequestBuffer::default());
        let body = answered(&body);
        let verdict =
            workload.judge(prepared.ticket, Answer { status: 200, body: &body, sent_ms: 0, at_ms: 0 });
        assert_eq!((verdict.code, verdict.records), (Code::Error(codes::BAD_ANSWER), 0));
        assert!(workload.take_acks(true).is_empty());
    }
}

#[test]
fn a_put_record_is_one_record_and_its_error_has_the_services_name() {
    let mut workload = workload(&load(1, true));
    let mut buffer = RequestBuffer::default();
    let (prepared, head, body) = next(&mut workload, &mut buffer);
    assert!(head.contains("x-amz-target: Kinesis_20131202.PutRecord\r\n"));
    payload::read(&data_of(&body)).unwrap();
    let answer = answered(&json!({"ShardId": "shardId-000000000002", "SequenceNumber": "123"}));
    let verdict =
        workload.judge(prepared.ticket, Answer { status: 200, body: &answer, sent_ms: 0, at_ms: 0 });
    assert_eq!(verdict, Verdict { code: Code::Success, records: 1, bytes: 100 });

    let (prepared, _, _) = next(&mut workload, &mut buffer);
    let answer = answered(&json!({"__type": "ServiceUnavailable", "message": "no map"}));
    let verdict =
        workload.judge(prepared.ticket, Answer { status: 503, body: &answer, sent_ms: 0, at_ms: 0 });
    assert_eq!(verdict, Verdict { code: Code::Error("ServiceUnavailable"), records: 0, bytes: 0 });
}

#[test]
fn a_reader_asks_for_an_iterator_first_and_again_when_it_has_expired() {
    let mut load = Arc::unwrap_or_clone(load(1, false));
    load.mix = vec![(Operation::GetRecords, 1.0)];
    let mut workload = workload(&Arc::new(load));
    let mut buffer = RequestBuffer::default();
    let answer = |workload: &mut KinesisWorkload, ticket, status, body: Value| {
        let body = answered(&body);
        let verdict = workload.judge(ticket, Answer { status, body: &body, sent_ms: 0, at_ms: 0 });
        (verdict.records, verdict.bytes)
    };
    let (prepared, _, body) = next(&mut workload, &mut buffer);
    assert_eq!(prepared.operation, Operation::GetShardIterator.index());
    assert_eq!(body["ShardIteratorType"], "LATEST");
    answer(&mut workload, prepared.ticket, 200, json!({"ShardIterator": "i1"}));

    let (prepared, _, body) = next(&mut workload, &mut buffer);
    assert_eq!((prepared.operation, &body["ShardIterator"]), (Operation::GetRecords.index(), &json!("i1")));
    let records = json!({"Records": [{"Data": "AAAA", "PartitionKey": "k"}], "NextShardIterator": "i2"});
    assert_eq!(answer(&mut workload, prepared.ticket, 200, records), (1, 3));

    let (prepared, _, body) = next(&mut workload, &mut buffer);
    assert_eq!(body["ShardIterator"], "i2");
    answer(&mut workload, prepared.ticket, 400, json!({"__type": "ExpiredIteratorException"}));
    let (prepared, _, _) = next(&mut workload, &mut buffer);
    assert_eq!(prepared.operation, Operation::GetShardIterator.index());
}
