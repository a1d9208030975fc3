//! The front end as a server of HTTP requests: the order of the steps, and nothing of what they do.
//!
//! The listener hands it whole requests. Each passes authentication, admission and its operation, and leaves with an
//! answer; the same listener answers the control plane's health check, so that who cannot serve cannot look healthy.
//! It keeps no state that a restart could lose.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, request::Parts};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, watch};
use weir_core::{
    clock::{Clock, WallMs},
    effect::Effect,
    id::StreamId,
    limits::{NODE_CALL_TIMEOUT, RESHARD_WAITING_MAX},
};
use weir_sync::{Snapshot, SnapshotReader};
use weir_wire::{
    control::{Control, SharedConfig},
    http::server::{Handler, Refusal, ResponseBody, ResponseFuture, cut, text_response},
    kinesis::{
        encoding::Encoding,
        error::{ApiError, ErrorCode},
        operation::{self, Operation},
    },
};

use crate::{
    answer::{Answer, AnswerBudget},
    authenticate::{authenticate, wants_body_hash},
    cors,
    error::RequestError,
    faults::{self, Decision, EventFaults, Faults},
    forward::{Dial, Forwarder},
    lookup::Lookup,
    metrics::{RequestMetrics, ShardMetrics},
    operations::{self, Call},
    request_config::RequestConfig,
    respond::{Responder, api_error, usual},
    route::Turns,
    seal::SecretError,
    shard_map::{CurrentMap, MapReader},
    subscription::{EventReads, Seats, SubscriptionTimes},
    throttle::{ShardRates, Throttle},
};

/// What the front end's request half is made of.
pub struct FrontendParts {
    /// The way to the control plane: for calls that are about streams and not about records.
    pub control: Control,
    /// Where the fleet half publishes the shard map.
    pub maps: Arc<CurrentMap>,
    /// What all front ends agree on; none before the fleet half has heard of it, and requests fail until then.
    pub shared: Option<Arc<SharedConfig>>,
    /// The way to the nodes.
    pub dial: Arc<dyn Dial>,
    /// The time.
    pub clock: Clock,
    /// What calls are made to meet on purpose.
    pub faults: Arc<Faults>,
    /// How long subscriptions to shards last.
    pub subscriptions: SubscriptionTimes,
}

/// The request half of a front end, for all threads that serve its connections.
pub struct Frontend {
    pub(crate) common: Arc<Common>,
    maps: Arc<MapReader>,
    /// Behind a lock as in [`MapReader`], and held as briefly.
    config: Mutex<SnapshotReader<Option<RequestConfig>>>,
    pub(crate) forwarder: Arc<Forwarder>,
}

/// What requests have in common beside the map, the configuration and the connections that each goes by.
pub(crate) struct Common {
    pub(crate) lookup: Lookup,
    pub(crate) throttle: Throttle,
    pub(crate) faults: Arc<Faults>,
    pub(crate) answers: AnswerBudget,
    /// Room for puts that wait for a reshard.
    pub(crate) resharding: Semaphore,
    /// Turns of subscriptions that read.
    pub(crate) event_reads: EventReads,
    /// Whose turn it is where records are spread.
    pub(crate) turns: Turns,
    pub(crate) metrics: Arc<RequestMetrics>,
    pub(crate) shard_metrics: Arc<ShardMetrics>,
    pub(crate) clock: Clock,
    pub(crate) subscriptions: SubscriptionTimes,
    pub(crate) seats: Arc<Seats>,
    config: Arc<Snapshot<Option<RequestConfig>>>,
    responder: Responder,
}

impl Common {
    /// Records of this stream that arrived then or later are shown as encrypted, by the configuration of this moment.
    pub(crate) fn encrypted_since(&self, stream: StreamId) -> Option<WallMs> {
        Option::as_ref(&self.config.load())?.encrypted_since(stream)
    }
}

