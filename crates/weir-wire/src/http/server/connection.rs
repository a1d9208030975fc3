//! One connection, from its first byte to its last, in whichever HTTP its client speaks.
//!
//! The listener gives each its own task. It finds out what is spoken, takes requests to the handler and ends when the
//! client does, when it is idle or too slow, or when the server stops. It must wait for nobody without a bound.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{
    Request, Response, Uri, Version,
    body::Incoming,
    header::{self, HeaderValue},
    http::{request::Parts, uri::PathAndQuery},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::Instant,
};
use weir_core::limits::{
    HTTP_HEAD_BYTES_FREE, HTTP_HEADER_BYTES_MAX, HTTP2_FRAME_BYTES_MAX, HTTP2_GOAWAY_TIMEOUT,
    HTTP2_HEADER_TABLE_BYTES, HTTP2_PING_INTERVAL, HTTP2_PING_TIMEOUT, HTTP2_RESETS_FOR_ERRORS_MAX,
    HTTP2_RESETS_PENDING_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX, HTTP2_WINDOW_BYTES, KIB,
};
use weir_sync::Shutdown;

use super::{
    Cut, Refusal, ResponseBody, Shared,
    body::{self, Taken},
    delivered::Delivered,
    exchanges::{Exchange, Exchanges, Verdict},
    paced::Paced,
    preface::{self, Opened, Version as Spoken},
    serve_threads::Load,
    tls::Tls,
};

/// Bytes that a connection of HTTP/1.1 reads at once. Larger bodies would arrive in fewer pieces, but a connection may keep
/// a buffer of this size for as long as it is idle.
const READ_BYTES_MAX: usize = 64 * KIB;

/// What the requests of one connection have in common.
#[derive(Clone)]
struct Connection {
    shared: Arc<Shared>,
    exchanges: Arc<Exchanges>,
    /// What it carries, for whoever deals connections out.
    load: Arc<Load>,
    peer: SocketAddr,
    stop: Shutdown,
    /// Told when a handler has cut it.
    cut: Arc<Notify>,
}

