//! PutRecord: where a record lands and what a bad one is told.

use serde_json::json;
use weir_tests::{
    semantics::{says, says_same},
    server::Server,
};

#[test]
fn a_record_lands_in_the_shard_of_its_hash_and_is_read_back() {
    says_same("Partition keys land by MD5; `ExplicitHashKey` overrides it");
    let server = Server::start();
    server.stream("s", 2);
    // MD5("a") starts 0cc1…, below 2^127; an explicit hash key overrides it.
    let low = server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "a", "Data": "bG93"}));
    assert_eq!(low["ShardId"], "shardId-000000000000");
    let high = server.ok(
        "PutRecord",
        &json!({"StreamName": "s", "PartitionKey": "a", "Data": "aGlnaA==",
                "ExplicitHashKey": "340282366920938463463374607431768211455"}),
    );
    assert_eq!(high["ShardId"], "shardId-000000000001");
    assert!(high.get("EncryptionType").is_none(), "only KMS streams say so");
    for (put, shard, data) in
        [(&low, "shardId-000000000000", "bG93"), (&high, "shardId-000000000001", "aGlnaA==")]
    {
        let sequence = put["SequenceNumber"].as_str().unwrap().to_owned();
        assert_eq!(server.read_all("s", shard), [(sequence, "a".to_owned(), data.to_owned())]);
    }
}

#[test]
fn sequence_numbers_rise_within_a_shard() {
    says_same("Sequence numbers have 56 digits in Kinesis's form, rise within a shard");
    let server = Server::start();
    server.stream("s", 1);
    let mut last = String::new();
    for n in 0..50 {
        let put = server
            .ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": n.to_string(), "Data": "AA=="}));
        let sequence = put["SequenceNumber"].as_str().unwrap().to_owned();
        assert_eq!(sequence.len(), 56);
        assert!(sequence > last, "{sequence} after {last}");
        last = sequence;
    }
}

#[test]
fn all_that_is_wrong_with_a_record_is_said_at_once() {
    says_same("Validation tells all faults at once, in Kinesis's words.");
    let server = Server::start();
    let answer =
        server.call("PutRecord", &json!({"StreamName": "bad name!", "PartitionKey": "", "Data": "AA=="}));
    assert_eq!(answer.status, 400);
    let error = answer.json();
    assert_eq!(error["__type"], "ValidationException");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("2 validation errors detected: "), "{message}");
    assert!(
        message.contains("Value 'bad name!' at 'streamName' failed to satisfy constraint: "),
        "{message}"
    );
    assert!(message.contains("Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"), "{message}");
    assert!(message.contains("Value '' at 'partitionKey' failed to satisfy constraint: "), "{message}");
    assert!(message.contains("Member must have length greater than or equal to 1"), "{message}");
}

#[test]
fn a_value_without_an_end_is_shown_to_a_bound() {
    says("a value in a validation error", "is cut at 8,192 characters");
    let server = Server::start();
    let long = server.call("DescribeStream", &json!({"StreamName": "%".repeat(20_000)}));
    let shown = long.json()["message"].as_str().unwrap().to_owned();
    let text = shown.split('\'').nth(1).unwrap();
    assert_eq!((text.len(), text.trim_matches('%')), (8_192, ""));
}

#[test]
fn a_wrong_type_and_a_missing_member_have_their_own_errors() {
    let server = Server::start();
    let number = server.call("PutRecord", &json!({"StreamName": 5, "PartitionKey": "k", "Data": "AA=="}));
    assert_eq!((number.status, number.json()["__type"].clone()), (400, json!("SerializationException")));
    let missing = server.call("PutRecord", &json!({"StreamName": "s", "Data": "AA=="}));
    assert_eq!(missing.json()["__type"], "ValidationException");
    let message = missing.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message
            .contains("Value null at 'partitionKey' failed to satisfy constraint: Member must not be null"),
        "{message}"
    );
}

#[test]
fn a_record_over_one_mebibyte_is_refused_and_one_of_exactly_that_is_taken() {
    let server = Server::start();
    server.stream("s", 1);
    let zeros = |bytes: usize| {
        assert_eq!(bytes % 3, 0);
        "A".repeat(bytes / 3 * 4)
    };
    let fits = (1 << 20) / 3 * 3;
    server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": zeros(fits)}));
    let over =
        server.call("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": zeros(fits + 3)}));
    assert_eq!((over.status, over.json()["__type"].clone()), (400, json!("ValidationException")));
}
