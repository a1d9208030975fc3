//! A bare Kinesis call over a plain socket: what no SDK would send can be sent, too.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// Any well-formed signature, for servers that have no credentials to check it by.
pub const ANY_SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=AKID/20201125/us-east-1/kinesis/aws4_request, \
     SignedHeaders=host;x-amz-date, Signature=0000000000000000000000000000000000000000000000000000000000000000";

/// Who calls, where there are no credentials to check a signature by.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Twelve digits: this account. Else the default one.
    pub access_key: &'a str,
    /// The region that the request is signed for.
    pub region: &'a str,
}

impl Caller<'_> {
    /// The caller that [`ANY_SIGNATURE`] is of.
    pub const ANY: Caller<'static> = Caller { access_key: "AKID", region: "us-east-1" };
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// One Kinesis operation with a JSON body, unsigned in effect.
pub fn kinesis(address: SocketAddr, operation: &str, body: &Value) -> Answer {
    kinesis_as(Caller::ANY, address, operation, body)
}

/// One Kinesis operation of this caller.
pub fn kinesis_as(caller: Caller<'_>, address: SocketAddr, operation: &str, body: &Value) -> Answer {
    try_kinesis(caller, address, operation, body).expect("the server answers")
}

/// The same of a server that may be gone: `ConnectionRefused` when nothing was sent; whatever else goes wrong, it may have
/// been done.
pub fn try_kinesis(
    caller: Caller<'_>,
    address: SocketAddr,
    operation: &str,
    body: &Value,
) -> std::io::Result<Answer> {
    let Caller { access_key, region } = caller;
    let signature = ANY_SIGNATURE.replace("AKID", access_key).replace("us-east-1", region);
    let body = body.to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nx-amz-target: Kinesis_20131202.{operation}\r\n\
         content-type: application/x-amz-json-1.1\r\nx-amz-date: 20201125T024400Z\r\n\
         authorization: {signature}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    send(address, &[head.as_bytes(), body.as_bytes()].concat())
}

/// Sends these very bytes and reads until the server closes. An answer that was cut short is none.
pub fn send(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(bytes)?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    let split = all.windows(4).position(|w| w == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&all[..split]).into_owned();
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    let body = all[split + 4..].to_vec();
    let told = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if told.is_some_and(|bytes: usize| body.len() < bytes) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer { status, head, body })
}
