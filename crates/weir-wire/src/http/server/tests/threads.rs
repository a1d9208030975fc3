//! Connections that go from thread to thread while they are served: nobody notices but the processors.

use std::{
    io::{Read, Write},
    sync::mpsc,
    thread,
};

use parking_lot::Mutex;
use weir_core::threads::Threads;

use super::{tls::Secure, *};

/// Answers with what came, and with the name of the thread in a header.
struct Echo;

impl Handler for Echo {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        let mut answer = Response::new(full(request.into_body()));
        let thread = thread::current().name().unwrap_or("none").replace(':', "_");
        answer.headers_mut().insert("thread", thread.parse().unwrap());
        ResponseFuture::ready(answer)
    }
}

/// A connection that stays open.
struct Caller<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    /// Sends so many bytes, which must come back; the thread that served them.
    async fn call(&mut self, bytes: usize, filled_with: u8) -> String {
        let mut request = head(bytes);
        let head_bytes = request.len();
        request.resize(head_bytes + bytes, filled_with);
        self.0.write_all(&request).await.unwrap();
        self.0.flush().await.unwrap();
        let mut answer = Vec::new();
        let head_end = loop {
            assert!(self.0.read_buf(&mut answer).await.unwrap() > 0, "the connection ended");
            if let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n")
                && answer.len() >= end + 4 + bytes
            {
                break end;
            }
        };
        let echo = answer.split_off(head_end + 4);
        assert!(echo == request[head_bytes..], "{} bytes of {bytes} came back", echo.len());
        let named = |line: &str| line.strip_prefix("thread: ").map(str::to_owned);
        String::from_utf8(answer).unwrap().lines().find_map(named).expect("the thread")
    }

    /// The same so often; the last thread.
    async fn calls(&mut self, count: u8, bytes: usize) -> String {
        let mut last = self.call(bytes, 0).await;
        for number in 1..count {
            last = self.call(bytes, number).await;
        }
        last
    }
}

fn head(bytes: usize) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {bytes}\r\n\r\n").into_bytes()
}

/// Bytes of a call that is bulk, and of one that is not.
const BULK: usize = 200 * KIB;
const LIGHT: usize = KIB;

async fn echo(threads: usize) -> Server {
    let threads = ServeThreads::start(threads, &Threads::new()).await.unwrap();
    Server::open(patient(), Arc::new(Echo), None, threads)
}

#[tokio::test]
async fn bulk_is_spread_over_the_threads_and_comes_home_when_it_is_light_again() {
    let server = echo(3).await;
    let mut callers = Vec::new();
    for _ in 0..6 {
        callers.push(Caller(server.connect().await));
    }
    let home = callers[0].call(1, 0).await;
    for caller in &mut callers {
        assert_eq!(caller.calls(40, LIGHT).await, home, "small calls stay together");
    }
    let mut served_by = Vec::new();
    for caller in &mut callers {
        served_by.push(caller.calls(20, BULK).await);
    }
    for thread in &served_by {
        assert_eq!(served_by.iter().filter(|other| *other == thread).count(), 2, "{served_by:?}");
    }
    // Two that share a helper are left: one of them moves to where nobody is any more.
    let shared = served_by.iter().find(|thread| **thread != home).unwrap();
    let left = callers.into_iter().zip(&served_by).filter(|(_, thread)| *thread == shared);
    let [mut one, mut other] =
        <[_; 2]>::try_from(left.map(|(caller, _)| caller).collect::<Vec<_>>()).ok().unwrap();
    let (mut at_one, mut at_other) = (shared.clone(), shared.clone());
    for _ in 0..100 {
        if at_one != at_other {
            break; // the ends of the others were noticed
        }
        (at_one, at_other) = (one.calls(20, BULK).await, other.calls(20, BULK).await);
    }
    assert_ne!(at_one, at_other);
    assert_eq!((one.calls(40, LIGHT).await, other.calls(40, LIGHT).await), (home.clone(), home));
}

#[tokio::test]
async fn a_connection_moves_with_its_tls() {
    let threads = ServeThreads::start(2, &Threads::new()).await.unwrap();
    let secure = Secure::open(patient(), Arc::new(Echo), threads);
    let mut caller = Caller(secure.connect(&[]).await);
    let home = caller.call(1, 0).await;
    assert_eq!(caller.calls(20, BULK).await, "serve-2");
    assert_eq!(caller.calls(40, LIGHT).await, home);
}

