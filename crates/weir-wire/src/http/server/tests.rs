//! Clients that behave badly, over real sockets: each gets its right answer or a clean close, and hurts nobody else.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use weir_core::limits::{HTTP_BODY_BYTES_MAX, KIB, MIB};

use super::*;
use crate::sigv4::BodyHash;

mod http2;
mod leaving;
mod threads;
mod tls;

/// Answers with the length of the body that came.
struct Measure;

impl Handler for Measure {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        let text = format!("{} bytes", request.body().len());
        ResponseFuture::ready(text_response(StatusCode::OK, text))
    }
}

/// Answers with the hash that the listener took of the body, for who wants it, which only a header says.
struct Hashes;

impl Handler for Hashes {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        let hash = request.extensions().get::<BodyHash>();
        ResponseFuture::ready(text_response(StatusCode::OK, format!("hash {hash:?}")))
    }

    fn wants_body_hash(&self, head: &Parts) -> bool {
        head.headers.contains_key("wants-hash")
    }
}

/// How long a stopped server waits for what is being served: longer than any test wants to.
const GRACE: Duration = Duration::from_secs(60);

struct Server {
    address: SocketAddr,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl Server {
    fn start(bounds: Bounds) -> Self {
        Self::start_with(bounds, Arc::new(Measure))
    }

    fn start_with(bounds: Bounds, handler: Arc<dyn Handler>) -> Self {
        Self::open(bounds, handler, None, ServeThreads::one())
    }

    fn open(bounds: Bounds, handler: Arc<dyn Handler>, tls: Option<Tls>, threads: ServeThreads) -> Self {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Shutdown::new();
        let doors = vec![Door { listener, tls }];
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            serve_within(bounds, doors, handler, &threads, stopped, GRACE).await;
        });
        Self { address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` and reads until the server closes.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_to_end(stream).await
    }
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // a reset after the answer is an end, too
    String::from_utf8_lossy(&answer).into_owned()
}

/// A good request on a connection that closes after it.
const GOOD: &[u8] = b"POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn patient() -> Bounds {
    Bounds::SERVED
}

#[tokio::test]
async fn bodies_with_a_length_and_in_chunks_arrive_whole() {
    let server = Server::start(patient());
    assert!(server.exchange(GOOD).await.ends_with("5 bytes"));
    let chunks = b"POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    assert!(server.exchange(chunks).await.ends_with("11 bytes"));
    let mut large =
        format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", 3 * MIB)
            .into_bytes();
    large.resize(large.len() + 3 * MIB, b'x');
    assert!(server.exchange(&large).await.ends_with(&format!("{} bytes", 3 * MIB)));
}

#[tokio::test]
async fn a_body_of_several_parts_is_hashed_while_it_arrives_if_that_is_wanted() {
    let server = Server::start_with(patient(), Arc::new(Hashes));
    let body: Vec<u8> = (0..MIB).map(|at| at as u8 ^ (at >> 8) as u8).collect();
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {MIB}\r\n");
    for (wants, told) in [("wants-hash: 1\r\n", Some(BodyHash::of(&body))), ("", None)] {
        let request = [head.as_bytes(), wants.as_bytes(), b"\r\n", &body].concat();
        let answer = server.exchange(&request).await;
        assert!(answer.ends_with(&format!("hash {told:?}")), "{answer}");
    }
    let chunks = b"POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nwants-hash: 1\r\ntransfer-encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let none = b"POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nwants-hash: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let whole =
        b"POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nwants-hash: 1\r\ncontent-length: 5\r\n\r\nhello";
    let hash = Some(BodyHash::of(b"hello world"));
    for (request, told) in [(&chunks[..], hash), (none, None), (whole, None)] {
        let answer = server.exchange(request).await;
        assert!(answer.ends_with(&format!("hash {told:?}")), "{answer}");
    }
}

#[tokio::test]
async fn a_body_cut_short_or_badly_chunked_is_refused_and_the_next_client_is_served() {
    let server = Server::start(patient());
    let mut short = server.connect().await;
    short.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhello").await.unwrap();
    short.shutdown().await.unwrap();
    let answer = read_to_end(short).await;
    assert!(answer.is_empty() || status(&answer) == "400", "{answer}");

    let broken = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n";
    let answer = server.exchange(broken).await;
    assert_eq!(status(&answer), "400", "{answer}");
    assert!(server.exchange(GOOD).await.ends_with("5 bytes"));
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_hears_why() {
    let server = Server::start(patient());
    let mut announced =
        format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", 40 * MIB).into_bytes();
    announced.resize(announced.len() + 40 * MIB, b'x');
    assert_eq!(status(&server.exchange(&announced).await), "413");

    let mut chunked = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..=HTTP_BODY_BYTES_MAX / MIB {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.resize(chunked.len() + MIB, b'x');
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(status(&server.exchange(&chunked).await), "413");
}

#[tokio::test]
async fn heads_have_a_bound_of_bytes_and_of_lines() {
    let server = Server::start(patient());
    for kib in [40, 64, 512] {
        let long = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "y".repeat(kib * KIB));
        assert_eq!(status(&server.exchange(long.as_bytes()).await), "431", "{kib} KiB");
    }
    let many = format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "x: y\r\n".repeat(200));
    assert_eq!(status(&server.exchange(many.as_bytes()).await), "431");
    assert_eq!(status(&server.exchange(b"nonsense\r\n\r\n").await), "400");
}

#[tokio::test]
async fn a_slow_head_is_closed_and_a_slow_body_refused() {
    let short = Duration::from_millis(50);
    let server = Server::start(Bounds { head_timeout: short, body_timeout: short, ..patient() });
    let mut head = server.connect().await;
    head.write_all(b"POST / HT").await.unwrap();
    let answer = read_to_end(head).await;
    assert!(answer.is_empty() || status(&answer) == "408", "{answer}");
    let slow = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhello";
    assert_eq!(status(&server.exchange(slow).await), "408");
}

#[tokio::test]
async fn clients_that_announce_much_and_send_nothing_take_nothing_from_the_others() {
    let server = Server::start(Bounds { bodies_bytes: 2 * HTTP_BODY_BYTES_MAX, ..patient() });
    let head =
        format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {HTTP_BODY_BYTES_MAX}\r\n\r\n").into_bytes();
    let mut stalled = Vec::new();
    for _ in 0..60 {
        let mut stream = server.connect().await;
        stream.write_all(&head).await.unwrap();
        stalled.push(stream);
    }
    let mut body =
        format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", MIB / 2)
            .into_bytes();
    body.resize(body.len() + MIB / 2, b'x');
    assert!(server.exchange(&body).await.ends_with("bytes"));
}

#[tokio::test]
async fn bodies_over_the_budget_of_all_are_refused_as_busy_and_give_back_what_they_held() {
    let server = Server::start(Bounds { bodies_bytes: MIB, ..patient() });
    let mut body = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", 2 * MIB).into_bytes();
    body.resize(body.len() + 2 * MIB, b'x');
    for _ in 0..3 {
        assert_eq!(status(&server.exchange(&body).await), "503");
    }
    assert!(server.exchange(GOOD).await.ends_with("5 bytes"), "nothing of the budget was lost");
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_far_too_much_is_told_not_to() {
    let server = Server::start(patient());
    let ask =
        format!("POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", 40 * MIB);
    assert_eq!(status(&server.exchange(ask.as_bytes()).await), "413", "and not to continue");
}

#[tokio::test]
async fn heads_over_the_budget_of_all_are_closed_and_give_back_what_they_held() {
    let server = Server::start(Bounds { heads_bytes: 32 * KIB, ..patient() });
    let begun = format!("POST / HTTP/1.1\r\nhost: h\r\nx: {}", "y".repeat(20 * KIB)).into_bytes();
    for _ in 0..2 {
        let mut first = server.connect().await;
        first.write_all(&begun).await.unwrap();
        let mut second = server.connect().await;
        second.write_all(&begun).await.unwrap();
        let (mut some, mut other) = ([0], [0]);
        let (closed, mut kept) = tokio::select! {
            closed = first.read(&mut some) => (closed, second),
            closed = second.read(&mut other) => (closed, first),
        };
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}: there is room for one of them");
        assert!(server.exchange(GOOD).await.ends_with("5 bytes"), "who sends a usual head is served");
        kept.write_all(b"\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(read_to_end(kept).await.ends_with("0 bytes"), "and gives back its room");
    }
}

#[tokio::test]
async fn a_body_that_comes_with_its_head_needs_no_room_for_heads() {
    let server = Server::start(Bounds { heads_bytes: 0, ..patient() });
    let mut put =
        format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", 200 * KIB)
            .into_bytes();
    put.resize(put.len() + 200 * KIB, b'x');
    assert!(server.exchange(&put).await.ends_with("204800 bytes"));
}

#[tokio::test]
async fn a_stopped_server_ends_idle_connections_and_returns() {
    let server = Server::start(patient());
    let mut idle = server.connect().await;
    let keep = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n";
    idle.write_all(keep).await.unwrap();
    let mut some = [0; 512];
    let count = idle.read(&mut some).await.unwrap();
    assert!(String::from_utf8_lossy(&some[..count]).contains("200"));
    server.stop.begin();
    server.task.await.unwrap();
    assert_eq!(read_to_end(idle).await, "");
}

/// More than the kernel's buffers of a connection take.
const LARGE_BYTES: usize = 12 * MIB;

/// Gives large answers while its budget lasts.
struct Generous {
    budget: ByteBudget,
}

impl Handler for Generous {
    fn handle(self: Arc<Self>, _request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        let response = match self.budget.try_acquire(LARGE_BYTES) {
            Some(permit) => Response::new(held(vec![b'x'; LARGE_BYTES], permit)),
            None => text_response(StatusCode::SERVICE_UNAVAILABLE, "later\n"),
        };
        ResponseFuture::ready(response)
    }
}

/// Asks for a large answer and takes its first byte alone.
async fn deaf(server: &Server) -> TcpStream {
    let mut stream = server.connect().await;
    stream.write_all(GOOD).await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    stream
}

/// Asks until there is a large answer again: the server's own answers tell when the permits have come back.
async fn served_again(server: &Server) {
    let asks = async {
        loop {
            let answer = server.exchange(GOOD).await;
            if status(&answer) == "200" {
                break answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), asks).await;
    assert!(answer.expect("the answers let their permits go").len() > LARGE_BYTES);
}

#[tokio::test]
async fn clients_that_never_read_hold_the_budget_and_no_more() {
    let server =
        Server::start_with(patient(), Arc::new(Generous { budget: ByteBudget::new(3 * LARGE_BYTES) }));
    let deaf = [deaf(&server).await, deaf(&server).await, deaf(&server).await];
    assert_eq!(status(&server.exchange(GOOD).await), "503", "the budget is spent");
    drop(deaf);
    served_again(&server).await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let pace = Pace { patience: Duration::from_millis(200), bytes_per_second: u64::MAX };
    let handler = Arc::new(Generous { budget: ByteBudget::new(LARGE_BYTES) });
    let server =
        Server::start_with(Bounds { paces: Paces { whole: pace, endless: pace }, ..patient() }, handler);
    let _deaf = deaf(&server).await;
    served_again(&server).await;
}
