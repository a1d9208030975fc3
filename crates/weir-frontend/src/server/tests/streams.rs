//! Streams: created, described, listed and deleted through the control plane, seen in the light of the map.

use serde_json::{Value, json};
use weir_core::id::{AccountId, Region, StreamName, StreamRef};
use weir_wire::{
    control::{ControlRequest, NewStream, SharedConfig, StreamStatus},
    kinesis::limits::Family,
};

use super::ACCOUNT;
use crate::fixture::Fixture;

fn arn(name: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}")
}

#[tokio::test]
async fn creating_asks_the_control_plane_with_the_callers_account_and_region() {
    let fixture = Fixture::new();
    let told = fixture.call("CreateStream", json!({"StreamName": "s", "ShardCount": 3})).await;
    assert_eq!((told.status, told.body), (200, Value::Null));
    let asked = fixture.control.asked();
    let stream =
        StreamRef { account: AccountId::DEFAULT, region: Region::US_EAST_1, name: StreamName::new("s") };
    assert_eq!(asked, [ControlRequest::CreateStream(NewStream::provisioned(stream, 3))]);
}

#[tokio::test]
async fn an_on_demand_stream_has_four_shards_at_birth() {
    let fixture = Fixture::new();
    let mode = |mode: &str| json!({"StreamName": "s", "StreamModeDetails": {"StreamMode": mode}});
    fixture.call("CreateStream", mode("ON_DEMAND")).await;
    assert!(matches!(
        fixture.control.asked()[..],
        [ControlRequest::CreateStream(NewStream { shards: 4, on_demand: true, .. })]
    ));
    let told = fixture.call("CreateStream", mode("PROVISIONED")).await;
    assert_eq!(
        told.message(),
        "1 validation error detected: Value null at 'shardCount' failed to satisfy constraint: Member must not be \
         null"
    );
    let mut both = mode("ON_DEMAND");
    both["ShardCount"] = json!(2);
    assert_eq!(fixture.call("CreateStream", both).await.code(), "InvalidArgumentException");
}

#[tokio::test]
async fn a_name_that_is_taken_or_not_there_is_said_in_kinesis_words() {
    let fixture = Fixture::new();
    fixture.stream("s", 1);
    let told = fixture.call("CreateStream", json!({"StreamName": "s", "ShardCount": 1})).await;
    assert_eq!(told.code(), "ResourceInUseException");
    assert_eq!(told.message(), "Stream s under account 000000000000 already exists.");
    for operation in ["DeleteStream", "DescribeStream", "DescribeStreamSummary", "ListShards"] {
        let told = fixture.call(operation, json!({"StreamName": "none"})).await;
        assert_eq!(told.code(), "ResourceNotFoundException", "{operation}");
        assert_eq!(told.message(), "Stream none under account 000000000000 not found.", "{operation}");
    }
    assert_eq!(fixture.call("DeleteStream", json!({"StreamName": "s"})).await.status, 200);
    assert_eq!(fixture.call("DeleteStream", json!({"StreamARN": arn("s")})).await.status, 400);
}

#[tokio::test]
async fn a_description_has_every_member_and_no_null() {
    let fixture = Fixture::new();
    fixture.stream("s", 2);
    let told = fixture.call("DescribeStream", json!({"StreamName": "s"})).await.ok();
    let description = &told["StreamDescription"];
    assert_eq!(description["StreamARN"], json!(arn("s")));
    assert_eq!(description["StreamStatus"], "ACTIVE");
    assert_eq!(description["StreamModeDetails"], json!({"StreamMode": "PROVISIONED"}));
    assert_eq!(description["RetentionPeriodHours"], 24);
    assert_eq!(description["StreamCreationTimestamp"], 1_600_000_000.123);
    assert_eq!(description["EnhancedMonitoring"], json!([{"ShardLevelMetrics": []}]));
    assert_eq!(description["HasMoreShards"], false);
    let shards = description["Shards"].as_array().unwrap();
    assert_eq!(shards.len(), 2);
    assert_eq!(shards[1]["ShardId"], "shardId-000000000001");
    assert_eq!(
        shards[0]["HashKeyRange"],
        json!({"StartingHashKey": "0", "EndingHashKey": "170141183460469231731687303715884105727"})
    );
    let number = shards[0]["SequenceNumberRange"]["StartingSequenceNumber"].as_str().unwrap();
    assert_eq!(number.len(), 56);
    assert!(!told.to_string().contains("null"), "{told}");

    let told = fixture.call("DescribeStreamSummary", json!({"StreamARN": arn("s")})).await.ok();
    let summary = &told["StreamDescriptionSummary"];
    assert_eq!((&summary["OpenShardCount"], &summary["ConsumerCount"]), (&json!(2), &json!(0)));
    assert_eq!(summary["MaxRecordSizeInKiB"], 1024);
}

