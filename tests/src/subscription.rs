//! A subscription to a shard over a plain socket: HTTP/1.1 chunks, and the messages of the event stream in them.
//!
//! It reads what comes and nothing ahead, so that a test sees when a message comes. Checksums are left to the SDKs, which
//! check them.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::http::ANY_SIGNATURE;

/// How long the next message may take: several heartbeats.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A running subscription.
#[derive(Debug)]
pub struct Subscription {
    stream: BufReader<TcpStream>,
    /// What a chunk holds beyond the last message.
    rest: Vec<u8>,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// `:event-type`, or `:exception-type` of an error.
    pub kind: String,
    /// Is it an error?
    pub exception: bool,
    /// The payload.
    pub payload: Value,
}

impl Subscription {
    /// Subscribes; an answer other than 200 is the error: its status and its body.
    pub fn open(address: SocketAddr, body: &Value) -> Result<Self, (u16, Value)> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(MESSAGE_TIMEOUT)).expect("a timeout");
        write!(
            stream,
            "POST / HTTP/1.1\r\nhost: {address}\r\nx-amz-target: Kinesis_20131202.SubscribeToShard\r\n\
             content-type: application/x-amz-json-1.1\r\nx-amz-date: 20201125T024400Z\r\n\
             authorization: {ANY_SIGNATURE}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the server reads");
        let mut stream = BufReader::new(stream);
        let (status, headers) = read_head(&mut stream);
        if status != 200 {
            let bytes = headers["content-length"].parse().expect("a number");
            let mut body = vec![0; bytes];
            stream.read_exact(&mut body).expect("the whole answer");
            return Err((status, serde_json::from_slice(&body).expect("JSON")));
        }
        assert_eq!(headers["content-type"], "application/vnd.amazon.eventstream");
        assert_eq!(headers["transfer-encoding"], "chunked");
        let mut subscription = Self { stream, rest: Vec::new() };
        let first = subscription.next().expect("a first message");
        assert_eq!((first.kind.as_str(), first.exception), ("initial-response", false));
        Ok(subscription)
    }

    /// The next message; `None` when the stream has ended as it should.
    #[expect(clippy::should_implement_trait, reason = "it waits for a server and is no iterator to chain")]
    pub fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.take_message() {
                return Some(message);
            }
            let mut size = String::new();
            self.stream.read_line(&mut size).expect("a chunk's size in time");
            let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).expect("a whole chunk");
            if size == 0 {
                assert!(self.rest.is_empty(), "the stream ended inside a message");
                return None;
            }
            self.rest.extend_from_slice(&chunk[..size]);
        }
    }

    /// Records until there are `count`: (sequence number, data in base64); and the last continuation.
    pub fn records(&mut self, count: usize) -> (Vec<(String, String)>, String) {
        let (mut records, mut continuation) = (Vec::new(), String::new());
        while records.len() < count {
            let message = self.next().expect("more records");
            assert!(!message.exception, "{message:?}");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let list = message.payload["Records"].as_array().expect("a list");
            records
                .extend(list.iter().map(|record| (text(&record["SequenceNumber"]), text(&record["Data"]))));
            continuation = text(&message.payload["ContinuationSequenceNumber"]);
        }
        (records, continuation)
    }

    fn take_message(&mut self) -> Option<Message> {
        let number = |at: usize| {
            let bytes = self.rest.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().expect("four")) as usize)
        };
        let (total, headers) = (number(0)?, number(4)?);
        if self.rest.len() < total {
            return None;
        }
        let message: Vec<u8> = self.rest.drain(..total).collect();
        let headers = read_headers(&message[12..12 + headers]);
        let payload =
            serde_json::from_slice(&message[12 + message_headers(&message)..total - 4]).expect("JSON");
        let exception = headers[":message-type"] == "exception";
        let kind = headers[if exception { ":exception-type" } else { ":event-type" }].clone();
        Some(Message { kind, exception, payload })
    }
}

fn message_headers(message: &[u8]) -> usize {
    u32::from_be_bytes(message[4..8].try_into().expect("four")) as usize
}

fn read_head(stream: &mut impl BufRead) -> (u16, BTreeMap<String, String>) {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("a header");
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None => return (status, headers),
        }
    }
}

fn read_headers(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    while let Some((&name_bytes, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at(name_bytes.into());
        assert_eq!(rest[0], 7, "a text");
        let value_bytes = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
        let (value, rest) = rest[3..].split_at(value_bytes);
        headers.insert(text(name), text(value));
        bytes = rest;
    }
    headers
}
