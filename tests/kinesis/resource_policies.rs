//! PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy, and what they let other accounts do.

use serde_json::{Value, json};
use weir_tests::{
    http::{Answer, Caller},
    semantics::{says, says_same},
    server::Server,
};

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/shared";
const FRIEND: Caller<'static> = Caller { access_key: "000000000007", region: "us-east-1" };
const STRANGER: Caller<'static> = Caller { access_key: "000000000008", region: "us-east-1" };

fn put_policy(server: &Server, statements: &Value) {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    server.ok("PutResourcePolicy", &json!({"ResourceARN": ARN, "Policy": policy}));
}

fn put_as(server: &Server, caller: Caller<'_>) -> Answer {
    server.call_as(caller, "PutRecord", &json!({"StreamARN": ARN, "PartitionKey": "k", "Data": "AAAA"}))
}

/// Calls until the answer has the status that is awaited: front ends hear of a policy a moment after it was put.
fn await_status(status: u16, call: impl Fn() -> Answer) -> Answer {
    let mut answers = std::iter::repeat_with(|| {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
        call()
    });
    let found = answers.by_ref().take(1_000).find(|answer| answer.status == status);
    found.unwrap_or_else(|| panic!("never {status}"))
}

#[test]
fn a_policy_is_put_got_and_deleted() {
    says_same("Without a policy GetResourcePolicy answers `{}`.");
    let mut server = Server::start();
    server.stream("shared", 1);
    let get =
        |server: &Server| server.ok("GetResourcePolicy", &json!({"ResourceARN": ARN}))["Policy"].clone();
    assert_eq!(get(&server), "{}");
    let policy = r#"{ "Statement": { "Effect": "Allow", "Principal": "*", "Action": "kinesis:*" } }"#;
    let put = server.call("PutResourcePolicy", &json!({"ResourceARN": ARN, "Policy": policy}));
    assert_eq!((put.status, put.body.len()), (200, 0));
    server.kill_9_and_restart();
    assert_eq!(get(&server), policy, "as it was put");
    server.ok("DeleteResourcePolicy", &json!({"ResourceARN": ARN}));
    assert_eq!(get(&server), "{}");
    let refused = server.call("PutResourcePolicy", &json!({"ResourceARN": ARN, "Policy": "{}"}));
    assert_eq!(refused.json()["__type"], "InvalidArgumentException");
    let nobody = "arn:aws:kinesis:us-east-1:000000000000:stream/nobody";
    for (operation, input) in [
        ("PutResourcePolicy", json!({"ResourceARN": nobody, "Policy": policy})),
        ("GetResourcePolicy", json!({"ResourceARN": nobody})),
        ("DeleteResourcePolicy", json!({"ResourceARN": nobody})),
    ] {
        assert_eq!(
            server.call(operation, &input).json()["__type"],
            "ResourceNotFoundException",
            "{operation}"
        );
    }
}