#[tokio::test]
async fn a_stream_is_active_only_when_this_servers_own_map_has_all_of_it() {
    let fixture = Fixture::new();
    let status = async || {
        let told = fixture.call("DescribeStreamSummary", json!({"StreamName": "s"})).await.ok();
        told["StreamDescriptionSummary"]["StreamStatus"].as_str().unwrap().to_owned()
    };
    let shards = fixture.stream_unmapped("s", 2, StreamStatus::Active);
    assert_eq!(status().await, "CREATING", "the control plane is ahead of the map");
    fixture.publish(&shards[..1]);
    assert_eq!(status().await, "CREATING", "half of it is no stream");
    let told = fixture.call("DescribeStream", json!({"StreamName": "s"})).await.ok();
    assert_eq!(told["StreamDescription"]["Shards"], json!([]));
    fixture.publish(&shards);
    assert_eq!(status().await, "ACTIVE");
    let listed = fixture.call("ListStreams", json!({})).await.ok();
    assert_eq!(listed["StreamSummaries"][0]["StreamStatus"], "ACTIVE");

    fixture.stream_unmapped("new", 1, StreamStatus::Creating);
    let told = fixture.call("DescribeStream", json!({"StreamName": "new"})).await.ok();
    assert_eq!(told["StreamDescription"]["Shards"], json!([]));
    assert_eq!(told["StreamDescription"]["StreamStatus"], "CREATING");
    let told = fixture.call("ListShards", json!({"StreamName": "new"})).await;
    assert_eq!(told.code(), "ResourceInUseException");
}

#[tokio::test]
async fn a_stream_is_updating_until_this_server_has_heard_of_its_settings() {
    let fixture = Fixture::new();
    fixture.stream("s", 1);
    let status = async || {
        let told = fixture.call("DescribeStreamSummary", json!({"StreamName": "s"})).await.ok();
        let listed = fixture.call("ListStreams", json!({})).await.ok();
        let status = told["StreamDescriptionSummary"]["StreamStatus"].clone();
        assert_eq!(listed["StreamSummaries"][0]["StreamStatus"], status, "a list says the same");
        status
    };
    let adopt = |settings_revision| {
        let mut config = crate::authenticate::tests::shared(vec![]);
        config.limits.lift(Family::Calls);
        fixture.frontend.adopt(&SharedConfig { settings_revision, ..config }).unwrap();
    };
    assert_eq!(status().await, "ACTIVE");
    fixture.control.revise("s", 2);
    assert_eq!(status().await, "UPDATING", "the control plane is ahead of this server");
    adopt(1);
    assert_eq!(status().await, "UPDATING", "of an earlier change");
    let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
    assert_eq!(fixture.call("PutRecord", put).await.status, 200, "it serves");
    adopt(2);
    assert_eq!(status().await, "ACTIVE");
    adopt(3);
    assert_eq!(status().await, "ACTIVE", "other streams' changes are later than its own");
}

#[tokio::test]
async fn descriptions_come_in_pages() {
    let fixture = Fixture::new();
    fixture.stream("s", 150);
    let page =
        async |input: Value| fixture.call("DescribeStream", input).await.ok()["StreamDescription"].clone();
    let first = page(json!({"StreamName": "s", "Limit": 10_000})).await;
    assert_eq!((first["Shards"].as_array().unwrap().len(), &first["HasMoreShards"]), (100, &json!(true)));
    let rest = page(json!({"StreamName": "s", "ExclusiveStartShardId": "shardId-000000000099"})).await;
    assert_eq!((rest["Shards"].as_array().unwrap().len(), &rest["HasMoreShards"]), (50, &json!(false)));
    assert_eq!(rest["Shards"][0]["ShardId"], "shardId-000000000100");
}

