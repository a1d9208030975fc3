//! One call to Kinesis: sign, send, read, and try again when that may help.
//!
//! Services and tools hold one [`KinesisClient`] per runtime. It bounds every attempt in time and the attempts in
//! number; what it could not find out it reports as unknown, never as a failure that did not happen.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, header};
use parking_lot::Mutex;
use rand::RngExt;
use serde::Deserialize;
use weir_core::{
    clock::Clock,
    entropy::{Rng, secret_u64, seeded},
    limits::SHARDS_PER_STREAM_MAX,
};
use weir_wire::{
    kinesis::operation::TARGET_PREFIX,
    sigv4::{Identity, Signer, ToSign},
};

use crate::{
    calls::{Call, ListShards, Shard},
    connections::{Connections, RawAnswer},
    endpoint::Endpoint,
    endpoints::Endpoints,
    error::CallError,
    retry::{Attempt, RetryDecision, RetryPolicy},
    trust::Trust,
};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Who calls. A service without credentials takes any.
    pub identity: Identity,
    /// The region in the signature.
    pub region: String,
    /// How long one attempt may take, connecting included.
    pub attempt_timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Connections kept open between calls, over all endpoints.
    pub idle_connections_max: usize,
}

/// A client of one runtime.
#[derive(Debug)]
pub struct KinesisClient {
    config: ClientConfig,
    signer: Signer,
    endpoints: Arc<Endpoints>,
    connections: Connections,
    clock: Clock,
    jitter: Mutex<Rng>,
}

impl KinesisClient {
    /// A client for plain http; nothing is sent yet.
    pub fn new(config: ClientConfig, endpoints: Arc<Endpoints>, clock: Clock) -> Self {
        Self {
            signer: Signer::new(config.identity.clone(), config.region.clone()),
            connections: Connections::new(config.idle_connections_max),
            jitter: Mutex::new(seeded(secret_u64(), "retry jitter")),
            config,
            endpoints,
            clock,
        }
    }

    /// The same client, for https endpoints too: it believes the certificates of `trust`.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.connections.trust = Some(trust);
        self
    }

    /// Calls, each attempt at the next endpoint, until it succeeds or the policy gives up.
    pub async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, CallError> {
        let body = Bytes::from(serde_json::to_vec(call).map_err(CallError::Encode)?);
        let mut number = 0;
        loop {
            number += 1;
            let error = match self.attempt::<C>(body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let jitter = self.jitter.lock().random();
            match self.config.retry.decide(Attempt { number, writes: C::WRITES, error: &error }, jitter) {
                RetryDecision::GiveUp => return Err(error),
                RetryDecision::Again { after } => {
                    tracing::debug!(%error, number, ?after, "trying again");
                    tokio::time::sleep(after).await;
                }
            }
        }
    }

    /// All shards of a stream, page by page.
    pub async fn shards(&self, stream: &str) -> Result<Vec<Shard>, CallError> {
        let mut shards = Vec::new();
        let mut call =
            ListShards { stream_name: Some(stream.to_owned()), next_token: None, max_results: None };
        loop {
            let page = self.call(&call).await?;
            let more = !page.shards.is_empty() && shards.len() < SHARDS_PER_STREAM_MAX as usize;
            shards.extend(page.shards);
            match page.next_token {
                Some(token) if more => {
                    call = ListShards { stream_name: None, next_token: Some(token), max_results: None };
                }
                _ => return Ok(shards),
            }
        }
    }

    async fn attempt<C: Call>(&self, body: Bytes) -> Result<C::Answer, CallError> {
        let endpoint = self.endpoints.next(self.clock.now()).await?;
        let request = self.request(&endpoint, C::OPERATION.name(), body);
        let timeout = self.config.attempt_timeout;
        let answer = tokio::time::timeout(timeout, self.connections.exchange(&endpoint, request))
            .await
            .map_err(|_| CallError::Timeout { endpoint: endpoint.clone(), timeout })??;
        read_answer::<C>(&endpoint, &answer)
    }

    fn request(&self, endpoint: &Endpoint, operation: &str, body: Bytes) -> Request<Full<Bytes>> {
        let target = format!("{TARGET_PREFIX}.{operation}");
        let headers = [("content-type", CONTENT_TYPE), ("host", endpoint.host()), ("x-amz-target", &target)];
        let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: &body };
        let signed = self.signer.sign(&to_sign, self.clock.wall());
        let mut request = Request::post("/")
            .header(header::HOST, endpoint.host())
            .header(header::CONTENT_TYPE, CONTENT_TYPE)
            .header("x-amz-target", &target);
        for (name, value) in signed.pairs() {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).expect("names are fixed and values are printable")
    }
}

/// The service's error body: JSON 1.1 spells the text either way.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message")]
    message: Option<String>,
}

fn read_answer<C: Call>(endpoint: &Endpoint, answer: &RawAnswer) -> Result<C::Answer, CallError> {
    if (200..300).contains(&answer.status) {
        let body = if answer.body.is_empty() { b"{}".as_slice() } else { &answer.body };
        return serde_json::from_slice(body)
            .map_err(|error| CallError::Answer { endpoint: endpoint.clone(), detail: error.to_string() });
    }
    let (code, message) = match serde_json::from_slice::<ErrorBody>(&answer.body) {
        // Some services put a namespace in front: com.amazonaws.kinesis.v20131202#ResourceNotFoundException.
        Ok(body) => (body.code.rsplit('#').next().unwrap_or_default().to_owned(), body.message),
        Err(_) => (format!("HTTP{}", answer.status), None),
    };
    Err(CallError::Service { status: answer.status, code, message })
}
