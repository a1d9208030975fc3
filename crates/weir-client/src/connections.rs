//! Kept-alive connections to the endpoints of one client.
//!
//! Used by the client alone. A connection belongs to the runtime that opened it, and is used by one call at a time.
//! Idle ones are bounded; beyond the bound they are closed, never queued for.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use weir_core::limits::FRAME_BYTES_MAX;

use crate::{
    endpoint::Endpoint,
    error::CallError,
    stream::{ConnectError, Stream},
    trust::Trust,
};

/// Bytes of the largest answer: a full `GetRecords` in base64 is under 16 MiB.
const ANSWER_BYTES_MAX: usize = FRAME_BYTES_MAX;

type Sender = SendRequest<Full<Bytes>>;

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Idle connections by endpoint.
#[derive(Debug)]
pub(crate) struct Connections {
    idle_max: usize,
    /// Whom to believe at https endpoints.
    pub(crate) trust: Option<Trust>,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    by_endpoint: BTreeMap<Endpoint, Vec<Sender>>,
    count: usize,
}

impl Idle {
    /// Endpoints that are not named any more are never asked again: what they closed must not count for ever.
    fn forget_closed(&mut self) {
        self.by_endpoint.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        self.count = self.by_endpoint.values().map(Vec::len).sum();
    }
}

impl Connections {
    /// Keeps at most `idle_max` connections open between calls.
    pub(crate) fn new(idle_max: usize) -> Self {
        Self { idle_max, trust: None, idle: Mutex::default() }
    }

    /// Sends `request` and reads the whole answer. The caller bounds the time; dropping the future closes the
    /// connection.
    pub(crate) async fn exchange(
        &self,
        endpoint: &Endpoint,
        request: Request<Full<Bytes>>,
    ) -> Result<RawAnswer, CallError> {
        let broken = |detail: String| CallError::Broken { endpoint: endpoint.clone(), detail };
        let mut sender = match self.take(endpoint).await {
            Some(sender) => sender,
            None => self.connect(endpoint).await?,
        };
        let response = sender.send_request(request).await.map_err(|error| {
            if error.is_canceled() {
                CallError::ClosedBefore { endpoint: endpoint.clone() }
            } else {
                broken(error.to_string())
            }
        })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| broken(error.to_string()))?
            .to_bytes();
        self.put(endpoint, sender);
        Ok(RawAnswer { status, body })
    }

    /// An idle connection that is still open.
    async fn take(&self, endpoint: &Endpoint) -> Option<Sender> {
        loop {
            let mut sender = {
                let mut idle = self.idle.lock();
                let sender = idle.by_endpoint.get_mut(endpoint)?.pop()?;
                idle.count -= 1;
                sender
            };
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn put(&self, endpoint: &Endpoint, sender: Sender) {
        let mut idle = self.idle.lock();
        if idle.count >= self.idle_max {
            idle.forget_closed();
        }
        if idle.count < self.idle_max && !sender.is_closed() {
            idle.by_endpoint.entry(endpoint.clone()).or_default().push(sender);
            idle.count += 1;
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Sender, CallError> {
        let failed = |source| CallError::Connect { endpoint: endpoint.clone(), source };
        let stream = Stream::connect(endpoint, self.trust.as_ref()).await.map_err(failed)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(ConnectError::Tcp(std::io::Error::other(error))))?;
        // Ends when the sender is dropped or the peer closes: as many tasks as connections.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn answer(stream: &mut TcpStream, number: u32) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn what_its_peer_has_closed_takes_no_place_of_an_idle_connection() {
        let (gone, stays) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let [at_gone, at_stays] = [&gone, &stays].map(|it| Endpoint::at(it.local_addr().unwrap()));
        let (go, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = gone.accept().await.unwrap();
            answer(&mut stream, 1).await;
            told.await.unwrap();
        });
        // Says on which of its connections it is asked.
        tokio::spawn(async move {
            for number in 1.. {
                let (mut stream, _) = stays.accept().await.unwrap();
                tokio::spawn(async move {
                    loop {
                        answer(&mut stream, number).await;
                    }
                });
            }
        });
        let connections = Connections::new(1);
        let asked = async |endpoint: &Endpoint| {
            let request = Request::get("/").header("host", endpoint.host()).body(Full::default()).unwrap();
            connections.exchange(endpoint, request).await.unwrap().body
        };
        assert_eq!(asked(&at_gone).await, "1");
        go.send(()).unwrap();
        let is_closed = || connections.idle.lock().by_endpoint.values().flatten().all(Sender::is_closed);
        while !is_closed() {
            tokio::task::yield_now().await;
        }
        assert_eq!([asked(&at_stays).await, asked(&at_stays).await], ["1", "1"]);
    }
}
