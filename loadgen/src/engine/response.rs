//! Reads HTTP/1.1 answers out of a growing buffer, with bounds.
//!
//! One [`ResponseReader`] per connection, fed by it with whatever the socket gave. It knows no socket itself, so that
//! every cut of an answer into pieces can be tested. It must never keep more than [`ANSWER_BYTES_MAX`].

use std::ops::Range;

use weir_core::limits::{FRAME_BYTES_MAX, HTTP_HEADER_BYTES_MAX, KIB};

/// Bytes of the largest answer: a full `GetRecords` in base64 is under 16 MiB.
pub(crate) const ANSWER_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// Room for the first read: one page-cache-friendly piece that holds most answers whole.
const FIRST_READ_BYTES: usize = 16 * KIB;
/// Header lines of an answer; Kinesis sends about ten.
const HEADERS_MAX: usize = 64;

/// Bytes that are no acceptable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    #[error("no HTTP/1.1 answer")]
    Malformed,
    #[error("more than {ANSWER_BYTES_MAX} bytes of answer")]
    TooLarge,
}

/// A whole answer's shape; its body is in the reader's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Range<usize>,
    /// May the connection carry another request?
    pub(crate) keep_alive: bool,
}

/// Collects one answer after another.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    buffer: Vec<u8>,
    filled: usize,
    head: Option<Head>,
    chunks: Chunks,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    body_start: usize,
    framing: Framing,
    keep_alive: bool,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// How far a chunked body is decoded: payload is moved together in place, behind the head.
#[derive(Debug, Default, Clone, Copy)]
struct Chunks {
    /// End of the payload decoded so far.
    decoded_end: usize,
    /// First byte not looked at.
    cursor: usize,
    /// Payload bytes left of the current chunk; `None` before a size line.
    left: Option<usize>,
    /// The last chunk was seen: only trailer lines follow.
    last: bool,
}

impl ResponseReader {
    /// Forgets the last answer; keeps the memory.
    pub(crate) fn start(&mut self) {
        self.filled = 0;
        self.head = None;
        self.chunks = Chunks::default();
    }