/// Why a connection ended that nobody wanted to end.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("it did not begin: {0}")]
    Opening(std::io::Error),
    #[error("it did not say anything in time")]
    Silent,
    #[error("the client does not take its answers")]
    Late,
    #[error("it was cut on purpose")]
    Cut,
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// Serves `stream` to its end, with `tls` only after a handshake.
pub(super) async fn serve<S>(
    stream: S,
    load: Arc<Load>,
    tls: Option<Tls>,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stop: Shutdown,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let exchanges = Arc::new(Exchanges::new(shared.bounds.paces, shared.heads.clone(), Arc::clone(&load)));
    let stream = Paced::new(stream, Arc::clone(&exchanges));
    let connection = Connection { shared, exchanges, load, peer, stop, cut: Arc::default() };
    let ended = match tls {
        None => connection.serve(stream).await,
        Some(tls) => connection.serve_secured(stream, &tls).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

impl Connection {
    async fn serve_secured<S>(self, stream: S, tls: &Tls) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.shared.bounds.handshake_timeout, tls.accept(stream)) => shaken,
            () = self.stop.wait_async() => return Ok(()), // nothing was asked yet
        };
        let stream = shaken.map_err(|_| ConnectionError::Silent)?.map_err(ConnectionError::Opening)?;
        self.serve(stream).await
    }

    async fn serve<S>(self, stream: S) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let open = preface::open(stream, Arc::clone(&self.exchanges));
        let opened = tokio::select! {
            opened = tokio::time::timeout(self.shared.bounds.head_timeout, open) => opened,
            () = self.stop.wait_async() => return Ok(()), // nothing was asked yet
        };
        let (spoken, stream) =
            opened.map_err(|_| ConnectionError::Silent)?.map_err(ConnectionError::Opening)?;
        match spoken {
            Spoken::Http1 => self.serve_http1(stream).await,
            Spoken::Http2 => {
                self.load.stay(); // its requests are tasks of their own
                self.serve_http2(stream).await
            }
        }
    }

    async fn serve_http1<S>(self, stream: Opened<S>) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (stop, head_timeout) = (self.stop.clone(), self.shared.bounds.head_timeout);
        let cut = Arc::clone(&self.cut);
        let service = service_fn(move |request| self.clone().answer(request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_header_size(HTTP_HEADER_BYTES_MAX)
            .max_buf_size(READ_BYTES_MAX)
            // Else it reads to learn whether the client is still there, into a new buffer each time; `preface.rs` learns it.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = cut.notified() => return Err(ConnectionError::Cut),
            () = stop.wait_async() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = connection.as_mut() => Ok(ended?),
            () = cut.notified() => Err(ConnectionError::Cut),
        }
    }

    async fn serve_http2<S>(self, stream: Opened<S>) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (stop, exchanges, bounds) = (self.stop.clone(), Arc::clone(&self.exchanges), self.shared.bounds);
        let cut = Arc::clone(&self.cut);
        let service = service_fn(move |request| self.clone().answer(request));
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_header_list_size(HTTP_HEADER_BYTES_MAX as u32)
            .header_table_size(HTTP2_HEADER_TABLE_BYTES)
            .initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_WINDOW_BYTES)
            .max_frame_size(HTTP2_FRAME_BYTES_MAX)
            .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
            .max_pending_accept_reset_streams(HTTP2_RESETS_PENDING_MAX)
            .max_local_error_reset_streams(HTTP2_RESETS_FOR_ERRORS_MAX)
            .keep_alive_interval(HTTP2_PING_INTERVAL)
            .keep_alive_timeout(HTTP2_PING_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut look = tokio::time::interval(bounds.look_interval());
        let (mut stopped, mut ending) = (stop.wait_async(), false);
        loop {
            let idle_timeout = if ending { Duration::ZERO } else { bounds.idle_timeout };
            let end = tokio::select! {
                ended = connection.as_mut() => return Ok(ended?),
                () = &mut stopped, if !ending => true,
                () = cut.notified() => return Err(ConnectionError::Cut),
                _ = look.tick() => match exchanges.verdict(Instant::now(), idle_timeout) {
                    Verdict::Serve => false,
                    Verdict::Idle if ending => return Ok(()), // it was told, and had its time to answer
                    Verdict::Idle => true,
                    Verdict::Late => return Err(ConnectionError::Late),
                },
            };
            if end {
                ending = true;
                connection.as_mut().graceful_shutdown();
                let next = Instant::now() + HTTP2_GOAWAY_TIMEOUT;
                look = tokio::time::interval_at(next, HTTP2_GOAWAY_TIMEOUT);
            }
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Delivered>, Infallible> {
        let http2 = request.version() == Version::HTTP_2;
        let permit = Arc::clone(&self.shared.requests).try_acquire_owned().ok();
        let is_room = permit.is_some();
        let mut exchange = Arc::clone(&self.exchanges).begin(permit);
        let (head, body) = request.into_parts();
        let head = plain(head);
        let response = if is_room {
            self.respond(head, body, &mut exchange).await
        } else {
            close(self.shared.handler.refuse(Refusal::Busy, &head), head.version)
        };
        if response.extensions().get::<Cut>().is_some() {
            self.cut.notify_one();
            std::future::pending::<()>().await; // dropped with the connection
        }
        Ok(response.map(|body| Delivered::new(body, exchange, http2, &self.stop)))
    }

    async fn respond(
        &self,
        mut head: Parts,
        mut body: Incoming,
        exchange: &mut Exchange,
    ) -> Response<ResponseBody> {
        let Shared { handler, heads, bodies, bounds, .. } = &*self.shared;
        // A connection of HTTP/2 may have a hundred heads in memory before it sends the first byte of a body.
        let beyond = head_bytes(&head).saturating_sub(HTTP_HEAD_BYTES_FREE);
        let refusal = match heads.try_acquire(beyond) {
            None => Refusal::Busy,
            Some(_held) => {
                let taken = body::take(bodies, &mut body, || handler.wants_body_hash(&head));
                match tokio::time::timeout(bounds.body_timeout, taken).await {
                    Ok(Ok(Taken { whole, hash, reserved: _reserved })) => {
                        if let Some(hash) = hash {
                            head.extensions.insert(hash);
                        }
                        if head.version != Version::HTTP_2 {
                            exchange.begin_answering();
                        }
                        let handler = Arc::clone(handler);
                        return handler.handle(Request::from_parts(head, whole), self.peer).await;
                    }
                    Ok(Err(refusal)) => refusal,
                    Err(_) => Refusal::BodyTimeout,
                }
            }
        };
        // Who asks first whether to send it has not begun, and is answered instead.
        let is_asked = head.headers.contains_key(header::EXPECT) && body::is_too_large(&body);
        if matches!(refusal, Refusal::BodyTooLarge | Refusal::Busy) && !is_asked {
            let _ = tokio::time::timeout(bounds.body_timeout, body::discard(&mut body)).await;
        }
        close(handler.refuse(refusal, &head), head.version)
    }
}

/// Bytes of a head, with what HTTP/2 counts for each of its lines.
fn head_bytes(head: &Parts) -> usize {
    const LINE_BYTES: usize = 32;
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    target
        + head
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES)
            .sum::<usize>()
}

/// A request of HTTP/2 as one of HTTP/1.1 looks: the host is a header, which signatures are over, and the target a path.
fn plain(mut head: Parts) -> Parts {
    if head.version == Version::HTTP_2 {
        if let Some(host) =
            head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
        {
            head.headers.insert(header::HOST, host);
        }
        let path = head.uri.path_and_query().cloned();
        head.uri = Uri::from(path.unwrap_or(PathAndQuery::from_static("/"))); // CONNECT has none
    }
    head
}

/// What is left of the body is not worth reading: a connection that can carry nothing else until it is read ends with this
/// answer. HTTP/2 has no such header, and ends the one stream.
fn close(mut response: Response<ResponseBody>, version: Version) -> Response<ResponseBody> {
    if version != Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
