//! GetRecords: limits, lag and the end of what is there.

use serde_json::{Value, json};
use weir_tests::{http::Caller, semantics::says, server::Server};

fn horizon(server: &Server) -> String {
    let from =
        json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"});
    server.ok("GetShardIterator", &from)["ShardIterator"].as_str().unwrap().to_owned()
}

#[test]
fn a_limit_is_kept_and_the_next_iterator_goes_on_in_the_middle_of_a_batch() {
    let server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", 1);
    let records: Vec<Value> =
        (0..25).map(|n| json!({"PartitionKey": n.to_string(), "Data": "AA=="})).collect();
    server.ok("PutRecords", &json!({"StreamName": "s", "Records": records}));
    let mut iterator = horizon(&server);
    let mut keys = Vec::new();
    for _ in 0..4 {
        let read = server.ok("GetRecords", &json!({"ShardIterator": iterator, "Limit": 7}));
        let page = read["Records"].as_array().unwrap();
        assert!(page.len() <= 7);
        keys.extend(page.iter().map(|r| r["PartitionKey"].as_str().unwrap().to_owned()));
        assert_eq!(read["MillisBehindLatest"] == 0, keys.len() == 25, "behind until the last record is out");
        iterator = read["NextShardIterator"].as_str().unwrap().to_owned();
    }
    assert_eq!(keys, (0..25).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn an_iterator_leads_into_its_own_stream_alone() {
    says(
        "`StreamARN` of GetRecords",
        "is the iterator's stream, and without it the call is for the iterator's region",
    );
    says("`StreamARN` of GetRecords", "else `InvalidArgumentException`, its text is Weir's");
    let server = Server::start();
    server.stream("s", 1);
    let read = |region: &str, arn: Option<&str>| {
        let mut body = json!({"ShardIterator": horizon(&server)});
        if let Some(arn) = arn {
            body["StreamARN"] = json!(arn);
        }
        let answer = server.call_as(Caller { region, ..Caller::ANY }, "GetRecords", &body);
        (answer.status, answer.json()["__type"].as_str().unwrap_or_default().to_owned())
    };
    let own = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let well = (200, String::new());
    assert_eq!((read("us-east-1", None), read("us-east-1", Some(own))), (well.clone(), well.clone()));
    assert_eq!(read("eu-west-1", Some(own)), well, "an ARN names the region");
    let refused = (400, "InvalidArgumentException".to_owned());
    assert_eq!(read("eu-west-1", None), refused);
    for other in [
        "arn:aws:kinesis:us-east-1:000000000000:stream/other",
        "arn:aws:kinesis:eu-west-1:000000000000:stream/s",
        "arn:aws:kinesis:us-east-1:000000000007:stream/s",
    ] {
        assert_eq!(read("us-east-1", Some(other)), refused, "{other}");
    }
}

#[test]
fn the_end_of_an_open_shard_is_empty_and_goes_on() {
    let server = Server::start();
    server.stream("s", 1);
    let read = server.ok("GetRecords", &json!({"ShardIterator": horizon(&server)}));
    assert_eq!(read["Records"], json!([]));
    assert_eq!(read["MillisBehindLatest"], 0);
    assert!(read["NextShardIterator"].is_string());
}

#[test]
fn a_record_shows_when_it_arrived() {
    let server = Server::start();
    server.stream("s", 1);
    server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}));
    let read = server.ok("GetRecords", &json!({"ShardIterator": horizon(&server)}));
    let record = &read["Records"][0];
    assert!(record["ApproximateArrivalTimestamp"].as_f64().unwrap() > 1_700_000_000.0);
    assert_eq!(record["Data"], "");
    assert!(record.get("EncryptionType").is_none());
}
