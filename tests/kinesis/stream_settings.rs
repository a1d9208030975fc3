//! UpdateMaxRecordSize, UpdateStreamMode, UpdateStreamRecordDistributionStrategy, UpdateStreamWarmThroughput, and their
//! values at creation.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_tests::{
    semantics::{says, says_same},
    server::Server,
};

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const MIB: usize = 1 << 20;

fn summary(server: &Server) -> Value {
    server.await_active("s");
    server.ok("DescribeStreamSummary", &json!({"StreamName": "s"}))["StreamDescriptionSummary"].clone()
}

/// So many zeros, in base64.
fn zeros(bytes: usize) -> String {
    "AAAA".repeat(bytes / 3) + ["", "AA==", "AAA="][bytes % 3]
}

/// Bytes of data in base64.
fn decoded_len(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().filter(|&letter| letter == b'=').count()
}

fn put(server: &Server, bytes: usize) -> Value {
    server.call("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": zeros(bytes)})).json()
}

fn too_long(bytes: usize, most: usize) -> Value {
    let text = format!(
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim={bytes} cap={bytes}]' at 'data' failed to \
         satisfy constraint: Member must have length less than or equal to {most}"
    );
    json!({"__type": "ValidationException", "message": text})
}

fn code(answer: &Value) -> &str {
    answer["__type"].as_str().unwrap_or_default()
}

#[test]
fn a_stream_takes_records_of_ten_mebibytes_once_it_is_set_to() {
    says_same("or up to 10 MiB where UpdateMaxRecordSize");
    let mut server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", 1);
    assert_eq!(summary(&server)["MaxRecordSizeInKiB"], 1_024);
    assert!(put(&server, MIB - 1)["SequenceNumber"].is_string());
    assert_eq!(put(&server, MIB), too_long(MIB, MIB - 1), "the key counts");
    for wrong in [1_023, 10_241] {
        let refused =
            server.call("UpdateMaxRecordSize", &json!({"StreamARN": ARN, "MaxRecordSizeInKiB": wrong}));
        assert_eq!(code(&refused.json()), "ValidationException", "{wrong}");
    }
    server.ok("UpdateMaxRecordSize", &json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 10_240}));
    assert_eq!(summary(&server)["MaxRecordSizeInKiB"], 10_240);
    let stored = put(&server, 10 * MIB - 1);
    assert!(stored["SequenceNumber"].is_string(), "{stored}");
    assert_eq!(put(&server, 10 * MIB), too_long(10 * MIB, 10 * MIB - 1));

    server.kill_9_and_restart();
    assert_eq!(summary(&server)["MaxRecordSizeInKiB"], 10_240, "it outlives the process");
    let lengths: Vec<usize> = server
        .read_all("s", "shardId-000000000000")
        .into_iter()
        .map(|(_, _, data)| decoded_len(&data))
        .collect();
    assert_eq!(lengths, [MIB - 1, 10 * MIB - 1], "and is read back");
}

