//! CBOR 1.1, as the Java SDK speaks it: the same operations, the same errors, and Kinesis's own ways with times and data.

use std::process::Command;

use ciborium::{Value, cbor};
use serde_json::json;
use weir_tests::{
    http,
    semantics::{says, says_same},
    server::Server,
    weir,
};

const CONTENT_TYPE: &str = "application/x-amz-cbor-1.1";

fn post(server: &Server, operation: &str, head: &str, body: &[u8]) -> http::Answer {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.{operation}\r\ncontent-type: {CONTENT_TYPE}\r\n\
         {head}connection: close\r\n\r\n"
    );
    http::send(server.address(), &[head.as_bytes(), body].concat()).expect("an answer")
}

fn send(server: &Server, operation: &str, body: &[u8]) -> http::Answer {
    let head = format!(
        "authorization: {}\r\nx-amz-date: 20201125T024400Z\r\ncontent-length: {}\r\n",
        http::ANY_SIGNATURE,
        body.len()
    );
    let answer = post(server, operation, &head, body);
    assert!(
        answer.head.to_ascii_lowercase().contains(&format!("content-type: {CONTENT_TYPE}")),
        "{}",
        answer.head
    );
    answer
}

fn call(server: &Server, operation: &str, body: &Value) -> http::Answer {
    let mut bytes = Vec::new();
    ciborium::into_writer(body, &mut bytes).expect("a vector takes everything");
    send(server, operation, &bytes)
}

fn ok(server: &Server, operation: &str, body: &Value) -> Value {
    let answer = call(server, operation, body);
    assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(&answer.body));
    if answer.body.is_empty() { Value::Null } else { read(&answer) }
}

fn read(answer: &http::Answer) -> Value {
    ciborium::from_reader(&answer.body[..]).expect("an answer in CBOR")
}

fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    let members = value.as_map().expect("a map");
    let found = members.iter().find(|(key, _)| key.as_text() == Some(name));
    &found.unwrap_or_else(|| panic!("{name} is in {value:?}")).1
}

/// The code and the text of an error.
fn told(answer: &http::Answer) -> (String, Option<String>) {
    assert_eq!(answer.status, 400);
    let body = read(answer);
    let text = |name: &str| {
        let members = body.as_map().expect("a map");
        members.iter().find(|(key, _)| key.as_text() == Some(name)).and_then(|(_, text)| text.as_text())
    };
    (text("__type").expect("a code").to_owned(), text("message").or(text("Message")).map(str::to_owned))
}

#[test]
fn records_go_in_as_byte_strings_and_come_out_as_such_and_times_are_tagged_milliseconds() {
    says_same("In CBOR a time is tag 1 with whole milliseconds in both directions, data is a byte string");
    let server = Server::start();
    server.stream("s", 1);
    let data: Vec<u8> = (0..=255).collect();
    let entry = |key: &str| cbor!({"PartitionKey" => key, "Data" => Value::Bytes(data.clone())}).unwrap();
    let put = cbor!({"StreamName" => "s", "Records" => [entry("a"), entry("b")]}).unwrap();
    let result = ok(&server, "PutRecords", &put);
    assert_eq!(member(&result, "FailedRecordCount"), &Value::from(0));
    let one =
        cbor!({"StreamName" => "s", "PartitionKey" => "c", "Data" => Value::Bytes(Vec::new())}).unwrap();
    let sequence = member(&ok(&server, "PutRecord", &one), "SequenceNumber").as_text().unwrap().to_owned();
    assert_eq!(sequence.len(), 56);

    let oldest = cbor!({
        "StreamName" => "s", "ShardId" => "shardId-000000000000", "ShardIteratorType" => "TRIM_HORIZON"
    });
    let iterator = member(&ok(&server, "GetShardIterator", &oldest.unwrap()), "ShardIterator").clone();
    let page = ok(&server, "GetRecords", &cbor!({"ShardIterator" => iterator}).unwrap());
    let records = member(&page, "Records").as_array().unwrap();
    assert_eq!(records.len(), 3);
    assert_eq!(member(&records[0], "Data"), &Value::Bytes(data));
    assert_eq!(member(&records[2], "Data"), &Value::Bytes(Vec::new()));
    let Value::Tag(1, arrived) = member(&records[0], "ApproximateArrivalTimestamp") else {
        panic!("a time is tagged: {:?}", records[0])
    };
    let arrived = u64::try_from(arrived.as_integer().expect("whole milliseconds")).unwrap();

    // The time that came out goes in again and finds the same record.
    let at = cbor!({
        "StreamName" => "s", "ShardId" => "shardId-000000000000", "ShardIteratorType" => "AT_TIMESTAMP",
        "Timestamp" => Value::Tag(1, Box::new(Value::from(arrived)))
    });
    let iterator = member(&ok(&server, "GetShardIterator", &at.unwrap()), "ShardIterator").clone();
    let page = ok(&server, "GetRecords", &cbor!({"ShardIterator" => iterator, "Limit" => 1}).unwrap());
    assert_eq!(member(&member(&page, "Records").as_array().unwrap()[0], "PartitionKey"), &Value::from("a"));
    let json = server.read_all("s", "shardId-000000000000");
    assert_eq!(json.len(), 3, "readers in JSON see the same records");
    assert_eq!(json[2].0, sequence);
}

