//! Trouble inside: no map, an old map, a node or a control plane that does not do its part. And nonsense from outside.

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_core::{clock::Monotonic, limits::NODE_CALL_TIMEOUT, sequence::SequenceNumber};
use weir_wire::{
    cell::CellError,
    control::StreamStatus,
    kinesis::{limits::Family, operation::Operation},
};

use super::*;
use crate::fixture::{MAP_TTL, NodeMood};

/// A call of each operation whose answer depends on the map.
fn calls_by_map() -> Vec<(&'static str, Value)> {
    let of = |input: Value| input;
    vec![
        ("PutRecord", of(json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}))),
        ("PutRecords", of(json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": ""}]}))),
        (
            "GetShardIterator",
            of(json!({"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "TRIM_HORIZON"})),
        ),
        ("DescribeStream", of(json!({"StreamName": "s"}))),
        ("DescribeStreamSummary", of(json!({"StreamName": "s"}))),
        ("ListShards", of(json!({"StreamName": "s"}))),
    ]
}

#[tokio::test]
async fn an_old_map_makes_every_call_that_needs_it_unavailable() {
    let fixture = Fixture::new();
    let shards = fixture.stream("s", 1);
    let input = json!({"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = fixture.call("GetShardIterator", input).await.ok()["ShardIterator"].clone();
    fixture.maps.set_ttl(std::time::Duration::ZERO);
    fixture.publish_at(&shards, Monotonic::ZERO);
    let mut calls = calls_by_map();
    calls.push(("GetRecords", json!({"ShardIterator": iterator})));
    for (operation, input) in calls {
        let told = fixture.call(operation, input).await;
        assert_eq!((told.status, told.code()), (503, "ServiceUnavailable"), "{operation}");
    }
    assert_eq!(fixture.node.frames(), 0, "nothing was sent anywhere");
    assert_eq!(fixture.call("ListStreams", json!({})).await.status, 200, "the control plane needs no map");
    fixture.maps.set_ttl(MAP_TTL);
    assert_eq!(fixture.call("DescribeStream", json!({"StreamName": "s"})).await.status, 200);
}

#[tokio::test]
async fn without_any_map_calls_that_need_one_fail_inside() {
    let fixture = Fixture::without_map();
    for (operation, input) in calls_by_map() {
        let told = fixture.call(operation, input).await;
        assert_eq!((told.status, told.code()), (500, "InternalFailure"), "{operation}");
    }
}

#[tokio::test]
async fn a_stream_that_the_map_misses_is_unavailable_if_it_exists_and_not_found_if_not() {
    let fixture = Fixture::new();
    fixture.stream_unmapped("s", 1, StreamStatus::Active);
    fixture.stream_unmapped("young", 1, StreamStatus::Creating);
    let put = async |name: &str| {
        let told =
            fixture.call("PutRecord", json!({"StreamName": name, "PartitionKey": "k", "Data": ""})).await;
        (told.status, told.code().to_owned())
    };
    assert_eq!(put("s").await, (503, "ServiceUnavailable".to_owned()));
    assert_eq!(put("none").await, (400, "ResourceNotFoundException".to_owned()));
    assert_eq!(put("young").await, (400, "ResourceNotFoundException".to_owned()));
    let asked = fixture.control.asked().len();
    for _ in 0..20 {
        put("none").await;
    }
    let more = fixture.control.asked().len() - asked;
    assert!(more < 20, "a client that insists does not reach the control plane each time: {more}");
}

#[tokio::test]
async fn a_stream_so_new_that_the_map_has_not_heard_of_it_is_waited_for() {
    let fixture = Fixture::new();
    let now = fixture.clock.wall().0;
    let shards = fixture.stream_unmapped_since(now, "s", 1, StreamStatus::Active);
    let iterator = json!({"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "TRIM_HORIZON"});
    let published = async {
        for _ in 0..20 {
            tokio::task::yield_now().await; // the call has begun to wait
        }
        fixture.publish(&shards);
    };
    let (told, ()) = tokio::join!(fixture.call("GetShardIterator", iterator), published);
    assert!(told.ok()["ShardIterator"].is_string());
}

#[tokio::test]
async fn a_hole_in_the_map_fails_the_records_that_fall_into_it() {
    let fixture = Fixture::new();
    let shards = fixture.stream("s", 2);
    fixture.publish(&shards[1..]);
    let entry = |key: &str| json!({"PartitionKey": "k", "ExplicitHashKey": key, "Data": ""});
    let high = "340282366920938463463374607431768211455";
    let input = json!({"StreamName": "s", "Records": [entry("0"), entry(high)]});
    let told = fixture.call("PutRecords", input).await.ok();
    assert_eq!(told["FailedRecordCount"], 1);
    assert_eq!(told["Records"][0]["ErrorCode"], "InternalFailure");
    assert_eq!(told["Records"][1]["ShardId"], "shardId-000000000001");
    let input = json!({"StreamName": "s", "PartitionKey": "k", "ExplicitHashKey": "0", "Data": ""});
    assert_eq!(fixture.call("PutRecord", input).await.code(), "ServiceUnavailable");
    let input = json!({"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "TRIM_HORIZON"});
    assert_eq!(fixture.call("GetShardIterator", input).await.code(), "ServiceUnavailable");
    assert!(fixture.metrics().contains("weir_frontend_records_failed_total 2\n"));
}

#[tokio::test]
async fn a_node_that_refuses_is_unavailable_if_nothing_happened_and_a_failure_if_it_may_have() {
    for (mood, status, code) in [
        (NodeMood::Refusing(CellError::NotOwner), 503, "ServiceUnavailable"),
        (NodeMood::Refusing(CellError::Busy), 503, "ServiceUnavailable"),
        (NodeMood::Refusing(CellError::Stopping), 503, "ServiceUnavailable"),
        (NodeMood::Refusing(CellError::Storage), 500, "InternalFailure"),
        (NodeMood::Refusing(CellError::LogUnavailable), 500, "InternalFailure"),
        (NodeMood::Refusing(CellError::Full), 503, "ServiceUnavailable"),
        (NodeMood::Confused, 500, "InternalFailure"),
        (NodeMood::Hanging, 500, "InternalFailure"),
    ] {
        let fixture = Fixture::new();
        fixture.stream("s", 1);
        fixture.node.set_mood(mood);
        let record = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
        let told = fixture.call("PutRecord", record).await;
        assert_eq!((told.status, told.code()), (status, code), "{mood:?}");
        assert!(!told.message().contains("127.0.0.1"), "the inside is nobody's business: {}", told.message());
        let entry = json!({"PartitionKey": "k", "Data": ""});
        let told = fixture.call("PutRecords", json!({"StreamName": "s", "Records": [entry]})).await.ok();
        assert_eq!(told["Records"][0]["ErrorCode"], "InternalFailure", "{mood:?}");
        let latest = json!({"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "LATEST"});
        assert!(fixture.call("GetShardIterator", latest).await.status >= 500, "{mood:?}");
    }
    assert!(NODE_CALL_TIMEOUT.as_secs() > 1, "none of these waited for the timeout");
}

#[tokio::test]
async fn without_the_control_plane_records_still_flow() {
    let fixture = Fixture::new();
    fixture.stream("s", 1);
    fixture.control.go_down();
    for (operation, input) in [
        ("CreateStream", json!({"StreamName": "t", "ShardCount": 1})),
        ("DeleteStream", json!({"StreamName": "s"})),
        ("DescribeStream", json!({"StreamName": "s"})),
        ("ListStreams", json!({})),
        ("PutRecord", json!({"StreamName": "unknown", "PartitionKey": "k", "Data": ""})),
    ] {
        assert_eq!(fixture.call(operation, input).await.code(), "ServiceUnavailable", "{operation}");
    }
    let record = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
    assert_eq!(fixture.call("PutRecord", record).await.status, 200);
}

#[tokio::test]
async fn before_the_first_configuration_every_call_fails_and_health_does_not() {
    let fixture = Fixture::without_config();
    let told = fixture.call("ListStreams", json!({})).await;
    assert_eq!((told.status, told.code()), (500, "InternalFailure"));
    assert_eq!(fixture.send(Request::get("/health").body(Bytes::new()).unwrap()).await.status, 200);
}

/// The fixture's stream.
const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
/// Stand for an iterator of the fixture's stream, and for the number of its only record, its index shifted by what
/// follows: what no generator would find.
const ITERATOR: &str = "ITERATOR";
const NUMBER: &str = "NUMBER ";

/// Runs one call on a runtime of its own: property tests are not asynchronous.
fn status_of(operation: Operation, body: impl FnOnce(&str, SequenceNumber) -> Vec<u8>) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fixture = Fixture::new();
        fixture.stream("s", 2);
        let record = json!({"StreamName": "s", "PartitionKey": "k", "ExplicitHashKey": "0", "Data": ""});
        let put = fixture.call("PutRecord", record).await.ok();
        let horizon =
            json!({"StreamName": "s", "ShardId": put["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
        let iterator = fixture.call("GetShardIterator", horizon).await.ok();
        let number = put["SequenceNumber"].as_str().unwrap().parse().unwrap();
        let body = body(iterator["ShardIterator"].as_str().unwrap(), number);
        let told = fixture.call_body(operation.name(), body).await;
        if told.body["ShardIterator"].is_null() {
            return told.status;
        }
        // What was given out is answered as well.
        fixture.call("GetRecords", json!({"ShardIterator": told.body["ShardIterator"]})).await.status
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_body_makes_a_server_error(operation in prop::sample::select(Operation::ALL), body: Vec<u8>) {
        prop_assert!(status_of(operation, |_, _| body) < 500);
    }

    #[test]
    fn no_input_makes_a_server_error(
        operation in prop::sample::select(Operation::ALL),
        members in prop::collection::vec((
            prop::sample::select(vec![
                "StreamName", "ShardCount", "Data", "PartitionKey", "Records", "Limit", "ShardId", "ShardIteratorType",
                "ShardIterator", "StartingSequenceNumber", "Timestamp", "NextToken", "MaxResults", "ExplicitHashKey",
                "ExclusiveStartShardId", "StreamARN", "SequenceNumberForOrdering",
            ]),
            prop_oneof![
                Just(json!("s")), Just(json!("shardId-0")), Just(json!("LATEST")), Just(json!("AT_SEQUENCE_NUMBER")),
                Just(json!("AFTER_SEQUENCE_NUMBER")), Just(json!(ITERATOR)),
                any::<u64>().prop_map(|by| json!(format!("{NUMBER}{by}"))), Just(json!(format!("{NUMBER}0"))),
                Just(json!([{"PartitionKey": "k", "Data": "AA=="}])), Just(json!("")), any::<i64>().prop_map(|n| json!(n)),
                "[0-9]{1,60}".prop_map(|digits| json!(digits)), any::<f64>().prop_map(|n| json!(n)), "\\PC{0,10}".prop_map(|text| json!(text)),
            ],
        ), 0..3),
    ) {
        let status = status_of(operation, |iterator, number| {
            let mut input = whole_call(operation);
            for (name, value) in members {
                input[name] = value;
            }
            for value in input.as_object_mut().unwrap().values_mut() {
                if let Some(by) = value.as_str().and_then(|text| text.strip_prefix(NUMBER)?.parse::<u64>().ok()) {
                    let index = number.record().unwrap().wrapping_add(by);
                    let shifted = SequenceNumber::of_record(number.shard, number.shard_created_secs, index, number.arrived_secs);
                    *value = json!(shifted.to_string());
                } else if value == ITERATOR {
                    *value = json!(iterator);
                }
            }
            input.to_string().into_bytes()
        });
        prop_assert!(status < 500);
    }
}

/// A call of each operation that is served as it stands.
fn whole_call(operation: Operation) -> Value {
    match operation {
        Operation::CreateStream => json!({"StreamName": "t", "ShardCount": 1}),
        Operation::DeleteStream
        | Operation::DescribeStream
        | Operation::DescribeStreamSummary
        | Operation::ListShards => json!({"StreamName": "s"}),
        Operation::DecreaseStreamRetentionPeriod | Operation::IncreaseStreamRetentionPeriod => {
            json!({"StreamName": "s", "RetentionPeriodHours": 24})
        }
        Operation::AddTagsToStream => json!({"StreamName": "s", "Tags": {"a": "b"}}),
        Operation::RemoveTagsFromStream => json!({"StreamName": "s", "TagKeys": ["a"]}),
        Operation::ListTagsForStream => json!({"StreamName": "s"}),
        Operation::TagResource => json!({"ResourceARN": ARN, "Tags": {"a": "b"}}),
        Operation::UntagResource => json!({"ResourceARN": ARN, "TagKeys": ["a"]}),
        Operation::ListTagsForResource | Operation::GetResourcePolicy | Operation::DeleteResourcePolicy => {
            json!({"ResourceARN": ARN})
        }
        Operation::PutResourcePolicy => json!({
            "ResourceARN": ARN,
            "Policy": r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kinesis:*"}}"#,
        }),
        Operation::StartStreamEncryption | Operation::StopStreamEncryption => {
            json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"})
        }
        Operation::EnableEnhancedMonitoring | Operation::DisableEnhancedMonitoring => {
            json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]})
        }
        Operation::DescribeAccountSettings | Operation::DescribeLimits | Operation::ListStreams => json!({}),
        Operation::UpdateAccountSettings => {
            json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}})
        }
        Operation::RegisterStreamConsumer => json!({"StreamARN": ARN, "ConsumerName": "c"}),
        Operation::ListStreamConsumers => json!({"StreamARN": ARN}),
        Operation::DescribeStreamConsumer | Operation::DeregisterStreamConsumer => {
            json!({"ConsumerARN": format!("{ARN}/consumer/c:1600000000")})
        }
        Operation::SubscribeToShard => json!({
            "ConsumerARN": format!("{ARN}/consumer/c:1600000000"), "ShardId": "shardId-0",
            "StartingPosition": {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": format!("{NUMBER}0")},
        }),
        Operation::MergeShards => {
            json!({"StreamName": "s", "ShardToMerge": "shardId-0", "AdjacentShardToMerge": "shardId-1"})
        }
        Operation::SplitShard => {
            json!({"StreamName": "s", "ShardToSplit": "shardId-0", "NewStartingHashKey": "7"})
        }
        Operation::UpdateMaxRecordSize => json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 2_048}),
        Operation::UpdateStreamMode => {
            json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})
        }
        Operation::UpdateStreamRecordDistributionStrategy => {
            json!({"StreamARN": ARN, "RecordDistributionStrategy": "AUTO"})
        }
        Operation::UpdateStreamWarmThroughput => json!({"StreamName": "s", "WarmThroughputMiBps": 5}),
        Operation::UpdateShardCount => {
            json!({"StreamName": "s", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"})
        }
        Operation::GetRecords => json!({"ShardIterator": ITERATOR}),
        Operation::GetShardIterator => json!({
            "StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "AT_SEQUENCE_NUMBER",
            "StartingSequenceNumber": format!("{NUMBER}0"),
        }),
        Operation::PutRecord => json!({
            "StreamName": "s", "PartitionKey": "k", "Data": "", "SequenceNumberForOrdering": format!("{NUMBER}0"),
        }),
        Operation::PutRecords => {
            json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": ""}]})
        }
    }
}

#[tokio::test]
async fn clients_that_do_not_read_their_answers_cost_no_more_than_the_budget_and_no_write() {
    let fixture = Fixture::with(|config| config.limits.lift(Family::Shards));
    fixture.stream("s", 1);
    let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": "A".repeat(4_000)});
    fixture.call("PutRecord", put.clone()).await.ok();
    let input = json!({
        "StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON",
    });
    let told = fixture.call("GetShardIterator", input).await.ok();
    let input = json!({"ShardIterator": told["ShardIterator"]}).to_string();
    let get = || request("GetRecords").body(Bytes::from(input.clone())).unwrap();

    let answers = &fixture.frontend.common.answers;
    let all = answers.available();
    let unread = fixture.respond(get()).await;
    assert!(all - answers.available() >= 4_000, "an answer holds its bytes until it is read");
    let others = answers.reserve(answers.available()).unwrap();
    let told = fixture.send(get()).await;
    assert_eq!((told.status, told.code()), (503, "ServiceUnavailable"));
    let listed = fixture.call("ListShards", json!({"StreamName": "s"})).await;
    assert_eq!((listed.status, listed.code()), (503, "ServiceUnavailable"));
    fixture.call("PutRecord", put).await.ok();
    drop((unread, others));
    assert_eq!(fixture.send(get()).await.status, 200);
    assert_eq!(answers.available(), all, "what is read is given back");
}
