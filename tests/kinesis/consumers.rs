//! RegisterStreamConsumer, DescribeStreamConsumer, ListStreamConsumers, DeregisterStreamConsumer.

use serde_json::{Value, json};
use weir_tests::{
    again::seen_until,
    semantics::{says, says_same},
    server::Server,
    subscription::Subscription,
};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

fn refused(server: &Server, operation: &str, body: &Value) -> (String, String) {
    let answer = server.call(operation, body);
    assert_eq!(answer.status, 400, "{operation} {body}: {}", String::from_utf8_lossy(&answer.body));
    let text = |name: &str| answer.json()[name].as_str().unwrap_or_default().to_owned();
    (text("__type"), text("message"))
}

fn register(server: &Server, name: &str) -> Value {
    server.ok("RegisterStreamConsumer", &json!({"StreamARN": STREAM, "ConsumerName": name}))["Consumer"]
        .clone()
}

#[test]
fn a_consumer_is_registered_described_by_either_name_and_given_up() {
    let mut server = Server::start();
    server.stream("s", 1);
    let consumer = register(&server, "c");
    assert_eq!((&consumer["ConsumerName"], &consumer["ConsumerStatus"]), (&json!("c"), &json!("CREATING")));
    let created = consumer["ConsumerCreationTimestamp"].as_f64().unwrap();
    let arn = format!("{STREAM}/consumer/c:{}", created as u64);
    assert_eq!(consumer["ConsumerARN"], arn.as_str());

    server.kill_9_and_restart();
    for naming in [
        json!({"ConsumerARN": arn}),
        json!({"StreamARN": STREAM, "ConsumerName": "c"}),
        json!({"StreamARN": STREAM, "ConsumerName": "c", "ConsumerARN": arn}),
    ] {
        let described = server.ok("DescribeStreamConsumer", &naming)["ConsumerDescription"].clone();
        assert_eq!(described["ConsumerARN"], arn.as_str(), "{naming}");
        assert_eq!(
            (&described["ConsumerStatus"], &described["StreamARN"]),
            (&json!("ACTIVE"), &json!(STREAM))
        );
    }
    let summary = server.ok("DescribeStreamSummary", &json!({"StreamName": "s"}));
    assert_eq!(summary["StreamDescriptionSummary"]["ConsumerCount"], 1);

    let again = json!({"StreamARN": STREAM, "ConsumerName": "c"});
    assert_eq!(refused(&server, "RegisterStreamConsumer", &again).0, "ResourceInUseException");
    let (code, text) = refused(&server, "DescribeStreamConsumer", &json!({"ConsumerName": "c"}));
    assert_eq!(code, "InvalidArgumentException", "{text}");
    let another = json!({"ConsumerARN": arn, "ConsumerName": "d"});
    assert_eq!(refused(&server, "DescribeStreamConsumer", &another).0, "InvalidArgumentException");

    server.ok("DeregisterStreamConsumer", &json!({"ConsumerARN": arn}));
    for operation in ["DescribeStreamConsumer", "DeregisterStreamConsumer"] {
        assert_eq!(refused(&server, operation, &json!({"ConsumerARN": arn})).0, "ResourceNotFoundException");
    }
}

