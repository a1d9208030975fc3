//! GetShardIterator: the five types, fixed when issued.

use serde_json::{Value, json};
use weir_tests::{semantics::says_same, server::Server};

const SHARD: &str = "shardId-000000000000";

fn put(server: &Server, data: &str) -> String {
    let put = server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": data}));
    put["SequenceNumber"].as_str().unwrap().to_owned()
}

fn iterator(server: &Server, extra: &Value) -> String {
    let mut body = json!({"StreamName": "s", "ShardId": SHARD});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    server.ok("GetShardIterator", &body)["ShardIterator"].as_str().unwrap().to_owned()
}

fn data(server: &Server, iterator: &str) -> Vec<String> {
    let read = server.ok("GetRecords", &json!({"ShardIterator": iterator}));
    read["Records"].as_array().unwrap().iter().map(|r| r["Data"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_type_starts_where_it_says() {
    says_same("The five types of shard iterator");
    let server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", 1);
    let first = put(&server, "MQ==");
    let second = put(&server, "Mg==");
    let third = put(&server, "Mw==");

    let horizon = iterator(&server, &json!({"ShardIteratorType": "TRIM_HORIZON"}));
    assert_eq!(data(&server, &horizon), ["MQ==", "Mg==", "Mw=="]);
    let at = iterator(
        &server,
        &json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": second}),
    );
    assert_eq!(data(&server, &at), ["Mg==", "Mw=="]);
    let after = iterator(
        &server,
        &json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": first}),
    );
    assert_eq!(data(&server, &after), ["Mg==", "Mw=="]);
    let past = iterator(&server, &json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1.0}));
    assert_eq!(data(&server, &past), ["MQ==", "Mg==", "Mw=="]);
    let latest = iterator(&server, &json!({"ShardIteratorType": "LATEST"}));
    put(&server, "NA==");
    assert_eq!(data(&server, &latest), ["NA=="], "LATEST is fixed when issued, not when used");
    let after_third = iterator(
        &server,
        &json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": third}),
    );
    assert_eq!(data(&server, &after_third), ["NA=="]);
}

#[test]
fn an_iterator_may_be_used_again_and_stands_in_quotes() {
    let server = Server::start();
    server.stream("s", 1);
    put(&server, "MQ==");
    let horizon = iterator(&server, &json!({"ShardIteratorType": "TRIM_HORIZON"}));
    assert!(horizon.len() <= 512);
    assert_eq!(data(&server, &horizon), data(&server, &format!("\"{horizon}\"")));
}

#[test]
fn a_forged_iterator_and_an_unknown_shard_are_refused() {
    let server = Server::start();
    server.stream("s", 1);
    let good = iterator(&server, &json!({"ShardIteratorType": "TRIM_HORIZON"}));
    let middle = good.len() / 2;
    let other = if &good[middle..=middle] == "A" { "B" } else { "A" };
    let forged = format!("{}{other}{}", &good[..middle], &good[middle + 1..]);
    for bad in [forged.as_str(), "AAAAAAAAAAE=", "not base64!"] {
        let answer = server.call("GetRecords", &json!({"ShardIterator": bad}));
        assert_eq!(
            (answer.status, answer.json()["__type"].clone()),
            (400, json!("InvalidArgumentException")),
            "{bad}"
        );
    }
    let unknown = server.call(
        "GetShardIterator",
        &json!({"StreamName": "s", "ShardId": "shardId-000000000009", "ShardIteratorType": "LATEST"}),
    );
    assert_eq!(unknown.json()["__type"], "ResourceNotFoundException");
    assert_eq!(
        unknown.json()["message"],
        "Shard shardId-000000000009 in stream s under account 000000000000 does not exist"
    );
}

#[test]
fn a_trial_tells_whether_an_iterator_would_be_given() {
    let server = Server::start();
    server.stream("s", 1);
    let attempt = |shard: &str, kind: &str, dry_run: bool| {
        let body = json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind, "DryRun": dry_run});
        let answer = server.call("GetShardIterator", &body);
        (answer.status, answer.json())
    };
    let (status, told) = attempt(SHARD, "TRIM_HORIZON", true);
    assert_eq!((status, &told["__type"]), (400, &json!("DryRunOperationException")));
    assert_eq!(told["message"], "The request was rejected because the DryRun parameter was specified.");
    assert_eq!(told.get("ShardIterator"), None);
    let (status, told) = attempt(SHARD, "TRIM_HORIZON", false);
    assert_eq!((status, told["ShardIterator"].is_string()), (200, true), "no trial: {told}");

    let refused = [
        ("shardId-000000000009", "LATEST", "ResourceNotFoundException"),
        (SHARD, "AT_SEQUENCE_NUMBER", "InvalidArgumentException"),
        (SHARD, "NOWHERE", "ValidationException"),
    ];
    for (shard, kind, code) in refused {
        let (status, told) = attempt(shard, kind, true);
        assert_eq!((status, &told["__type"]), (400, &json!(code)), "{kind} of {shard}");
    }
}
