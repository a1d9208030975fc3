//! Connections that go from thread to thread while they are served: nobody notices but the processors.

use std::{
    collections::HashSet,
    io::{Read, Write},
    sync::mpsc,
    thread,
};

use parking_lot::Mutex;
use weir_core::threads::Threads;

use super::*;

/// Answers with what came, and with the name of the thread in a header.
struct Echo;

impl Handler for Echo {
    fn handle(&self, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture<'_> {
        let mut answer = Response::new(full(request.into_body()));
        let thread = thread::current().name().unwrap_or("none").replace(':', "_");
        answer.headers_mut().insert("thread", thread.parse().unwrap());
        Box::pin(std::future::ready(answer))
    }
}

/// A connection that stays open.
struct Caller(TcpStream);

impl Caller {
    /// Sends so many bytes, which must come back; the thread that served them.
    async fn call(&mut self, bytes: usize, filled_with: u8) -> String {
        let mut request =
            format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {bytes}\r\n\r\n").into_bytes();
        let head_bytes = request.len();
        request.resize(head_bytes + bytes, filled_with);
        let (mut reader, mut writer) = self.0.split();
        let sent = async { writer.write_all(&request).await.unwrap() };
        let answered = async {
            let mut answer = Vec::new();
            loop {
                reader.read_buf(&mut answer).await.unwrap();
                if let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n")
                    && answer.len() >= head + 4 + bytes
                {
                    break (String::from_utf8(answer[..head].to_vec()).unwrap(), answer.split_off(head + 4));
                }
            }
        };
        let ((), (head, echo)) = tokio::join!(sent, answered);
        assert!(echo == request[head_bytes..], "{} bytes of {bytes} came back", echo.len());
        let named = |line: &str| line.strip_prefix("thread: ").map(str::to_owned);
        head.lines().find_map(named).expect("the thread")
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

#[tokio::test]
async fn bulk_is_spread_over_the_threads_and_comes_home_when_it_is_light_again() {
    let threads = Threads::new();
    let serve_threads = ServeThreads::start(3, &threads).await.unwrap();
    assert_eq!(threads.running(), 2, "the listener's is there already");
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Shutdown::new();
    let doors = vec![Door { listener, tls: None }];
    let serving = tokio::spawn(serve_doors(doors, Arc::new(Echo), serve_threads, stop.clone(), GRACE));
    let mut callers = Vec::new();
    for _ in 0..6 {
        callers.push(Caller(TcpStream::connect(address).await.unwrap()));
    }
    let home = callers[0].call(1, 0).await;
    for caller in &mut callers {
        assert_eq!(caller.calls(40, KIB).await, home, "small calls stay together");
    }
    let mut served_by = Vec::new();
    for caller in &mut callers {
        served_by.push(caller.calls(20, 200 * KIB).await);
    }
    for thread in served_by.iter().collect::<HashSet<_>>() {
        assert_eq!(served_by.iter().filter(|other| *other == thread).count(), 2, "{served_by:?}");
    }
    // Whoever is left moves to where nobody is any more.
    let left: Vec<_> = served_by.iter().enumerate().filter(|(_, thread)| **thread == served_by[0]).collect();
    let (mut one, mut other) = (None, None);
    for (number, caller) in callers.into_iter().enumerate() {
        match left.iter().position(|(at, _)| *at == number) {
            Some(0) => one = Some(caller),
            Some(_) => other = Some(caller),
            None => {} // its connection ends
        }
    }
    let (mut one, mut other) = (one.unwrap(), other.unwrap());
    let (mut at_one, mut at_other) = (String::new(), String::new());
    for _ in 0..100 {
        (at_one, at_other) = (one.calls(20, 200 * KIB).await, other.calls(20, 200 * KIB).await);
        if at_one != at_other {
            break;
        }
    }
    assert_ne!(at_one, at_other);
    assert_eq!(one.calls(40, KIB).await, home);
    assert_eq!(other.calls(40, KIB).await, home);
    drop((one, other));
    stop.begin();
    serving.await.unwrap();
    assert_eq!(threads.running(), 0, "they end with the server");
}

/// Answers as much as it is sent; a request for `/held` holds its thread until the test lets go.
struct Held(Mutex<mpsc::Receiver<()>>);

impl Handler for Held {
    fn handle(&self, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture<'_> {
        if request.uri().path() == "/held" {
            self.0.lock().recv().unwrap();
        }
        Box::pin(std::future::ready(Response::new(full(request.into_body()))))
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
    let (mut stays, mut moves, mut light) = (connect(), connect(), connect());
    for stream in [&mut stays, &mut moves] {
        for _ in 0..20 {
            ask(stream, "/", 100 * KIB);
            hear(stream, 100 * KIB);
        }
    }
    ask(&mut light, "/held", 1);
    for _ in 0..20 {
        ask(&mut moves, "/", 100 * KIB);
        hear(&mut moves, 100 * KIB);
    }
    let_go.send(()).unwrap();
    hear(&mut light, 1);
    drop((stays, moves, light));
    stop.begin();
    server.unwrap().join().unwrap();
}
