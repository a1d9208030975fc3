//! SubscribeToShard: records are pushed, nothing is lost between two subscriptions, and each end is told.

use serde_json::{Value, json};
use weir_tests::{
    semantics::{says, says_same},
    server::Server,
    subscription::Subscription,
};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const SHARD: &str = "shardId-000000000000";

/// A server with the stream `s` of one shard, and the ARN of its consumer `c`.
fn served(arguments: &[&str]) -> (Server, String) {
    let server = Server::start_with(arguments);
    server.stream("s", 1);
    let consumer = register(&server, "c");
    (server, consumer)
}

fn register(server: &Server, name: &str) -> String {
    let consumer = server.ok("RegisterStreamConsumer", &json!({"StreamARN": STREAM, "ConsumerName": name}));
    consumer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned()
}

fn request(consumer: &str, position: Value) -> Value {
    json!({"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": position})
}

fn subscribe(server: &Server, consumer: &str, position: Value) -> Subscription {
    Subscription::open(server.address(), &request(consumer, position)).unwrap()
}

fn refused(server: &Server, consumer: &str, position: Value) -> (String, String) {
    let (status, body) = Subscription::open(server.address(), &request(consumer, position)).unwrap_err();
    assert_eq!(status, 400, "{body}");
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (text("__type"), text("message"))
}

/// Puts one record; its sequence number.
fn put(server: &Server, data: &str) -> String {
    let record = json!({"StreamName": "s", "PartitionKey": "k", "Data": data});
    server.ok("PutRecord", &record)["SequenceNumber"].as_str().unwrap().to_owned()
}

