//! One connection that calls Kinesis and waits: HTTP/1.1, JSON, a made-up signature.
//!
//! It comes again after an answer that closes its connection, as some emulators' do. Answers carry their length.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Bytes that are asked of the socket at once while a head is awaited.
const HEAD_ROOM_BYTES: usize = 64 << 10;

/// A caller.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What a head says.
struct Head {
    bytes: usize,
    status: u16,
    body_bytes: Option<usize>,
    closes: bool,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::new() }
    }

    /// Sends a call, and does not wait; the connection that its answer comes on, which this caller then leaves alone.
    pub(super) fn send(mut self, operation: &str, body: &str) -> anyhow::Result<TcpStream> {
        self.write(operation, body)?;
        self.stream.take().context("a connection was just written to")
    }

    /// The body of a call's answer; an answer other than 200 is an error.
    pub(super) fn call(&mut self, operation: &str, body: &str) -> anyhow::Result<&[u8]> {
        self.write(operation, body)?;
        let stream = self.stream.as_mut().context("a connection was just written to")?;
        let mut filled = 0;
        let head = loop {
            if self.buffer.len() < filled + HEAD_ROOM_BYTES {
                self.buffer.resize(filled + HEAD_ROOM_BYTES, 0);
            }
            let count = stream.read(&mut self.buffer[filled..]).context("an answer")?;
            if count == 0 {
                bail!("{operation}: the connection was closed without an answer");
            }
            filled += count;
            if let Some(head) = head(&self.buffer[..filled])? {
                break head;
            }
        };
        let whole = head.bytes + head.body_bytes.context("an answer without a length")?;
        if self.buffer.len() < whole {
            self.buffer.resize(whole, 0);
        }
        if filled < whole {
            stream.read_exact(&mut self.buffer[filled..whole])?;
        }
        if head.closes {
            self.stream = None;
        }
        let body = &self.buffer[head.bytes..whole];
        if head.status != 200 {
            bail!("{operation}: {} {}", head.status, String::from_utf8_lossy(body));
        }
        Ok(body)
    }

    fn write(&mut self, operation: &str, body: &str) -> anyhow::Result<()> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.address).context("connect")?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
                none.insert(stream)
            }
        };
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-amz-json-1.1\r\n\
             x-amz-target: Kinesis_20131202.{operation}\r\nx-amz-date: 20201125T024400Z\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=bench/20201125/us-east-1/kinesis/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={:064}\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            0,
            body.len()
        );
        stream.write_all(request.as_bytes()).context("a request")
    }
}

fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = parsed.parse(bytes)? else { return Ok(None) };
    let value = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    Ok(Some(Head {
        bytes: head_bytes,
        status: parsed.code.context("an answer without a status")?,
        body_bytes: value("content-length").and_then(|text| text.trim().parse().ok()),
        closes: parsed.version == Some(0)
            || value("connection").is_some_and(|text| text.eq_ignore_ascii_case("close")),
    }))
}
