//! One HTTP call on a connection of its own.
//!
//! For control-plane calls, health checks and scrapes. Anything that calls often keeps its own connections.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use weir_core::limits::HTTP_BODY_BYTES_MAX;

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection: nothing was sent.
    #[error("connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// It broke on the way.
    #[error("call to {address}: {detail}")]
    Broken {
        /// Where to.
        address: SocketAddr,
        /// What was seen.
        detail: String,
    },
    /// It took too long.
    #[error("{address} did not answer within {timeout:?}")]
    Timeout {
        /// Where to.
        address: SocketAddr,
        /// The bound.
        timeout: Duration,
    },
}

/// `GET path`.
pub async fn get(address: SocketAddr, path: &str, timeout: Duration) -> Result<Answer, CallError> {
    let request = Request::get(path).header(header::HOST, address.to_string()).body(Full::default());
    call(address, request, timeout).await
}

/// `POST path` with a JSON body.
pub async fn post_json(
    address: SocketAddr,
    path: &str,
    body: Bytes,
    timeout: Duration,
) -> Result<Answer, CallError> {
    let request = Request::post(path)
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body));
    call(address, request, timeout).await
}

async fn call(
    address: SocketAddr,
    request: Result<Request<Full<Bytes>>, hyper::http::Error>,
    timeout: Duration,
) -> Result<Answer, CallError> {
    let broken = |detail: String| CallError::Broken { address, detail };
    let request = request.map_err(|error| broken(error.to_string()))?;
    let exchange = async {
        let stream =
            TcpStream::connect(address).await.map_err(|source| CallError::Connect { address, source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(error.to_string()))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), HTTP_BODY_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| broken(error.to_string()))?;
            Ok(Answer { status, body: body.to_bytes() })
        };
        // Driven together on this task: the connection ends with the call.
        tokio::pin!(answer, connection);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                Err(error) => Err(broken(error.to_string())),
                // The peer closed after its answer: what it sent is still to be read.
                Ok(()) => answer.await,
            },
        }
    };
    match tokio::time::timeout(timeout, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CallError::Timeout { address, timeout }),
    }
}
