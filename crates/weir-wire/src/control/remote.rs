//! The control plane over HTTP.
//!
//! Used by every server of a fleet and by the lab. One connection a call: calls are rare (one a poll), and a
//! connection kept open would make a restarted control plane look dead.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ControlError, ControlFuture, ControlReply, ControlRequest, ControlService};
use crate::http::client;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A control plane at an address.
#[derive(Debug, Clone, Copy)]
pub struct RemoteControl {
    address: SocketAddr,
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
        Self { address }
    }

    async fn ask(&self, request: ControlRequest) -> Result<ControlReply, ControlError> {
        let unavailable = |detail: String| ControlError::Unavailable(detail);
        let body = serde_json::to_vec(&request).map_err(|error| ControlError::Invalid(error.to_string()))?;
        let answer = client::post_json(self.address, Self::PATH, Bytes::from(body), CALL_TIMEOUT)
            .await
            .map_err(|error| unavailable(error.to_string()))?;
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