#[test]
fn lengths_may_be_left_out_as_the_java_sdk_leaves_them_out() {
    let server = Server::start();
    let create = b"\xbf\x6aStreamName\x7f\x61s\x61t\xff\x6aShardCount\x02\xff";
    assert_eq!(send(&server, "CreateStream", create).status, 200);
    let listed = ok(&server, "ListStreams", &cbor!({}).unwrap());
    assert_eq!(member(&listed, "StreamNames"), &cbor!(["st"]).unwrap());
    assert_eq!(send(&server, "ListStreams", b"\xbf\xff").status, 200);
}

#[test]
fn every_operation_tells_the_same_faults_in_both_encodings() {
    says_same("JSON 1.1 and CBOR 1.1 for every operation and every error, with the same texts.");
    let server = Server::start();
    let operations = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/model/operations.txt"));
    let mut compared = 0;
    for operation in operations.expect("the list is there").lines().filter(|line| !line.starts_with('#')) {
        let json = server.call(operation, &json!({"StreamName": "no body", "Limit": 0, "ResourceARN": 7}));
        let ours = cbor!({"StreamName" => "no body", "Limit" => 0, "ResourceARN" => 7}).unwrap();
        let cbor = call(&server, operation, &ours);
        assert_eq!(json.status, cbor.status, "{operation}");
        if json.status == 400 {
            let body = json.json();
            let text = body.get("message").or(body.get("Message")).and_then(|text| text.as_str());
            let expected = (body["__type"].as_str().unwrap().to_owned(), text.map(str::to_owned));
            assert_eq!(told(&cbor), expected, "{operation}");
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared} faults compared");
}

#[test]
fn a_subscription_in_cbor_is_refused_for_good() {
    says("SubscribeToShard in CBOR", "`InvalidArgumentException` (400)");
    let server = Server::start();
    let position = cbor!({"Type" => "LATEST"}).unwrap();
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1";
    let body =
        cbor!({"ConsumerARN" => arn, "ShardId" => "shardId-0", "StartingPosition" => position}).unwrap();
    let (code, text) = told(&call(&server, "SubscribeToShard", &body));
    assert_eq!(code, "InvalidArgumentException");
    assert!(text.unwrap().contains("application/x-amz-json-1.1"));
}

#[test]
fn what_goes_wrong_before_a_body_is_read_is_told_in_cbor_too() {
    let server = Server::start();
    assert_eq!(told(&call(&server, "MakeCoffee", &Value::Null)), ("UnknownOperationException".into(), None));
    let unsigned = post(&server, "ListStreams", "content-length: 2\r\n", b"\xbf\xff");
    assert_eq!(
        told(&unsigned),
        ("MissingAuthenticationTokenException".into(), Some("Missing Authentication Token".into()))
    );
    for body in [&b""[..], b"\xbf", b"{}", b"\xff\xff", b"\xf6"] {
        let answer = send(&server, "ListStreams", body);
        assert_eq!(told(&answer), ("SerializationException".into(), None), "{body:?}");
    }
    says("big numbers, decimal fractions and big floats in CBOR (tags 2 to 5)", "`SerializationException`");
    for number in [
        &b"\xa1\x65Limit\xc2\x41\x01"[..],
        b"\xa1\x65Limit\xc3\x41\x01",
        b"\xa1\x65Limit\xc4\x82\x00\x01",
        b"\xa1\x65Limit\xc5\x82\x00\x01",
    ] {
        assert_eq!(told(&send(&server, "ListStreams", number)).0, "SerializationException", "{number:?}");
    }
    let broken = post(&server, "PutRecords", "transfer-encoding: chunked\r\n", b"no length\r\n");
    assert_eq!(told(&broken), ("SerializationException".into(), None));
    server.ok("ListStreams", &json!({}));
}

#[test]
fn the_load_generator_speaks_cbor_and_every_record_arrives() {
    let server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", 1);
    let load = Command::new(weir())
        .args(["load", "--endpoint", &server.url(), "--stream", "s", "--encoding", "cbor", "--rate", "100/s"])
        .args(["--batch", "5", "--record-size", "100", "--duration", "2s", "--json"])
        .output()
        .expect("weir load runs");
    assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
    let told: serde_json::Value = serde_json::from_slice(&load.stdout).expect("one object");
    let records = told["records"].as_u64().expect("a count");
    assert!(records > 0 && told["errors"].as_object().is_some_and(serde_json::Map::is_empty), "{told}");
    assert_eq!(server.read_all("s", "shardId-000000000000").len() as u64, records);
}

#[test]
fn an_error_that_a_fault_makes_has_its_usual_text() {
    let faults = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(faults.path(), "[[rule]]\nerror = \"KMSDisabledException\"\n").unwrap();
    let server = Server::start_with(&["--faults", faults.path().to_str().unwrap()]);
    let text = "The request was rejected because the specified KMS key isn't enabled.";
    let disabled = ("KMSDisabledException".to_owned(), Some(text.to_owned()));
    assert_eq!(told(&call(&server, "ListStreams", &cbor!({}).unwrap())), disabled);
}
