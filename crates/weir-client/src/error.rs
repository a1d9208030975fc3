//! Why a call failed, and whether it may have happened all the same.
//!
//! The retry policy decides by it, checkers judge by it. A service's own code is kept as text: a newer service may say
//! what this client has never heard of.

use std::time::Duration;

use weir_core::effect::Effect;
use weir_wire::control::ControlError;

use crate::{endpoint::Endpoint, stream::ConnectError};

/// A call without its answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no endpoint to send it to.
    #[error("no endpoint is known")]
    NoEndpoint,
    /// The control plane did not say where to send it.
    #[error("endpoints are not known: {0}")]
    Endpoints(#[source] ControlError),
    /// The call cannot be written as JSON.
    #[error("write the call: {0}")]
    Encode(#[source] serde_json::Error),
    /// No connection: nothing was sent.
    #[error("connect to {endpoint}: {source}")]
    Connect {
        /// Where to.
        endpoint: Endpoint,
        /// Why.
        source: ConnectError,
    },
    /// The connection was closed before the request was sent on it.
    #[error("{endpoint} closed the connection before the call")]
    ClosedBefore {
        /// Whose.
        endpoint: Endpoint,
    },
    /// The connection broke after the request was sent, at least in part.
    #[error("call to {endpoint}: {detail}")]
    Broken {
        /// Where to.
        endpoint: Endpoint,
        /// What was seen.
        detail: String,
    },
    /// No answer in time.
    #[error("{endpoint} did not answer within {timeout:?}")]
    Timeout {
        /// Where to.
        endpoint: Endpoint,
        /// The bound.
        timeout: Duration,
    },
    /// The service answered with an error.
    #[error("{code} (HTTP {status}){}", .message.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Service {
        /// The HTTP status.
        status: u16,
        /// Its `__type`, without a namespace.
        code: String,
        /// Its text.
        message: Option<String>,
    },
    /// The answer is no answer to this call.
    #[error("answer of {endpoint} does not read: {detail}")]
    Answer {
        /// Whose.
        endpoint: Endpoint,
        /// What is wrong with it.
        detail: String,
    },
}

impl CallError {
    /// Could the call have been done although the caller saw an error? No `_` arm, on purpose.
    pub fn effect(&self) -> Effect {
        match self {
            Self::NoEndpoint
            | Self::Endpoints(_)
            | Self::Encode(_)
            | Self::Connect { .. }
            | Self::ClosedBefore { .. } => Effect::None,
            // A server's own trouble may have come after the write; what it blames the caller for did not happen.
            Self::Service { status, .. } if *status < 500 => Effect::None,
            Self::Service { .. } | Self::Broken { .. } | Self::Timeout { .. } | Self::Answer { .. } => {
                Effect::Unknown
            }
        }
    }

    /// The service's code, or a word for what happened on the way: fit for counting.
    pub fn code(&self) -> &str {
        match self {
            Self::NoEndpoint | Self::Endpoints(_) => "no-endpoint",
            Self::Encode(_) => "encode",
            Self::Connect { .. } => "connect",
            Self::ClosedBefore { .. } | Self::Broken { .. } => "connection",
            Self::Timeout { .. } => "timeout",
            Self::Service { code, .. } => code,
            Self::Answer { .. } => "bad-answer",
        }
    }
}
