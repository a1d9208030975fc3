//! The client against a service that throttles, breaks, stalls and answers: what does it send, and how often?
#![expect(clippy::unwrap_used, reason = "helpers of tests: what does not hold fails the test")]

#[path = "client/service.rs"]
mod service;

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use serde_json::json;
use service::{Script, Service};
use weir_client::{
    CallError, ClientConfig, Endpoint, Endpoints, KinesisClient,
    calls::{DescribeStreamSummary, PutRecord, PutRecordsEntry},
    consumer::{Consumer, ConsumerConfig, StartAt},
    producer::{Producer, ProducerConfig, PutOutcome},
    retry::{RetryPolicy, UnknownWrites},
};
use weir_core::{clock::Clock, effect::Effect};
use weir_wire::sigv4::{BodyHash, Identity, KeyCache, Presented, SERVICE};

fn on_a_runtime<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run)
}

fn client(service: &Service, retry: RetryPolicy) -> Arc<KinesisClient> {
    let config = ClientConfig {
        identity: Identity { access_key: "AKID".into(), secret_key: "secret".into(), session_token: None },
        region: "us-east-1".into(),
        attempt_timeout: Duration::from_millis(300),
        retry: RetryPolicy { pause: Duration::from_millis(1), ..retry },
        idle_connections_max: 4,
    };
    let endpoints = Arc::new(Endpoints::fixed(vec![Endpoint::at(service.address)]));
    Arc::new(KinesisClient::new(config, endpoints, Clock::new()))
}

fn put_at(endpoint: Endpoint) -> Result<(), CallError> {
    let config = ClientConfig {
        identity: Identity { access_key: "AKID".into(), secret_key: "secret".into(), session_token: None },
        region: "us-east-1".into(),
        attempt_timeout: Duration::from_secs(5),
        retry: RetryPolicy::NEVER,
        idle_connections_max: 1,
    };
    let client = KinesisClient::new(config, Arc::new(Endpoints::fixed(vec![endpoint])), Clock::new());
    on_a_runtime(client.call(&put())).map(drop)
}

/// Answers in this order, then panics: a call too many fails the test.
fn in_order(answers: Vec<(u16, serde_json::Value)>) -> Script {
    let mut answers = VecDeque::from(answers);
    Box::new(move |seen| answers.pop_front().unwrap_or_else(|| panic!("one {} too many", seen.operation)))
}

fn put() -> PutRecord {
    PutRecord {
        stream_name: "s".into(),
        data: b"hello".to_vec().into(),
        partition_key: "k".into(),
        explicit_hash_key: None,
        sequence_number_for_ordering: None,
    }
}

fn stored(number: &str) -> serde_json::Value {
    json!({"ShardId": "shardId-000000000000", "SequenceNumber": number})
}

fn throttled() -> serde_json::Value {
    json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"})
}

#[test]
fn a_call_is_signed_so_that_a_front_end_accepts_it() {
    let service = Service::start(in_order(vec![(200, stored("1"))]));
    let answer = on_a_runtime(client(&service, RetryPolicy::NEVER).call(&put())).unwrap();
    assert_eq!(answer.sequence_number, "1");
    let seen = service.seen().remove(0);
    assert_eq!(seen.body, json!({"StreamName": "s", "Data": "aGVsbG8=", "PartitionKey": "k"}));

    let mut head = hyper::Request::post("/").body(()).unwrap().into_parts().0;
    head.headers = seen.headers;
    let presented = Presented::read(&head).unwrap();
    assert_eq!(presented.access_key(), "AKID");
    let check = |secret: &str| {
        let hash = || BodyHash::of(&seen.raw);
        presented.check(&head, hash, secret, SERVICE, Clock::new().wall(), &KeyCache::new())
    };
    assert!(check("secret").is_ok());
    assert!(check("another").is_err());
}

#[test]
fn calls_share_a_connection_that_is_kept_open() {
    let service = Service::start(Box::new(|_| (200, stored("1"))));
    let client = client(&service, RetryPolicy::NEVER);
    on_a_runtime(async {
        for _ in 0..5 {
            client.call(&put()).await.unwrap();
        }
    });
    let peers: std::collections::BTreeSet<_> = service.seen().iter().map(|seen| seen.peer).collect();
    assert_eq!(peers.len(), 1);
}

