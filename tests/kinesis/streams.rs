//! CreateStream, DeleteStream, DescribeStream, DescribeStreamSummary, ListStreams, ListShards.

use serde_json::json;
use weir_tests::{
    again::seen_until,
    http::Caller,
    semantics::{says, says_same},
    server::Server,
};

#[test]
fn a_stream_is_created_described_listed_and_deleted() {
    says_same("shards divide 2^128 uniformly");
    says("signatures without configured credentials", "any well-formed signature is accepted");
    let server = Server::start();
    server.stream("orders", 3);

    let described =
        server.ok("DescribeStream", &json!({"StreamName": "orders"}))["StreamDescription"].clone();
    assert_eq!(described["StreamStatus"], "ACTIVE");
    assert_eq!(described["StreamARN"], "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
    assert_eq!(described["RetentionPeriodHours"], 24);
    assert_eq!(described["HasMoreShards"], false);
    let shards = described["Shards"].as_array().unwrap();
    assert_eq!(shards.len(), 3);
    assert_eq!(shards[0]["ShardId"], "shardId-000000000000");
    assert_eq!(shards[0]["HashKeyRange"]["StartingHashKey"], "0");
    assert_eq!(shards[1]["HashKeyRange"]["StartingHashKey"], "113427455640312821154458202477256070485");
    assert_eq!(shards[2]["HashKeyRange"]["EndingHashKey"], "340282366920938463463374607431768211455");
    assert_eq!(shards[0]["SequenceNumberRange"]["StartingSequenceNumber"].as_str().unwrap().len(), 56);

    let summary = server.ok("DescribeStreamSummary", &json!({"StreamName": "orders"}));
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 3);

    server.stream("audit", 1);
    let listed = server.ok("ListStreams", &json!({}));
    assert_eq!(listed["StreamNames"], json!(["audit", "orders"]));
    assert_eq!(listed["HasMoreStreams"], false);
    let first = server.ok("ListStreams", &json!({"Limit": 1}));
    assert_eq!(
        (first["StreamNames"].clone(), first["HasMoreStreams"].clone()),
        (json!(["audit"]), json!(true))
    );
    let rest = server.ok("ListStreams", &json!({"ExclusiveStartStreamName": "audit"}));
    assert_eq!(rest["StreamNames"], json!(["orders"]));
    says("ListStreams with `NextToken` and `ExclusiveStartStreamName`", "goes on where the token says");
    let both = json!({"NextToken": first["NextToken"], "ExclusiveStartStreamName": "zebra"});
    assert_eq!(server.ok("ListStreams", &both)["StreamNames"], json!(["orders"]));

    let shards = server.ok("ListShards", &json!({"StreamName": "orders"}))["Shards"].clone();
    assert_eq!(shards.as_array().unwrap().len(), 3);

    server.ok("DeleteStream", &json!({"StreamName": "orders"}));
    let gone = std::iter::repeat_with(|| {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
        server.call("DescribeStream", &json!({"StreamName": "orders"}))
    })
    .take(2_000)
    .find(|answer| answer.status == 400)
    .expect("the stream goes away");
    assert_eq!(gone.json()["__type"], "ResourceNotFoundException");
    assert_eq!(gone.json()["message"], "Stream orders under account 000000000000 not found.");
}

#[test]
fn regions_and_accounts_are_apart_and_an_arn_says_which_is_meant() {
    says("the account without credentials", "000000000000");
    says("regions", "in the region that its creating request was signed for, or that an ARN names");
    let server = Server::start();
    server.stream("s", 1);
    let elsewhere = Caller { region: "eu-west-3", ..Caller::ANY };
    let other = Caller { access_key: "123456789012", region: "eu-west-3" };
    for (caller, shards) in [(elsewhere, 2), (other, 3)] {
        let created =
            server.call_as(caller, "CreateStream", &json!({"StreamName": "s", "ShardCount": shards}));
        assert_eq!(created.status, 200, "the name is free there");
    }
    for (caller, arn) in [
        (Caller::ANY, "arn:aws:kinesis:us-east-1:000000000000:stream/s"),
        (elsewhere, "arn:aws:kinesis:eu-west-3:000000000000:stream/s"),
        (other, "arn:aws:kinesis:eu-west-3:123456789012:stream/s"),
    ] {
        let summary = server.call_as(caller, "DescribeStreamSummary", &json!({"StreamName": "s"})).json();
        assert_eq!(summary["StreamDescriptionSummary"]["StreamARN"], arn);
        let listed = server.call_as(caller, "ListStreams", &json!({})).json();
        assert_eq!(listed["StreamNames"], json!(["s"]));
    }
    let by_arn = json!({"StreamARN": "arn:aws:kinesis:eu-west-3:000000000000:stream/s"});
    let seen = server.call("DescribeStreamSummary", &by_arn).json()["StreamDescriptionSummary"].clone();
    assert_eq!(seen["StreamARN"], by_arn["StreamARN"], "the ARN's region, not the signature's");
    server.ok("DeleteStream", &by_arn);
    assert_eq!(
        server.ok("ListStreams", &json!({}))["StreamNames"],
        json!(["s"]),
        "only the one that was named"
    );

    let nowhere = server.call_as(Caller { region: "eu_west", ..Caller::ANY }, "ListStreams", &json!({}));
    assert_eq!(nowhere.json()["__type"], "InvalidSignatureException");
    assert_eq!(nowhere.json()["message"], "Credential should be scoped to a valid region. ");
}

