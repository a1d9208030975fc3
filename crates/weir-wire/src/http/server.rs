//! A bounded HTTP/1.1 listener on the current thread's runtime.
//!
//! A front end's service port, the control plane, consumers and admin listeners are each one of these with a
//! [`Handler`]. It takes whole bodies up to a bound (`body.rs`), hands them on and writes the answer. A slow or broken
//! client costs its own connection: one small buffer, and an answer for as long as it takes that at a least pace
//! (`paced.rs`). A handler whose answers are large counts them before it makes them (`held.rs`).

mod body;
mod held;
mod paced;

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode, body::Incoming, header, http::request::Parts, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use weir_core::limits::{
    HTTP_ANSWER_BYTES_PER_SECOND_MIN, HTTP_BODIES_BYTES_MAX, HTTP_BODY_TIMEOUT, HTTP_CONNECTIONS_MAX,
    HTTP_HEAD_TIMEOUT, HTTP_HEADER_BYTES_MAX, HTTP_WRITE_TIMEOUT, KIB,
};
use weir_sync::{ByteBudget, Shutdown};

pub use self::held::held;
use self::paced::{Pace, Paced};

/// Bytes that a connection reads at once. Larger bodies would arrive in fewer pieces, but a connection may keep a buffer
/// of this size for as long as it is idle.
const READ_BYTES_MAX: usize = 64 * KIB;

/// A response body: whole, or a stream of frames.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// The answer, when it comes.
pub type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send + 'a>>;

/// Who answers requests.
pub trait Handler: Send + Sync + 'static {
    /// One request with its whole body.
    fn handle(&self, request: Request<Bytes>, peer: SocketAddr) -> ResponseFuture<'_>;

    /// The answer to a request whose body could not be taken; each protocol has its own form, by the request's head.
    fn refuse(&self, refusal: Refusal, _head: &Parts) -> Response<ResponseBody> {
        let (status, text) = match refusal {
            Refusal::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"),
            Refusal::BodyBroken => (StatusCode::BAD_REQUEST, "the body did not arrive whole\n"),
            Refusal::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "the body took too long\n"),
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many request bodies at once\n"),
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
    /// All bodies together are over [`HTTP_BODIES_BYTES_MAX`].
    Busy,
}

/// A body of bytes that are all here.
pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into()).boxed_unsync()
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
    head_timeout: Duration,
    body_timeout: Duration,
    answers: Pace,
    bodies_bytes: usize,
}

impl Bounds {
    const SERVED: Self = Self {
        head_timeout: HTTP_HEAD_TIMEOUT,
        body_timeout: HTTP_BODY_TIMEOUT,
        answers: Pace {
            patience: HTTP_WRITE_TIMEOUT,
            bytes_per_second: HTTP_ANSWER_BYTES_PER_SECOND_MIN as u64,
        },
        bodies_bytes: HTTP_BODIES_BYTES_MAX,
    };
}

struct Shared {
    handler: Arc<dyn Handler>,
    /// What request bodies may take together.
    bodies: ByteBudget,
    bounds: Bounds,
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

/// Serves until `stop` begins; then takes no new connection, lets requests in flight end, and returns within
/// `grace`.
pub async fn serve(listener: TcpListener, handler: Arc<dyn Handler>, stop: Shutdown, grace: Duration) {
    serve_within(Bounds::SERVED, listener, handler, stop, grace).await;
}

async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    handler: Arc<dyn Handler>,
    stop: Shutdown,
    grace: Duration,
) {
    let shared = Arc::new(Shared { handler, bodies: ByteBudget::new(bounds.bodies_bytes), bounds });
    let connections = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    let mut stopped = stop.wait_async();
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit.expect("never closed"),
            () = &mut stopped => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                tokio::spawn(async move {
                    serve_connection(stream, peer, shared, stop).await;
                    drop(permit);
                });
            }
            // Out of file descriptors, or the client was gone already: wait a moment rather than spin.
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let all = u32::try_from(HTTP_CONNECTIONS_MAX).expect("fits a semaphore");
    let _ = tokio::time::timeout(grace, connections.acquire_many(all)).await;
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, stop: Shutdown) {
    let _ = stream.set_nodelay(true); // an answer is one write; a failure here only costs time
    let bounds = shared.bounds;
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_header_size(HTTP_HEADER_BYTES_MAX)
        .max_buf_size(READ_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(Paced::new(stream, bounds.answers)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.wait_async() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>, peer: SocketAddr) -> Response<ResponseBody> {
    let (head, mut body) = request.into_parts();
    let taken = tokio::time::timeout(shared.bounds.body_timeout, body::take(&shared.bodies, &mut body)).await;
    let refusal = match taken {
        Ok(Ok((whole, _reserved))) => {
            return shared.handler.handle(Request::from_parts(head, whole), peer).await;
        }
        Ok(Err(refusal)) => refusal,
        Err(_) => Refusal::BodyTimeout,
    };
    if matches!(refusal, Refusal::BodyTooLarge | Refusal::Busy) {
        let _ = tokio::time::timeout(shared.bounds.body_timeout, body::discard(&mut body)).await;
    }
    close(shared.handler.refuse(refusal, &head))
}

/// What is left of the body is not worth reading: the connection ends with this answer.
fn close(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests;