#[test]
fn a_service_in_trouble_is_tried_again_and_a_mistake_is_not() {
    let trouble = || (503, json!({"__type": "ServiceUnavailable", "message": "no map"}));
    let service = Service::start(in_order(vec![trouble(), trouble(), (200, stored("1"))]));
    assert!(on_a_runtime(client(&service, RetryPolicy::SDK).call(&put())).is_ok());

    let mistake = (400, json!({"__type": "ResourceNotFoundException", "message": "Stream s not found."}));
    let service = Service::start(in_order(vec![mistake]));
    let call = DescribeStreamSummary { stream_name: "s".into() };
    let error = on_a_runtime(client(&service, RetryPolicy::SDK).call(&call)).unwrap_err();
    assert_eq!((error.code(), error.effect()), ("ResourceNotFoundException", Effect::None));
}

#[test]
fn a_write_that_was_not_answered_is_reported_as_unknown_and_not_repeated() {
    let service = Service::start(in_order(vec![(0, json!({}))]));
    let careful = RetryPolicy { unknown_writes: UnknownWrites::Report, ..RetryPolicy::SDK };
    let error = on_a_runtime(client(&service, careful).call(&put())).unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error}");
    assert_eq!(error.effect(), Effect::Unknown);
}

#[test]
fn only_the_records_that_were_not_taken_are_sent_again() {
    let first = json!({"FailedRecordCount": 2, "Records": [throttled(), stored("1"), throttled()]});
    let second = json!({"FailedRecordCount": 1, "Records": [stored("2"), throttled()]});
    let third = json!({"FailedRecordCount": 1, "Records": [throttled()]});
    let service = Service::start(in_order(vec![(200, first), (200, second), (200, third)]));
    let config = ProducerConfig {
        attempts_max: 3,
        pause: Duration::from_millis(1),
        pause_max: Duration::from_millis(1),
        unknown_writes: UnknownWrites::Report,
    };
    let producer = Producer::new(client(&service, RetryPolicy::NEVER), "s", config);
    let record = |key: &str| PutRecordsEntry {
        data: key.as_bytes().to_vec().into(),
        partition_key: key.into(),
        explicit_hash_key: None,
    };
    let outcomes = on_a_runtime(producer.put(vec![record("a"), record("b"), record("c")]));
    let stored = |number: &str| PutOutcome::Stored {
        shard_id: "shardId-000000000000".into(),
        sequence_number: number.into(),
    };
    let failed =
        PutOutcome::Failed { code: "ProvisionedThroughputExceededException".into(), effect: Effect::None };
    assert_eq!(outcomes, [stored("2"), stored("1"), failed]);
    let keys: Vec<Vec<_>> = service
        .seen()
        .iter()
        .map(|seen| {
            let records = seen.body["Records"].as_array().unwrap();
            records.iter().map(|record| record["PartitionKey"].as_str().unwrap().to_owned()).collect()
        })
        .collect();
    assert_eq!(keys, [vec!["a", "b", "c"], vec!["a", "c"], vec!["c"]]);
}

/// One shard with records 1 to 6; an iterator is the number that it reads after.
fn stream_of_six() -> Script {
    Box::new(|seen| match seen.operation.as_str() {
        "ListShards" => {
            let range = json!({"StartingHashKey": "0", "EndingHashKey": "1"});
            let numbers = json!({"StartingSequenceNumber": "0"});
            let shard =
                json!({"ShardId": "shardId-0", "HashKeyRange": range, "SequenceNumberRange": numbers});
            (200, json!({"Shards": [shard]}))
        }
        "GetShardIterator" => {
            let after = match seen.body["ShardIteratorType"].as_str().unwrap() {
                "TRIM_HORIZON" => "0",
                "AFTER_SEQUENCE_NUMBER" => seen.body["StartingSequenceNumber"].as_str().unwrap(),
                other => panic!("{other}"),
            };
            (200, json!({"ShardIterator": after}))
        }
        "GetRecords" => {
            let after: u32 = seen.body["ShardIterator"].as_str().unwrap().parse().unwrap();
            let numbers: Vec<u32> = (after + 1..=6).take(2).collect();
            let record = |number: &u32| {
                json!({"SequenceNumber": number.to_string(), "ApproximateArrivalTimestamp": 1.5,
                       "Data": "AAAA", "PartitionKey": "k"})
            };
            let last = numbers.last().copied().unwrap_or(after);
            let records: Vec<_> = numbers.iter().map(record).collect();
            (
                200,
                json!({"Records": records, "NextShardIterator": last.to_string(), "MillisBehindLatest": 6 - last}),
            )
        }
        other => panic!("{other}"),
    })
}

