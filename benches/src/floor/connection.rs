//! One connection of the floor: a buffer that requests gather in, and answers from templates.
//!
//! One request at a time, as SDKs send them; what comes behind one before its answer waits in the buffer.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    rc::Rc,
};

/// Room that a buffer begins with; it grows to what a request announces.
const ROOM_BYTES: usize = 256 << 10;
/// Bytes of a head at most.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// About what a record of 1 KiB takes in JSON, for bodies that are not taken apart.
const RECORD_BYTES_GUESS: usize = 1_434;

/// A client.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    /// The request whose body is awaited.
    begun: Option<Request>,
    answer: Vec<u8>,
    /// An answer that all readers share, in place of the own one.
    shared: Option<Rc<[u8]>>,
    /// Bytes of the answer that are sent.
    sent: usize,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    PutRecord,
    PutRecords,
    GetRecords,
    /// Where to read: answered with an iterator that means nothing.
    GetShardIterator,
}

/// Where a request lies in the buffer, and what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    head_bytes: usize,
    body_bytes: usize,
    pub(super) asked: Asked,
    /// Records, by the size of the body.
    pub(super) records_guess: usize,
}

/// A request that was taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) records: usize,
    pub(super) asked: Asked,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: vec![0; ROOM_BYTES],
            filled: 0,
            begun: None,
            answer: Vec::new(),
            shared: None,
            sent: 0,
        }
    }

    /// What epoll watches.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads what is there; a request, when one is whole.
    pub(super) fn read(&mut self) -> io::Result<Option<Request>> {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if self.begun.is_none() {
            self.begun = head(&self.buffer[..self.filled])?;
            if self.begun.is_none() && self.filled >= HEAD_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let Some(request) = self.begun else { return Ok(None) };
        let whole = request.head_bytes + request.body_bytes;
        if self.buffer.len() < whole {
            self.buffer.resize(whole + HEAD_BYTES_MAX, 0);
        }
        Ok((self.filled >= whole).then_some(request))
    }

    /// The body of a request that is whole.
    pub(super) fn body(&self, request: Request) -> &[u8] {
        &self.buffer[request.head_bytes..][..request.body_bytes]
    }

    /// Makes room for the next.
    pub(super) fn taken(&mut self, request: Request) {
        let whole = request.head_bytes + request.body_bytes;
        self.buffer.copy_within(whole..self.filled, 0);
        self.filled -= whole;
        self.begun = None;
    }

    /// Answers a put; true when the answer is out.
    pub(super) fn answer(&mut self, heard: Heard) -> io::Result<bool> {
        const STORED: &str = "{\"SequenceNumber\":\"49668899999999999999999999999999999999999999999999999999\",\"ShardId\":\"shardId-000000000000\"}";
        const SEVERAL: &str = "{\"FailedRecordCount\":0,\"Records\":[";
        const WHERE: &str = "{\"ShardIterator\":\"AAAA\"}";
        (self.shared, self.sent) = (None, 0);
        self.answer.clear();
        match heard.asked {
            Asked::PutRecords => {
                let commas = heard.records.saturating_sub(1);
                let records_bytes = heard.records * STORED.len() + commas;
                head_of_answer(&mut self.answer, SEVERAL.len() + records_bytes + 2)?;
                self.answer.extend_from_slice(SEVERAL.as_bytes());
                for record in 0..heard.records {
                    if record > 0 {
                        self.answer.push(b',');
                    }
                    self.answer.extend_from_slice(STORED.as_bytes());
                }
                self.answer.extend_from_slice(b"]}");
            }
            Asked::PutRecord => self.answer_text(STORED)?,
            Asked::GetRecords | Asked::GetShardIterator => self.answer_text(WHERE)?,
        }
        self.send()
    }

    fn answer_text(&mut self, body: &str) -> io::Result<()> {
        head_of_answer(&mut self.answer, body.len())?;
        self.answer.extend_from_slice(body.as_bytes());
        Ok(())
    }

    /// Answers with what all readers share; true when the answer is out.
    pub(super) fn answer_with(&mut self, shared: &Rc<[u8]>) -> io::Result<bool> {
        (self.shared, self.sent) = (Some(Rc::clone(shared)), 0);
        self.send()
    }

    /// Sends what the socket takes of the answer; true when all of it is out.
    pub(super) fn send(&mut self) -> io::Result<bool> {
        let answer = self.shared.as_deref().unwrap_or(&self.answer);
        while self.sent < answer.len() {
            match self.stream.write(&answer[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The head of an answer of that size.
pub(super) fn head_of_answer(out: &mut Vec<u8>, body_bytes: usize) -> io::Result<()> {
    write!(
        out,
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {body_bytes}\r\n\r\n"
    )
}

/// The request at the front, once its head is whole.
fn head(bytes: &[u8]) -> io::Result<Option<Request>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut headers);
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
    let head_bytes = match parsed.parse(bytes).map_err(invalid)? {
        httparse::Status::Complete(count) => count,
        httparse::Status::Partial => return Ok(None),
    };
    let value = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let body_bytes = value("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let asked = match value("x-amz-target").and_then(|target| target.rsplit('.').next()) {
        Some("PutRecords") => Asked::PutRecords,
        Some("GetRecords") => Asked::GetRecords,
        Some("GetShardIterator") => Asked::GetShardIterator,
        _ => Asked::PutRecord,
    };
    let records_guess = if asked == Asked::PutRecords { body_bytes / RECORD_BYTES_GUESS } else { 1 };
    Ok(Some(Request { head_bytes, body_bytes, asked, records_guess }))
}
