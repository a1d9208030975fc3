//! StartStreamEncryption, StopStreamEncryption, and what records and their answers show of it.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use weir_tests::{
    semantics::{says, says_same},
    server::Server,
};

const KEY: &str = "alias/aws/kinesis";

fn put(server: &Server) -> Value {
    server.ok("PutRecord", &json!({"StreamName": "secret", "PartitionKey": "k", "Data": "AAAA"}))
}

/// What the stream's summary shows, once it is ACTIVE.
fn shown(server: &Server) -> (Value, Value) {
    for _ in 0..2_000 {
        let summary = server.ok("DescribeStreamSummary", &json!({"StreamName": "secret"}));
        let summary = &summary["StreamDescriptionSummary"];
        if summary["StreamStatus"] == "ACTIVE" {
            return (summary["EncryptionType"].clone(), summary["KeyId"].clone());
        }
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    panic!("the stream did not become ACTIVE again");
}

/// Puts until a record's answer shows what is awaited: front ends hear of a change a moment later, as Kinesis's do.
fn put_until(server: &Server, encryption: &Value) {
    let seen = (0..2_000).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(2));
        put(server)["EncryptionType"] == *encryption
    });
    assert!(seen, "no record was ever stored as {encryption}");
}

/// Does any file of the folder hold these bytes?
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        std::fs::read(path).is_ok_and(|held| held.windows(bytes.len()).any(|some| some == bytes))
    })
}

#[test]
fn records_show_that_they_are_encrypted_as_long_as_their_stream_is() {
    says("encryption at rest", "nothing is encrypted: the flag, the key and what is shown are kept");
    says(
        "records that arrived while encryption was on",
        "are shown as not encrypted once it is off; those that arrived before it was on never as encrypted",
    );
    says_same("the records of GetRecords show `EncryptionType` only where it is KMS");
    let mut server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("secret", 1);
    assert_eq!(shown(&server), (json!("NONE"), Value::Null));
    assert_eq!(put(&server).get("EncryptionType"), None, "nothing is said where nothing is encrypted");
    // What arrived in the millisecond of the start counts as encrypted: let that of the record pass.
    let put_at = SystemTime::now();
    while put_at.elapsed().is_ok_and(|since| since < Duration::from_millis(2)) {
        std::thread::yield_now();
    }

    let start = json!({"StreamName": "secret", "EncryptionType": "KMS", "KeyId": KEY});
    let started = server.call("StartStreamEncryption", &start);
    assert_eq!((started.status, started.body.len()), (200, 0));
    assert_eq!(shown(&server), (json!("KMS"), json!(KEY)));
    put_until(&server, &json!("KMS"));
    server.kill_9_and_restart();
    assert_eq!(shown(&server), (json!("KMS"), json!(KEY)));
    put_until(&server, &json!("KMS"));

    let entry = json!({"PartitionKey": "k", "Data": "AAAA"});
    let clear = json!({"PartitionKey": "k", "Data": "aW4gdGhlIGNsZWFy"});
    let several = server.ok("PutRecords", &json!({"StreamName": "secret", "Records": [entry, clear]}));
    assert_eq!(several["EncryptionType"], "KMS");
    let from = json!({"StreamName": "secret", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = server.ok("GetShardIterator", &from)["ShardIterator"].clone();
    let read = || server.ok("GetRecords", &json!({"ShardIterator": iterator}))["Records"].clone();
    let records = read();
    let records = records.as_array().unwrap();
    assert_eq!(records[0].get("EncryptionType"), None, "it was there before");
    assert_eq!(records.last().unwrap()["EncryptionType"], "KMS");

    server.ok("StopStreamEncryption", &start);
    assert_eq!(shown(&server), (json!("NONE"), Value::Null));
    put_until(&server, &Value::Null);
    let plain = b"in the clear";
    assert!(holds(server.data(), plain), "its journal has the records as they came");
    let shown_still = |record: &Value| record.get("EncryptionType").is_some();
    assert!(!read().as_array().unwrap().iter().any(shown_still), "of the stream, not of the record");
}

#[test]
fn a_key_of_any_form_may_be_used_but_those_of_other_services() {
    says("keys", "every id, ARN and alias of the right form is a key that may be used");
    says("keys", "of the aliases that begin with `alias/aws/` only `alias/aws/kinesis`");
    let server = Server::start();
    server.stream("secret", 1);
    let start = |key: &str| {
        let asked = json!({"StreamName": "secret", "EncryptionType": "KMS", "KeyId": key});
        server.call("StartStreamEncryption", &asked)
    };
    for key in [
        "12345678-1234-1234-1234-123456789012",
        "arn:aws:kms:us-east-1:000000000000:key/12345678-1234-1234-1234-123456789012",
        "alias/mine",
        "arn:aws:kms:us-east-1:000000000000:alias/mine",
        KEY,
    ] {
        assert_eq!(start(key).status, 200, "{key}");
        assert_eq!(shown(&server), (json!("KMS"), json!(key)));
    }
    assert_eq!(start("alias/aws/s3").json()["__type"], "KMSNotFoundException");
}

#[test]
fn a_key_that_cannot_be_used_has_its_own_error() {
    says("errors of keys", "`throttling` after `alias/weir/` (or an ARN of it)");
    says("errors of keys", "a text that is no key gets KMSNotFoundException");
    let server = Server::start();
    server.stream("secret", 1);
    for (key, code) in [
        ("alias/weir/access-denied", "KMSAccessDeniedException"),
        ("alias/weir/disabled", "KMSDisabledException"),
        ("alias/weir/invalid-state", "KMSInvalidStateException"),
        ("alias/weir/not-found", "KMSNotFoundException"),
        ("alias/weir/opt-in-required", "KMSOptInRequired"),
        ("arn:aws:kms:us-east-1:000000000000:alias/weir/throttling", "KMSThrottlingException"),
        ("no-key", "KMSNotFoundException"),
    ] {
        let asked = json!({"StreamName": "secret", "EncryptionType": "KMS", "KeyId": key});
        let refused = server.call("StartStreamEncryption", &asked);
        assert_eq!((refused.status, refused.json()["__type"].as_str()), (400, Some(code)), "{key}");
    }
    let none = json!({"StreamName": "secret", "EncryptionType": "NONE", "KeyId": KEY});
    assert_eq!(server.call("StartStreamEncryption", &none).json()["__type"], "InvalidArgumentException");
    let nobody = json!({"StreamName": "nobody", "EncryptionType": "KMS", "KeyId": KEY});
    assert_eq!(server.call("StopStreamEncryption", &nobody).json()["__type"], "ResourceNotFoundException");
    assert_eq!(shown(&server), (json!("NONE"), Value::Null));
}