#[test]
fn another_account_may_do_what_the_policy_allows_and_nothing_else() {
    says("when settings take effect", "front ends hear of them a moment after the answer");
    says_same("another account that names a stream (or a consumer) by its ARN may do what its policy allows");
    says_same("a Deny beats every Allow");
    let server = Server::start();
    server.stream("shared", 1);
    let denied = put_as(&server, FRIEND);
    assert_eq!((denied.status, denied.json()["__type"].as_str()), (400, Some("AccessDeniedException")));
    assert_eq!(
        denied.json()["message"],
        format!(
            "User: arn:aws:iam::000000000007:root is not authorized to perform: kinesis:PutRecord on resource: {ARN} \
             because no resource-based policy allows the kinesis:PutRecord action"
        )
    );
    put_policy(
        &server,
        &json!([
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000007:root"}, "Action": "kinesis:*", "Resource": ARN},
            {"Effect": "Deny", "Principal": "*", "Action": ["kinesis:ListShards", "kinesis:PutRecords"], "Resource": ARN},
        ]),
    );
    let stored = await_status(200, || put_as(&server, FRIEND)).json();
    let summary = server.call_as(FRIEND, "DescribeStreamSummary", &json!({"StreamARN": ARN}));
    assert_eq!(summary.json()["StreamDescriptionSummary"]["StreamARN"], ARN);
    let from = json!({"StreamARN": ARN, "ShardId": stored["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = server.call_as(FRIEND, "GetShardIterator", &from).json()["ShardIterator"].clone();
    let read = json!({"StreamARN": ARN, "ShardIterator": iterator});
    let records = server.call_as(FRIEND, "GetRecords", &read).json()["Records"].clone();
    assert_eq!(records[0]["SequenceNumber"], stored["SequenceNumber"]);

    let denied = |caller, operation, input: Value| {
        let answer = server.call_as(caller, operation, &input);
        assert_eq!(answer.json()["__type"], "AccessDeniedException", "{operation}");
    };
    denied(FRIEND, "ListShards", json!({"StreamARN": ARN}));
    denied(FRIEND, "PutRecords", json!({"StreamARN": ARN, "Records": [{"PartitionKey": "k", "Data": ""}]}));
    denied(STRANGER, "DescribeStreamSummary", json!({"StreamARN": ARN}));
    denied(STRANGER, "GetRecords", read.clone());
    // What no policy opens to another account, whatever it says.
    denied(FRIEND, "DeleteStream", json!({"StreamARN": ARN}));
    denied(FRIEND, "AddTagsToStream", json!({"StreamARN": ARN, "Tags": {"a": "b"}}));
    denied(FRIEND, "PutResourcePolicy", json!({"ResourceARN": ARN, "Policy": "{}"}));
    denied(FRIEND, "IncreaseStreamRetentionPeriod", json!({"StreamARN": ARN, "RetentionPeriodHours": 48}));

    server.ok("DeleteResourcePolicy", &json!({"ResourceARN": ARN}));
    await_status(400, || put_as(&server, FRIEND));
    denied(FRIEND, "GetRecords", read);
    let own = json!({"StreamARN": ARN, "PartitionKey": "k", "Data": "AAAA"});
    server.ok("PutRecord", &own);
}

/// What no policy opens to other accounts, on this stream and its consumer.
fn closed_calls(consumer: &Value) -> Vec<(&'static str, Value)> {
    let named = json!({"StreamARN": ARN});
    let with = |name: &str, value: Value| json!({"StreamARN": ARN, name: value});
    let (one, other) = ("shardId-000000000000", "shardId-000000000001");
    let resource = |name: &str, value: Value| json!({"ResourceARN": ARN, name: value});
    let key = json!({"StreamARN": ARN, "EncryptionType": "KMS", "KeyId": "alias/mine"});
    vec![
        ("AddTagsToStream", with("Tags", json!({"a": "b"}))),
        ("RemoveTagsFromStream", with("TagKeys", json!(["a"]))),
        ("ListTagsForStream", named.clone()),
        ("TagResource", resource("Tags", json!({"a": "b"}))),
        ("UntagResource", resource("TagKeys", json!(["a"]))),
        ("ListTagsForResource", json!({"ResourceARN": ARN})),
        ("PutResourcePolicy", resource("Policy", json!("{}"))),
        ("GetResourcePolicy", json!({"ResourceARN": ARN})),
        ("DeleteResourcePolicy", json!({"ResourceARN": ARN})),
        ("DeleteStream", named.clone()),
        ("IncreaseStreamRetentionPeriod", with("RetentionPeriodHours", json!(48))),
        ("DecreaseStreamRetentionPeriod", with("RetentionPeriodHours", json!(24))),
        ("StartStreamEncryption", key.clone()),
        ("StopStreamEncryption", key),
        ("EnableEnhancedMonitoring", with("ShardLevelMetrics", json!(["ALL"]))),
        ("DisableEnhancedMonitoring", with("ShardLevelMetrics", json!(["ALL"]))),
        ("SplitShard", json!({"StreamARN": ARN, "ShardToSplit": one, "NewStartingHashKey": "9"})),
        ("MergeShards", json!({"StreamARN": ARN, "ShardToMerge": one, "AdjacentShardToMerge": other})),
        (
            "UpdateShardCount",
            json!({"StreamARN": ARN, "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
        ),
        ("UpdateMaxRecordSize", with("MaxRecordSizeInKiB", json!(2_048))),
        ("UpdateStreamMode", with("StreamModeDetails", json!({"StreamMode": "ON_DEMAND"}))),
        ("UpdateStreamRecordDistributionStrategy", with("RecordDistributionStrategy", json!("AUTO"))),
        ("UpdateStreamWarmThroughput", with("WarmThroughputMiBps", json!(5))),
        ("RegisterStreamConsumer", with("ConsumerName", json!("mine"))),
        ("ListStreamConsumers", named.clone()),
        ("DeregisterStreamConsumer", json!({"ConsumerARN": consumer})),
        ("DescribeStreamConsumer", json!({"ConsumerARN": consumer})),
    ]
}

#[test]
fn what_is_open_to_other_accounts_is_seven_operations_of_a_stream_and_two_of_a_consumer() {
    says(
        "what a policy can open",
        "DescribeStream, DescribeStreamSummary, GetRecords, GetShardIterator, ListShards, PutRecord, PutRecords of",
    );
    says("what a policy can open", "everything else is refused to other accounts");
    let server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("shared", 1);
    let register = json!({"StreamARN": ARN, "ConsumerName": "reader"});
    let consumer = server.ok("RegisterStreamConsumer", &register)["Consumer"]["ConsumerARN"].clone();
    let from = json!({"StreamARN": ARN, "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"});
    let iterator = server.ok("GetShardIterator", &from)["ShardIterator"].clone();
    put_policy(&server, &json!([{"Effect": "Allow", "Principal": "*", "Action": "kinesis:*"}]));
    await_status(200, || put_as(&server, FRIEND));

    let named = json!({"StreamARN": ARN});
    let with = |name: &str, value: Value| json!({"StreamARN": ARN, name: value});
    let open = [
        ("DescribeStream", named.clone()),
        ("DescribeStreamSummary", named.clone()),
        ("GetRecords", with("ShardIterator", iterator)),
        ("GetShardIterator", from.clone()),
        ("ListShards", named.clone()),
        ("PutRecords", with("Records", json!([{"PartitionKey": "k", "Data": "AAAA"}]))),
    ];
    for (operation, input) in open {
        let answer = server.call_as(FRIEND, operation, &input);
        assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(&answer.body));
    }
    for (operation, input) in closed_calls(&consumer) {
        let answer = server.call_as(FRIEND, operation, &input);
        let told = (answer.status, answer.json()["__type"].clone());
        assert_eq!(told, (400, json!("AccessDeniedException")), "{operation}: {}", answer.json());
    }
}

#[test]
fn the_owner_of_a_stream_is_bound_by_no_policy_of_it() {
    says(
        "policies",
        "a stream's or consumer's own account is bound by no policy of it, not by a Deny either",
    );
    let server = Server::start();
    server.stream("shared", 1);
    put_policy(
        &server,
        &json!([
            {"Effect": "Allow", "Principal": {"AWS": "000000000007"}, "Action": "kinesis:*"},
            {"Effect": "Deny", "Principal": {"AWS": "000000000000"}, "Action": "kinesis:*"},
        ]),
    );
    await_status(200, || put_as(&server, FRIEND));
    server.ok("PutRecord", &json!({"StreamARN": ARN, "PartitionKey": "k", "Data": "AAAA"}));
    server.ok("DeleteStream", &json!({"StreamARN": ARN}));
}

#[test]
fn a_policy_over_its_bounds_or_with_a_condition_is_refused() {
    says("policies", "up to 20 KiB each");
    says("policies", "up to 100 statements; no `Condition`");
    let server = Server::start();
    server.stream("shared", 1);
    let put = |statements: Value, rest: &str| {
        let policy = json!({"Statement": statements}).to_string() + rest;
        let answer = server.call("PutResourcePolicy", &json!({"ResourceARN": ARN, "Policy": policy}));
        if answer.status == 200 {
            "taken".to_owned()
        } else {
            answer.json()["__type"].as_str().unwrap().to_owned()
        }
    };
    let one = json!({"Effect": "Allow", "Principal": "*", "Action": "kinesis:*"});
    let mut conditional = one.clone();
    conditional["Condition"] = json!({"Bool": {"aws:SecureTransport": "true"}});
    let room = (20 << 10) - json!({"Statement": one}).to_string().len();
    for (statements, rest, told) in [
        (json!([conditional]), String::new(), "InvalidArgumentException"),
        (json!(vec![&one; 100]), String::new(), "taken"),
        (json!(vec![&one; 101]), String::new(), "InvalidArgumentException"),
        (one.clone(), " ".repeat(room), "taken"),
        (one, " ".repeat(room + 1), "InvalidArgumentException"),
    ] {
        let count = statements.as_array().map_or(1, Vec::len);
        assert_eq!(put(statements, &rest), told, "{count} statements and {} blanks", rest.len());
    }
}

#[test]
fn what_a_policy_may_not_say_is_told_by_its_statement_and_in_plain_words() {
    says(
        "what a policy may not say",
        "`InvalidArgumentException` names the statement and what is wrong with it",
    );
    let server = Server::start();
    server.stream("shared", 1);
    let plain = json!({"Effect": "Allow", "Principal": "*", "Action": "kinesis:*"});
    for (member, value, told) in [
        (
            "Condition",
            json!({"Bool": {"aws:SecureTransport": "true"}}),
            "a Condition, which is not supported.",
        ),
        ("NotPrincipal", json!({"AWS": "000000000007"}), "a NotPrincipal, which is not supported: "),
        ("NotResource", json!(ARN), "a NotResource, which is not supported: "),
        ("Principal", json!({"Service": "lambda.amazonaws.com"}), "a principal of the kind Service, "),
        ("Principal", json!({"Federated": "accounts.example.com"}), "a principal of the kind Federated, "),
        ("Principal", json!({"CanonicalUser": "79a5"}), "a principal of the kind CanonicalUser, "),
        ("Efect", json!("Deny"), "an unknown member: \"Efect\"."),
        ("Action", json!("kinesis:Foo"), "an action that no operation of Kinesis matches: \"kinesis:Foo\"."),
    ] {
        let mut statement = plain.clone();
        statement[member] = value;
        let policy = json!({"Version": "2012-10-17", "Statement": [plain, statement]}).to_string();
        let refused = server.call("PutResourcePolicy", &json!({"ResourceARN": ARN, "Policy": policy}));
        let refused = refused.json();
        assert_eq!(refused["__type"], "InvalidArgumentException");
        let text = refused["message"].as_str().unwrap();
        assert!(text.starts_with(&format!("Policy statement 2 has {told}")), "{text}");
    }
    let twice = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Effect": "Deny"}}"#;
    let refused = server.call("PutResourcePolicy", &json!({"ResourceARN": ARN, "Policy": twice}));
    assert_eq!(refused.json()["message"], "Policy statement 1 has the member \"Effect\" twice.");
}

#[test]
fn nobody_uses_up_the_rates_of_a_stream_that_it_may_not_use() {
    let often = ["--limit", "ListShards=3/s", "--limit", "DescribeStreamSummary=100000/s"];
    let server = Server::start_with(&[&["--call-limits", "on"], &often[..]].concat());
    server.stream("shared", 1);
    for _ in 0..20 {
        let refused = server.call_as(STRANGER, "ListShards", &json!({"StreamARN": ARN}));
        assert_eq!(refused.json()["__type"], "AccessDeniedException");
    }
    server.ok("ListShards", &json!({"StreamARN": ARN}));
}

#[test]
fn a_consumer_is_opened_to_another_account_by_its_own_policy() {
    says(
        "what a policy can open",
        "DescribeStreamConsumer and SubscribeToShard of a consumer that is named by its ARN",
    );
    // Over before anybody waits for its end.
    let server = Server::start_with(&["--subscription-lifetime", "100ms"]);
    server.stream("shared", 1);
    let register = json!({"StreamARN": ARN, "ConsumerName": "reader"});
    let arn = server.ok("RegisterStreamConsumer", &register)["Consumer"]["ConsumerARN"]
        .as_str()
        .unwrap()
        .to_owned();
    let describe = |caller, input: &Value| server.call_as(caller, "DescribeStreamConsumer", input);
    let by_arn = json!({"ConsumerARN": arn});
    assert_eq!(describe(FRIEND, &by_arn).json()["__type"], "AccessDeniedException");
    let policy = json!({"Statement": {
        "Effect": "Allow", "Principal": {"AWS": "000000000007"}, "Resource": arn,
        "Action": ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"],
    }});
    server.ok("PutResourcePolicy", &json!({"ResourceARN": arn, "Policy": policy.to_string()}));
    let described = await_status(200, || describe(FRIEND, &by_arn)).json();
    assert_eq!(described["ConsumerDescription"]["ConsumerARN"], json!(arn));
    let mut subscribe = by_arn.clone();
    subscribe["ShardId"] = json!("shardId-000000000000");
    subscribe["StartingPosition"] = json!({"Type": "LATEST"});
    assert_eq!(server.call_as(FRIEND, "SubscribeToShard", &subscribe).status, 200);
    let refused = server.call_as(STRANGER, "SubscribeToShard", &subscribe);
    assert_eq!(refused.json()["__type"], "AccessDeniedException");
    for (caller, input) in [(STRANGER, &by_arn), (FRIEND, &register)] {
        assert_eq!(describe(caller, input).json()["__type"], "AccessDeniedException", "{input}");
    }
    let by_name = describe(FRIEND, &register).json()["message"].as_str().unwrap().to_owned();
    assert!(by_name.contains(&format!(" on resource: {ARN}/consumer/reader:* ")), "{by_name}");
    let stream = server.call_as(FRIEND, "DescribeStreamSummary", &json!({"StreamARN": ARN}));
    assert_eq!(stream.json()["__type"], "AccessDeniedException", "the stream is another matter");
    let kept = server.ok("GetResourcePolicy", &json!({"ResourceARN": arn}));
    assert_eq!(kept["Policy"], policy.to_string());
}
