//! A bounded listener of HTTP/1.1 and HTTP/2 on the current thread's runtime, and on those that help it.
//!
//! A front end's service port, the control plane, consumers and admin listeners are each one of these with a
//! [`Handler`]. One port speaks both: the first bytes of a connection tell (`preface.rs`, `connection.rs`). It takes whole
//! bodies up to a bound (`body.rs`), hands them on and writes the answer (`delivered.rs`). A slow or broken client costs
//! its own connection: one small buffer, and an answer for as long as it takes that at a least pace (`paced.rs`,
//! `exchanges.rs`). A handler whose answers are large counts them before it makes them (`held.rs`).

mod body;
mod connection;
mod delivered;
mod exchanges;
mod heads;
mod held;
mod pace;
mod paced;
mod preface;
mod response_body;
mod response_future;
mod serve_threads;
mod streamed;
pub mod tls;
mod unfinished;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{Request, Response, StatusCode, header, http::request::Parts};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
};
use weir_core::limits::{
    HTTP_ANSWER_BYTES_PER_SECOND_MIN, HTTP_BODIES_BYTES_MAX, HTTP_BODY_TIMEOUT, HTTP_CONNECTIONS_MAX,
    HTTP_HEAD_TIMEOUT, HTTP_HEADS_BYTES_MAX, HTTP_OWN_CONNECTIONS_MAX, HTTP_REQUESTS_MAX,
    HTTP_STREAM_TIMEOUT, HTTP_TLS_HANDSHAKE_TIMEOUT, HTTP_WRITE_TIMEOUT, HTTP2_IDLE_TIMEOUT,
};
use weir_sync::{ByteBudget, Shutdown};

use crate::open_files;

pub use self::exchanges::has_one_caller_here;
pub(crate) use self::preface::PREFACE;
pub use self::streamed::{Source, streamed};
pub use self::{
    held::{held, held_bytes},
    response_body::{ResponseBody, full},
    response_future::ResponseFuture,
    serve_threads::{ServeThreads, ServeThreadsError},
};
use self::{
    pace::{Pace, Paces},
    serve_threads::Places,
    tls::Tls,
};

/// In an answer's extensions: there is none, and its connection ends without a word.
#[derive(Debug, Clone, Copy)]
pub struct Cut;

/// The answer that is none.
pub fn cut() -> Response<ResponseBody> {
    let mut response = Response::new(full(Bytes::new()));
    response.extensions_mut().insert(Cut);
    response
}

/// Who answers requests.
pub trait Handler: Send + Sync + 'static {
    /// One request with its whole body.
    fn handle(self: Arc<Self>, request: Request<Bytes>, peer: SocketAddr) -> ResponseFuture;

    /// Is the hash of this request's body needed? Then one that comes in several parts is hashed while it arrives, and its
    /// [`BodyHash`](crate::sigv4::BodyHash) is among the request's extensions.
    fn wants_body_hash(&self, _head: &Parts) -> bool {
        false
    }

    /// The answer to a request whose body could not be taken; each protocol has its own form, by the request's head.
    fn refuse(&self, refusal: Refusal, _head: &Parts) -> Response<ResponseBody> {
        let (status, text) = match refusal {
            Refusal::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"),
            Refusal::BodyBroken => (StatusCode::BAD_REQUEST, "the body did not arrive whole\n"),
            Refusal::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "the body took too long\n"),
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n"),
        };
        text_response(status, text)
    }
}

/// Why a body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Over [`weir_core::limits::HTTP_BODY_BYTES_MAX`].
    BodyTooLarge,
    /// Cut short or badly chunked.
    BodyBroken,
    /// Longer than [`HTTP_BODY_TIMEOUT`].
    BodyTimeout,
    /// All bodies together are over [`HTTP_BODIES_BYTES_MAX`], all heads over [`HTTP_HEADS_BYTES_MAX`], or all requests over
    /// [`HTTP_REQUESTS_MAX`].
    Busy,
}

/// A plain-text answer.
pub fn text_response(status: StatusCode, text: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// How long and how much. Everybody is served within [`Bounds::SERVED`]; tests have less patience.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    handshake_timeout: Duration,
    head_timeout: Duration,
    body_timeout: Duration,
    idle_timeout: Duration,
    paces: Paces,
    heads_bytes: usize,
    bodies_bytes: usize,
    connections: usize,
    /// They come out of the places that clients have, not out of what is kept back from them.
    places: bool,
    requests: usize,
}

impl Bounds {
    const SERVED: Self = Self {
        handshake_timeout: HTTP_TLS_HANDSHAKE_TIMEOUT,
        head_timeout: HTTP_HEAD_TIMEOUT,
        body_timeout: HTTP_BODY_TIMEOUT,
        idle_timeout: HTTP2_IDLE_TIMEOUT,
        paces: Paces {
            whole: Pace {
                patience: HTTP_WRITE_TIMEOUT,
                bytes_per_second: HTTP_ANSWER_BYTES_PER_SECOND_MIN as u64,
            },
            endless: Pace { patience: HTTP_STREAM_TIMEOUT, bytes_per_second: 1 },
        },
        heads_bytes: HTTP_HEADS_BYTES_MAX,
        bodies_bytes: HTTP_BODIES_BYTES_MAX,
        connections: HTTP_CONNECTIONS_MAX,
        places: true,
        requests: HTTP_REQUESTS_MAX,
    };

