//! IncreaseStreamRetentionPeriod, DecreaseStreamRetentionPeriod.
//!
//! That records go on time and their segments with them is shown where a test can set the time: by the node's own tests.

use serde_json::{Value, json};
use weir_tests::{semantics::says_same, server::Server};

fn hours(server: &Server) -> Value {
    let summary = server.ok("DescribeStreamSummary", &json!({"StreamName": "kept"}));
    summary["StreamDescriptionSummary"]["RetentionPeriodHours"].clone()
}

#[test]
fn retention_is_changed_both_ways_and_outlives_the_process() {
    says_same("The period that a stream has already is taken and changes nothing.");
    let mut server = Server::start();
    server.stream("kept", 1);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/kept";
    let up = server
        .call("IncreaseStreamRetentionPeriod", &json!({"StreamARN": arn, "RetentionPeriodHours": 8760}));
    assert_eq!((up.status, up.body.len()), (200, 0));
    assert_eq!(hours(&server), 8760);
    server.kill_9_and_restart();
    assert_eq!(hours(&server), 8760);
    server.ok("DecreaseStreamRetentionPeriod", &json!({"StreamName": "kept", "RetentionPeriodHours": 24}));
    assert_eq!(hours(&server), 24);
    server.ok("DecreaseStreamRetentionPeriod", &json!({"StreamName": "kept", "RetentionPeriodHours": 24}));
}

#[test]
fn a_wrong_period_is_refused_and_nothing_changes() {
    says_same("24 to 8,760 hours");
    let server = Server::start();
    server.stream("kept", 1);
    for (operation, asked, code, text) in [
        (
            "IncreaseStreamRetentionPeriod",
            json!({"StreamName": "kept", "RetentionPeriodHours": 23}),
            "InvalidArgumentException",
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
        ),
        (
            "IncreaseStreamRetentionPeriod",
            json!({"StreamName": "kept", "RetentionPeriodHours": 8761}),
            "InvalidArgumentException",
            "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
        ),
        (
            "DecreaseStreamRetentionPeriod",
            json!({"StreamName": "kept", "RetentionPeriodHours": 25}),
            "InvalidArgumentException",
            "Requested retention period (25 hours) for stream kept can not be longer than existing retention period (24 \
             hours). Use IncreaseRetentionPeriod API.",
        ),
        (
            "DecreaseStreamRetentionPeriod",
            json!({"StreamName": "nobody", "RetentionPeriodHours": 24}),
            "ResourceNotFoundException",
            "Stream nobody under account 000000000000 not found.",
        ),
        (
            "IncreaseStreamRetentionPeriod",
            json!({"StreamName": "", "RetentionPeriodHours": -1}),
            "ValidationException",
            "3 validation errors detected: Value '-1' at 'retentionPeriodHours' failed to satisfy constraint: Member must \
             have value greater than or equal to 1; Value '' at 'streamName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '' at 'streamName' failed to satisfy constraint: \
             Member must have length greater than or equal to 1",
        ),
    ] {
        let refused = server.call(operation, &asked);
        assert_eq!(
            (refused.status, refused.json()["__type"].as_str()),
            (400, Some(code)),
            "{operation} {asked}"
        );
        assert_eq!(refused.json()["message"], text, "{operation} {asked}");
    }
    assert_eq!(hours(&server), 24);
}
