//! What an account has and may have in a region, and what it has committed to.

use serde_json::{Value, json};
use weir_tests::{
    http::Caller,
    semantics::{says, says_same},
    server::Server,
};

fn limits(server: &Server) -> Value {
    server.ok("DescribeLimits", &json!({}))
}

const ELSEWHERE: Caller<'_> = Caller { region: "eu-west-1", ..Caller::ANY };

#[test]
fn limits_count_open_shards_and_on_demand_streams_of_the_region() {
    says("a quota that is lifted (`--limit NAME=off`)", "DescribeLimits shows 2,147,483,647");
    says_same("DescribeLimits counts open shards and on-demand streams of the account in its region.");
    let server = Server::start_with(&["--limit", "account-shards=30", "--limit", "on-demand-streams=off"]);
    let empty = json!({
        "ShardLimit": 30, "OpenShardCount": 0, "OnDemandStreamCount": 0, "OnDemandStreamCountLimit": i32::MAX,
    });
    assert_eq!(limits(&server), empty);
    server.stream("provisioned", 2);
    server.ok(
        "CreateStream",
        &json!({"StreamName": "demand", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
    );
    let counted = limits(&server);
    assert_eq!((&counted["OpenShardCount"], &counted["OnDemandStreamCount"]), (&json!(6), &json!(1)));
    let split = json!({
        "StreamName": "provisioned", "ShardToSplit": "shardId-000000000000",
        "NewStartingHashKey": "85070591730234615865843651857942052864",
    });
    server.ok("SplitShard", &split);
    server.await_active("provisioned");
    assert_eq!(limits(&server)["OpenShardCount"], 7, "a closed shard is of no quota");
    assert_eq!(server.call_as(ELSEWHERE, "DescribeLimits", &json!({})).json(), empty);
}

#[test]
fn a_commitment_is_begun_and_ends_a_day_later_at_the_earliest() {
    says_same("who disables it earlier sees `ENABLED_UNTIL_EARLIEST_ALLOWED_END` and may take that back");
    let server = Server::start();
    let describe = || server.ok("DescribeAccountSettings", &json!({}));
    let update = |status: &str| {
        let body = json!({"MinimumThroughputBillingCommitment": {"Status": status}});
        server.ok("UpdateAccountSettings", &body)["MinimumThroughputBillingCommitment"].clone()
    };
    assert_eq!(describe(), json!({"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}}));
    let begun = update("ENABLED");
    let (started, earliest) =
        (begun["StartedAt"].as_f64().unwrap(), begun["EarliestAllowedEndAt"].as_f64().unwrap());
    assert_eq!(begun["Status"], "ENABLED");
    assert!((earliest - started - 86_400.0).abs() < 0.001, "{begun}");
    let ending = update("DISABLED");
    assert_eq!(ending["Status"], "ENABLED_UNTIL_EARLIEST_ALLOWED_END");
    assert_eq!(describe()["MinimumThroughputBillingCommitment"], ending);
    assert_eq!(update("ENABLED"), begun, "taken back");
    let elsewhere = server.call_as(ELSEWHERE, "DescribeAccountSettings", &json!({})).json();
    assert_eq!(elsewhere["MinimumThroughputBillingCommitment"]["Status"], "DISABLED");

    let wrong = json!({"MinimumThroughputBillingCommitment": {"Status": "PERHAPS"}});
    let refused = server.call("UpdateAccountSettings", &wrong);
    assert_eq!(refused.json()["__type"], "ValidationException");
    assert_eq!(
        refused.json()["message"],
        "1 validation error detected: Value 'PERHAPS' at 'minimumThroughputBillingCommitment.status' failed to satisfy \
         constraint: Member must satisfy enum value set: [ENABLED, DISABLED]"
    );
}
