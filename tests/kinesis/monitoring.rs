//! EnableEnhancedMonitoring, DisableEnhancedMonitoring, and the counters that the admin listener shows.

use std::net::SocketAddr;

use serde_json::json;
use weir_tests::{http, semantics::says_same, server::Server};

/// The lines of a scrape that name a stream.
fn scrape(admin: SocketAddr) -> Vec<String> {
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let answer = http::send(admin, request.as_bytes()).unwrap();
    let text = String::from_utf8(answer.body).unwrap();
    text.lines().filter(|line| line.contains("{stream=")).map(str::to_owned).collect()
}

#[test]
fn enabled_metrics_are_counted_for_each_shard_and_no_others() {
    says_same("are counted, and shown at `/metrics` of the admin listener");
    let server = Server::start_with(&["--admin", "127.0.0.1:0"]);
    let admin = server.admin_address();
    server.stream("seen", 1);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/seen";
    let put =
        || server.ok("PutRecord", &json!({"StreamName": "seen", "PartitionKey": "key", "Data": "AAAA"}));
    put();
    assert_eq!(scrape(admin), [""; 0]);

    let asked = json!({"StreamName": "seen", "ShardLevelMetrics": ["IncomingRecords", "IncomingBytes"]});
    let enabled = server.ok("EnableEnhancedMonitoring", &asked);
    let expected = json!({
        "StreamName": "seen", "StreamARN": arn,
        "CurrentShardLevelMetrics": [], "DesiredShardLevelMetrics": ["IncomingBytes", "IncomingRecords"],
    });
    assert_eq!(enabled, expected);
    let described = server.ok("DescribeStream", &json!({"StreamName": "seen"}));
    assert_eq!(
        described["StreamDescription"]["EnhancedMonitoring"],
        json!([{"ShardLevelMetrics": ["IncomingBytes", "IncomingRecords"]}])
    );
    let counted = (0..400).find(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
        put();
        !scrape(admin).is_empty()
    });
    assert!(counted.is_some(), "the front end hears of it");
    let labels = format!("{{stream=\"{arn}\",shard=\"shardId-000000000000\"}}");
    let value = |name: &str| -> u64 {
        let line = scrape(admin).into_iter().find(|line| line.starts_with(&format!("{name}{labels} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("{name} is not there"))
    };
    let before = value("weir_frontend_shard_incoming_records_total");
    put();
    assert_eq!(value("weir_frontend_shard_incoming_records_total"), before + 1);
    assert_eq!(
        value("weir_frontend_shard_incoming_bytes_total"),
        (before + 1) * 6,
        "3 bytes of data, 3 of the key"
    );
    assert_eq!(scrape(admin).len(), 2, "nothing but what was enabled: {:?}", scrape(admin));

    let all =
        server.ok("DisableEnhancedMonitoring", &json!({"StreamARN": arn, "ShardLevelMetrics": ["ALL"]}));
    assert_eq!(all["DesiredShardLevelMetrics"], json!([]));
    let silent = (0..400).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
        scrape(admin).is_empty()
    });
    assert!(silent, "what is disabled is not shown");
}

#[test]
fn what_is_no_metric_is_refused() {
    let server = Server::start();
    server.stream("seen", 1);
    let wrong = json!({"StreamName": "seen", "ShardLevelMetrics": ["IncomingBytes", "Everything"]});
    let refused = server.call("EnableEnhancedMonitoring", &wrong);
    assert_eq!(refused.json()["__type"], "ValidationException");
    assert_eq!(
        refused.json()["message"],
        "1 validation error detected: Value '[IncomingBytes, Everything]' at 'shardLevelMetrics' failed to satisfy \
         constraint: Member must satisfy constraint: [Member must satisfy enum value set: [IncomingBytes, \
         IncomingRecords, OutgoingBytes, OutgoingRecords, WriteProvisionedThroughputExceeded, \
         ReadProvisionedThroughputExceeded, IteratorAgeMilliseconds, ALL]]"
    );
    let nobody = json!({"StreamName": "nobody", "ShardLevelMetrics": ["ALL"]});
    for operation in ["EnableEnhancedMonitoring", "DisableEnhancedMonitoring"] {
        assert_eq!(
            server.call(operation, &nobody).json()["__type"],
            "ResourceNotFoundException",
            "{operation}"
        );
    }
}
