//! HTTP/2 on the same port: the same answers, streams that flow and are held up, and the protocol's own floods.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use h2::client::SendRequest;
use hyper::body::{Body, Frame};
use weir_core::limits::{HTTP2_RESETS_PENDING_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_WINDOW_BYTES};

use super::*;

/// What every connection of HTTP/2 begins with, with settings that change nothing.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What a client hears that asks too much (RFC 9113, 7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// A connection that is driven on a task of its own, with `window` bytes for each answer.
async fn client(server: &Server, window: u32) -> SendRequest<Bytes> {
    let stream = server.connect().await;
    let handshake = h2::client::Builder::new().initial_window_size(window).handshake(stream).await;
    let (client, connection) = handshake.unwrap();
    tokio::spawn(async move {
        let _ = connection.await; // its end is seen by who uses the client
    });
    client
}

fn request() -> Request<()> {
    Request::post("http://h/path?query").body(()).unwrap()
}

/// Sends `body` and reads the answer whole.
async fn exchange(client: &SendRequest<Bytes>, body: Vec<u8>) -> Result<(StatusCode, Vec<u8>), h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, mut sending) = client.send_request(request(), false)?;
    sending.send_data(body.into(), true)?;
    let (head, mut body) = response.await?.into_parts();
    assert!(!head.headers.contains_key("connection") && !head.headers.contains_key("transfer-encoding"));
    let mut answer = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        answer.extend_from_slice(&part);
    }
    Ok((head.status, answer))
}

/// Tells of a request what signatures are over.
struct Echo;

impl Handler for Echo {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap().to_owned());
        let text = format!("{:?} {} {}", host, request.uri(), request.body().len());
        ResponseFuture::ready(text_response(StatusCode::OK, text))
    }
}

#[tokio::test]
async fn one_port_speaks_both_and_a_handler_sees_one_form_of_request() {
    let server = Server::start_with(patient(), Arc::new(Echo));
    let client = client(&server, HTTP2_WINDOW_BYTES).await;
    let answer = exchange(&client, b"hello".to_vec()).await.unwrap();
    assert_eq!(answer, (StatusCode::OK, b"Some(\"h\") /path?query 5".to_vec()));
    assert!(server.exchange(GOOD).await.ends_with("Some(\"h\") / 5"));
}

#[tokio::test]
async fn a_body_of_several_frames_is_hashed_if_that_is_wanted() {
    let server = Server::start_with(patient(), Arc::new(Hashes));
    let mut client = client(&server, HTTP2_WINDOW_BYTES).await.ready().await.unwrap();
    let request = Request::post("http://h/").header("wants-hash", "1").body(()).unwrap();
    let (response, mut sending) = client.send_request(request, false).unwrap();
    sending.send_data(Bytes::from_static(b"hello "), false).unwrap();
    sending.send_data(Bytes::from_static(b"world"), true).unwrap();
    let answer = response.await.unwrap().into_body().data().await.unwrap().unwrap();
    assert_eq!(answer, format!("hash {:?}", Some(BodyHash::of(b"hello world"))));
}

/// Cuts every connection.
struct Cutter;

impl Handler for Cutter {
    fn handle(self: Arc<Self>, _request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        ResponseFuture::ready(cut())
    }
}

#[tokio::test]
async fn a_connection_that_its_handler_cuts_ends_without_an_answer() {
    let server = Server::start_with(patient(), Arc::new(Cutter));
    assert_eq!(server.exchange(GOOD).await, "");
    let client = client(&server, HTTP2_WINDOW_BYTES).await;
    assert!(exchange(&client, Vec::new()).await.is_err());
    assert!(exchange(&client, Vec::new()).await.is_err(), "the whole connection is gone");
}