#[tokio::test]
async fn shards_are_listed_page_by_page_with_a_sealed_token() {
    let fixture = Fixture::new();
    fixture.stream("s", 5);
    let mut seen = Vec::new();
    let mut input = json!({"StreamName": "s", "MaxResults": 2});
    loop {
        let told = fixture.call("ListShards", input).await.ok();
        let shards = told["Shards"].as_array().unwrap();
        seen.extend(shards.iter().map(|shard| shard["ShardId"].as_str().unwrap().to_owned()));
        match told.get("NextToken") {
            Some(token) => input = json!({"NextToken": token, "MaxResults": 2}),
            None => break,
        }
    }
    let expected: Vec<_> = (0..5).map(|n| format!("shardId-{n:012}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_list_of_shards_refuses_arguments_that_contradict() {
    let fixture = Fixture::new();
    fixture.stream("s", 2);
    let text = async |input: Value| fixture.call("ListShards", input).await.message().to_owned();
    assert_eq!(text(json!({})).await, "Either NextToken or StreamName should be provided.");
    let token =
        fixture.call("ListShards", json!({"StreamName": "s", "MaxResults": 1})).await.ok()["NextToken"]
            .clone();
    let arn = format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s");
    for (member, value) in [("StreamName", "s"), ("StreamARN", &arn)] {
        let told = text(json!({"NextToken": token, member: value})).await;
        assert_eq!(told, format!("NextToken and {member} cannot be provided together."));
    }
    assert_eq!(text(json!({"NextToken": "bm90IG91cnM="})).await, "Invalid NextToken.");
    let filter = |filter: Value| json!({"StreamName": "s", "ShardFilter": filter});
    assert!(text(filter(json!({"Type": "AFTER_SHARD_ID"}))).await.contains("at 'shardFilter.shardId'"));
    assert!(text(filter(json!({"Type": "AT_TIMESTAMP"}))).await.contains("at 'shardFilter.timestamp'"));
    let after = filter(json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000000"}));
    assert_eq!(fixture.call("ListShards", after).await.ok()["Shards"].as_array().unwrap().len(), 1);
    let latest = filter(json!({"Type": "AT_LATEST"}));
    assert_eq!(fixture.call("ListShards", latest).await.ok()["Shards"].as_array().unwrap().len(), 2);
    let same = json!({"StreamName": "s", "StreamCreationTimestamp": 1_600_000_000});
    assert_eq!(fixture.call("ListShards", same).await.status, 200);
    let other = json!({"StreamName": "s", "StreamCreationTimestamp": 1_600_000_001});
    assert_eq!(fixture.call("ListShards", other).await.code(), "ResourceNotFoundException");
}

#[tokio::test]
async fn streams_are_listed_by_name_page_by_page_either_way() {
    let fixture = Fixture::new();
    for name in ["c", "a", "b"] {
        fixture.stream(name, 1);
    }
    let names = |told: &Value| told["StreamNames"].clone();
    let first = fixture.call("ListStreams", json!({"Limit": 2})).await.ok();
    assert_eq!((names(&first), &first["HasMoreStreams"]), (json!(["a", "b"]), &json!(true)));
    assert_eq!(first["StreamSummaries"][1]["StreamARN"], json!(arn("b")));
    let by_token = fixture.call("ListStreams", json!({"NextToken": first["NextToken"]})).await.ok();
    assert_eq!((names(&by_token), &by_token["HasMoreStreams"]), (json!(["c"]), &json!(false)));
    assert!(by_token.get("NextToken").is_none());
    let by_name = fixture.call("ListStreams", json!({"ExclusiveStartStreamName": "b"})).await.ok();
    assert_eq!(names(&by_name), json!(["c"]));
    let wrong = fixture.call("ListStreams", json!({"NextToken": "AAAA"})).await;
    assert_eq!(wrong.message(), "Invalid NextToken.");
}

#[tokio::test]
async fn an_arn_of_another_account_is_denied_and_one_of_another_name_contradicts() {
    let fixture = Fixture::new();
    fixture.stream("s", 1);
    let foreign = "arn:aws:kinesis:us-east-1:999999999999:stream/s";
    let told = fixture.call("DescribeStream", json!({"StreamARN": foreign})).await;
    assert_eq!(told.code(), "AccessDeniedException");
    assert_eq!(
        told.message(),
        format!(
            "User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: kinesis:DescribeStream on resource: \
             {foreign} because no resource-based policy allows the kinesis:DescribeStream action"
        )
    );
    let told = fixture.call("DescribeStream", json!({"StreamARN": arn("s"), "StreamName": "t"})).await;
    assert_eq!(told.code(), "InvalidArgumentException");
    assert_eq!(
        fixture.call("DescribeStream", json!({"StreamARN": arn("s"), "StreamName": "s"})).await.status,
        200
    );
}
