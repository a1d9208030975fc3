//! What the fuzz targets drive: arbitrary bytes into each reader that faces a client.
//!
//! Called by the targets in `tests/fuzz` and by the tests that replay their corpus; each function holds what must hold for
//! every input, and panics where it does not. Nothing that ships calls it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_core::{
    clock::WallMs,
    limits::{HTTP_BODY_BYTES_MAX, HTTP2_FRAME_BYTES_MAX, KIB},
};

use crate::{
    http::server::{Handler, PREFACE, ResponseFuture, serve_stream, text_response},
    kinesis::{encoding::Encoding, event_stream::Message, operation::Operation, validate::validate},
    sigv4::{BodyHash, KeyCache, Presented, SERVICE},
};

/// A moment in November 2020, so that dates in the corpus stay right.
const NOW: WallMs = WallMs(1_606_300_000_000);

/// A body in JSON. The first byte says of which operation.
pub fn json(input: &[u8]) {
    body(Encoding::Json, input);
}

/// A body in CBOR. The first byte says of which operation.
pub fn cbor(input: &[u8]) {
    body(Encoding::Cbor, input);
}

/// Whatever is wrong with a body can be told in both encodings, and does not grow without end.
fn body(encoding: Encoding, input: &[u8]) {
    let Some((&kind, body)) = input.split_first() else { return };
    let mut input = Operation::ALL[usize::from(kind) % Operation::ALL.len()].empty_input();
    let outcome = encoding.decode_into(body, input.as_mut()).and_then(|()| validate(input.as_ref()));
    if let Err(error) = outcome {
        let told = error.message.as_ref().map_or(0, String::len);
        assert!(told < 1_000_000 + body.len(), "a text of {told} bytes for a body of {}", body.len());
        for encoding in Encoding::ALL {
            assert!(!encoding.encode(&error, 0).is_empty());
        }
    }
}

/// A proof: the request's target, then a line for each header (name, colon, value), an empty line, the body.
pub fn sigv4(input: &[u8]) {
    let mut lines = input.split(|&byte| byte == b'\n');
    let uri = lines.next().unwrap_or_default();
    let Ok(request) = Request::post(uri).body(()) else { return };
    let mut head = request.into_parts().0;
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            head.headers.append(name, value);
        }
    }
    let body: Vec<&[u8]> = lines.collect();
    if let Ok(presented) = Presented::read(&head) {
        let keys = KeyCache::new();
        let check = |hash| presented.check(&head, || hash, "a secret of the corpus", SERVICE, NOW, &keys);
        let outcome = check(BodyHash::of(&body.join(&b'\n')));
        let _ = presented.check_token(&head, Some("token"));
        if outcome.is_ok() {
            let other = [&body.join(&b'\n')[..], b"x"].concat();
            assert!(check(BodyHash::of(&other)).is_err(), "a signature holds for one body");
        }
    }
}

/// What a client of HTTP/2 says behind its preface, then it ends: the connection ends as well, and all that was answered is
/// whole frames.
pub fn http2(input: &[u8]) {
    /// Longer than any input takes, shorter than the patience that the server has with a client that is there.
    const PATIENCE: Duration = Duration::from_secs(10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let plain = Arc::new(Plain::default());
    let answer = runtime.expect("a runtime on this thread").block_on(async {
        let (near, far) = tokio::io::duplex(64 * KIB);
        let serving = tokio::spawn(serve_stream(near, Arc::clone(&plain) as _));
        let (mut reading, mut writing) = tokio::io::split(far);
        let says = async {
            // A server that has ended the connection hears no more of it.
            let _ = writing.write_all(PREFACE).await;
            let _ = writing.write_all(input).await;
            let _ = writing.shutdown().await;
        };
        let mut answer = Vec::new();
        let hears = async { reading.read_to_end(&mut answer).await.expect("a stream in memory") };
        let ended = tokio::time::timeout(PATIENCE, async { tokio::join!(says, hears, serving).2 }).await;
        ended.expect("it ends with its client").expect("it does not panic");
        answer
    });
    for (target, body_bytes) in plain.seen.lock().iter() {
        assert!(target.authority().is_none(), "{target}: a target is a path, as in HTTP/1.1");
        assert!(*body_bytes <= HTTP_BODY_BYTES_MAX);
    }
    let mut rest = &answer[..];
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        assert!(len <= HTTP2_FRAME_BYTES_MAX, "a frame of {len} bytes");
        rest = behind.get(len as usize..).expect("a whole frame");
    }
    assert!(rest.is_empty(), "{} bytes of a frame", rest.len());
}

/// Answers what a request looks like, once it has been taken apart, and keeps it: a panic in here is nobody's.
#[derive(Default)]
struct Plain {
    /// Target and bytes of the body.
    seen: Mutex<Vec<(Uri, usize)>>,
}

impl Handler for Plain {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        self.seen.lock().push((request.uri().clone(), request.body().len()));
        let text = format!("{} {} {}", request.method(), request.uri(), request.body().len());
        ResponseFuture::ready(text_response(StatusCode::OK, text))
    }
}

/// A message of an event stream: one that reads is written and read again as it was.
pub fn event_stream(input: &[u8]) {
    if let Ok(Some((message, len))) = Message::decode(input) {
        assert!(len <= input.len());
        let written = message.encode();
        let (again, whole) = Message::decode(&written).expect("our own reads").expect("our own is whole");
        assert_eq!((again, whole), (message, written.len()));
    }
}
