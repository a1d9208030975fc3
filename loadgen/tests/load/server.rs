//! A small HTTP server on one thread, whose answers the test decides: what the engine is measured against.
//!
//! One thread serves all connections in turn, so that a handler that sleeps stalls the whole server. It must answer
//! fast otherwise: a test that times the engine also times this.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::LocalSet,
};
use tokio_rustls::TlsAcceptor;
use weir_core::threads::Threads;
use weir_sync::Shutdown;

/// What the server does with a request.
pub(crate) enum Reply {
    /// Sends these bytes.
    Answer(&'static [u8]),
    /// Sends 200 with this body.
    Json(String),
    /// Closes the connection without an answer.
    Close,
    /// Never answers.
    Hang,
}

/// 200 with a small body.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A request, whole.
pub(crate) struct Request {
    /// From 0.
    pub(crate) number: u64,
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) type Handler = Box<dyn FnMut(&Request) -> Reply + Send>;

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicU64>,
    pub(crate) connections: Arc<AtomicU64>,
    stop: Shutdown,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server whose answers are `handler`'s.
    pub(crate) fn start(handler: Handler) -> Self {
        Self::start_over(None, handler)
    }

    /// The same over TLS.
    pub(crate) fn start_tls(acceptor: TlsAcceptor, handler: Handler) -> Self {
        Self::start_over(Some(acceptor), handler)
    }

    fn start_over(acceptor: Option<TlsAcceptor>, handler: Handler) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let stop = Shutdown::new();
        let (stopped, served) = (stop.clone(), (requests.clone(), connections.clone()));
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let listener = TcpListener::from_std(listener).unwrap();
                let handler = Arc::new(Mutex::new(handler));
                loop {
                    tokio::select! {
                        () = stopped.wait_async() => return,
                        accepted = listener.accept() => {
                            served.1.fetch_add(1, Ordering::Relaxed);
                            let (stream, _) = accepted.unwrap();
                            let _ = stream.set_nodelay(true);
                            let (handler, requests) = (handler.clone(), served.0.clone());
                            match acceptor.clone() {
                                None => drop(tokio::task::spawn_local(serve(stream, handler, requests))),
                                Some(acceptor) => drop(tokio::task::spawn_local(async move {
                                    // A client that does not believe us is the client's matter.
                                    if let Ok(stream) = acceptor.accept(stream).await {
                                        serve(stream, handler, requests).await;
                                    }
                                })),
                            }
                        }
                    }
                }
            });
        };
        let thread = Threads::new().spawn("test-server", run).unwrap();
        Self { address, requests, connections, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.begin();
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: Arc<Mutex<Handler>>,
    requests: Arc<AtomicU64>,
) {
    let mut buffer = Vec::new();
    loop {
        let (head, body) = loop {
            match take_request(&mut buffer) {
                Some(request) => break request,
                None => match stream.read_buf(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
            }
        };
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let reply = handler.lock().unwrap()(&Request { number, head, body });
        let answer = match reply {
            Reply::Answer(bytes) => bytes.to_vec(),
            Reply::Json(body) => {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
            }
            Reply::Close => return,
            Reply::Hang => std::future::pending().await,
        };
        if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// Takes one whole request from the front of `buffer`.
fn take_request(buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)?;
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| {
            line.strip_prefix("content-length:").map(|value| value.trim().parse::<usize>().unwrap())
        })
        .unwrap_or(0);
    if buffer.len() < end + length {
        return None;
    }
    let body = buffer[end..end + length].to_vec();
    buffer.drain(..end + length);
    Some((head, body))
}
