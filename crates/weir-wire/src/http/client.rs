//! HTTP calls between servers: on a connection of their own, or on one that is [`Kept`] between them.
//!
//! Health checks open one each, so that they say whether the peer takes connections now, and so does what may change
//! something. Who asks again and again keeps one. Only [`Kept`] may ask twice, so that nothing that changes the peer goes over it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{Connection, SendRequest},
    header,
};
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
    call(address, get_request(address, path), timeout).await
}

/// `POST path` with a JSON body.
pub async fn post_json(
    address: SocketAddr,
    path: &str,
    body: Bytes,
    timeout: Duration,
) -> Result<Answer, CallError> {
    call(address, post_request(address, path, body), timeout).await
}

/// A connection to one server, kept between calls and made anew when it is gone. It belongs to the runtime that it was
/// made on, and is closed there when this is dropped.
#[derive(Debug)]
pub struct Kept {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Kept {
    /// Nothing is connected yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// `GET path`.
    pub async fn get(&mut self, path: &str, timeout: Duration) -> Result<Answer, CallError> {
        self.call(timeout, |address| get_request(address, path)).await
    }

    /// `POST path` with a JSON body, which must change nothing at the peer: it may be sent twice.
    pub async fn post_json(
        &mut self,
        path: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, CallError> {
        self.call(timeout, |address| post_request(address, path, body.clone())).await
    }

    /// What a connection of before does not bring is asked for once more on a new one: the peer may have closed it
    /// meanwhile, or be another process by now. After an error nothing is kept.
    async fn call(
        &mut self,
        timeout: Duration,
        request: impl Fn(SocketAddr) -> HttpRequest,
    ) -> Result<Answer, CallError> {
        let before = self.sender.take();
        let exchange = async {
            if let Some(mut sender) = before
                && let Ok(answer) = send(&mut sender, self.address, request(self.address)).await
            {
                return Ok((sender, answer));
            }
            let (mut sender, connection) = connect(self.address).await?;
            tokio::spawn(connection); // ends with its sender, and tells it of its errors
            let answer = send(&mut sender, self.address, request(self.address)).await?;
            Ok((sender, answer))
        };
        let (sender, answer) = in_time(self.address, timeout, exchange).await?;
        self.sender = Some(sender);
        Ok(answer)
    }
}

type HttpRequest = Result<Request<Full<Bytes>>, hyper::http::Error>;

fn get_request(address: SocketAddr, path: &str) -> HttpRequest {
    Request::get(path).header(header::HOST, address.to_string()).body(Full::default())
}

fn post_request(address: SocketAddr, path: &str, body: Bytes) -> HttpRequest {
    Request::post(path)
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
}

async fn call(address: SocketAddr, request: HttpRequest, timeout: Duration) -> Result<Answer, CallError> {
    let exchange = async {
        let (mut sender, connection) = connect(address).await?;
        // Driven together on this task: the connection ends with the call.
        let answer = send(&mut sender, address, request);
        tokio::pin!(answer, connection);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                Err(error) => Err(broken(address, &error)),
                // The peer closed after its answer: what it sent is still to be read.
                Ok(()) => answer.await,
            },
        }
    };
    in_time(address, timeout, exchange).await
}

type Driver = Connection<TokioIo<TcpStream>, Full<Bytes>>;

async fn connect(address: SocketAddr) -> Result<(SendRequest<Full<Bytes>>, Driver), CallError> {
    let stream =
        TcpStream::connect(address).await.map_err(|source| CallError::Connect { address, source })?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    handshake.await.map_err(|error| broken(address, &error))
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    request: HttpRequest,
) -> Result<Answer, CallError> {
    let request = request.map_err(|error| broken(address, &error))?;
    let response = sender.send_request(request).await.map_err(|error| broken(address, &error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), HTTP_BODY_BYTES_MAX).collect().await;
    Ok(Answer { status, body: body.map_err(|error| broken(address, &error))?.to_bytes() })
}

async fn in_time<T>(
    address: SocketAddr,
    timeout: Duration,
    exchange: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(timeout, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CallError::Timeout { address, timeout }),
    }
}

fn broken(address: SocketAddr, detail: &impl ToString) -> CallError {
    CallError::Broken { address, detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// A server of one connection at a time: on each it answers so many requests, with the number of the connection, and
    /// closes it.
    async fn server(answers: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for number in 1.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                for _ in 0..answers {
                    answer(&mut stream, number).await;
                }
            }
        });
        address
    }

    /// Reads a request, if the client still sends one, and answers with `number`.
    async fn answer(stream: &mut TcpStream, number: u32) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            request.push(byte);
        }
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
        let _ = stream.write_all(answer.as_bytes()).await; // the client may have given up
    }

    async fn connection_of(kept: &mut Kept) -> String {
        let answer = kept.get("/metrics", LONG).await.unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_made_anew_when_the_peer_has_closed_it() {
        let mut kept = Kept::new(server(2).await);
        for connection in ["1", "1", "2", "2", "3"] {
            assert_eq!(connection_of(&mut kept).await, connection);
        }
    }

    #[tokio::test]
    async fn nobody_gets_the_late_answer_to_a_call_that_was_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut kept = Kept::new(listener.local_addr().unwrap());
        let (given_up, late) = tokio::sync::oneshot::channel();
        let serving = tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            answer(&mut first, 1).await;
            late.await.unwrap();
            answer(&mut first, 2).await;
            let (mut second, _) = listener.accept().await.unwrap();
            answer(&mut second, 3).await;
        });
        assert_eq!(connection_of(&mut kept).await, "1");
        let timed_out = kept.get("/metrics", Duration::from_millis(1)).await;
        assert!(matches!(timed_out, Err(CallError::Timeout { .. })), "{timed_out:?}");
        given_up.send(()).unwrap();
        assert_eq!(connection_of(&mut kept).await, "3");
        serving.await.unwrap();
    }
}
