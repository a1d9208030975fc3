//! The wire itself: what no SDK sends, and what every answer carries.

use serde_json::json;
use weir_tests::{
    http,
    semantics::{PAGE, says, says_same, table},
    server::Server,
};

fn raw(server: &Server, head: &str, body: &[u8]) -> http::Answer {
    http::send(server.address(), &[head.as_bytes(), body].concat()).expect("an answer")
}

#[test]
fn every_answer_has_its_ids_and_an_error_has_no_nulls() {
    let server = Server::start();
    let answer = server.call("DescribeStream", &json!({"StreamName": "nobody"}));
    let head = answer.head.to_ascii_lowercase();
    for header in ["x-amzn-requestid: ", "x-amz-id-2: ", "content-type: application/x-amz-json-1.1", "date: "]
    {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert!(!String::from_utf8_lossy(&answer.body).contains("null"));
}

#[test]
fn an_unknown_operation_and_a_missing_signature_are_told_apart() {
    says("the 17 operations of queues and channels", "`UnsupportedOperationException` (400)");
    says(
        "authentication",
        "comes before the body is looked at: a request with both faults hears of its signature",
    );
    let server = Server::start();
    let unknown = server.call("MakeCoffee", &json!({}));
    assert_eq!((unknown.status, unknown.json()["__type"].clone()), (400, json!("UnknownOperationException")));
    let operations = table(PAGE, "| operation | is | how it differs |");
    let refused: Vec<_> = operations.into_iter().filter(|row| row[1] == "refused").collect();
    assert_eq!(refused.len(), 17);
    for row in refused {
        let told = server.call(&row[0], &json!({"StreamARN": "any"}));
        let code = told.json()["__type"].clone();
        assert_eq!((told.status, code), (400, json!("UnsupportedOperationException")), "{}", row[0]);
    }
    for body in [b"{}", b"}{"] {
        let unsigned = raw(
            &server,
            "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.ListStreams\r\n\
             content-type: application/x-amz-json-1.1\r\ncontent-length: 2\r\nconnection: close\r\n\r\n",
            body,
        );
        assert_eq!(unsigned.status, 400);
        assert_eq!(unsigned.json()["__type"], "MissingAuthenticationTokenException");
    }
}

#[test]
fn that_any_signature_passes_is_said_once_at_start() {
    says(
        "signatures without configured credentials",
        "any well-formed signature is accepted; said once at start",
    );
    let log = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start_logging_to(log.path(), &[]);
    for _ in 0..3 {
        server.ok("ListStreams", &json!({}));
    }
    let said = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!(said.matches("any well-formed signature is accepted").count(), 1, "{said}");
}

#[test]
fn malformed_json_is_a_serialization_error_and_the_server_lives() {
    let server = Server::start();
    for body in [&b"{"[..], b"[]", b"\xff\xfe", b"{\"StreamName\": }", b""] {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.DescribeStream\r\n\
             content-type: application/x-amz-json-1.1\r\nauthorization: {}\r\nx-amz-date: 20201125T024400Z\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            http::ANY_SIGNATURE,
            body.len()
        );
        let answer = raw(&server, &head, body);
        let told = (answer.status, answer.json()["__type"].clone());
        assert_eq!(told, (400, json!("SerializationException")), "{body:?}");
    }
    server.ok("ListStreams", &json!({}));
}

#[test]
fn a_body_cut_short_and_a_head_too_large_close_that_connection_only() {
    let server = Server::start();
    let short = "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.ListStreams\r\ncontent-length: 100\r\n\r\n{";
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut stream, short.as_bytes()).unwrap();
    drop(stream);
    let large = format!("POST / HTTP/1.1\r\nhost: h\r\nx-large: {}\r\n\r\n", "x".repeat(300_000));
    let answer = http::send(server.address(), large.as_bytes());
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 431));
    server.ok("ListStreams", &json!({}));
}

#[test]
fn the_listener_answers_health_checks() {
    let server = Server::start();
    let answer = raw(&server, "GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", b"");
    assert_eq!(answer.status, 200);
}

#[test]
fn account_based_host_names_are_taken_and_say_nothing_of_who_calls() {
    says_same("who calls is told by the signature alone");
    let server = Server::start();
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    server.stream("s", 1);
    let call = |host: &str, operation: &str, body: String| {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\nx-amz-target: Kinesis_20131202.{operation}\r\n\
             content-type: application/x-amz-json-1.1\r\nauthorization: {}\r\nx-amz-date: 20201125T024400Z\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            http::ANY_SIGNATURE,
            body.len()
        );
        let answer = raw(&server, &head, body.as_bytes());
        assert_eq!(answer.status, 200, "{host}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    };
    for account in ["000000000000", "123456789012"] {
        let put = json!({"StreamARN": arn, "PartitionKey": "k", "Data": "eA=="}).to_string();
        let data = format!("{account}.data-kinesis.us-east-1.amazonaws.com");
        assert_eq!(call(&data, "PutRecord", put)["ShardId"], "shardId-000000000000");
        let control = format!("{account}.control-kinesis.us-east-1.amazonaws.com");
        let described = call(&control, "DescribeStreamSummary", json!({"StreamARN": arn}).to_string());
        assert_eq!(described["StreamDescriptionSummary"]["StreamARN"], arn);
    }
}

/// The value of a header in an answer.
fn header(answer: &http::Answer, name: &str) -> Option<String> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

#[test]
fn a_browser_is_told_that_it_may_call_and_what_it_may_read() {
    says_same("`OPTIONS` with an `Origin` is answered, and every answer to an `Origin` shows its ids.");
    let server = Server::start();
    let asked = "OPTIONS / HTTP/1.1\r\nhost: h\r\norigin: whatever\r\naccess-control-request-headers: a, b, c\r\n\
                 access-control-request-method: d\r\nconnection: close\r\n\r\n";
    let answer = raw(&server, asked, b"");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "a, b, c"),
        ("access-control-allow-methods", "d"),
        ("access-control-max-age", "172800"),
        ("content-length", "0"),
    ] {
        assert_eq!(header(&answer, name).as_deref(), Some(value), "{name}");
    }
    assert!(header(&answer, "x-amzn-requestid").is_some() && header(&answer, "x-amz-id-2").is_none());

    let refused = raw(&server, "POST / HTTP/1.1\r\nhost: h\r\norigin: o\r\nconnection: close\r\n\r\n", b"");
    assert_eq!(
        (refused.status, header(&refused, "access-control-allow-origin")),
        (403, Some("*".to_owned()))
    );
    let exposed = header(&refused, "access-control-expose-headers").unwrap();
    assert!(exposed.split(',').any(|name| name == "x-amzn-RequestId"), "{exposed}");

    let nobody = raw(&server, "OPTIONS / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", b"");
    assert_eq!((nobody.status, header(&nobody, "access-control-allow-origin")), (403, None));
}
