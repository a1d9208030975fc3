//! Faults on purpose: every example of docs/FAULTS.md is set on a real server, and does what the document says.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_tests::{
    http::{self, ANY_SIGNATURE},
    server::Server,
    subscription::Subscription,
};

const DOCUMENT: &str = include_str!("../../docs/FAULTS.md");
const SHARD: &str = "shardId-000000000000";

/// The TOML of the document whose first line says this.
fn example(name: &str) -> &'static str {
    let first = format!("# example: {name}\n");
    let blocks = DOCUMENT.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.into_iter().find(|block| block.starts_with(&first)).expect("the document has this example")
}

/// A server with an admin listener.
struct Faulty {
    server: Server,
}

impl Faulty {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let server = Server::start_with(&[&["--admin", "127.0.0.1:0"], arguments].concat());
        Self { server }
    }

    fn admin(&self, method: &str, path: &str, body: &str) -> http::Answer {
        let (admin, length) = (self.server.admin_address(), body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {admin}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        http::send(admin, request.as_bytes()).unwrap()
    }

    fn set(&self, rules: &str) {
        let answer = self.admin("PUT", "/faults", rules);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    fn hits(&self) -> Vec<u64> {
        let listed = self.admin("GET", "/faults", "").json();
        let rules = listed["rules"].as_array().unwrap();
        rules.iter().map(|rule| rule["hits"].as_u64().unwrap()).collect()
    }

    fn put(&self, key: &str) -> http::Answer {
        self.server.call("PutRecord", &json!({"StreamName": "orders", "PartitionKey": key, "Data": ""}))
    }

    /// What a consumer of a new stream subscribes with.
    fn consumer(&self) -> Value {
        self.server.stream("orders", 1);
        let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        let registration = json!({"StreamARN": stream, "ConsumerName": "c"});
        let consumer = self.server.ok("RegisterStreamConsumer", &registration);
        let consumer = &consumer["Consumer"]["ConsumerARN"];
        json!({"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}})
    }

    fn keys(&self) -> Vec<String> {
        self.server.read_all("orders", SHARD).into_iter().map(|(_, key, _)| key).collect()
    }

    fn iterator(&self, shard: &str) -> Value {
        let body = json!({"StreamName": "orders", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        self.server.ok("GetShardIterator", &body)["ShardIterator"].clone()
    }
}

fn told(answer: &http::Answer) -> (u16, String, String) {
    let body = answer.json();
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    (answer.status, text("__type"), text("message"))
}

#[test]
fn every_example_of_the_document_is_taken_and_taken_away() {
    let faulty = Faulty::start();
    let blocks: Vec<_> =
        DOCUMENT.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 9);
    for block in blocks {
        faulty.set(block);
        assert!(!faulty.hits().is_empty());
    }
    let mistake = faulty.admin("PUT", "/faults", "[[rule]]\nlatnecy = \"1s\"");
    assert_eq!(mistake.status, 400);
    assert!(String::from_utf8_lossy(&mistake.body).contains("did you mean \"latency\"?"));
    assert!(!faulty.hits().is_empty(), "a mistake changes nothing");
    assert_eq!(faulty.admin("DELETE", "/faults", "").json(), json!({"seed": null, "rules": []}));
}

#[test]
fn latency_holds_calls_up() {
    let faulty = Faulty::start();
    faulty.server.stream("orders", 1);
    faulty.set(example("latency"));
    let begin = Instant::now();
    assert_eq!(faulty.put("k").status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(faulty.keys(), ["k"]);
    faulty.server.ok("ListShards", &json!({"StreamName": "orders"}));
    faulty.server.ok("ListStreams", &json!({}));
    let hits = faulty.hits();
    assert_eq!((hits[0], hits[2], hits[3]), (1, 1, 1));
    assert!(hits[1] >= 1);
    let metrics = String::from_utf8(faulty.admin("GET", "/metrics", "").body).unwrap();
    let counted = metrics
        .lines()
        .find(|line| line.starts_with("weir_frontend_faults_injected_total{effect=\"latency\"}"));
    assert_eq!(counted.unwrap().rsplit(' ').next().unwrap(), (3 + hits[1]).to_string());
}

#[test]
fn errors_are_told_and_nothing_is_done() {
    let faulty = Faulty::start();
    faulty.server.stream("orders", 1);
    faulty.server.stream("other", 1);
    faulty.set(example("error"));
    let failure = (500, "InternalFailure".to_owned(), "Internal service failure.".to_owned());
    assert_eq!((told(&faulty.put("1")), told(&faulty.put("2"))), (failure.clone(), failure));
    assert_eq!(faulty.put("3").status, 200, "two calls meet it");
    assert_eq!(faulty.keys(), ["3"]);
    let described = faulty.server.call("DescribeStreamSummary", &json!({"StreamName": "orders"}));
    assert_eq!(told(&described), (400, "ResourceInUseException".to_owned(), "not today".to_owned()));
    faulty.server.ok("DescribeStreamSummary", &json!({"StreamName": "other"}));
    let text = "The request was rejected because the specified KMS key isn't enabled.";
    let disabled = (400, "KMSDisabledException".to_owned(), text.to_owned());
    assert_eq!(told(&faulty.server.call("ListShards", &json!({"StreamName": "orders"}))), disabled);
}

#[test]
fn throttled_calls_are_told_so_in_the_words_of_their_operation() {
    let faulty = Faulty::start();
    faulty.server.stream("orders", 2);
    faulty.set(example("throttle"));
    let put = |hash_key: &str| {
        let body = json!({
            "StreamName": "orders", "PartitionKey": "k", "ExplicitHashKey": hash_key, "Data": "",
        });
        faulty.server.call("PutRecord", &body)
    };
    let of_shard = (
        400,
        "ProvisionedThroughputExceededException".to_owned(),
        "Rate exceeded for shard shardId-000000000001 in stream orders under account 000000000000."
            .to_owned(),
    );
    assert_eq!(put("0").status, 200, "the other shard");
    assert_eq!(told(&put("340282366920938463463374607431768211455")), of_shard);
    let read = |shard| faulty.server.call("GetRecords", &json!({"ShardIterator": faulty.iterator(shard)}));
    assert_eq!(read(SHARD).status, 200);
    assert_eq!(told(&read("shardId-000000000001")), of_shard);
    let of_account =
        (400, "LimitExceededException".to_owned(), "Rate exceeded for account 000000000000.".to_owned());
    assert_eq!(told(&faulty.server.call("ListStreams", &json!({}))), of_account);
    assert_eq!(faulty.hits(), [2, 1]);
}

#[test]
fn a_stream_is_meant_by_its_arn_and_a_shard_however_it_is_spelled() {
    let faulty = Faulty::start();
    faulty.server.stream("orders", 2);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    let rule = |stream: &str, shard: &str| {
        format!("[[rule]]\nstream = \"{stream}\"\nshard = \"{shard}\"\nthrottle = true\n")
    };
    let other = arn.replace("us-east-1", "eu-west-1");
    faulty.set(&[rule(arn, "shardId-1"), rule("orders", "0"), rule(&other, "0")].concat());
    let iterator = |shard: &str| {
        let from = json!({"StreamARN": arn, "ShardId": shard, "ShardIteratorType": "LATEST"});
        faulty.server.call("GetShardIterator", &from).status
    };
    assert_eq!((iterator("shardId-000000000001"), iterator("shardId-00")), (400, 400));
    assert_eq!(faulty.hits(), [1, 1, 0], "another region's stream is another");
    for (stream, shard, told) in [
        ("a b", "0", "the rules sent:1: rule 1: stream: no stream is called \"a b\""),
        ("orders", "first", "the rules sent:1: rule 1: shard: no shard is called \"first\""),
    ] {
        let mistake = faulty.admin("PUT", "/faults", &rule(stream, shard));
        let text = String::from_utf8(mistake.body).unwrap();
        assert!(mistake.status == 400 && text.starts_with(told), "{text}");
    }
}

#[test]
fn some_records_fail_and_exactly_the_others_are_stored() {
    let faulty = Faulty::start();
    faulty.server.stream("orders", 1);
    faulty.set(example("records"));
    let records: Vec<_> = (0..400).map(|n| json!({"PartitionKey": n.to_string(), "Data": ""})).collect();
    let put = faulty.server.ok("PutRecords", &json!({"StreamName": "orders", "Records": records}));
    let results = put["Records"].as_array().unwrap();
    let failed = results.iter().filter(|result| result.get("ErrorCode").is_some());
    for result in failed.clone() {
        assert_eq!(result["ErrorCode"], "ProvisionedThroughputExceededException");
        let text = format!("Rate exceeded for shard {SHARD} in stream orders under account 000000000000.");
        assert_eq!(result["ErrorMessage"], text);
    }
    assert_eq!(put["FailedRecordCount"], failed.clone().count());
    assert!((150..250).contains(&failed.count()), "half of 400, by a seed");
    let stored = results.iter().enumerate().filter(|(_, result)| result.get("ErrorCode").is_none());
    let stored: Vec<_> = stored
        .map(|(n, result)| (result["SequenceNumber"].as_str().unwrap().to_owned(), n.to_string()))
        .collect();
    let read = faulty.server.read_all("orders", SHARD).into_iter().map(|(number, key, _)| (number, key));
    assert_eq!(read.collect::<Vec<_>>(), stored);
}

#[test]
fn an_iterator_expires_early_and_the_next_call_reads() {
    let faulty = Faulty::start();
    faulty.server.stream("orders", 1);
    assert_eq!(faulty.put("k").status, 200);
    faulty.set(example("expire_iterator"));
    let iterator = faulty.iterator(SHARD);
    let expired = told(&faulty.server.call("GetRecords", &json!({"ShardIterator": iterator})));
    assert_eq!((expired.0, expired.1.as_str()), (400, "ExpiredIteratorException"));
    assert!(expired.2.starts_with("Iterator expired. The iterator was created at time "), "{}", expired.2);
    let read = faulty.server.ok("GetRecords", &json!({"ShardIterator": iterator}));
    assert_eq!(read["Records"][0]["PartitionKey"], "k");
}

#[test]
fn a_cut_connection_tells_nothing_before_or_after_the_effect() {
    let faulty = Faulty::start();
    faulty.server.stream("orders", 1);
    faulty.set(example("cut"));
    let put = |key: &str| {
        let body = json!({"StreamName": "orders", "PartitionKey": key, "Data": ""}).to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: weir\r\nx-amz-target: Kinesis_20131202.PutRecord\r\n\
             content-type: application/x-amz-json-1.1\r\nx-amz-date: 20201125T024400Z\r\n\
             authorization: {ANY_SIGNATURE}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        http::send(faulty.server.address(), request.as_bytes())
    };
    assert!(put("before").is_err(), "no answer");
    assert!(put("after").is_err(), "no answer");
    assert_eq!(faulty.put("then").status, 200, "the server lives");
    assert_eq!(faulty.keys(), ["after", "then"]);
}

#[test]
fn events_stop_coming_and_go_on_where_they_stopped() {
    let faulty = Faulty::start();
    let from = faulty.consumer();
    faulty.set(&example("stall").replace("30s", "2s"));
    let mut events = Subscription::open(faulty.server.address(), &from).unwrap();
    let begin = Instant::now(); // the stall begins behind the second message, however late this test reads it
    let second = events.next().unwrap();
    assert_eq!(second.payload["Records"], json!([]), "the first was initial-response");
    assert_eq!(faulty.put("k").status, 200);
    let (records, _) = events.records(1);
    assert!(begin.elapsed() >= Duration::from_millis(1_800), "{:?}", begin.elapsed());
    assert_eq!((records.len(), faulty.hits()), (1, vec![1]));
}

#[test]
fn events_end_with_each_error_that_their_stream_has_and_the_consumer_comes_again() {
    let faulty = Faulty::start_with(&["--takeover-after", "0s"]);
    let from = faulty.consumer();
    faulty.set(example("exception"));
    let mut events = Subscription::open(faulty.server.address(), &from).unwrap();
    assert!(!events.next().unwrap().exception, "the first was initial-response");
    let end = events.next().unwrap();
    assert_eq!((end.exception, end.kind.as_str()), (true, "KMSDisabledException"));
    let text = "The request was rejected because the specified KMS key isn't enabled.";
    assert_eq!(end.payload, json!({"message": text}));
    assert_eq!(events.next(), None);
    for name in DOCUMENT.split("those that the event stream has: ").nth(1).unwrap().split('`') {
        if name.contains("; with") {
            break;
        } else if name.starts_with(|first: char| first.is_ascii_uppercase()) {
            faulty.set(&format!("[[rule]]\nmessage = \"m\"\nexception = {{ error = \"{name}\" }}"));
            let mut events = Subscription::open(faulty.server.address(), &from).unwrap();
            let end = events.next().unwrap();
            assert_eq!(
                (end.exception, end.kind.as_str(), &end.payload["message"]),
                (true, name, &json!("m"))
            );
            assert_eq!((events.next(), faulty.hits()), (None, vec![1]));
        }
    }
    faulty.set("");
    let mut events = Subscription::open(faulty.server.address(), &from).unwrap();
    assert_eq!(faulty.put("k").status, 200);
    assert_eq!(events.records(1).0.len(), 1);
}

#[test]
fn rules_from_a_file_are_there_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    std::fs::write(&file, "[[rule]]\noperations = [\"ListStreams\"]\nerror = \"ServiceUnavailable\"\n")
        .unwrap();
    let server = Server::start_with(&["--faults", file.to_str().unwrap()]);
    assert_eq!(server.call("ListStreams", &json!({})).status, 503);
}
