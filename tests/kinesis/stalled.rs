//! Clients that stall: in their head, their TLS handshake or their body, or before the first byte. Each is left for as long
//! as it has, and then hears of it or is closed.
//!
//! All of them wait side by side, for half a minute of the machine's own time: nothing here could pass it for them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use weir_tests::{http::ANY_SIGNATURE, semantics::says, server::Server};

/// What a client does, and what it hears of it.
struct Stall {
    what: &'static str,
    /// Sent, and then no more.
    begun: Vec<u8>,
    /// To the https port.
    secured: bool,
    /// How long the server waits.
    after: Duration,
    /// How its last words begin; none: it is closed without one.
    heard: &'static str,
}

/// Stalls until the server ends it; how long that took, and what was heard.
fn stall(address: SocketAddr, begun: &[u8], patience: Duration) -> (Duration, Vec<u8>) {
    let since = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(begun).unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("an end in time, and no reset");
    (since.elapsed(), heard)
}

#[test]
fn who_stalls_is_waited_for_and_then_closed_or_told() {
    says(
        "stalls in its head, its TLS handshake, its body",
        "a close after 20 s, a close after 10 s, `RequestTimeoutException` (408) after 30 s",
    );
    says("opens connections and is silent", "nothing; of HTTP/1.1 closed after 20 s");
    let server = Server::start_with(&["--tls-self-signed", "--tls-listen", "127.0.0.1:0"]);
    let (head, handshake, body) = (Duration::from_secs(20), Duration::from_secs(10), Duration::from_secs(30));
    let half_a_head = "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_2013";
    let half_a_body = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.ListStreams\r\n\
         content-type: application/x-amz-json-1.1\r\nx-amz-date: 20201125T024400Z\r\n\
         authorization: {ANY_SIGNATURE}\r\ncontent-length: 2\r\n\r\n{{"
    );
    let half_a_hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], [7; 32].as_slice()].concat();
    let secured = |begun| Stall { what: "handshake", begun, secured: true, after: handshake, heard: "" };
    let plain = |what, begun: &str, after, heard| {
        let begun = begun.as_bytes().to_vec();
        Stall { what, begun, secured: false, after, heard }
    };
    let stalls = [
        secured(Vec::new()),
        secured(half_a_hello),
        plain("silent", "", head, ""),
        plain("head", half_a_head, head, ""),
        plain("body", &half_a_body, body, "HTTP/1.1 408 "),
    ];
    thread::scope(|scope| {
        for Stall { what, begun, secured, after, heard } in stalls {
            let address = if secured { server.secure_address() } else { server.address() };
            scope.spawn(move || {
                let (took, answer) = stall(address, &begun, 2 * after);
                let answer = String::from_utf8_lossy(&answer);
                assert!(took >= after, "{what}: after {took:?}");
                assert!(
                    answer.starts_with(heard) && answer.is_empty() == heard.is_empty(),
                    "{what}: {answer}"
                );
                assert!(heard.is_empty() || answer.contains("RequestTimeoutException"), "{what}: {answer}");
            });
        }
    });
}