#[tokio::test]
async fn a_connection_of_http2_stays() {
    let server = echo(2).await;
    let (client, connection) = h2::client::handshake(server.connect().await).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await; // its end is seen by who uses the client
    });
    for _ in 0..20 {
        let request = Request::post("http://h/").body(()).unwrap();
        let (answer, mut body) = client.clone().ready().await.unwrap().send_request(request, false).unwrap();
        body.send_data(vec![0; BULK].into(), true).unwrap();
        let (head, mut echo) = answer.await.unwrap().into_parts();
        assert_ne!(head.headers["thread"], "serve-2");
        while let Some(part) = echo.data().await {
            echo.flow_control().release_capacity(part.unwrap().len()).unwrap(); // to the end: nothing is being served then
        }
    }
}

#[tokio::test]
async fn the_threads_end_with_the_server_and_what_was_moved_to_them() {
    let threads = Threads::new();
    let serve_threads = ServeThreads::start(4, &threads).await.unwrap();
    assert_eq!(threads.running(), 3, "the listener's is there already");
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, no_grace) = (Shutdown::new(), Duration::ZERO);
    let doors = vec![Door { listener, tls: None }];
    let serving = tokio::spawn(serve_doors(doors, Arc::new(Echo), serve_threads, stop.clone(), no_grace));
    let (mut moved, mut at_home) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let mut caller = Caller(TcpStream::connect(address).await.unwrap());
        let served_by = caller.calls(20, BULK).await;
        // A body that never ends: its time is not over when the server's is.
        caller.0.write_all(&head(BULK)).await.unwrap();
        if served_by.starts_with("serve-") { &mut moved } else { &mut at_home }.push(caller);
    }
    assert_eq!(moved.len(), 6);
    stop.begin();
    serving.await.unwrap();
    assert_eq!(threads.running(), 0);
    for caller in moved {
        assert_eq!(read_to_end(caller.0).await, "");
    }
}

/// Answers as much as it is sent; a request for `/held` holds its thread until the test lets go.
struct Held(Mutex<mpsc::Receiver<()>>);

impl Handler for Held {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        if request.uri().path() == "/held" {
            self.0.lock().recv().unwrap();
        }
        ResponseFuture::ready(Response::new(full(request.into_body())))
    }
}

#[test]
fn a_thread_that_is_held_up_holds_up_nobody_who_has_moved() {
    let threads = Threads::new();
    let (let_go, held) = mpsc::sync_channel(1);
    let (tell, told) = mpsc::sync_channel(1);
    let stop = Shutdown::new();
    let (for_all, stopped) = (threads.clone(), stop.clone());
    let server = threads.spawn("server", move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let (doors, handler) = (vec![Door { listener, tls: None }], Arc::new(Held(Mutex::new(held))));
            let serve_threads = ServeThreads::start(2, &for_all).await.unwrap();
            serve_doors(doors, handler, serve_threads, stopped, GRACE).await;
        });
    });
    let address = told.recv().unwrap();
    let connect = || std::net::TcpStream::connect(address).unwrap();
    let ask = |stream: &mut std::net::TcpStream, path: &str, bytes: usize| {
        let mut request =
            format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {bytes}\r\n\r\n").into_bytes();
        request.resize(request.len() + bytes, b'~');
        stream.write_all(&request).unwrap();
    };
    let hear = |stream: &mut std::net::TcpStream, bytes: usize| {
        let mut answer = vec![0; bytes];
        let mut heard = Vec::new();
        while heard.iter().filter(|byte| **byte == b'~').count() < bytes {
            let count = stream.read(&mut answer).unwrap();
            assert!(count > 0, "the connection ended");
            heard.extend_from_slice(&answer[..count]);
        }
    };
    let (mut moves, mut light) = (connect(), connect());
    for _ in 0..20 {
        ask(&mut moves, "/", 100 * KIB);
        hear(&mut moves, 100 * KIB);
    }
    ask(&mut light, "/held", 1);
    for _ in 0..20 {
        ask(&mut moves, "/", 100 * KIB);
        hear(&mut moves, 100 * KIB);
    }
    let_go.send(()).unwrap();
    hear(&mut light, 1);
    drop((moves, light));
    stop.begin();
    server.unwrap().join().unwrap();
}