#[test]
fn records_are_pushed_as_they_come_with_a_place_to_go_on_from() {
    says_same("records pushed as soon as they are durable");
    says_same("in each the number behind which another subscription goes on");
    let (server, consumer) = served(&[]);
    put(&server, "b2xk");
    let mut subscription = subscribe(&server, &consumer, json!({"Type": "LATEST"}));
    let idle = subscription.next().unwrap();
    assert_eq!(idle.kind, "SubscribeToShardEvent");
    assert_eq!((&idle.payload["Records"], &idle.payload["MillisBehindLatest"]), (&json!([]), &json!(0)));
    let mut last = String::new();
    for data in ["AAAA", "AAAB", "AAAC"] {
        let number = put(&server, data);
        let (records, continuation) = subscription.records(1);
        assert_eq!(records, [(number.clone(), data.to_owned())]);
        assert_eq!(continuation, number);
        last = number;
    }
    drop(subscription);

    let other = register(&server, "d");
    let mut again = subscribe(&server, &other, json!({"Type": "TRIM_HORIZON"}));
    let (all, continuation) = again.records(4);
    assert_eq!((all.len(), all[0].1.as_str(), &continuation), (4, "b2xk", &last));
    let first = all[0].0.clone();
    let third = register(&server, "e");
    let mut at = subscribe(&server, &third, json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": first}));
    assert_eq!(at.records(4).0, all);
    let fourth = register(&server, "f");
    let mut since = subscribe(&server, &fourth, json!({"Type": "AT_TIMESTAMP", "Timestamp": 1}));
    assert_eq!(since.records(4).0, all);
}

#[test]
fn a_tenant_has_so_many_subscriptions_at_a_front_end() {
    says("subscriptions", "512 of one tenant; one more is `LimitExceededException`");
    let server = Server::start();
    server.stream("s", 32);
    let mut held = Vec::new();
    for number in 0..17 {
        let consumer = register(&server, &format!("c{number}"));
        for shard in 0..32 {
            let mut asked = request(&consumer, json!({"Type": "LATEST"}));
            asked["ShardId"] = json!(format!("shardId-{shard:012}"));
            match Subscription::open(server.address(), &asked) {
                Ok(subscription) => held.push(subscription),
                Err((status, refused)) => {
                    let told = (held.len(), status, &refused["__type"]);
                    assert_eq!(told, (512, 400, &json!("LimitExceededException")), "{refused}");
                    return;
                }
            }
        }
    }
    panic!("{} are none too many", held.len());
}

#[test]
fn subscriptions_one_after_another_see_every_record_once() {
    says_same("five minutes (`--subscription-lifetime`)");
    // Each ends after a tenth of a second, most of them without having seen a record.
    let (server, _) = served(&["--subscription-lifetime", "100ms"]);
    let mut position = json!({"Type": "TRIM_HORIZON"});
    let (mut seen, mut written) = (Vec::new(), Vec::new());
    for round in 0..8 {
        let consumer = register(&server, &format!("c{round}"));
        let mut subscription = subscribe(&server, &consumer, position.clone());
        if round % 3 != 1 {
            written.extend((0..3).map(|number| put(&server, &format!("AA{round}{number}"))));
        }
        while let Some(message) = subscription.next() {
            assert!(!message.exception, "{message:?}");
            for record in message.payload["Records"].as_array().unwrap() {
                seen.push(record["SequenceNumber"].as_str().unwrap().to_owned());
            }
            let number = &message.payload["ContinuationSequenceNumber"];
            position = json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number});
        }
    }
    let consumer = register(&server, "last");
    let mut subscription = subscribe(&server, &consumer, position);
    while let Some(message) = subscription.next() {
        for record in message.payload["Records"].as_array().unwrap() {
            seen.push(record["SequenceNumber"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, written);
}

#[test]
fn a_second_call_is_refused_at_first_and_takes_over_later() {
    let (server, consumer) = served(&["--takeover-after", "1s"]);
    let latest = json!({"Type": "LATEST"});
    let mut first = subscribe(&server, &consumer, latest.clone());
    says("texts about consumers", "another active subscription");
    says_same("A second call of the same consumer and shard is `ResourceInUseException` for five seconds");
    let words = "Another active subscription exists for this consumer: 000000000000:s:shardId-000000000000:c";
    assert_eq!(
        refused(&server, &consumer, latest.clone()),
        ("ResourceInUseException".to_owned(), words.to_owned())
    );
    let mut second = loop {
        match Subscription::open(server.address(), &request(&consumer, latest.clone())) {
            Ok(subscription) => break subscription,
            Err((400, body)) => assert_eq!(body["__type"], "ResourceInUseException"),
            Err(other) => panic!("{other:?}"),
        }
    };
    let end = std::iter::from_fn(|| first.next()).last().unwrap();
    assert_eq!((end.exception, end.kind.as_str()), (true, "ResourceInUseException"));
    assert_eq!(end.payload["message"], words);
    let number = put(&server, "AAAA");
    assert_eq!(second.records(1).0[0].0, number);
}

#[test]
fn a_stream_that_is_deleted_and_a_consumer_that_is_given_up_end_their_subscriptions() {
    says_same("What ends a stream early is told in it.");
    says("a consumer that is deregistered", "its subscriptions end within five seconds");
    let (server, consumer) = served(&[]);
    let other = register(&server, "d");
    let mut of_consumer = subscribe(&server, &consumer, json!({"Type": "LATEST"}));
    let mut of_stream = subscribe(&server, &other, json!({"Type": "LATEST"}));
    server.ok("DeregisterStreamConsumer", &json!({"ConsumerARN": consumer}));
    let told: Vec<_> = std::iter::from_fn(|| of_consumer.next()).collect();
    let gone = told.last().unwrap();
    assert_eq!((gone.exception, gone.kind.as_str()), (true, "ResourceNotFoundException"), "{gone:?}");
    assert!(told.len() <= 3, "its first event, and one heartbeat of five seconds: {told:?}");
    server.ok("DeleteStream", &json!({"StreamName": "s", "EnforceConsumerDeletion": true}));
    let gone = std::iter::from_fn(|| of_stream.next()).last().unwrap();
    assert_eq!((gone.exception, gone.kind.as_str()), (true, "ResourceNotFoundException"), "{gone:?}");
}

#[test]
fn what_can_be_refused_is_refused_before_the_stream() {
    let (server, consumer) = served(&[]);
    let latest = json!({"Type": "LATEST"});
    let unknown = format!("{STREAM}/consumer/nobody:1");
    assert_eq!(refused(&server, &unknown, latest.clone()).0, "ResourceNotFoundException");
    let no_stream = consumer.replace("stream/s/", "stream/t/");
    assert_eq!(refused(&server, &no_stream, latest.clone()).0, "ResourceNotFoundException");
    let no_shard =
        json!({"ConsumerARN": consumer, "ShardId": "shardId-000000000009", "StartingPosition": latest});
    let (status, body) = Subscription::open(server.address(), &no_shard).unwrap_err();
    assert_eq!((status, &body["__type"]), (400, &json!("ResourceNotFoundException")));
    assert_eq!(
        refused(&server, &consumer, json!({"Type": "AT_SEQUENCE_NUMBER"})).0,
        "InvalidArgumentException"
    );
    assert_eq!(refused(&server, &consumer, json!({"Type": "EARLIEST"})).0, "ValidationException");
    let number = put(&server, "AAAA");
    let ahead =
        json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": number.replace(&number[50..], "000000")});
    assert_eq!(refused(&server, &consumer, ahead).0, "InvalidArgumentException");
}

#[test]
fn a_large_backlog_comes_in_events_of_about_a_mebibyte_at_two_a_second() {
    says_same("in events of about 1 MiB");
    let (server, consumer) =
        served(&["--limit", "shard-write-bytes=off", "--limit", "shard-write-records=off"]);
    let data = "A".repeat(400_000);
    for _ in 0..10 {
        put(&server, &data);
    }
    let mut subscription = subscribe(&server, &consumer, json!({"Type": "TRIM_HORIZON"}));
    let (mut records, mut behind) = (0, Vec::new());
    while records < 10 {
        let event = subscription.next().unwrap().payload;
        let count = event["Records"].as_array().unwrap().len();
        assert!((1..=3).contains(&count), "{count} records of 300,000 bytes in one event");
        records += count;
        behind.push(event["MillisBehindLatest"].as_u64().unwrap());
    }
    assert!(behind[0] > 0 && behind.last() == Some(&0), "{behind:?}");
}

#[test]
fn a_shard_that_is_split_ends_its_subscription_with_its_children() {
    let (server, consumer) = served(&[]);
    let number = put(&server, "AAAA");
    let mut subscription = subscribe(&server, &consumer, json!({"Type": "TRIM_HORIZON"}));
    assert_eq!(subscription.records(1).0[0].0, number);
    let middle = "170141183460469231731687303715884105728";
    server.ok("SplitShard", &json!({"StreamName": "s", "ShardToSplit": SHARD, "NewStartingHashKey": middle}));
    let end = std::iter::from_fn(|| subscription.next()).last().unwrap();
    assert!(!end.exception, "{end:?}");
    let children = end.payload["ChildShards"].as_array().unwrap();
    let ids: Vec<_> = children.iter().map(|child| child["ShardId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["shardId-000000000001", "shardId-000000000002"]);
    assert!(children.iter().all(|child| child["ParentShards"] == json!([SHARD])));
    assert_eq!(end.payload.get("ContinuationSequenceNumber"), None);

    let shards = server.ok("ListShards", &json!({"StreamName": "s"}));
    let ending = &shards["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"];
    let behind = json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": ending});
    let mut subscription = subscribe(&server, &register(&server, "other"), behind);
    assert_eq!(subscription.next().unwrap().payload, end.payload, "the shard has ended there");
    assert!(subscription.next().is_none());
}
