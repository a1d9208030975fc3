//! Records: put, found again by every kind of iterator, throttled one by one.

use std::time::Duration;

use serde_json::{Value, json};
use weir_core::{clock::Monotonic, sequence::SequenceNumber, shard::OwnedShard};
use weir_wire::kinesis::limits::Family;

use super::ACCOUNT;
use crate::{
    fixture::{Fixture, NODE},
    throttle::ShardLimits,
};

fn base64(data: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(data)
}

/// Keys that land in the lower and in the upper half of the space.
const LOW: &str = "0";
const HIGH: &str = "340282366920938463463374607431768211455";

async fn put(fixture: &Fixture, data: &str, hash_key: &str) -> Value {
    let input = json!({
        "StreamName": "s", "PartitionKey": "k", "ExplicitHashKey": hash_key, "Data": base64(data.as_bytes()),
    });
    fixture.call("PutRecord", input).await.ok()
}

async fn iterator(fixture: &Fixture, mut input: Value) -> String {
    input["StreamName"] = json!("s");
    input["ShardId"] = json!("shardId-000000000000");
    let told = fixture.call("GetShardIterator", input).await.ok();
    told["ShardIterator"].as_str().unwrap().to_owned()
}

async fn get(fixture: &Fixture, iterator: &str) -> Value {
    fixture.call("GetRecords", json!({"ShardIterator": iterator})).await.ok()
}

fn data(told: &Value) -> Vec<String> {
    let records = told["Records"].as_array().unwrap().iter();
    let decode = |record: &Value| {
        let bytes = base64_simd::STANDARD.decode_to_vec(record["Data"].as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    records.map(decode).collect()
}

#[tokio::test]
async fn a_record_is_put_where_its_hash_says_and_read_back_as_it_was() {
    let fixture = Fixture::new();
    let shards = fixture.stream("s", 2);
    let told = put(&fixture, "low", LOW).await;
    assert_eq!(told["ShardId"], "shardId-000000000000");
    let number: SequenceNumber = told["SequenceNumber"].as_str().unwrap().parse().unwrap();
    assert_eq!((number.record(), number.shard_created_secs), (Some(0), 1_600_000_000));
    assert!(told.get("EncryptionType").is_none());
    assert_eq!(put(&fixture, "high", HIGH).await["ShardId"], "shardId-000000000001");
    assert_eq!(fixture.node.data_of(shards[0].key), [b"low"]);
    assert_eq!(fixture.node.data_of(shards[1].key), [b"high"]);

    let read = get(&fixture, &iterator(&fixture, json!({"ShardIteratorType": "TRIM_HORIZON"})).await).await;
    let record = &read["Records"][0];
    assert_eq!(record["SequenceNumber"], told["SequenceNumber"]);
    assert_eq!((&record["PartitionKey"], &record["Data"]), (&json!("k"), &json!(base64(b"low"))));
    assert_eq!(record["ApproximateArrivalTimestamp"], 1_600_000_001.0);
    assert_eq!(read["MillisBehindLatest"], 0);
    assert!(fixture.metrics().contains("weir_frontend_records_in_total 2\n"));
    assert!(fixture.metrics().contains("weir_frontend_bytes_out_total 4\n"), "low and k");
}

#[tokio::test]
async fn many_records_go_in_one_frame_and_come_back_in_their_order() {
    let fixture = Fixture::new();
    fixture.stream("s", 2);
    let entry = |n: usize| {
        let hash_key = if n.is_multiple_of(2) { LOW } else { HIGH };
        json!({"PartitionKey": "k", "ExplicitHashKey": hash_key, "Data": base64(n.to_string().as_bytes())})
    };
    let records: Vec<_> = (0..500).map(entry).collect();
    let told = fixture.call("PutRecords", json!({"StreamName": "s", "Records": records})).await.ok();
    assert_eq!(told["FailedRecordCount"], 0);
    assert_eq!(fixture.node.frames(), 1);
    let results = told["Records"].as_array().unwrap();
    assert_eq!(results.len(), 500);
    assert_eq!(results[7]["ShardId"], "shardId-000000000001");
    let read = get(&fixture, &iterator(&fixture, json!({"ShardIteratorType": "TRIM_HORIZON"})).await).await;
    let expected: Vec<_> = (0..500).step_by(2).map(|n| n.to_string()).collect();
    assert_eq!(data(&read), expected);
    let numbers: Vec<_> = read["Records"].as_array().unwrap().iter().map(|r| &r["SequenceNumber"]).collect();
    let told: Vec<_> = results.iter().step_by(2).map(|r| &r["SequenceNumber"]).collect();
    assert_eq!(numbers, told, "each record is at the number that its producer was told");
}

#[tokio::test]
async fn all_five_iterators_start_where_they_say() {
    let fixture = Fixture::with(|config| config.limits.lift(Family::Shards));
    fixture.stream("s", 1);
    let latest_of_empty = iterator(&fixture, json!({"ShardIteratorType": "LATEST"})).await;
    let mut numbers = Vec::new();
    for (n, arrival) in [1_600_000_010_000u64, 1_600_000_020_000, 1_600_000_030_000].into_iter().enumerate() {
        fixture.node.set_arrival(arrival);
        numbers.push(put(&fixture, &n.to_string(), LOW).await["SequenceNumber"].clone());
    }
    let from = async |input: Value| data(&get(&fixture, &iterator(&fixture, input).await).await);
    assert_eq!(from(json!({"ShardIteratorType": "TRIM_HORIZON"})).await, ["0", "1", "2"]);
    let at = json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": numbers[1]});
    assert_eq!(from(at).await, ["1", "2"]);
    let after = json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": numbers[1]});
    assert_eq!(from(after).await, ["2"]);
    let time = json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_600_000_019.999});
    assert_eq!(from(time).await, ["1", "2"]);
    assert!(from(json!({"ShardIteratorType": "LATEST"})).await.is_empty());
    assert_eq!(
        data(&get(&fixture, &latest_of_empty).await),
        ["0", "1", "2"],
        "the latest of an empty shard is its start"
    );
}

