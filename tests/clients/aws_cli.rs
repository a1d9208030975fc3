//! The AWS command line.

use std::time::Duration;

use serde_json::Value;
use weir_tests::{client, process::output, server::Server};

fn aws(server: &Server, arguments: &[&str]) -> Value {
    let mut command = client::aws_kinesis(&server.url());
    let ended = output(command.args(arguments), Duration::from_secs(60));
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "aws kinesis {arguments:?}: {errors}");
    if ended.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&ended.stdout).expect("JSON") }
}

#[test]
fn the_aws_command_line_works_unmodified() {
    let server = Server::start();
    aws(&server, &["create-stream", "--stream-name", "cli", "--shard-count", "2"]);
    aws(&server, &["wait", "stream-exists", "--stream-name", "cli"]);
    let put =
        aws(&server, &["put-record", "--stream-name", "cli", "--partition-key", "k", "--data", "hello"]);
    let shard = put["ShardId"].as_str().unwrap();
    let from = ["get-shard-iterator", "--stream-name", "cli", "--shard-id", shard];
    let iterator = aws(&server, &[&from[..], &["--shard-iterator-type", "TRIM_HORIZON"]].concat());
    let read =
        aws(&server, &["get-records", "--shard-iterator", iterator["ShardIterator"].as_str().unwrap()]);
    assert_eq!(read["Records"][0]["Data"], "aGVsbG8=");
    assert_eq!(read["Records"][0]["SequenceNumber"], put["SequenceNumber"]);
    assert_eq!(aws(&server, &["list-shards", "--stream-name", "cli"])["Shards"].as_array().unwrap().len(), 2);
    let records = "PartitionKey=a,Data=aGVsbG8= PartitionKey=b,Data=aGVsbG8=";
    let records: Vec<&str> = records.split(' ').collect();
    let put = aws(&server, &[&["put-records", "--stream-name", "cli", "--records"], &records[..]].concat());
    assert_eq!((put["FailedRecordCount"].as_u64(), put["Records"].as_array().unwrap().len()), (Some(0), 2));
    assert_eq!(aws(&server, &["list-streams"])["StreamNames"], serde_json::json!(["cli"]));
    let described = aws(&server, &["describe-stream", "--stream-name", "cli"]);
    assert_eq!(described["StreamDescription"]["StreamStatus"], "ACTIVE");
    let summary = aws(&server, &["describe-stream-summary", "--stream-name", "cli"]);
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 2);
    settings(&server);
    aws(&server, &["delete-stream", "--stream-name", "cli"]);
    aws(&server, &["wait", "stream-not-exists", "--stream-name", "cli"]);
}

/// What scripts that set up an account do: tags, retention, monitoring, encryption, the number of shards.
fn settings(server: &Server) {
    let on_stream = |command: &str, more: &[&str]| {
        aws(server, &[&[command, "--stream-name", "cli"], more].concat());
        aws(server, &["wait", "stream-exists", "--stream-name", "cli"]);
    };
    on_stream("add-tags-to-stream", &["--tags", "team=weir,stage=test"]);
    let tags = aws(server, &["list-tags-for-stream", "--stream-name", "cli"]);
    assert_eq!(tags["Tags"][0], serde_json::json!({"Key": "stage", "Value": "test"}));
    on_stream("increase-stream-retention-period", &["--retention-period-hours", "48"]);
    on_stream("enable-enhanced-monitoring", &["--shard-level-metrics", "IncomingBytes"]);
    on_stream("start-stream-encryption", &["--encryption-type", "KMS", "--key-id", "alias/aws/kinesis"]);
    on_stream("update-shard-count", &["--target-shard-count", "4", "--scaling-type", "UNIFORM_SCALING"]);
    let described = aws(server, &["describe-stream-summary", "--stream-name", "cli"]);
    let summary = &described["StreamDescriptionSummary"];
    assert_eq!(
        (summary["RetentionPeriodHours"].as_u64(), summary["OpenShardCount"].as_u64()),
        (Some(48), Some(4))
    );
    assert_eq!(
        (summary["EncryptionType"].as_str(), summary["KeyId"].as_str()),
        (Some("KMS"), Some("alias/aws/kinesis"))
    );
}
