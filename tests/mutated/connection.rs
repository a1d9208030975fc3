//! A client's connection: kept as long as the server keeps it, and every answer read to its end and judged.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

/// How long an answer may take on a loaded machine before the server hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// What came back.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Answer),
    /// The server closed the connection.
    Closed,
    /// Nothing, for a very long time.
    Silence,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    content_type: String,
    /// The connection is good for another request.
    is_kept: bool,
}

/// The connection, if one is open.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and awaits its answer; nothing more comes behind one that is torn.
    pub(crate) fn exchange(&mut self, request: &[u8], is_torn: bool) -> Reply {
        let mut stream = self.stream.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(self.address).expect("the server takes connections");
            stream.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("a socket");
            stream.set_nodelay(true).expect("a socket");
            stream
        });
        // Who was refused early may find the connection closed while sending; the answer may still be there to read.
        let sent = stream.write_all(request).is_ok();
        if is_torn {
            let _ = stream.shutdown(Shutdown::Write); // it may be gone already
        }
        let reply = match read(&mut stream) {
            Ok(answer) => Reply::Answer(answer),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Reply::Silence
            }
            Err(_) => Reply::Closed,
        };
        if let Reply::Answer(Answer { is_kept: true, .. }) = &reply
            && sent
            && !is_torn
        {
            self.stream = Some(stream);
        }
        reply
    }
}

impl Answer {
    /// The code of an error.
    pub(crate) fn code(&self) -> Option<String> {
        match self.content_type.as_str() {
            JSON => {
                let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
                body["__type"].as_str().map(str::to_owned)
            }
            CBOR => {
                let body = read_cbor(&self.body)?;
                let members = body.as_map()?;
                let code = members.iter().find(|(name, _)| name.as_text() == Some("__type"))?;
                code.1.as_text().map(str::to_owned)
            }
            _ => None,
        }
    }

    /// What no client should ever see, if this is it.
    pub(crate) fn what_is_wrong(&self) -> Option<String> {
        if self.status >= 500 {
            return Some(format!("the server failed with {}", self.status));
        }
        let reads = match self.content_type.as_str() {
            JSON => self.body.is_empty() || serde_json::from_slice::<serde_json::Value>(&self.body).is_ok(),
            CBOR => self.body.is_empty() || read_cbor(&self.body).is_some(),
            _ => true,
        };
        (!reads).then(|| format!("an answer in {} does not read", self.content_type))
    }
}

/// One item of CBOR and nothing behind it.
fn read_cbor(mut body: &[u8]) -> Option<ciborium::Value> {
    let value = ciborium::from_reader(&mut body).ok()?;
    body.is_empty().then_some(value)
}

fn read(stream: &mut TcpStream) -> std::io::Result<Answer> {
    let mut all = Vec::new();
    let end = loop {
        if let Some(at) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        more(stream, &mut all)?;
    };
    let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
    let mut body = all.split_off(end + 4);
    let header = |name: &str| {
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| *found == name).map(|(_, value)| value.trim().to_owned()).next()
    };
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    let content_type = header("content-type").unwrap_or_default();
    let mut is_kept = header("connection").is_none_or(|value| value != "close");
    if content_type == EVENT_STREAM && status == 200 {
        is_kept = false; // it would go on for five minutes
    } else if let Some(len) = header("content-length") {
        let len: usize = len.parse().map_err(|_| ErrorKind::InvalidData)?;
        while body.len() < len {
            more(stream, &mut body)?;
        }
        if body.len() > len {
            return Err(ErrorKind::InvalidData.into());
        }
    } else if head.contains("transfer-encoding") {
        while !body.ends_with(b"0\r\n\r\n") {
            more(stream, &mut body)?;
        }
        body.clear();
    }
    Ok(Answer { status, body, content_type, is_kept })
}

fn more(stream: &mut TcpStream, into: &mut Vec<u8>) -> std::io::Result<()> {
    let mut piece = [0; 16 * 1024];
    match stream.read(&mut piece)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        len => {
            into.extend_from_slice(&piece[..len]);
            Ok(())
        }
    }
}
