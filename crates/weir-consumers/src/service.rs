//! The worker threads of a consumer: each with its own listener on the shared port, one request at a time.
//!
//! As the web servers of 2020: a worker that waits for room in the buffer serves nobody, and the kernel goes on
//! dealing connections to it. Listeners are bound before any thread starts, so that a port that is taken is an error
//! of the start.

use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use hyper::{Request, Response, StatusCode, header};
use serde::Serialize;
use weir_core::threads::Threads;
use weir_sync::Shutdown;
use weir_wire::http::server::{self, Handler, ResponseBody, ResponseFuture, bind_shared, full};

use crate::run::{StartError, runtime};

/// How long requests in flight may take when the consumer stops.
const GRACE: Duration = Duration::from_millis(500);

/// Number of a worker, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerIndex(pub(crate) usize);

/// What a consumer answers. Called on a worker's thread, which it may block.
pub(crate) trait Service: fmt::Debug + Send + Sync + 'static {
    /// One request.
    fn answer(&self, worker: WorkerIndex, request: &Request<Bytes>) -> Response<ResponseBody>;
}

/// Binds one listener a worker.
pub(crate) fn bind(address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, StartError> {
    let failed = |source| StartError::Listen { address, source };
    let first = bind_shared(address).map_err(failed)?;
    // With port 0 the first one chooses for all.
    let chosen = first.local_addr().map_err(failed)?;
    let rest = (1..workers).map(|_| bind_shared(chosen).map_err(failed));
    std::iter::once(Ok(first)).chain(rest).collect()
}

/// Starts a thread for each listener, and adds it to `started`.
pub(crate) fn start(
    listeners: Vec<TcpListener>,
    service: &Arc<dyn Service>,
    threads: &Threads,
    stop: &Shutdown,
    started: &mut Vec<JoinHandle<()>>,
) -> Result<(), StartError> {
    for (index, listener) in listeners.into_iter().enumerate() {
        let worker = Arc::new(Worker { index: WorkerIndex(index), service: Arc::clone(service) });
        let runtime = runtime()?;
        let stop = stop.clone();
        started.push(threads.spawn(format!("worker-{index}"), move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener);
                let listener = listener.expect("a bound listener on a fresh runtime");
                server::serve(listener, worker, stop, GRACE).await;
            });
        })?);
    }
    Ok(())
}

struct Worker {
    index: WorkerIndex,
    service: Arc<dyn Service>,
}

impl Handler for Worker {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        ResponseFuture::new(async move { self.service.answer(self.index, &request) })
    }
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<ResponseBody> {
    let body = serde_json::to_vec(body).expect("answers have text keys only");
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// A refusal as AWS's services dress it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The request makes no sense.
    Malformed,
    /// There is no such thing to ask for.
    UnknownOperation,
    /// Too many of something in one request.
    LimitExceeded,
    /// The buffer is full, or the consumer stops.
    Unavailable,
    /// It took too long; the caller has gone.
    TimedOut,
}

/// `trouble` with words for people.
pub(crate) fn refuse(trouble: Trouble, message: impl Into<String>) -> Response<ResponseBody> {
    #[derive(Serialize)]
    struct Body {
        #[serde(rename = "__type")]
        code: &'static str,
        message: String,
    }
    let (status, code) = match trouble {
        Trouble::Malformed => (StatusCode::BAD_REQUEST, "ValidationException"),
        Trouble::UnknownOperation => (StatusCode::NOT_FOUND, "UnknownOperationException"),
        Trouble::LimitExceeded => (StatusCode::BAD_REQUEST, "LimitExceededException"),
        Trouble::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
        Trouble::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "RequestTimeoutException"),
    };
    json(status, &Body { code, message: message.into() })
}