#[tokio::test]
async fn bodies_have_the_bounds_that_they_have_on_http1_and_the_connection_lives_on() {
    let server = Server::start(Bounds { body_timeout: Duration::from_secs(2), ..patient() });
    let client = client(&server, HTTP2_WINDOW_BYTES).await;
    let (status, text) = exchange(&client, vec![b'x'; 3 * MIB]).await.unwrap();
    assert_eq!((status, text), (StatusCode::OK, format!("{} bytes", 3 * MIB).into_bytes()));
    let (status, _) = exchange(&client, vec![b'x'; HTTP_BODY_BYTES_MAX + 1]).await.unwrap();
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);

    let mut ready = client.clone().ready().await.unwrap();
    let (response, mut sending) = ready.send_request(request(), false).unwrap();
    sending.send_data(Bytes::from_static(b"some"), false).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::REQUEST_TIMEOUT, "the rest never comes");
    assert_eq!(exchange(&client, vec![]).await.unwrap().1, b"0 bytes");
}

#[tokio::test]
async fn requests_over_the_bound_of_all_connections_are_refused_as_busy() {
    let server = Server::start(Bounds { requests: 2, ..patient() });
    let (one, other) = (client(&server, 0).await, client(&server, 0).await);
    let mut held = Vec::new();
    for client in [&one, &other] {
        let mut ready = client.clone().ready().await.unwrap();
        held.push(ready.send_request(request(), false).unwrap()); // its body is awaited
        drop(ready);
        // Both are served before the third comes: the server answers in the order of each connection's requests.
        heard(client).await;
    }
    assert_eq!(status(&server.exchange(GOOD).await), "503");
    drop(held);
    served(&server).await;
}

/// Waits until the server has taken what `client` sent before.
async fn heard(client: &SendRequest<Bytes>) {
    let mut ready = client.clone().ready().await.unwrap();
    let (response, _) = ready.send_request(request(), true).unwrap();
    let _ = response.await.unwrap();
}

/// Asks until a request is served.
async fn served(server: &Server) {
    let asks = async { while status(&server.exchange(GOOD).await) != "200" {} };
    tokio::time::timeout(Duration::from_secs(60), asks).await.expect("there is room again");
}

/// A stream without an end, of frames of one size, that counts what was asked of it.
struct Endless {
    asked: Arc<AtomicUsize>,
    frames: usize,
    frame_bytes: usize,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.frames == 0 {
            return Poll::Pending; // idle, for ever
        }
        self.frames -= 1;
        self.asked.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(vec![b'x'; self.frame_bytes].into()))))
    }
}

/// Answers with such streams.
struct Streams {
    asked: Arc<AtomicUsize>,
    frames: usize,
    frame_bytes: usize,
}

impl Handler for Streams {
    fn handle(self: Arc<Self>, _request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        let Self { asked, frames, frame_bytes } = &*self;
        let body = Endless { asked: Arc::clone(asked), frames: *frames, frame_bytes: *frame_bytes };
        ResponseFuture::ready(Response::new(ResponseBody::streamed(body)))
    }
}

fn streams(bounds: Bounds, frames: usize, frame_bytes: usize) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let handler = Streams { asked: Arc::clone(&asked), frames, frame_bytes };
    (Server::start_with(bounds, Arc::new(handler)), asked)
}

