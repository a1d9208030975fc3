//! Every error of the service model is met, each the way a caller meets it, with the status and the shape that SDKs read.
//!
//! The model's extract says which there are; what only another account or nobody at all can meet is said here, with why.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_tests::{
    again::until_refused,
    http::{self, ANY_SIGNATURE, Answer, Caller},
    semantics::says,
    server::Server,
};

const SHARD: &str = "shardId-000000000000";
const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

/// The faults of the server whose failures are on purpose.
const FAULTS: &str = "[[rule]]\noperations = [\"ListShards\"]\nerror = \"InternalFailure\"\n";
/// What the model calls it; on the wire of the service it is another name.
const FAILURE: &str = "InternalFailureException";
/// Only operations of queues have it.
const OF_QUEUES: &str = "ThrottlingException";

/// Servers that differ in what can be met at them.
struct Servers {
    /// As it is started, with operations called as often as one likes.
    plain: Server,
    /// Iterators and tokens live for a millisecond, two shards are all there may be, a shard takes one record a second, and
    /// reads are as many as one likes; a fault in ListShards.
    strict: Server,
    _faults: tempfile::NamedTempFile,
}

impl Servers {
    fn start() -> Self {
        let faults = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(faults.path(), FAULTS).unwrap();
        let plain = Server::start();
        plain.stream("s", 1);
        let strict = Server::start_with(&[
            "--iterator-lifetime",
            "1ms",
            "--limit",
            "account-shards=2",
            "--limit",
            "shard-write-records=1/s",
            "--limit",
            "GetRecords=off",
            "--faults",
            faults.path().to_str().unwrap(),
        ]);
        for name in ["s", "t"] {
            strict.stream(name, 1);
        }
        Self { plain, strict, _faults: faults }
    }
}

fn encrypt(servers: &Servers, key: &str) -> Answer {
    let body = json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": format!("alias/weir/{key}")});
    servers.plain.call("StartStreamEncryption", &body)
}

fn iterator(server: &Server) -> Value {
    let from = json!({"StreamName": "s", "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"});
    server.ok("GetShardIterator", &from)["ShardIterator"].clone()
}

type Meeting = fn(&Servers) -> Answer;

/// Each error of the model and how it is met.
const MEETINGS: &[(&str, Meeting)] = &[
    ("AccessDeniedException", |servers| {
        let stranger = Caller { access_key: "000000000007", region: "us-east-1" };
        servers.plain.call_as(stranger, "DescribeStreamSummary", &json!({"StreamARN": ARN}))
    }),
    ("DryRunOperationException", |servers| {
        let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": "AAAA", "DryRun": true});
        servers.plain.call("PutRecord", &put)
    }),
    ("ExpiredIteratorException", |servers| {
        let iterator = iterator(&servers.strict);
        until_refused(|| servers.strict.call("GetRecords", &json!({"ShardIterator": iterator}))).1
    }),
    ("ExpiredNextTokenException", |servers| {
        let page = servers.strict.ok("ListStreams", &json!({"Limit": 1}));
        until_refused(|| servers.strict.call("ListStreams", &json!({"NextToken": page["NextToken"]}))).1
    }),
    (FAILURE, |servers| servers.strict.call("ListShards", &json!({"StreamName": "s"}))),
    ("InvalidArgumentException", |servers| {
        servers.plain.call("GetRecords", &json!({"ShardIterator": "AAAAAAAAAAE="}))
    }),
    ("KMSAccessDeniedException", |servers| encrypt(servers, "access-denied")),
    ("KMSDisabledException", |servers| encrypt(servers, "disabled")),
    ("KMSInvalidStateException", |servers| encrypt(servers, "invalid-state")),
    ("KMSNotFoundException", |servers| encrypt(servers, "not-found")),
    ("KMSOptInRequired", |servers| encrypt(servers, "opt-in-required")),
    ("KMSThrottlingException", |servers| encrypt(servers, "throttling")),
    ("LimitExceededException", |servers| {
        servers.strict.call("CreateStream", &json!({"StreamName": "u", "ShardCount": 1}))
    }),
    ("ProvisionedThroughputExceededException", |servers| {
        let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": "AAAA"});
        until_refused(|| servers.strict.call("PutRecord", &put)).1
    }),
    ("ResourceInUseException", |servers| {
        servers.plain.call("CreateStream", &json!({"StreamName": "s", "ShardCount": 1}))
    }),
    ("ResourceNotFoundException", |servers| {
        servers.plain.call("DeleteStream", &json!({"StreamName": "nobody"}))
    }),
    ("ValidationException", |servers| servers.plain.call("CreateStream", &json!({"StreamName": "no name"}))),
];

/// What the errors of an operation's model are called.
fn model_errors() -> BTreeSet<String> {
    let model: Value = serde_json::from_str(include_str!("../model/shapes.json")).unwrap();
    let operations = model["operations"].as_object().unwrap().values();
    let errors = operations.flat_map(|operation| operation["errors"].as_array().unwrap().clone());
    errors.map(|error| error.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_error_of_the_model_is_met() {
    says("iterators, and tokens that lists go on with", "or after `--iterator-lifetime`");
    let mut known = model_errors();
    assert!(known.remove(OF_QUEUES));
    assert_eq!(known, MEETINGS.iter().map(|(code, _)| (*code).to_owned()).collect::<BTreeSet<_>>());
    let servers = Servers::start();
    for (code, meet) in MEETINGS {
        let answer = meet(&servers);
        let (status, name) = if *code == FAILURE { (500, "InternalFailure") } else { (400, *code) };
        let told = answer.json();
        assert_eq!((answer.status, told["__type"].as_str()), (status, Some(name)), "{told}");
    }
}

/// Sends a call of ListStreams with these lines in its head; the answer's code.
fn refused(server: &Server, lines: &str) -> String {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.ListStreams\r\n\
         content-type: application/x-amz-json-1.1\r\n{lines}content-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    let answer = http::send(server.address(), request.as_bytes()).unwrap();
    assert_eq!(answer.status, 400);
    answer.json()["__type"].as_str().unwrap().to_owned()
}

#[test]
fn every_error_of_a_signature_is_met() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\n")
        .unwrap();
    let server = Server::start_with(&["--credentials", file.path().to_str().unwrap()]);
    let date = "x-amz-date: 20201125T024400Z\r\n";
    let signed = |signature: &str| format!("authorization: {signature}\r\n{date}");
    let incomplete = ANY_SIGNATURE.split(", Signature=").next().unwrap();
    for (lines, code) in [
        (date.to_owned(), "MissingAuthenticationTokenException"),
        (signed(incomplete), "IncompleteSignatureException"),
        (signed(&ANY_SIGNATURE.replace("AKID", "STRANGER")), "UnrecognizedClientException"),
        (signed(ANY_SIGNATURE), "InvalidSignatureException"),
    ] {
        assert_eq!(refused(&server, &lines), code);
    }
}
