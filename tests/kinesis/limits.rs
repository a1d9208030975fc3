//! Call rates and quotas: kept as AWS keeps them, and set otherwise by flags.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use weir_tests::{
    again,
    semantics::{says, says_same},
    server::Server,
    subscription::Subscription,
};

const ON: [&str; 2] = ["--call-limits", "on"];

/// Calls until one is refused: how many were served, and the refusal.
fn until_refused(server: &Server, operation: &str, body: &Value) -> (u32, Value) {
    let (served, refusal, _) = until_refused_since(server, operation, body);
    (served, refusal)
}

/// The same, and when the call that was refused was sent: the bucket was empty no earlier.
fn until_refused_since(server: &Server, operation: &str, body: &Value) -> (u32, Value, Instant) {
    let sent = Cell::new(Instant::now());
    let (served, refusal) = again::until_refused(|| {
        sent.set(Instant::now());
        server.call(operation, body)
    });
    assert_eq!(refusal.status, 400);
    (served, refusal.json(), sent.get())
}

/// A stream, without asking more often than may be asked.
fn stream(server: &Server, name: &str) {
    server.ok("CreateStream", &json!({"StreamName": name, "ShardCount": 1}));
    for _ in 0..500 {
        let answer = server.call("DescribeStreamSummary", &json!({"StreamName": name}));
        if answer.status == 200 && answer.json()["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    panic!("{name} never becomes ACTIVE");
}

#[test]
fn calls_over_their_rate_are_refused_in_the_words_of_aws() {
    says_same("The rates of calls for each account in a region, stream, shard or consumer, in AWS's words");
    let server = Server::start_with(&["--call-limits", "on", "--limit", "ListShards=10/s"]);
    stream(&server, "s");
    let refused = |operation, body: Value, code: &str, text: &str| {
        let (served, refusal) = until_refused(&server, operation, &body);
        assert!(served > 0, "{operation}: a second's calls may be saved up");
        assert_eq!(refusal, json!({"__type": code, "message": text}), "{operation}");
    };
    let of_stream = "Rate exceeded for stream s under account 000000000000.";
    refused("DescribeStream", json!({"StreamName": "s"}), "LimitExceededException", of_stream);
    refused("DescribeStreamSummary", json!({"StreamName": "s"}), "LimitExceededException", of_stream);
    refused("ListShards", json!({"StreamName": "s"}), "LimitExceededException", of_stream);
    let of_account = "Rate exceeded for account 000000000000.";
    refused("ListStreams", json!({}), "LimitExceededException", of_account);
    refused(
        "GetShardIterator",
        json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"}),
        "ProvisionedThroughputExceededException",
        "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.",
    );
    let other = "arn:aws:kinesis:us-east-1:000000000000:stream/t";
    let unknown = server.call("ListShards", &json!({"StreamARN": other}));
    assert_eq!(unknown.json()["__type"], "ResourceNotFoundException", "another stream has its own rate");
}

/// No token is lost in a pause of the caller, as a second's worth is saved up; so but for the last pause the time is the
/// rate's alone.
#[test]
fn two_hundred_calls_at_twenty_a_second_take_ten_seconds() {
    let server = Server::start_with(&ON);
    stream(&server, "s");
    let body = json!({"StreamName": "s"});
    let (_, _, begin) = until_refused_since(&server, "DescribeStreamSummary", &body);
    let (mut served, mut last, mut longest_pause) = (0, begin, Duration::ZERO);
    while served < 200 {
        served += u32::from(server.call("DescribeStreamSummary", &body).status == 200);
        let now = Instant::now();
        longest_pause = longest_pause.max(now - last);
        last = now;
    }
    let took = last - begin;
    assert!(took >= Duration::from_millis(9_800), "{took:?} for ten seconds of calls");
    assert!(
        took <= Duration::from_millis(10_200) + longest_pause,
        "{took:?}, one call took {longest_pause:?}"
    );
}

#[test]
fn a_rate_is_set_by_its_name_and_all_are_scaled_together() {
    says("bursts", "one second's worth of each rate, and always one call");
    let server = Server::start_with(&[
        "--call-limits",
        "on",
        "--limits-scale",
        "0.2",
        "--limit",
        "ListStreams=off",
        "--limit",
        "DescribeStream=3/s",
    ]);
    stream(&server, "s");
    for _ in 0..100 {
        server.ok("ListStreams", &json!({}));
    }
    // Of the second some were spent on waiting for the stream.
    for (operation, least, burst) in [("DescribeStream", 3, 3), ("DescribeStreamSummary", 1, 4)] {
        let begin = Instant::now();
        let (served, _) = until_refused(&server, operation, &json!({"StreamName": "s"}));
        let most = f64::from(burst) * (1.0 + begin.elapsed().as_secs_f64()) + 1.0;
        assert!(served >= least && f64::from(served) <= most, "{operation}: {served} of a burst of {burst}");
    }
}

#[test]
fn a_burst_of_bytes_is_a_mebibyte_at_least() {
    says("bursts", "of bytes at least 1 MiB");
    let server = Server::start_with(&["--limit", "shard-write-bytes=1KiB/s"]);
    server.stream("s", 1);
    let put = |bytes: usize| {
        let record = json!({"StreamName": "s", "PartitionKey": "k", "Data": "AAAA".repeat(bytes / 3)});
        server.call("PutRecord", &record).status
    };
    assert_eq!([put(1_000_000), put(900_000)], [200, 400]);
}

#[test]
fn a_consumer_may_subscribe_to_a_shard_as_often_as_its_rate_says() {
    says("bursts", "and always one call");
    let server = Server::start_with(&["--call-limits", "on", "--limit", "SubscribeToShard=0.01/s"]);
    stream(&server, "s");
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let register = |name: &str| {
        let body = json!({"StreamARN": arn, "ConsumerName": name});
        server.ok("RegisterStreamConsumer", &body)["Consumer"]["ConsumerARN"].clone()
    };
    let (one, other) = (register("one"), register("other"));
    let subscribe = |consumer: &Value| {
        let shard = "shardId-000000000000";
        let body = json!({"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": {"Type": "LATEST"}});
        Subscription::open(server.address(), &body)
    };
    let _held = subscribe(&one).unwrap();
    let (status, refused) = subscribe(&one).unwrap_err();
    assert_eq!((status, &refused["__type"]), (400, &json!("LimitExceededException")), "{refused}");
    subscribe(&other).expect("each consumer has its own rate");
}

#[test]
fn five_streams_of_an_account_may_be_on_their_way() {
    let server = Server::start_with(&["--create-delay", "1h"]);
    let create = |number: u32| {
        server.call("CreateStream", &json!({"StreamName": format!("s{number}"), "ShardCount": 1}))
    };
    assert!((0..5).all(|number| create(number).status == 200));
    let text = "Only 5 streams can simultaneously be in CREATING or DELETING states.";
    assert_eq!(create(5).json(), json!({"__type": "LimitExceededException", "message": text}));
}

#[test]
fn quotas_of_a_stream_are_set_by_their_names() {
    let server = Server::start_with(&[
        "--limit",
        "shard-count-updates=1",
        "--limit",
        "encryption-changes=1",
        "--limit",
        "tags=2",
    ]);
    server.stream("s", 1);
    let tags = json!({"StreamName": "s", "Tags": {"a": "1", "b": "2", "c": "3"}});
    let refused = server.call("AddTagsToStream", &tags).json();
    assert!(refused["message"].as_str().unwrap().contains("more than 2 tags"), "{refused}");
    let update = |target: u32| {
        let body = json!({
            "StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING",
        });
        let answer = server.call("UpdateShardCount", &body);
        server.await_active("s");
        answer
    };
    let encrypt = |key: &str| {
        let body = json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": key});
        let answer = server.call("StartStreamEncryption", &body);
        server.await_active("s");
        answer
    };
    says("more than ten UpdateShardCount in 24 hours", "`LimitExceededException`, its text is Weir's");
    assert_eq!((update(2).status, encrypt("alias/one").status), (200, 200));
    for refused in [update(1), encrypt("alias/two")] {
        let refused = refused.json();
        assert_eq!(refused["__type"], "LimitExceededException");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("1 times in a rolling 24-hour period"), "{message}");
    }
}
