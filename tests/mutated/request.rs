//! One request: drawn right from the grammar, then spoiled in its input, its bytes, its headers, its proof, or not at all.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use weir_tests::http::ANY_SIGNATURE;

use crate::model::{Model, Seen};

/// What is sent.
pub(crate) struct Request {
    pub(crate) operation: String,
    pub(crate) bytes: Vec<u8>,
    /// Can the server tell where it ends? Else it may close the connection without a word.
    pub(crate) is_framed: bool,
    /// May the server wait for more than there is?
    pub(crate) is_torn: bool,
}

/// Header lines and what stands before them.
struct Head {
    method: String,
    uri: String,
    lines: Vec<(String, Vec<u8>)>,
}

impl Request {
    pub(crate) fn draw(model: &Model, seen: &Seen, rng: &mut StdRng) -> Self {
        let (operation, mut input) = model.draw(seen, rng);
        let spoiled = rng.random_range(0..10);
        if matches!(spoiled, 0..=2) {
            (0..rng.random_range(1..4)).for_each(|_| input.mutate(rng));
        }
        let is_json = rng.random();
        let mut body = if is_json {
            let mut text = String::new();
            input.to_json(&mut text);
            text.into_bytes()
        } else {
            let mut bytes = Vec::new();
            input.to_cbor(rng.random(), &mut bytes);
            bytes
        };
        if spoiled == 3 {
            spoil(&mut body, rng);
        }
        let mut head = Head::new(&operation, if is_json { "json" } else { "cbor" });
        if spoiled == 4 {
            head.spoil(rng);
        }
        let (is_chunked, is_torn) = (rng.random_bool(0.05), spoiled == 5 && rng.random_bool(0.2));
        let mut bytes = head.write(if is_chunked { None } else { Some(body.len()) });
        if is_chunked {
            let half = body.len() / 2;
            for chunk in [&body[..half], &body[half..]].into_iter().filter(|chunk| !chunk.is_empty()) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&body);
        }
        if is_torn {
            let end = bytes.len() - body.len();
            spoil_head(&mut bytes[..end], rng);
        }
        Self { operation, bytes, is_framed: !is_torn && spoiled != 4, is_torn }
    }
}

impl Head {
    fn new(operation: &str, encoding: &str) -> Self {
        let line = |name: &str, value: String| (name.to_owned(), value.into_bytes());
        Self {
            method: "POST".to_owned(),
            uri: "/".to_owned(),
            lines: vec![
                line("host", "127.0.0.1".to_owned()),
                line("x-amz-target", format!("Kinesis_20131202.{operation}")),
                line("content-type", format!("application/x-amz-{encoding}-1.1")),
                line("x-amz-date", "20261126T120000Z".to_owned()),
                line("authorization", ANY_SIGNATURE.to_owned()),
            ],
        }
    }

    fn spoil(&mut self, rng: &mut StdRng) {
        let at = rng.random_range(0..self.lines.len());
        match rng.random_range(0..9) {
            0 => drop(self.lines.remove(at)),
            1 => self.lines.push(self.lines[at].clone()),
            2 => self.lines[at].1 = vec![b'x'; rng.random_range(0..5_000)],
            3 | 4 => spoil_text(&mut self.lines[at].1, rng),
            5 => {
                self.method =
                    (*["GET", "PUT", "DELETE", "OPTIONS", "post", "BREW"].choose(rng).expect("some"))
                        .to_owned()
            }
            6 => {
                self.uri = (*["/health", "/a/../b//?x", "/%2", "/?X-Amz-Algorithm", "*", "/?", "http://h/"]
                    .choose(rng)
                    .expect("some"))
                .to_owned()
            }
            7 => {
                self.lines.retain(|(name, _)| name != "authorization");
                self.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20261126%2Fr%2Fkinesis%2Faws4_request\
                            &X-Amz-Date=20261126T120000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
                    .to_owned();
                let mut uri = std::mem::take(&mut self.uri).into_bytes();
                if rng.random() {
                    spoil_text(&mut uri, rng);
                }
                self.uri = String::from_utf8(uri).expect("spoiled by printable letters");
            }
            _ => self.lines.extend((0..200).map(|at| (format!("x-{at}"), b"y".to_vec()))),
        }
    }

    fn write(&self, len: Option<usize>) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.uri).into_bytes();
        for (name, value) in &self.lines {
            out.extend(name.bytes());
            out.extend(b": ");
            out.extend(value);
            out.extend(b"\r\n");
        }
        match len {
            Some(len) => out.extend(format!("content-length: {len}\r\n\r\n").bytes()),
            None => out.extend(b"transfer-encoding: chunked\r\n\r\n"),
        }
        out
    }
}

/// Any bytes changed, put in or taken out.
fn spoil(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.random()),
            2 if at < bytes.len() => bytes[at] = rng.random(),
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            _ => bytes.extend_from_within(at..),
        }
    }
}

/// One letter of a header's value becomes another printable one, or a byte beyond ASCII: the frame stays whole.
fn spoil_text(text: &mut [u8], rng: &mut StdRng) {
    if !text.is_empty() {
        let at = rng.random_range(0..text.len());
        text[at] = *b"A0/,=%;.".choose(rng).expect("some");
    }
}

fn spoil_head(head: &mut [u8], rng: &mut StdRng) {
    let at = rng.random_range(0..head.len());
    head[at] = rng.random();
}
