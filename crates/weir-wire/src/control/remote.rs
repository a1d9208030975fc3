//! The control plane over HTTP.
//!
//! Used by every server of a fleet and by the lab. What only asks goes over a connection that is kept, since each server
//! asks every second; it is asked once more on a new one if the control plane has restarted meanwhile. What may change
//! something has a connection of its own and is never sent twice.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{ControlError, ControlFuture, ControlReply, ControlRequest, ControlService};
use crate::http::client::{self, Answer, CallError, Kept};

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A control plane at an address, for one runtime: the kept connection lives on that which connected last, and waits
/// when it is busy.
#[derive(Debug)]
pub struct RemoteControl {
    address: SocketAddr,
    /// Taken by a question and put back behind it; questions beside it open their own.
    kept: Mutex<Option<Kept>>,
}

/// What `POST /v1/call` answers with, whatever the outcome.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallOutcome {
    /// It was done.
    Ok(ControlReply),
    /// It was not.
    Err(ControlError),
}

impl RemoteControl {
    /// The path that takes calls.
    pub const PATH: &'static str = "/v1/call";

    /// Nothing is sent yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, kept: Mutex::new(None) }
    }

    async fn send(&self, only_asks: bool, body: Bytes) -> Result<Answer, CallError> {
        if !only_asks {
            return client::post_json(self.address, Self::PATH, body, CALL_TIMEOUT).await;
        }
        let kept = self.kept.lock().take();
        let mut kept = kept.unwrap_or_else(|| Kept::new(self.address));
        let answer = kept.post_json(Self::PATH, body, CALL_TIMEOUT).await;
        if answer.is_ok() {
            *self.kept.lock() = Some(kept); // else it has none, and a question beside this one may have put back its own
        }
        answer
    }

    async fn ask(&self, request: ControlRequest) -> Result<ControlReply, ControlError> {
        let unavailable = |detail: String| ControlError::Unavailable(detail);
        let body = serde_json::to_vec(&request).map_err(|error| ControlError::Invalid(error.to_string()))?;
        let answer = self.send(request.only_asks(), Bytes::from(body)).await;
        let answer = answer.map_err(|error| unavailable(error.to_string()))?;
        match serde_json::from_slice(&answer.body) {
            Ok(CallOutcome::Ok(reply)) => Ok(reply),
            Ok(CallOutcome::Err(error)) => Err(error),
            Err(error) => Err(unavailable(format!("HTTP {} with {error}", answer.status))),
        }
    }
}

impl ControlService for RemoteControl {
    fn call(&self, request: ControlRequest) -> ControlFuture<'_> {
        Box::pin(self.ask(request))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };
    use weir_core::id::MemberId;

    use super::*;

    async fn read_request(stream: &mut TcpStream) -> ControlRequest {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    async fn answer(stream: &mut TcpStream) {
        let body = serde_json::to_string(&CallOutcome::Ok(ControlReply::Status(Vec::new()))).unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn what_only_asks_is_asked_again_and_what_changes_something_is_sent_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = RemoteControl::new(listener.local_addr().unwrap());
        let drain = ControlRequest::Drain { member: MemberId(1), on: true };
        let expected = drain.clone();
        let serving = tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            assert_eq!(read_request(&mut first).await, ControlRequest::Status);
            answer(&mut first).await;
            assert_eq!(read_request(&mut first).await, ControlRequest::Status);
            drop(first); // without an answer
            let (mut second, _) = listener.accept().await.unwrap();
            assert_eq!(read_request(&mut second).await, ControlRequest::Status);
            answer(&mut second).await;
            let (mut third, _) = listener.accept().await.unwrap();
            assert_eq!(read_request(&mut third).await, expected, "on a connection of its own");
            drop(third);
            // What comes next is the next question, not the last once more.
            assert_eq!(read_request(&mut second).await, ControlRequest::Status);
            answer(&mut second).await;
        });
        for _ in 0..2 {
            assert_eq!(remote.call(ControlRequest::Status).await, Ok(ControlReply::Status(Vec::new())));
        }
        assert!(matches!(remote.call(drain).await, Err(ControlError::Unavailable(_))));
        assert_eq!(remote.call(ControlRequest::Status).await, Ok(ControlReply::Status(Vec::new())));
        serving.await.unwrap();
    }
}