#[tokio::test]
async fn latest_is_fixed_when_the_iterator_is_made() {
    let fixture = Fixture::with(|config| config.limits.lift(Family::Shards));
    fixture.stream("s", 1);
    put(&fixture, "before", LOW).await;
    let latest = iterator(&fixture, json!({"ShardIteratorType": "LATEST"})).await;
    put(&fixture, "after", LOW).await;
    for _ in 0..10 {
        assert_eq!(data(&get(&fixture, &latest).await), ["after"], "and it may be used again");
    }
    let quoted = fixture.call("GetRecords", json!({"ShardIterator": format!("\"{latest}\"")})).await.ok();
    assert_eq!(data(&quoted), ["after"]);
}

#[tokio::test]
async fn a_reader_walks_the_shard_and_is_told_how_far_behind_it_is() {
    let fixture = Fixture::with(|config| config.limits.lift(Family::Shards));
    fixture.stream("s", 1);
    for n in 0..3 {
        put(&fixture, &n.to_string(), LOW).await;
    }
    let mut next = iterator(&fixture, json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    let mut seen = Vec::new();
    for behind in [true, true, false, false] {
        let told = fixture.call("GetRecords", json!({"ShardIterator": next, "Limit": 1})).await.ok();
        seen.extend(data(&told));
        assert_eq!(told["MillisBehindLatest"].as_u64().unwrap() > 0, behind, "{told}");
        next = told["NextShardIterator"].as_str().unwrap().to_owned();
    }
    assert_eq!(seen, ["0", "1", "2"]);
}

/// The buckets of a shard, as they are in an hour: who takes from them then leaves nothing for now.
fn exhaust(fixture: &Fixture, shard: &OwnedShard, take: impl Fn(&ShardLimits, Monotonic)) {
    let limits = fixture.frontend.common.throttle.shards.limits(shard.key, 1);
    take(&limits, fixture.clock.now() + Duration::from_secs(3_600));
}

#[tokio::test]
async fn records_over_the_shards_limit_fail_one_by_one() {
    let fixture = Fixture::new();
    let shards = fixture.stream("s", 2);
    exhaust(&fixture, &shards[0], |limits, later| assert!(limits.admit_record(later, 1)));
    let entry = |hash_key: &str| json!({"PartitionKey": "k", "ExplicitHashKey": hash_key, "Data": ""});
    let input = json!({"StreamName": "s", "Records": [entry(LOW), entry(HIGH), entry(LOW)]});
    let told = fixture.call("PutRecords", input).await.ok();
    assert_eq!(told["FailedRecordCount"], 2);
    let text = format!("Rate exceeded for shard shardId-000000000000 in stream s under account {ACCOUNT}.");
    let throttled = json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": text});
    assert_eq!((&told["Records"][0], &told["Records"][2]), (&throttled, &throttled));
    assert_eq!(told["Records"][1]["ShardId"], "shardId-000000000001", "the other shard has its own limit");

    let input = json!({"StreamName": "s", "PartitionKey": "k", "ExplicitHashKey": LOW, "Data": ""});
    let told = fixture.call("PutRecord", input).await;
    assert_eq!((told.status, told.message()), (400, text.as_str()));
    assert!(fixture.metrics().contains("weir_frontend_records_throttled_total 3\n"));
}

#[tokio::test]
async fn another_front_end_has_a_count_of_its_own_for_the_same_shard() {
    let (one, other) = (Fixture::new(), Fixture::new());
    let shards = one.stream("s", 1);
    assert_eq!(other.stream("s", 1)[0].key, shards[0].key);
    exhaust(&one, &shards[0], |limits, later| assert!(limits.admit_record(later, 1)));
    let record = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
    let refused = one.call("PutRecord", record.clone()).await;
    assert_eq!(refused.code(), "ProvisionedThroughputExceededException");
    other.call("PutRecord", record).await.ok();
}

#[tokio::test]
async fn a_shard_that_was_read_too_often_is_not_read_again() {
    let fixture = Fixture::new();
    let shards = fixture.stream("s", 1);
    let from = iterator(&fixture, json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    exhaust(&fixture, &shards[0], |limits, later| assert!(limits.admit_read(later)));
    let told = fixture.call("GetRecords", json!({"ShardIterator": from})).await;
    assert_eq!(told.code(), "ProvisionedThroughputExceededException");
    assert!(told.message().starts_with("Rate exceeded for shard shardId-000000000000 in stream s"));
    assert_eq!(fixture.node.frames(), 0);

    let unlimited = Fixture::with(|config| config.limits.lift(Family::Shards));
    let shards = unlimited.stream("s", 1);
    exhaust(&unlimited, &shards[0], |limits, later| assert!(limits.admit_read(later)));
    get(&unlimited, &iterator(&unlimited, json!({"ShardIteratorType": "TRIM_HORIZON"})).await).await;
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused_in_kinesis_words() {
    let fixture = Fixture::new();
    fixture.stream("s", 2);
    let put = async |mut input: Value| {
        input["StreamName"] = json!("s");
        input["Data"] = json!("");
        input["PartitionKey"] = json!("k");
        fixture.call("PutRecord", input).await
    };
    let told = put(json!({"ExplicitHashKey": "340282366920938463463374607431768211456"})).await;
    assert_eq!(told.code(), "InvalidArgumentException");
    assert_eq!(
        told.message(),
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was \
         340282366920938463463374607431768211456"
    );
    let future = SequenceNumber::of_record(weir_core::id::ShardIndex(0), 1_600_000_000, 0, 60_000_000_000);
    let told = put(json!({"SequenceNumberForOrdering": future.to_string()})).await;
    assert_eq!(
        told.message(),
        format!(
            "ExclusiveMinimumSequenceNumber {future} used in PutRecord on stream s under account {ACCOUNT} is invalid."
        )
    );
    assert_eq!(put(json!({"SequenceNumberForOrdering": "0"})).await.status, 200);

    let key = "k".repeat(100);
    let input = json!({"StreamName": "s", "PartitionKey": key, "Data": base64(&vec![0; 1_048_500])});
    let told = fixture.call("PutRecord", input).await;
    assert_eq!(told.code(), "ValidationException");
    assert!(told.message().ends_with("less than or equal to 1048476"), "{}", told.message());

    let entry = json!({"PartitionKey": "k", "Data": base64(&vec![0; 1_000_000])});
    let told = fixture.call("PutRecords", json!({"StreamName": "s", "Records": vec![entry; 11]})).await;
    assert_eq!(told.message(), "Records size exceeds 10 MB limit");
    assert_eq!(fixture.node.frames(), 1, "only the one good record was sent");
}

#[tokio::test]
async fn a_number_to_be_ordered_after_may_be_five_minutes_ahead() {
    let fixture = Fixture::new();
    fixture.stream("s", 1);
    let put = async |ahead_secs: u64| {
        let secs = fixture.clock.wall().secs() + ahead_secs;
        let number = SequenceNumber::of_record(weir_core::id::ShardIndex(0), 1_600_000_000, 0, secs);
        let input = json!({
            "StreamName": "s", "PartitionKey": "k", "Data": "", "SequenceNumberForOrdering": number.to_string(),
        });
        fixture.call("PutRecord", input).await
    };
    assert_eq!(put(300).await.status, 200);
    // Some more than that: the clock goes on meanwhile.
    assert_eq!(put(360).await.code(), "InvalidArgumentException");
}

#[tokio::test]
async fn iterators_are_refused_in_kinesis_words() {
    let fixture = Fixture::new();
    fixture.stream("s", 2);
    let ask = async |input: Value| {
        let told = fixture.call("GetShardIterator", input).await;
        (told.code().to_owned(), told.message().to_owned())
    };
    let of =
        |shard: &str, kind: &str| json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind});
    let gone = format!("Shard shardId-000000000005 in stream s under account {ACCOUNT} does not exist");
    assert_eq!(ask(of("shardId-5", "LATEST")).await, ("ResourceNotFoundException".into(), gone));
    for text in ["ABKLFD8", "2147483648", "shardId-002147483648", "2.14E4"] {
        let text_of = format!("Could not find shard {text} in stream s under account {ACCOUNT}.");
        assert_eq!(ask(of(text, "LATEST")).await.1, text_of);
    }
    let no_stream = json!({"StreamName": "no", "ShardId": "shardId-0", "ShardIteratorType": "LATEST"});
    let text = format!("Shard shardId-000000000000 in stream no under account {ACCOUNT} does not exist");
    assert_eq!(ask(no_stream).await, ("ResourceNotFoundException".into(), text));
    let text = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or \
                (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified";
    let told = ask(of("shardId-0", "AT_SEQUENCE_NUMBER")).await.1;
    assert_eq!(told, format!("{text} AT_SEQUENCE_NUMBER and no StartingSequenceNumber."));
    let mut latest = of("shardId-0", "LATEST");
    latest["StartingSequenceNumber"] = json!("5");
    assert_eq!(ask(latest).await.1, format!("{text} LATEST and also a StartingSequenceNumber."));
    assert!(ask(of("shardId-0", "AT_TIMESTAMP")).await.1.starts_with("Must specify timestampInMillis"));
    let mut future = of("shardId-0", "AT_TIMESTAMP");
    future["Timestamp"] = json!(99_999_999_999u64);
    assert!(ask(future).await.1.starts_with("The timestampInMillis parameter cannot be greater than"));
}

#[tokio::test]
async fn a_sequence_number_belongs_to_its_shard_and_its_stream() {
    let fixture = Fixture::new();
    fixture.stream("s", 2);
    let ask = async |number: String| {
        let input = json!({
            "StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "AT_SEQUENCE_NUMBER",
            "StartingSequenceNumber": number,
        });
        fixture.call("GetShardIterator", input).await.message().to_owned()
    };
    let number =
        |shard, created| SequenceNumber::starting(weir_core::id::ShardIndex(shard), created).to_string();
    assert_eq!(
        ask(number(1, 1_600_000_000)).await,
        "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with \
         shardId-000000000000"
    );
    assert!(
        ask(number(0, 1_500_000_000)).await.ends_with("is invalid because it did not come from this stream.")
    );
    assert!(
        ask("77".to_owned()).await.ends_with(&format!("in stream s under account {ACCOUNT} is invalid."))
    );
    assert_eq!(ask(number(0, 1_600_000_000)).await, "none", "its starting number is its own");
}

#[tokio::test]
async fn an_iterator_behind_the_end_of_its_shard_is_invalid_and_no_failure() {
    let fixture = Fixture::new();
    let shards = fixture.stream("s", 1);
    let put =
        fixture.call("PutRecord", json!({"StreamName": "s", "PartitionKey": "k", "Data": ""})).await.ok();
    let number: SequenceNumber = put["SequenceNumber"].as_str().unwrap().parse().unwrap();
    let shifted = |by| {
        let index = number.record().unwrap() + by;
        let created = shards[0].created_ms / 1_000;
        SequenceNumber::of_record(number.shard, created, index, number.arrived_secs).to_string()
    };
    for (kind, by, status) in [
        ("AT_SEQUENCE_NUMBER", 0, 200),
        ("AFTER_SEQUENCE_NUMBER", 0, 200),
        ("AT_SEQUENCE_NUMBER", 1, 200),
        ("AFTER_SEQUENCE_NUMBER", 1, 400),
        ("AT_SEQUENCE_NUMBER", 1_000, 400),
    ] {
        let at = json!({"ShardIteratorType": kind, "StartingSequenceNumber": shifted(by)});
        let told = fixture.call("GetRecords", json!({"ShardIterator": iterator(&fixture, at).await})).await;
        assert_eq!(told.status, status, "{kind} {by}");
        if status == 400 {
            assert_eq!((told.code(), told.message()), ("InvalidArgumentException", "Invalid ShardIterator."));
        }
    }
}

#[tokio::test]
async fn an_iterator_is_of_use_to_its_own_account_and_stream_alone() {
    let fixture = Fixture::new();
    let shards = fixture.stream("s", 1);
    let from = iterator(&fixture, json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    for wrong in ["x", "AAAAAAAAAAE=", &from[..from.len() - 4]] {
        let told = fixture.call("GetRecords", json!({"ShardIterator": wrong})).await;
        assert_eq!((told.code(), told.message()), ("InvalidArgumentException", "Invalid ShardIterator."));
    }
    let other_account = crate::fixture::request("GetRecords")
        .body(json!({"ShardIterator": from}).to_string().into())
        .map(|mut request: http::Request<bytes::Bytes>| {
            let value =
                request.headers()["authorization"].to_str().unwrap().replace("test/", "000000000042/");
            request.headers_mut().insert("authorization", value.parse().unwrap());
            request
        });
    let refused = fixture.send(other_account.unwrap()).await;
    assert_eq!(refused.code(), "AccessDeniedException", "no policy lets another account in");

    // The stream goes, and one of the same name comes: it is another stream.
    fixture.call("DeleteStream", json!({"StreamName": "s"})).await;
    fixture.publish(&[]);
    let told = fixture.call("GetRecords", json!({"ShardIterator": from})).await;
    let gone = format!("Shard shardId-000000000000 in stream s under account {ACCOUNT} does not exist");
    assert_eq!((told.code(), told.message()), ("ResourceNotFoundException", gone.as_str()));
    let mut again = shards[0].clone();
    again.key.stream.0 += 1;
    fixture.publish(&[again]);
    let told = fixture.call("GetRecords", json!({"ShardIterator": from})).await;
    assert_eq!(told.message(), gone);
    assert_eq!(fixture.node.frames(), 0, "{NODE} was never asked");
}