impl Frontend {
    /// Puts the parts together and registers the metrics of requests.
    pub fn new(parts: FrontendParts, registry: &mut Registry) -> Result<Self, SecretError> {
        let FrontendParts { control, maps, shared, dial, clock, faults, subscriptions } = parts;
        let throttle = Throttle::default();
        let shard_metrics = ShardMetrics::new(registry);
        if let Some(shared) = &shared {
            shard_metrics.adopt(&shared.streams);
        }
        let config = shared.map(|shared| RequestConfig::new(&shared)).transpose()?;
        if let Some(config) = &config {
            throttle.shards.adopt(ShardRates::of(&config.limits));
        }
        let config = Arc::new(Snapshot::new(Arc::new(config)));
        let forwarder = Forwarder::new(dial, clock, NODE_CALL_TIMEOUT);
        let seen = Mutex::new(SnapshotReader::new(Arc::clone(&config)));
        let common = Common {
            lookup: Lookup::new(control, clock),
            throttle,
            faults,
            answers: AnswerBudget::default(),
            resharding: Semaphore::new(RESHARD_WAITING_MAX),
            event_reads: EventReads::default(),
            turns: Turns::default(),
            metrics: Arc::new(RequestMetrics::new(registry, clock)),
            shard_metrics,
            clock,
            subscriptions,
            seats: Arc::new(Seats::new(subscriptions.takeover_after)),
            config,
            responder: Responder::new(),
        };
        let (common, maps, forwarder) = (Arc::new(common), Arc::new(maps.reader()), Arc::new(forwarder));
        Ok(Self { common, maps, config: seen, forwarder })
    }

    /// Takes over a changed configuration; requests that are being served end with the old one.
    pub fn adopt(&self, shared: &SharedConfig) -> Result<(), SecretError> {
        let config = RequestConfig::new(shared)?;
        self.common.throttle.shards.adopt(ShardRates::of(&config.limits));
        self.common.config.publish(Arc::new(Some(config)));
        self.common.shard_metrics.adopt(&shared.streams);
        Ok(())
    }

    /// Takes over each configuration that the fleet half hears of, until it ends. One that is wrong is reported and
    /// changes nothing.
    pub async fn follow(&self, mut shared: watch::Receiver<Option<Arc<SharedConfig>>>) {
        shared.mark_changed(); // what is there already counts, too
        while shared.changed().await.is_ok() {
            let heard = shared.borrow_and_update().clone();
            if let Some(Err(error)) = heard.map(|heard| self.adopt(&heard)) {
                tracing::error!(%error, "shared configuration refused");
            }
        }
    }

    fn config_now(&self) -> Arc<Option<RequestConfig>> {
        Arc::clone(self.config.lock().get())
    }

    async fn serve(&self, request: Request<Bytes>) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        if head.method == Method::GET && head.uri.path() == "/health" {
            return text_response(StatusCode::OK, "ok\n");
        }
        if cors::is_preflight(&head) {
            return cors::allow(&head.headers, self.common.responder.say_nothing());
        }
        cors::expose(&head.headers, self.answer(&head, &body).await)
    }

    async fn answer(&self, head: &Parts, body: &Bytes) -> Response<ResponseBody> {
        let target = text_of(&head.headers, "x-amz-target");
        let operation = target.and_then(Operation::of_target);
        let guard = self.common.metrics.begin(operation);
        let encoding = match encoding_of(head, target) {
            Ok(encoding) => encoding,
            Err(door) => {
                guard.end(Some(door.code()));
                return self.common.responder.refuse_in_xml(door.code(), door.message());
            }
        };
        let served = operation.ok_or_else(|| not_served(target));
        let mut events = EventFaults::default();
        match self.outcome(served, encoding, head, body, &mut events).await {
            Ok(answer) => {
                guard.end(None);
                self.common.responder.answer(encoding, answer).map(|body| faults::spoil(body, events))
            }
            Err(RequestError::ConnectionCut(_)) => cut(),
            Err(error) => {
                let told = api_error(&error);
                log(operation, &error, &told);
                guard.end(Some(told.code));
                self.common.responder.refuse(encoding, &told)
            }
        }
    }

    async fn outcome(
        &self,
        operation: Result<Operation, RequestError>,
        encoding: Encoding,
        head: &Parts,
        body: &Bytes,
        events: &mut EventFaults,
    ) -> Result<Answer, RequestError> {
        let operation = operation?;
        let common = &self.common;
        let config = self.config_now();
        let config = Option::as_ref(&config).ok_or(RequestError::NoMap)?;
        let authenticated = authenticate(config, head, body, common.clock.wall())?;
        let admitted = common.throttle.admit(authenticated, operation)?;
        let (maps, forwarder) = (&self.maps, &self.forwarder);
        let (admitted, decision) = (&admitted, Decision::default());
        let mut call =
            Call { common, maps, forwarder, config, admitted, operation, encoding, body, decision };
        call.decision = faults::decide(&call);
        events.clone_from(&call.decision.events);
        faults::suffer(&call).await?;
        call.count()?;
        faults::conclude(&call.decision, operations::run(&call).await)
    }
}