    /// Where the socket's next bytes go. Never empty.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            let grown = (self.buffer.len() * 2).clamp(FIRST_READ_BYTES, ANSWER_BYTES_MAX + FIRST_READ_BYTES);
            self.buffer.resize(grown, 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// Takes note of `count` bytes in [`Self::room`]; `None` while the answer is not whole.
    pub(crate) fn took(&mut self, count: usize) -> Result<Option<Response>, ResponseError> {
        self.filled += count;
        if self.filled > ANSWER_BYTES_MAX {
            return Err(ResponseError::TooLarge);
        }
        loop {
            let Some(head) = self.head else {
                match parse_head(&self.buffer[..self.filled])? {
                    Some(head) if head.status < 200 => {
                        // An interim answer (100 Continue): the real one follows.
                        self.buffer.copy_within(head.body_start..self.filled, 0);
                        self.filled -= head.body_start;
                        continue;
                    }
                    Some(head) => {
                        self.head = Some(head);
                        self.chunks = Chunks {
                            decoded_end: head.body_start,
                            cursor: head.body_start,
                            ..Chunks::default()
                        };
                        continue;
                    }
                    None if self.filled > HTTP_HEADER_BYTES_MAX => return Err(ResponseError::TooLarge),
                    None => return Ok(None),
                }
            };
            return self.body(head);
        }
    }

    /// The peer closed. An answer without a length ends here; any other is cut short.
    pub(crate) fn closed(&mut self) -> Result<Response, ResponseError> {
        match self.head {
            Some(Head { status, body_start, framing: Framing::UntilClose, .. }) => {
                Ok(Response { status, body: body_start..self.filled, keep_alive: false })
            }
            _ => Err(ResponseError::Malformed),
        }
    }

    /// Has any byte of the answer come?
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The bytes of `range` of the last whole answer.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    fn body(&mut self, head: Head) -> Result<Option<Response>, ResponseError> {
        let (body, end) = match head.framing {
            Framing::UntilClose => return Ok(None),
            Framing::Length(length) => {
                let end = head.body_start + length;
                if end > ANSWER_BYTES_MAX {
                    return Err(ResponseError::TooLarge);
                }
                (head.body_start..end, end)
            }
            Framing::Chunked => match self.dechunk()? {
                Some(end) => (head.body_start..self.chunks.decoded_end, end),
                None => return Ok(None),
            },
        };
        if self.filled < end {
            return Ok(None);
        }
        // Bytes behind the answer were never asked for: the connection is not trusted again.
        let keep_alive = head.keep_alive && self.filled == end;
        Ok(Some(Response { status: head.status, body, keep_alive }))
    }

    /// Decodes what has come; the end of the whole chunked body once its trailer is complete.
    fn dechunk(&mut self) -> Result<Option<usize>, ResponseError> {
        let chunks = &mut self.chunks;
        loop {
            if let Some(left) = chunks.left {
                let here = left.min(self.filled - chunks.cursor);
                self.buffer.copy_within(chunks.cursor..chunks.cursor + here, chunks.decoded_end);
                chunks.cursor += here;
                chunks.decoded_end += here;
                chunks.left = Some(left - here);
                if here < left {
                    return Ok(None);
                }
            }
            let rest = &self.buffer[chunks.cursor..self.filled];
            // A chunk's payload is followed by CRLF; the size line follows that.
            let skip = if chunks.left.is_some() { 2 } else { 0 };
            if rest.len() < skip {
                return Ok(None);
            }
            if &rest[..skip] != b"\r\n".get(..skip).expect("zero or two") {
                return Err(ResponseError::Malformed);
            }
            let rest = &rest[skip..];
            let Some(line) = rest.windows(2).position(|pair| pair == b"\r\n") else {
                return if rest.len() > KIB { Err(ResponseError::Malformed) } else { Ok(None) };
            };
            chunks.cursor += skip + line + 2;
            chunks.left = None;
            if chunks.last {
                if line == 0 {
                    return Ok(Some(chunks.cursor));
                }
                continue; // a trailer line
            }
            let size = chunk_size(&rest[..line]).ok_or(ResponseError::Malformed)?;
            if size > ANSWER_BYTES_MAX {
                return Err(ResponseError::TooLarge);
            }
            if size == 0 {
                chunks.last = true;
            } else {
                chunks.left = Some(size);
            }
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|&byte| byte == b';').next()?.trim_ascii();
    usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, ResponseError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let body_start = match response.parse(bytes) {
        Ok(httparse::Status::Complete(body_start)) => body_start,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ResponseError::Malformed),
    };
    let status = response.code.ok_or(ResponseError::Malformed)?;
    let mut keep_alive = response.version == Some(1);
    let bodiless = status == 204 || status == 304;
    let mut framing = if bodiless { Framing::Length(0) } else { Framing::UntilClose };
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") && !bodiless {
            let text = str::from_utf8(header.value).map_err(|_| ResponseError::Malformed)?;
            let length = text.trim().parse().map_err(|_| ResponseError::Malformed)?;
            if !matches!(framing, Framing::Chunked) {
                framing = Framing::Length(length);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") && !bodiless {
            if !header.value.to_ascii_lowercase().ends_with(b"chunked") {
                return Err(ResponseError::Malformed);
            }
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            let value = header.value.to_ascii_lowercase();
            if value.windows(5).any(|word| word == b"close") {
                keep_alive = false;
            } else if value.windows(10).any(|word| word == b"keep-alive") {
                keep_alive = true;
            }
        }
    }
    Ok(Some(Head { status, body_start, framing, keep_alive }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces of `piece`; the answer and how many bytes were fed when it was whole.
    fn read(bytes: &[u8], piece: usize) -> Result<Option<(u16, Vec<u8>, bool)>, ResponseError> {
        let mut reader = ResponseReader::default();
        reader.start();
        for part in bytes.chunks(piece) {
            let room = reader.room();
            room[..part.len()].copy_from_slice(part);
            if let Some(response) = reader.took(part.len())? {
                let body = reader.bytes(response.body.clone()).to_vec();
                return Ok(Some((response.status, body, response.keep_alive)));
            }
        }
        Ok(None)
    }

    #[test]
    fn an_answer_is_whole_however_it_is_cut() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".as_slice();
        let chunked = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: 1\r\n\r\n".as_slice();
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".as_slice();
        for piece in 1..=plain.len() {
            assert_eq!(
                read(plain, piece).unwrap(),
                Some((200, b"hello".to_vec(), true)),
                "pieces of {piece}"
            );
        }
        for piece in 1..=chunked.len() {
            assert_eq!(
                read(chunked, piece).unwrap(),
                Some((400, b"hello".to_vec(), false)),
                "pieces of {piece}"
            );
        }
        for piece in 1..=interim.len() {
            assert_eq!(read(interim, piece).unwrap(), Some((200, vec![], true)), "pieces of {piece}");
        }
    }

    #[test]
    fn an_answer_without_a_length_ends_with_the_connection() {
        let mut reader = ResponseReader::default();
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nall of it";
        reader.room()[..bytes.len()].copy_from_slice(bytes);
        assert_eq!(reader.took(bytes.len()).unwrap(), None);
        let response = reader.closed().unwrap();
        assert_eq!((reader.bytes(response.body), response.keep_alive), (b"all of it".as_slice(), false));
    }

    #[test]
    fn a_cut_answer_is_no_answer() {
        let mut reader = ResponseReader::default();
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort";
        reader.room()[..bytes.len()].copy_from_slice(bytes);
        assert_eq!(reader.took(bytes.len()).unwrap(), None);
        assert_eq!(reader.closed(), Err(ResponseError::Malformed));
    }

    #[test]
    fn bytes_behind_an_answer_end_the_connection() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK";
        assert_eq!(read(bytes, bytes.len()).unwrap(), Some((200, b"x".to_vec(), false)));
    }

    #[test]
    fn an_answer_over_the_bound_is_refused_before_it_is_read() {
        let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ANSWER_BYTES_MAX + 1);
        assert_eq!(read(bytes.as_bytes(), bytes.len()), Err(ResponseError::TooLarge));
        let huge_chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n";
        assert_eq!(read(huge_chunk, huge_chunk.len()), Err(ResponseError::TooLarge));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 1..300), piece in 1..50usize) {
            let _ = read(&bytes, piece);
        }

        #[test]
        fn a_chunked_body_comes_back(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8), piece in 1..60usize,
        ) {
            let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in &chunks {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            prop_assert_eq!(read(&bytes, piece).unwrap(), Some((200, chunks.concat(), true)));
        }
    }
}