    /// For a door of the house, which must stay open when clients have taken all that is theirs.
    const OWN: Self = Self { connections: HTTP_OWN_CONNECTIONS_MAX, places: false, ..Self::SERVED };

    /// How often a connection is looked at: late enough to cost nothing, early enough to be about right.
    fn look_interval(&self) -> Duration {
        self.idle_timeout.min(self.paces.whole.patience) / 4
    }
}

/// What all connections of a listener share.
struct Shared {
    handler: Arc<dyn Handler>,
    /// What heads beyond their usual size may take together.
    heads: ByteBudget,
    /// What request bodies may take together.
    bodies: ByteBudget,
    connections: Arc<Semaphore>,
    /// Requests that are served, over all connections.
    requests: Arc<Semaphore>,
    bounds: Bounds,
}

impl Shared {
    fn new(bounds: Bounds, handler: Arc<dyn Handler>) -> Self {
        Self {
            handler,
            heads: ByteBudget::new(bounds.heads_bytes),
            bodies: ByteBudget::new(bounds.bodies_bytes),
            connections: Arc::new(Semaphore::new(bounds.connections)),
            requests: Arc::new(Semaphore::new(bounds.requests)),
            bounds,
        }
    }
}

/// Serves one connection that did not come by a listener, for those who drive the server by hand.
pub(crate) async fn serve_stream<S>(stream: S, handler: Arc<dyn Handler>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = SocketAddr::from(([127, 0, 0, 1], 0));
    let shared = Arc::new(Shared::new(Bounds::SERVED, handler));
    connection::serve(stream, Arc::default(), None, peer, shared, Shutdown::new()).await;
}

/// Listens on `address`, with the port shared over a quick restart.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::from_std(bind_early(address)?)
}

/// The same for whoever has no runtime yet, to be taken onto one with [`TcpListener::from_std`].
pub fn bind_early(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    listen(address, false)
}

/// Listens on `address` together with other listeners of this process's user: the kernel deals connections out among
/// them. For servers with one listener a thread; each takes it onto its own runtime with [`TcpListener::from_std`].
pub fn bind_shared(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    listen(address, true)
}

fn listen(address: SocketAddr, shared: bool) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// One way in to a handler.
#[derive(Debug)]
pub struct Door {
    /// Where clients knock.
    pub listener: TcpListener,
    /// What they are shown first; nothing where they come by plain HTTP.
    pub tls: Option<Tls>,
}

/// Serves until `stop` begins; then takes no new connection, lets requests in flight end, and returns within
/// `grace`.
pub async fn serve(listener: TcpListener, handler: Arc<dyn Handler>, stop: Shutdown, grace: Duration) {
    let doors = vec![Door { listener, tls: None }];
    serve_doors(doors, handler, ServeThreads::one(), stop, grace).await;
}

/// The same for a handler with several doors and, if it is given more than one, several threads: what its clients may cost is
/// bounded for all of them together. At the end it waits for the poll that each helper is in, however long that takes.
pub async fn serve_doors(
    doors: Vec<Door>,
    handler: Arc<dyn Handler>,
    threads: ServeThreads,
    stop: Shutdown,
    grace: Duration,
) {
    serve_within(Bounds::SERVED, doors, handler, &threads, stop, grace).await;
}

/// The same for a listener that is for the house and not for clients: health, metrics, faults.
pub async fn serve_own(listener: TcpListener, handler: Arc<dyn Handler>, stop: Shutdown, grace: Duration) {
    let doors = vec![Door { listener, tls: None }];
    serve_within(Bounds::OWN, doors, handler, &ServeThreads::one(), stop, grace).await;
}

async fn serve_within(
    bounds: Bounds,
    doors: Vec<Door>,
    handler: Arc<dyn Handler>,
    threads: &ServeThreads,
    stop: Shutdown,
    grace: Duration,
) {
    let shared = Arc::new(Shared::new(bounds, handler));
    let places = threads.places();
    let mut open = JoinSet::new();
    for door in doors {
        open.spawn(accept(door, Arc::clone(&shared), places.clone(), stop.clone()));
    }
    open.join_all().await;
    let all = u32::try_from(bounds.connections).expect("fits a semaphore");
    let _ = tokio::time::timeout(grace, shared.connections.acquire_many(all)).await;
}

/// Lets clients in by one door until `stop` begins.
async fn accept(door: Door, shared: Arc<Shared>, places: Places, stop: Shutdown) {
    let mut stopped = stop.wait_async();
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&shared.connections).acquire_owned() => permit.expect("never closed"),
            () = &mut stopped => return,
        };
        let place = tokio::select! {
            place = open_files::place(), if shared.bounds.places => Some(place),
            () = std::future::ready(()), if !shared.bounds.places => None,
            () = &mut stopped => return,
        };
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            () = &mut stopped => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (tls, shared, stop) = (door.tls.clone(), Arc::clone(&shared), stop.clone());
                let _ = stream.set_nodelay(true); // an answer is one write; a failure here only costs time
                places.serve(stream, |stream, load| async move {
                    connection::serve(stream, load, tls, peer, shared, stop).await;
                    drop((permit, place));
                });
            }
            // Out of file descriptors, or the client was gone already: wait a moment rather than spin.
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
