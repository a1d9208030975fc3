//! PutRecords: many records, one result each, in their order.

use serde_json::{Value, json};
use weir_tests::{semantics::says_same, server::Server};

fn records(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({"PartitionKey": format!("key-{n}"), "Data": "ZGF0YQ=="})).collect()
}

#[test]
fn every_record_has_its_own_result_in_order() {
    let server = Server::start();
    server.stream("s", 4);
    let put = server.ok("PutRecords", &json!({"StreamName": "s", "Records": records(500)}));
    assert_eq!(put["FailedRecordCount"], 0);
    let results = put["Records"].as_array().unwrap();
    assert_eq!(results.len(), 500);

    for shard in 0..4 {
        let shard = format!("shardId-{shard:012}");
        let expected: Vec<_> = results
            .iter()
            .enumerate()
            .filter(|(_, result)| result["ShardId"] == shard.as_str())
            .map(|(n, result)| (result["SequenceNumber"].as_str().unwrap().to_owned(), format!("key-{n}")))
            .collect();
        let read: Vec<_> = server.read_all("s", &shard).into_iter().map(|(seq, key, _)| (seq, key)).collect();
        assert!(!read.is_empty());
        assert_eq!(read, expected, "{shard} keeps the order of the request");
    }
}

#[test]
fn no_records_and_too_many_are_validation_errors() {
    let server = Server::start();
    server.stream("s", 1);
    for count in [0, 501] {
        let answer = server.call("PutRecords", &json!({"StreamName": "s", "Records": records(count)}));
        assert_eq!(
            (answer.status, answer.json()["__type"].clone()),
            (400, json!("ValidationException")),
            "{count}"
        );
    }
}

#[test]
fn a_bad_record_is_named_by_its_place() {
    says_same("a request that does not validate fails as a whole and writes nothing");
    let server = Server::start();
    server.stream("s", 1);
    let mut all = records(3);
    all[1]["PartitionKey"] = json!("");
    let answer = server.call("PutRecords", &json!({"StreamName": "s", "Records": all}));
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("at 'records.2.member.partitionKey'"), "{message}");
    assert!(server.read_all("s", "shardId-000000000000").is_empty(), "nothing of a refused call is written");
}

#[test]
fn with_shard_limits_the_records_over_the_limit_fail_one_by_one() {
    says_same("`PutRecords` fails record by record");
    says_same("1,000 records/s in");
    let server = Server::start_with(&["--shard-limits", "on"]);
    server.stream("s", 1);
    let mut failed = 0;
    let mut written = 0;
    for _ in 0..4 {
        let put = server.ok("PutRecords", &json!({"StreamName": "s", "Records": records(500)}));
        for result in put["Records"].as_array().unwrap() {
            match result.get("ErrorCode") {
                Some(code) => {
                    assert_eq!(code, "ProvisionedThroughputExceededException");
                    let message = result["ErrorMessage"].as_str().unwrap();
                    assert!(
                        message.starts_with("Rate exceeded for shard shardId-000000000000 in stream s"),
                        "{message}"
                    );
                    failed += 1;
                }
                None => written += 1,
            }
        }
    }
    assert!(failed > 0, "2,000 records at once are more than 1,000 a second");
    assert!(written >= 1_000);
}

#[test]
fn without_shard_limits_none_fails() {
    says_same("(`--shard-limits off` lifts them)");
    let server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", 1);
    for _ in 0..6 {
        let put = server.ok("PutRecords", &json!({"StreamName": "s", "Records": records(500)}));
        assert_eq!(put["FailedRecordCount"], 0);
    }
}