/// The status of the stream `s`; gone: `none`.
fn status(server: &Server) -> String {
    let told = server.call("DescribeStreamSummary", &json!({"StreamName": "s"})).json();
    told["StreamDescriptionSummary"]["StreamStatus"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn a_stream_is_on_its_way_for_as_long_as_the_server_is_told() {
    says(
        "CREATING, UPDATING, DELETING",
        "as long as `--create-delay`, `--update-delay` and `--delete-delay` say",
    );
    says(
        "CREATING, UPDATING, DELETING",
        "a stream serves while it is UPDATING, and while it is DELETING under a delay",
    );
    says("ListShards of a stream that is CREATING or DELETING", "`ResourceInUseException`");
    let delays = ["--create-delay", "2s", "--update-delay", "2s", "--delete-delay", "2s"];
    let server = Server::start_with(&delays);
    let (named, record) =
        (json!({"StreamName": "s"}), json!({"StreamName": "s", "PartitionKey": "k", "Data": "AAAA"}));
    server.ok("CreateStream", &json!({"StreamName": "s", "ShardCount": 1}));
    let early = server.call("PutRecord", &record);
    assert_eq!(
        early.json()["message"],
        "Stream s under account 000000000000 not found.",
        "before it is active"
    );
    let listed = server.call("ListShards", &named);
    assert_eq!(listed.json()["__type"], "ResourceInUseException", "CREATING");
    assert_eq!(seen_until("ACTIVE", || status(&server)), ["CREATING", "ACTIVE"]);
    server.ok("PutRecord", &record);

    server.ok("IncreaseStreamRetentionPeriod", &json!({"StreamName": "s", "RetentionPeriodHours": 48}));
    server.ok("PutRecord", &record);
    let again =
        server.call("IncreaseStreamRetentionPeriod", &json!({"StreamName": "s", "RetentionPeriodHours": 72}));
    assert_eq!(again.json()["__type"], "ResourceInUseException");
    assert_eq!(
        again.json()["message"],
        "Stream s under account 000000000000 not ACTIVE, instead in state UPDATING"
    );
    assert_eq!(seen_until("ACTIVE", || status(&server)), ["UPDATING", "ACTIVE"]);

    server.ok("DeleteStream", &named);
    server.ok("PutRecord", &record);
    let listed = server.call("ListShards", &named);
    assert_eq!(listed.json()["__type"], "ResourceInUseException", "DELETING");
    let taken = server.call("CreateStream", &json!({"StreamName": "s", "ShardCount": 1}));
    assert_eq!(taken.json()["message"], "Stream s under account 000000000000 already exists.");
    assert_eq!(seen_until("none", || status(&server)), ["DELETING", "none"]);
    server.ok("CreateStream", &json!({"StreamName": "s", "ShardCount": 1}));
}

#[test]
fn a_second_stream_of_the_same_name_is_refused() {
    let server = Server::start();
    server.stream("twice", 1);
    let again = server.call("CreateStream", &json!({"StreamName": "twice", "ShardCount": 1}));
    assert_eq!(again.status, 400);
    assert_eq!(again.json()["__type"], "ResourceInUseException");
    assert_eq!(again.json()["message"], "Stream twice under account 000000000000 already exists.");
}

#[test]
fn every_operation_on_an_unknown_stream_says_not_found() {
    let server = Server::start();
    let calls = [
        ("DescribeStream", json!({"StreamName": "nobody"})),
        ("DescribeStreamSummary", json!({"StreamName": "nobody"})),
        ("DeleteStream", json!({"StreamName": "nobody"})),
        ("ListShards", json!({"StreamName": "nobody"})),
        ("PutRecord", json!({"StreamName": "nobody", "PartitionKey": "k", "Data": "AAAA"})),
        ("PutRecords", json!({"StreamName": "nobody", "Records": [{"PartitionKey": "k", "Data": "AAAA"}]})),
    ];
    for (operation, body) in calls {
        let answer = server.call(operation, &body);
        assert_eq!(answer.status, 400, "{operation}");
        assert_eq!(answer.json()["__type"], "ResourceNotFoundException", "{operation}");
        assert_eq!(
            answer.json()["message"],
            "Stream nobody under account 000000000000 not found.",
            "{operation}"
        );
    }
}

#[test]
fn streams_and_their_records_outlive_the_process() {
    let mut server = Server::start();
    server.stream("kept", 2);
    let put = server.ok("PutRecord", &json!({"StreamName": "kept", "PartitionKey": "k", "Data": "a2VwdA=="}));
    let shard = put["ShardId"].as_str().unwrap().to_owned();
    server.stop_and_restart();
    let records = server.read_all("kept", &shard);
    let sequence = put["SequenceNumber"].as_str().unwrap().to_owned();
    assert_eq!(records, [(sequence, "k".to_owned(), "a2VwdA==".to_owned())]);
}