#[test]
fn a_consumer_goes_on_behind_its_checkpoint_after_a_restart() {
    let service = Service::start(stream_of_six());
    let folder = tempfile::tempdir().unwrap();
    let config = ConsumerConfig {
        stream: "s".into(),
        start: StartAt::TrimHorizon,
        limit: 2,
        idle_pause: Duration::from_millis(1),
        error_pause: Duration::from_millis(1),
        checkpoints: Some(folder.path().join("checkpoints")),
    };
    let read = |batches: usize, deal_with: usize| {
        let mut consumer =
            Consumer::open(client(&service, RetryPolicy::NEVER), Clock::new(), config.clone()).unwrap();
        on_a_runtime(async {
            let mut numbers = Vec::new();
            for turn in 0..batches {
                let batch = consumer.poll().await.unwrap();
                numbers.extend(batch.records.iter().map(|record| record.sequence_number.clone()));
                if turn < deal_with {
                    consumer.checkpoint(&batch.shard_id, numbers.last().unwrap()).unwrap();
                }
            }
            numbers
        })
    };
    assert_eq!(read(2, 1), ["1", "2", "3", "4"]);
    // 3 and 4 were handed out but not dealt with: they come again.
    assert_eq!(read(3, 2), ["3", "4", "5", "6"]);
    assert!(read(1, 0).is_empty());
}

/// Shard 0 was split into 1 and 2; each has a record, and the list shows the children at the second look.
fn stream_that_was_split() -> Script {
    let mut looks = 0;
    let shard = |number: u32, parent: Option<u32>, closed: bool| {
        let mut numbers = json!({"StartingSequenceNumber": "0"});
        if closed {
            numbers["EndingSequenceNumber"] = json!("9");
        }
        json!({
            "ShardId": number.to_string(), "ParentShardId": parent.map(|parent| parent.to_string()),
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"}, "SequenceNumberRange": numbers,
        })
    };
    Box::new(move |seen| match seen.operation.as_str() {
        "ListShards" => {
            looks += 1;
            let mut shown = vec![shard(0, None, true)];
            if looks > 2 {
                shown.extend([shard(1, Some(0), false), shard(2, Some(0), false)]);
            }
            (200, json!({ "Shards": shown }))
        }
        "GetShardIterator" => {
            let from = (&seen.body["ShardIteratorType"], &seen.body["ShardId"]);
            assert_eq!(from.0, "TRIM_HORIZON", "{}", seen.body);
            (200, json!({"ShardIterator": format!("{}-begin", from.1.as_str().unwrap())}))
        }
        "GetRecords" => {
            let iterator = seen.body["ShardIterator"].as_str().unwrap();
            let (shard, place) = iterator.split_once('-').unwrap();
            let record = json!({
                "SequenceNumber": format!("{shard}1"), "ApproximateArrivalTimestamp": 1, "Data": "", "PartitionKey": "k",
            });
            let records = if place == "begin" { vec![record] } else { vec![] };
            let next = (shard != "0").then(|| format!("{shard}-on"));
            (200, json!({"Records": records, "NextShardIterator": next, "MillisBehindLatest": 0}))
        }
        other => panic!("{other}"),
    })
}

#[test]
fn where_a_shard_ends_a_consumer_goes_on_with_its_children_once_they_are_shown() {
    let service = Service::start(stream_that_was_split());
    let config = ConsumerConfig {
        stream: "s".into(),
        start: StartAt::TrimHorizon,
        limit: 2,
        idle_pause: Duration::from_millis(1),
        error_pause: Duration::from_millis(1),
        checkpoints: None,
    };
    let mut consumer = Consumer::open(client(&service, RetryPolicy::NEVER), Clock::new(), config).unwrap();
    let numbers = on_a_runtime(async {
        let mut numbers = Vec::new();
        while numbers.len() < 3 {
            let batch = consumer.poll().await.unwrap();
            numbers.extend(batch.records.into_iter().map(|record| record.sequence_number));
        }
        numbers
    });
    assert_eq!(numbers, ["01", "11", "21"], "the parent's first");
}

#[test]
fn without_anybody_to_trust_https_is_refused_before_anything_is_sent() {
    let service = Service::start(in_order(vec![]));
    let url = format!("https://127.0.0.1:{}", service.address.port());
    let error = put_at(Endpoint::resolve(&url).unwrap()).unwrap_err();
    assert_eq!((error.effect(), error.code()), (Effect::None, "connect"));
    assert!(error.to_string().contains("only plain http is spoken"), "{error}");
    assert!(service.seen().is_empty());
}