#[test]
fn consumers_are_listed_page_by_page_and_a_token_is_its_own_streams() {
    let server = Server::start();
    server.stream("s", 1);
    server.stream("t", 1);
    for name in ["b", "c", "a"] {
        register(&server, name);
    }
    let page = server.ok("ListStreamConsumers", &json!({"StreamARN": STREAM, "MaxResults": 2}));
    let names = |page: &Value| -> Vec<String> {
        let consumers = page["Consumers"].as_array().unwrap();
        consumers.iter().map(|consumer| consumer["ConsumerName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&page), ["a", "b"]);
    let rest =
        server.ok("ListStreamConsumers", &json!({"StreamARN": STREAM, "NextToken": page["NextToken"]}));
    assert_eq!((names(&rest), rest.get("NextToken")), (vec!["c".to_owned()], None));

    let other = STREAM.replace("/s", "/t");
    let foreign = json!({"StreamARN": other, "NextToken": page["NextToken"]});
    assert_eq!(refused(&server, "ListStreamConsumers", &foreign).0, "InvalidArgumentException");
    let both = json!({"StreamARN": STREAM, "NextToken": page["NextToken"], "StreamCreationTimestamp": 1});
    assert_eq!(refused(&server, "ListStreamConsumers", &both).0, "InvalidArgumentException");
    let older = json!({"StreamARN": STREAM, "StreamCreationTimestamp": 1});
    assert_eq!(refused(&server, "ListStreamConsumers", &older).0, "ResourceNotFoundException");
}

#[test]
fn quotas_of_consumers_are_kept_and_a_stream_with_some_is_deleted_with_them_only() {
    says("consumers", "20 a stream in every mode");
    says("texts about consumers", "a stream with consumers");
    says_same("a stream that has some is deleted with them only (`EnforceConsumerDeletion`)");
    let server = Server::start();
    server.stream("s", 1);
    for number in 0..20 {
        register(&server, &format!("c{number}"));
    }
    let on_demand = json!({"StreamARN": STREAM, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    server.ok("UpdateStreamMode", &on_demand);
    server.await_active("s");
    let more = json!({"StreamARN": STREAM, "ConsumerName": "more"});
    assert_eq!(refused(&server, "RegisterStreamConsumer", &more).0, "LimitExceededException");

    let (code, text) = refused(&server, "DeleteStream", &json!({"StreamName": "s"}));
    assert_eq!(code, "ResourceInUseException");
    assert!(
        text.starts_with(&format!("DeleteStream can't delete {STREAM} because there are consumers")),
        "{text}"
    );
    server.ok("DeleteStream", &json!({"StreamName": "s", "EnforceConsumerDeletion": true}));
    let one = json!({"StreamARN": STREAM, "ConsumerName": "c0"});
    assert_eq!(refused(&server, "DescribeStreamConsumer", &one).0, "ResourceNotFoundException");
}

#[test]
fn a_consumer_is_on_its_way_for_as_long_as_the_server_is_told() {
    says(
        "consumers",
        "are CREATING and DELETING for no time at all, or as long as `--create-delay` and `--delete-delay` say",
    );
    says("texts about consumers", "Kinesis's own where known (not ACTIVE");
    let server = Server::start_with(&["--create-delay", "2s", "--delete-delay", "2s"]);
    server.stream("s", 1);
    let arn = register(&server, "c")["ConsumerARN"].clone();
    let latest = json!({"ConsumerARN": arn, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "LATEST"}});
    let (status, early) = Subscription::open(server.address(), &latest).unwrap_err();
    assert_eq!((status, &early["__type"]), (400, &json!("ResourceInUseException")));
    let text = early["message"].as_str().unwrap();
    assert!(text.ends_with("under stream: s , account 000000000000 is not in ACTIVE status."), "{text}");
    let status = || {
        let told = server.call("DescribeStreamConsumer", &json!({"ConsumerARN": arn})).json();
        told["ConsumerDescription"]["ConsumerStatus"].as_str().unwrap_or("none").to_owned()
    };
    assert_eq!(seen_until("ACTIVE", status), ["CREATING", "ACTIVE"]);
    Subscription::open(server.address(), &latest).unwrap();
    server.ok("DeregisterStreamConsumer", &json!({"ConsumerARN": arn}));
    assert_eq!(seen_until("none", status), ["DELETING", "none"]);
}

#[test]
fn inputs_that_break_a_bound_are_told_in_kinesis_words() {
    let server = Server::start();
    let (code, text) = refused(&server, "RegisterStreamConsumer", &json!({"ConsumerName": "a b"}));
    assert_eq!(code, "ValidationException");
    assert!(text.starts_with("2 validation errors detected: "), "{text}");
    assert!(text.contains("Value null at 'streamARN' failed to satisfy constraint: Member must not be null"));
    assert!(
        text.contains(
            "at 'consumerName' failed to satisfy constraint: Member must satisfy regular expression"
        )
    );
    let (_, text) = refused(&server, "DescribeStreamConsumer", &json!({"ConsumerARN": STREAM}));
    let pattern =
        r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+";
    assert!(text.ends_with(pattern), "{text}");
}