impl Handler for Frontend {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        ResponseFuture::new(async move { self.serve(request).await })
    }

    fn wants_body_hash(&self, head: &Parts) -> bool {
        let target = text_of(&head.headers, "x-amz-target");
        let is_served = encoding_of(head, target).is_ok() && target.and_then(Operation::of_target).is_some();
        let (config, now) = (self.config_now(), self.common.clock.wall());
        is_served && Option::as_ref(&config).is_some_and(|config| wants_body_hash(config, head, now))
    }

    fn refuse(&self, refusal: Refusal, head: &Parts) -> Response<ResponseBody> {
        let error = match refusal {
            Refusal::BodyTooLarge => usual(ErrorCode::RequestEntityTooLarge),
            Refusal::BodyBroken => ApiError::bare(ErrorCode::Serialization),
            Refusal::BodyTimeout => usual(ErrorCode::RequestTimeout),
            Refusal::Busy => ApiError::new(
                ErrorCode::ServiceUnavailable,
                "The service is temporarily unavailable: too many requests at once.",
            ),
        };
        self.common.metrics.begin(None).end(Some(error.code));
        let encoding = Encoding::of_content_type(content_type(head)).unwrap_or(Encoding::Json);
        cors::expose(&head.headers, self.common.responder.refuse(encoding, &error))
    }
}

impl std::fmt::Debug for FrontendParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrontendParts")
    }
}

impl std::fmt::Debug for Frontend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frontend").field("forwarder", &self.forwarder).finish_non_exhaustive()
    }
}

/// A request that does not speak the API at all; it is answered in the front door's XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotTheApi {
    /// Nothing says which operation is meant.
    NoOperation,
    /// An operation is named, in an encoding that is not spoken.
    NoEncoding,
}

impl NotTheApi {
    fn code(self) -> ErrorCode {
        match self {
            Self::NoOperation => ErrorCode::AccessDenied,
            Self::NoEncoding => ErrorCode::UnknownOperation,
        }
    }

    fn message(self) -> Option<&'static str> {
        match self {
            Self::NoOperation => Some("Unable to determine service/operation name to be authorized"),
            Self::NoEncoding => None,
        }
    }
}

/// Why there is no operation of this name.
fn not_served(target: Option<&str>) -> RequestError {
    match target.and_then(operation::unsupported) {
        Some(name) => RequestError::UnsupportedOperation(name),
        None => RequestError::UnknownOperation,
    }
}

fn encoding_of(head: &Parts, target: Option<&str>) -> Result<Encoding, NotTheApi> {
    if head.method != Method::POST {
        return Err(NotTheApi::NoOperation);
    }
    match Encoding::of_content_type(content_type(head)) {
        Some(encoding) => Ok(encoding),
        None if target.is_some_and(|target| target.contains('.')) => Err(NotTheApi::NoEncoding),
        None => Err(NotTheApi::NoOperation),
    }
}

fn content_type(head: &Parts) -> &str {
    text_of(&head.headers, header::CONTENT_TYPE.as_str()).unwrap_or("")
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What a caller did wrong is of no interest; what went wrong here is, above all where a write may have happened.
fn log(operation: Option<Operation>, error: &RequestError, told: &ApiError) {
    let operation = operation.map_or("Unknown", Operation::name);
    if !told.code.status().is_server_error() {
        tracing::debug!(operation, code = told.code.name(), %error, "request refused");
    } else if error.effect() == Effect::Unknown {
        tracing::warn!(operation, code = told.code.name(), %error, "request failed with unknown effect");
    } else {
        tracing::info!(operation, code = told.code.name(), %error, "request failed");
    }
}

#[cfg(test)]
mod tests;
