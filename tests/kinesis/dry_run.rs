//! `DryRun`: whether a call would succeed, told by an error, and nothing done.

use serde_json::{Value, json};
use weir_tests::{again::until_refused, semantics::says, server::Server};

const SHARD: &str = "shardId-000000000000";
const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

/// The code that a trial is answered with.
fn told(server: &Server, operation: &str, body: &Value) -> String {
    let mut trial = body.clone();
    trial["DryRun"] = json!(true);
    let answer = server.call(operation, &trial);
    assert_eq!(answer.status, 400, "{operation}");
    answer.json()["__type"].as_str().unwrap().to_owned()
}

#[test]
fn a_trial_of_a_put_stores_nothing_and_tells_what_would_be() {
    says("`DryRun`", "`DryRunOperationException` where the call would succeed, else its error");
    says("`DryRun`", "A trial of a put takes nothing of its shard's limits");
    says("`DryRun`", "PutRecords succeeds also where single records would fail");
    let server = Server::start_with(&["--limit", "shard-write-records=1/s"]);
    server.stream("s", 1);
    let record = json!({"StreamName": "s", "PartitionKey": "k", "Data": "eA=="});
    for _ in 0..5 {
        assert_eq!(told(&server, "PutRecord", &record), "DryRunOperationException", "a trial takes no room");
    }
    let records = json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": "eA=="}]});
    assert_eq!(told(&server, "PutRecords", &records), "DryRunOperationException");
    let nowhere = json!({"StreamName": "none", "PartitionKey": "k", "Data": "eA=="});
    assert_eq!(told(&server, "PutRecord", &nowhere), "ResourceNotFoundException");
    let keyless = json!({"StreamName": "s", "Data": "eA=="});
    assert_eq!(told(&server, "PutRecord", &keyless), "ValidationException");
    assert_eq!(server.read_all("s", SHARD), [], "nothing was stored");

    server.ok("PutRecord", &record);
    until_refused(|| server.call("PutRecord", &record));
    assert_eq!(told(&server, "PutRecord", &record), "ProvisionedThroughputExceededException");
    assert_eq!(
        told(&server, "PutRecords", &records),
        "DryRunOperationException",
        "its record would fail alone"
    );
}

#[test]
fn a_trial_of_a_read_gives_out_nothing() {
    let server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", 1);
    server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": "eA=="}));
    let from = json!({"StreamName": "s", "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = server.ok("GetShardIterator", &from)["ShardIterator"].clone();
    let read = json!({"ShardIterator": iterator});
    assert_eq!(told(&server, "GetRecords", &read), "DryRunOperationException");
    assert_eq!(told(&server, "GetRecords", &json!({"ShardIterator": "none"})), "InvalidArgumentException");
    assert_eq!(server.ok("GetRecords", &read)["Records"].as_array().unwrap().len(), 1, "it is still there");

    says("`DryRun`", "one of a read is one of its calls");
    let server = Server::start_with(&["--limit", "GetRecords=0.01/s"]);
    server.stream("s", 1);
    let read = json!({"ShardIterator": server.ok("GetShardIterator", &from)["ShardIterator"]});
    assert_eq!(told(&server, "GetRecords", &read), "DryRunOperationException");
    assert_eq!(
        told(&server, "GetRecords", &read),
        "ProvisionedThroughputExceededException",
        "that was the one"
    );
}

#[test]
fn a_trial_of_a_subscription_takes_no_seat() {
    let server = Server::start();
    server.stream("s", 1);
    let consumer = server.ok("RegisterStreamConsumer", &json!({"StreamARN": ARN, "ConsumerName": "c"}));
    let consumer = &consumer["Consumer"]["ConsumerARN"];
    let body = json!({"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}});
    for _ in 0..3 {
        assert_eq!(told(&server, "SubscribeToShard", &body), "DryRunOperationException");
    }
    let subscription = weir_tests::subscription::Subscription::open(server.address(), &body).unwrap();
    assert_eq!(told(&server, "SubscribeToShard", &body), "ResourceInUseException");
    drop(subscription);
    let elsewhere =
        json!({"ConsumerARN": consumer, "ShardId": "shardId-7", "StartingPosition": {"Type": "LATEST"}});
    assert_eq!(told(&server, "SubscribeToShard", &elsewhere), "ResourceNotFoundException");
}