#[tokio::test]
async fn a_stream_makes_no_more_than_its_client_has_room_for() {
    const FRAME: usize = 16 * KIB;
    let (server, asked) = streams(patient(), usize::MAX, FRAME);
    let window = 4 * FRAME;
    let client = client(&server, window as u32).await;
    let (response, _) = client.clone().ready().await.unwrap().send_request(request(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    for _ in 0..200 {
        let part = body.data().await.unwrap().unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
    }
    let read = 200 * FRAME;
    let made = asked.load(Ordering::Relaxed) * FRAME;
    assert!(made <= read + window + HTTP2_SEND_BYTES_MAX + FRAME, "{made} bytes were made for {read} read");
}

#[tokio::test]
async fn an_idle_stream_outlives_the_patience_for_answers_and_ends_whole_when_the_server_stops() {
    let short = Duration::from_millis(40);
    let whole = Pace { patience: short, bytes_per_second: u64::MAX };
    let paces = Paces { whole, ..patient().paces };
    let (server, _) = streams(Bounds { paces, idle_timeout: short, ..patient() }, 1, 5);
    let client = client(&server, HTTP2_WINDOW_BYTES).await;
    let (response, _) = client.clone().ready().await.unwrap().send_request(request(), true).unwrap();
    let mut over_http2 = response.await.unwrap().into_body();
    let mut over_http1 = server.connect().await;
    over_http1.write_all(GOOD).await.unwrap();
    let mut first = vec![0; 512];
    while !first.ends_with(b"5\r\nxxxxx\r\n") {
        first.clear();
        over_http1.read_buf(&mut first).await.unwrap();
    }
    assert_eq!(over_http2.data().await.unwrap().unwrap(), "xxxxx");

    let cut = tokio::time::timeout(10 * short, over_http2.data()).await;
    assert!(cut.is_err(), "an idle stream is left alone: {cut:?}");
    server.stop.begin();
    while let Some(last) = over_http2.data().await {
        assert_eq!(last.expect("it ends, and is not broken off"), "");
    }
    assert_eq!(read_to_end(over_http1).await, "0\r\n\r\n");
    drop(client);
    server.task.await.unwrap();
}

#[tokio::test]
async fn an_answer_whose_window_stays_shut_costs_its_connection_and_gives_its_memory_back() {
    let whole = Pace { patience: Duration::from_millis(200), bytes_per_second: u64::MAX };
    let paces = Paces { whole, ..patient().paces };
    let handler = Arc::new(Generous { budget: ByteBudget::new(LARGE_BYTES) });
    let server = Server::start_with(Bounds { paces, ..patient() }, handler);
    for window in [0, 100_000] {
        let client = client(&server, window).await;
        let (response, _) = client.clone().ready().await.unwrap().send_request(request(), true).unwrap();
        let unread = response.await.unwrap();
        assert_eq!(unread.status(), StatusCode::OK);
        served_again(&server).await;
        drop(unread);
    }
}

#[tokio::test]
async fn an_idle_connection_is_ended_politely() {
    let server = Server::start(Bounds { idle_timeout: Duration::from_millis(100), ..patient() });
    let stream = server.connect().await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let (response, _) = client.send_request(request(), true).unwrap();
    let answered = tokio::spawn(response);
    connection.await.unwrap(); // an end without an error
    assert_eq!(answered.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_is_asleep_holds_up_neither_the_end_of_its_idle_connection_nor_a_stop() {
    let server = Server::start(Bounds { idle_timeout: Duration::from_millis(100), ..patient() });
    let mut asleep = server.connect().await;
    asleep.write_all(OPENING).await.unwrap(); // and no answer to what comes
    let ended = tokio::time::timeout(GRACE / 2, read_to_end(asleep)).await;
    ended.expect("it is not asked again and again whether it is there");

    let server = Server::start(patient());
    let mut asleep = server.connect().await;
    asleep.write_all(OPENING).await.unwrap();
    asleep.read_exact(&mut [0; 9]).await.unwrap(); // it is served
    server.stop.begin();
    let ended = tokio::time::timeout(GRACE / 2, server.task).await;
    ended.expect("it does not wait for the end of the grace").unwrap();
}

/// Opens a connection and sends `frames` for as long as the server takes them; how many bytes that was.
async fn flood(server: &Server, opening: &[u8], frames: &[u8]) -> usize {
    let mut stream = server.connect().await;
    stream.write_all(&[OPENING, opening].concat()).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let many = frames.repeat(64 * KIB / frames.len());
    let (mut sent, mut nowhere) = (0, tokio::io::sink());
    let sending = async {
        while writing.write_all(&many).await.is_ok() {
            sent += many.len();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = sending => {}
        _ = tokio::io::copy(&mut reading, &mut nowhere) => {} // its end, or a reset
    }
    sent
}

/// A frame: its kind, its flags, the number of its stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

#[tokio::test]
async fn heads_without_an_end_are_ended_by_their_bound() {
    let server = Server::start(patient());
    let begun = frame(1, 0, 1, &[0x82]); // HEADERS, and more to come
    let more = frame(9, 0, 1, &[b"\x40\x01x\x7e".as_slice(), &[b'y'; 126]].concat()); // CONTINUATION, x: yyy
    let sent = flood(&server, &begun, &more).await;
    assert!(sent < 8 * MIB, "{sent} bytes of head were taken");
    assert!(server.exchange(GOOD).await.ends_with("5 bytes"));
}

#[tokio::test]
async fn a_head_over_the_bound_is_refused_by_its_name() {
    let server = Server::start(patient());
    let client = client(&server, HTTP2_WINDOW_BYTES).await;
    let mut ready = client.ready().await.unwrap();
    let mut large = request();
    large.headers_mut().insert("x", "y".repeat(40 * KIB).parse().unwrap());
    let (response, _) = ready.send_request(large, true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(exchange(&ready, vec![]).await.unwrap().1, b"0 bytes");
}

#[tokio::test]
async fn a_body_that_comes_with_its_head_needs_no_room_for_heads() {
    let server = Server::start(Bounds { heads_bytes: 0, ..patient() });
    let client = client(&server, HTTP2_WINDOW_BYTES).await;
    for bytes in [24 * KIB, 500 * KIB] {
        let (status, answer) = exchange(&client, vec![b'x'; bytes]).await.unwrap();
        assert_eq!((status, answer), (StatusCode::OK, format!("{bytes} bytes").into_bytes()));
    }
}

#[tokio::test]
async fn heads_of_requests_that_are_served_are_counted_in_their_lines_and_in_their_targets() {
    let server = Server::start(Bounds { heads_bytes: 50 * KIB, ..patient() });
    let client = client(&server, HTTP2_WINDOW_BYTES).await;
    let long = "y".repeat(25 * KIB);
    for in_target in [false, true] {
        let mut begun = Vec::new();
        for expected in [None, None, Some(StatusCode::SERVICE_UNAVAILABLE)] {
            let mut request = request();
            if in_target {
                *request.uri_mut() = format!("http://h/{long}").parse().unwrap();
            } else {
                request.headers_mut().insert("x", long.parse().unwrap());
            }
            let mut ready = client.clone().ready().await.unwrap();
            let (response, mut sending) = ready.send_request(request, false).unwrap();
            match expected {
                None => begun.push((response, sending)), // its body does not come: it is being served
                Some(status) => {
                    sending.send_data(Bytes::new(), true).unwrap();
                    assert_eq!(response.await.unwrap().status(), status, "in its target: {in_target}");
                }
            }
        }
        assert_eq!(exchange(&client, vec![]).await.unwrap().0, StatusCode::OK, "a usual head is free");
        for (response, mut sending) in begun {
            sending.send_data(Bytes::new(), true).unwrap();
            assert_eq!(response.await.unwrap().status(), StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn a_client_that_opens_and_resets_without_end_is_ended() {
    let server = Server::start(patient());
    let mut stream = server.connect().await;
    let mut burst = OPENING.to_vec();
    // A whole head: POST http / of host h, all from the static table but the host.
    let head = [0x83, 0x86, 0x84, 0x41, 0x01, b'h'];
    for number in 0..10 * HTTP2_RESETS_PENDING_MAX as u32 {
        burst.extend(frame(1, 4, 2 * number + 1, &head)); // HEADERS with its end
        burst.extend(frame(3, 0, 2 * number + 1, &8_u32.to_be_bytes())); // RST_STREAM: cancel
    }
    stream.write_all(&burst).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let goaway = &frame(7, 0, 0, &[])[3..];
    let said =
        answer.windows(17).any(|seen| seen[3..9] == *goaway && seen[13..] == ENHANCE_YOUR_CALM.to_be_bytes());
    assert!(said, "{answer:?}");
    assert!(server.exchange(GOOD).await.ends_with("5 bytes"));
}

#[tokio::test]
async fn floods_of_control_frames_take_nothing_from_the_others() {
    let bounds = Bounds { idle_timeout: Duration::from_secs(1), ..patient() };
    let server = Server::start(bounds);
    let ping = frame(6, 0, 0, b"12345678");
    let settings = frame(4, 0, 0, &[]);
    let window = frame(8, 0, 0, &1_u32.to_be_bytes());
    for frames in [ping, settings, window] {
        let flooding = flood(&server, b"", &frames);
        let others = async {
            for _ in 0..20 {
                assert!(server.exchange(GOOD).await.ends_with("5 bytes"));
            }
        };
        tokio::select! {
            () = others => {}
            () = async { flooding.await; std::future::pending().await } => {}
        }
    }
}