#[test]
fn the_mode_changes_twice_a_day_and_the_shards_stay() {
    says_same("The mode of a stream changes twice within 24 hours at most, and its shards stay.");
    let server = Server::start_with(&["--limit", "on-demand-streams=1"]);
    server.stream("s", 2);
    let to = |mode: &str| {
        let body = json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": mode}});
        let answer = server.call("UpdateStreamMode", &body);
        if answer.status == 200 { Value::Null } else { answer.json() }
    };
    let seen = || {
        let summary = summary(&server);
        (summary["StreamModeDetails"]["StreamMode"].clone(), summary["OpenShardCount"].clone())
    };
    assert_eq!(to("PROVISIONED"), Value::Null, "it is that already");
    assert_eq!(to("ON_DEMAND"), Value::Null);
    assert_eq!(seen(), (json!("ON_DEMAND"), json!(2)));
    let warm = json!({
        "StreamARN": ARN, "StreamModeDetails": {"StreamMode": "PROVISIONED"}, "WarmThroughputMiBps": 5,
    });
    let refused = server.call("UpdateStreamMode", &warm).json();
    let text = "WarmThroughputMiBps is only valid when the stream mode is being updated to ON_DEMAND.";
    assert_eq!((code(&refused), &refused["message"]), ("InvalidArgumentException", &json!(text)));
    assert_eq!(seen().0, "ON_DEMAND");
    let more = json!({"StreamName": "t", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    assert_eq!(
        code(&server.call("CreateStream", &more).json()),
        "LimitExceededException",
        "of the quota's one"
    );
    assert_eq!(to("PROVISIONED"), Value::Null);
    assert_eq!(seen(), (json!("PROVISIONED"), json!(2)));
    assert_eq!(code(&to("ON_DEMAND")), "LimitExceededException", "twice in 24 hours");
    assert_eq!(seen().0, "PROVISIONED");
}

#[test]
fn a_stream_that_distributes_itself_spreads_records_and_needs_no_key() {
    says_same("evenly, one shard after another, whatever their keys, and without one");
    let server = Server::start();
    let create = json!({
        "StreamName": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
        "RecordDistributionStrategy": "AUTO", "MaxRecordSizeInKiB": 2_048,
    });
    server.ok("CreateStream", &create);
    let seen = summary(&server);
    assert_eq!(
        (&seen["RecordDistributionStrategy"], &seen["MaxRecordSizeInKiB"]),
        (&json!("AUTO"), &json!(2_048))
    );

    let shards_of = |record: Value| {
        let body = json!({"StreamName": "s", "Records": vec![record; 40]});
        let mut counts = BTreeMap::new();
        for result in server.ok("PutRecords", &body)["Records"].as_array().unwrap() {
            *counts.entry(result["ShardId"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
        counts
    };
    let one_key = shards_of(json!({"PartitionKey": "same", "ExplicitHashKey": "0", "Data": "eA=="}));
    assert_eq!(one_key.values().copied().collect::<Vec<_>>(), [10; 4], "its key is ignored");
    let keyless = shards_of(json!({"Data": "eA=="}));
    assert_eq!(keyless.len(), 4);
    assert!(server.ok("PutRecord", &json!({"StreamName": "s", "Data": "eA=="}))["ShardId"].is_string());
    let iterator =
        json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = server.ok("GetShardIterator", &iterator)["ShardIterator"].clone();
    let read = server.ok("GetRecords", &json!({"ShardIterator": iterator}));
    let records = read["Records"].as_array().unwrap();
    assert_eq!(records[0]["PartitionKey"], "same", "the producer's own is kept");
    assert!(records.last().unwrap().get("PartitionKey").is_none(), "none was given");

    let by_keys = json!({"StreamARN": ARN, "RecordDistributionStrategy": "USER_PARTITION_KEY"});
    server.ok("UpdateStreamRecordDistributionStrategy", &by_keys);
    assert_eq!(summary(&server)["RecordDistributionStrategy"], "USER_PARTITION_KEY");
    assert_eq!(shards_of(json!({"PartitionKey": "same", "Data": "eA=="})).len(), 1);
    let keyless = server.call("PutRecord", &json!({"StreamName": "s", "Data": "eA=="})).json();
    assert_eq!(
        keyless["message"],
        "1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn only_on_demand_streams_distribute_themselves() {
    says("a stream in `AUTO` that becomes provisioned", "goes by keys again");
    let server = Server::start();
    server.stream("s", 2);
    assert_eq!(summary(&server).get("RecordDistributionStrategy"), None, "it is of on-demand streams");
    let auto = json!({"StreamARN": ARN, "RecordDistributionStrategy": "AUTO"});
    assert_eq!(
        code(&server.call("UpdateStreamRecordDistributionStrategy", &auto).json()),
        "InvalidArgumentException"
    );
    let provisioned = json!({"StreamName": "t", "ShardCount": 1, "RecordDistributionStrategy": "AUTO"});
    assert_eq!(code(&server.call("CreateStream", &provisioned).json()), "InvalidArgumentException");
    server
        .ok("UpdateStreamMode", &json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}));
    server.await_active("s");
    assert_eq!(summary(&server)["RecordDistributionStrategy"], "USER_PARTITION_KEY");
    server.ok("UpdateStreamRecordDistributionStrategy", &auto);
    server.await_active("s");
    server.ok(
        "UpdateStreamMode",
        &json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "PROVISIONED"}}),
    );
    assert_eq!(summary(&server).get("RecordDistributionStrategy"), None, "it is of on-demand streams");
    let low = json!({"StreamName": "s", "PartitionKey": "same", "ExplicitHashKey": "0", "Data": ""});
    for _ in 0..4 {
        assert_eq!(server.ok("PutRecord", &low)["ShardId"], "shardId-000000000000");
    }
    let keyless = server.call("PutRecord", &json!({"StreamName": "s", "Data": ""})).json();
    assert_eq!(code(&keyless), "ValidationException");
}

#[test]
fn a_warm_stream_is_split_ahead_of_its_traffic_for_accounts_that_have_committed() {
    says("warm throughput", "10,000 MiB/s at most");
    says_same("a shard for each MiB/s, four at least, for accounts with a commitment");
    let server = Server::start();
    let create = |name: &str, warm: u32| {
        let body = json!({
            "StreamName": name, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "WarmThroughputMiBps": warm,
        });
        server.call("CreateStream", &body)
    };
    let update = |warm: u32| {
        server
            .call("UpdateStreamWarmThroughput", &json!({"StreamName": "s", "WarmThroughputMiBps": warm}))
            .json()
    };
    assert_eq!(code(&create("s", 6).json()), "InvalidArgumentException", "nobody has committed");
    server.ok("UpdateAccountSettings", &json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}}));
    assert_eq!(create("s", 6).status, 200);
    let seen = summary(&server);
    assert_eq!((&seen["OpenShardCount"], &seen["WarmThroughput"]), (&json!(6), &warm(6, 6)));

    let told = update(9);
    assert_eq!(told, json!({"StreamARN": ARN, "StreamName": "s", "WarmThroughput": warm(9, 6)}));
    let seen = summary(&server);
    assert_eq!((&seen["OpenShardCount"], &seen["WarmThroughput"]), (&json!(9), &warm(9, 9)));
    update(1);
    let seen = summary(&server);
    assert_eq!(
        (&seen["OpenShardCount"], &seen["WarmThroughput"]),
        (&json!(4), &warm(1, 4)),
        "never below four"
    );
    assert_eq!(code(&update(10_001)), "LimitExceededException");

    let to = |mode: &str, warm: Option<u32>| {
        let mut body = json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": mode}});
        body["WarmThroughputMiBps"] = json!(warm);
        server.call("UpdateStreamMode", &body)
    };
    assert_eq!(code(&to("PROVISIONED", Some(5)).json()), "InvalidArgumentException");
    assert_eq!(summary(&server)["StreamModeDetails"]["StreamMode"], "ON_DEMAND", "both or neither");
    assert_eq!(to("PROVISIONED", None).status, 200);
    assert_eq!(summary(&server).get("WarmThroughput"), None);
    assert_eq!(code(&update(5)), "InvalidArgumentException", "it is provisioned");
    assert_eq!(to("ON_DEMAND", Some(5)).status, 200);
    assert_eq!(summary(&server)["WarmThroughput"], warm(5, 5));
}

fn warm(target: u32, current: u32) -> Value {
    json!({"TargetMiBps": target, "CurrentMiBps": current})
}
