//! A front end for tests: a node that answers frames from memory, a control plane that is a map, and calls as a client
//! makes them.
//!
//! Tests of this crate alone use it. It takes the same doors as the world outside: a whole HTTP request in, a whole
//! answer out.

mod control;
mod node;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use serde_json::Value;
use weir_core::{
    clock::{Clock, Monotonic},
    hash_key::HashKeyRange,
    id::{
        AccountId, Epoch, Generation, MemberId, Region, ShardIndex, ShardKey, StreamId, StreamName, StreamRef,
    },
    monitoring::ShardLevelMetrics,
    shard::OwnedShard,
};
use weir_wire::{
    control::{Credential, SharedConfig, StreamDescription, StreamStatus},
    http::server::{Handler, ResponseBody},
    kinesis::limits::Family,
};

pub(crate) use self::control::FakeControl;
pub(crate) use self::node::{FakeNode, NodeMood};
use crate::{
    authenticate::tests::shared,
    faults::Faults,
    forward::LocalDial,
    server::{Frontend, FrontendParts},
    shard_map::{CurrentMap, RoutedShard, Routes, ShardMap},
    subscription::SubscriptionTimes,
};

/// Where the fake node would be.
pub(crate) const NODE: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4000);

/// How old the map may become.
pub(crate) const MAP_TTL: Duration = Duration::from_secs(3_600);

/// What a test has in its hands.
pub(crate) struct Fixture {
    pub(crate) frontend: Arc<Frontend>,
    pub(crate) registry: Registry,
    pub(crate) maps: Arc<CurrentMap>,
    pub(crate) control: Arc<FakeControl>,
    pub(crate) node: FakeNode,
    pub(crate) clock: Clock,
}

/// An answer, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Told {
    /// The `__type` of an error.
    pub(crate) fn code(&self) -> &str {
        self.body["__type"].as_str().unwrap_or("none")
    }

    /// The text of an error.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or("none")
    }

    /// The body of a served call.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
}

impl Fixture {
    /// A front end without credentials, with limits, and with an empty map that is fresh.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same, its configuration changed.
    pub(crate) fn with(change: impl FnOnce(&mut SharedConfig)) -> Self {
        let mut config = shared(vec![]);
        config.limits.lift(Family::Calls); // tests ask as often as they like
        change(&mut config);
        let fixture = Self::over(Some(config));
        fixture.publish(&[]);
        fixture
    }

    /// A front end that has never had a map.
    pub(crate) fn without_map() -> Self {
        Self::over(Some(shared(vec![])))
    }

    /// A front end that has not heard of its configuration.
    pub(crate) fn without_config() -> Self {
        Self::over(None)
    }

    /// A front end whose subscriptions live as long as Kinesis's.
    pub(crate) fn subscribing() -> Self {
        let fixture = Self::lasting(Some(shared(vec![])), SubscriptionTimes::KINESIS.lifetime);
        fixture.publish(&[]);
        fixture
    }

    /// A subscription is over before its first event: nobody waits for one.
    fn over(config: Option<SharedConfig>) -> Self {
        Self::lasting(config, Duration::ZERO)
    }

    fn lasting(config: Option<SharedConfig>, lifetime: Duration) -> Self {
        let (clock, maps) = (Clock::new(), Arc::new(CurrentMap::new(MAP_TTL)));
        let (control, node) = (Arc::new(FakeControl::default()), FakeNode::new());
        let mut registry = Registry::default();
        let parts = FrontendParts {
            control: Arc::clone(&control) as _,
            maps: Arc::clone(&maps),
            shared: config.map(Arc::new),
            faults: Arc::new(Faults::new(clock)),
            dial: Arc::new(LocalDial::new(Arc::new(node.clone()))),
            clock,
            subscriptions: SubscriptionTimes { lifetime, ..SubscriptionTimes::KINESIS },
        };
        let frontend = Arc::new(Frontend::new(parts, &mut registry).unwrap());
        Self { frontend, registry, maps, control, node, clock }
    }

    /// With one known key: `AKID`, `secret`, account 42.
    pub(crate) fn with_credentials() -> Self {
        let account = AccountId::new(42).unwrap();
        let credential = Credential {
            access_key: "AKID".into(),
            secret_key: "secret".into(),
            session_token: None,
            account,
            tenant: weir_core::id::TenantName::new("team"),
        };
        Self::with(|config| config.credentials = vec![credential])
    }

    /// Makes a stream exist everywhere: at the control plane, at the node and in the map.
    pub(crate) fn stream(&self, name: &str, shards: u32) -> Vec<OwnedShard> {
        let owned = self.stream_unmapped(name, shards, StreamStatus::Active);
        self.publish(&self.control.all_shards());
        owned
    }

    /// Makes a stream exist at the control plane alone.
    pub(crate) fn stream_unmapped(&self, name: &str, shards: u32, status: StreamStatus) -> Vec<OwnedShard> {
        self.stream_unmapped_since(1_600_000_000_123, name, shards, status)
    }

    /// The same, created at a time.
    pub(crate) fn stream_unmapped_since(
        &self,
        created_ms: u64,
        name: &str,
        shards: u32,
        status: StreamStatus,
    ) -> Vec<OwnedShard> {
        let id = StreamId(self.control.count() as u64 + 1);
        let count = NonZeroU32::new(shards).unwrap();
        let shards: Vec<_> = (0..shards)
            .map(|index| OwnedShard {
                key: ShardKey { stream: id, shard: ShardIndex(index) },
                account: AccountId::DEFAULT,
                region: Region::US_EAST_1,
                stream_name: StreamName::new(name),
                range: HashKeyRange::uniform(index, count),
                created_ms,
                epoch: Epoch(1),
                parents: [None; 2],
                closed: None,
            })
            .collect();
        self.control.put(StreamDescription {
            stream: StreamRef {
                account: AccountId::DEFAULT,
                region: Region::US_EAST_1,
                name: StreamName::new(name),
            },
            status,
            created_ms,
            retention_hours: 24,
            on_demand: false,
            encryption_key: None,
            metrics: ShardLevelMetrics::NONE,
            warm_mibps: None,
            intake: weir_wire::control::Intake::default(),
            settings_revision: 0,
            consumers: 0,
            shards: shards.clone(),
        });
        shards
    }

    /// Publishes a map of these shards, confirmed now.
    pub(crate) fn publish(&self, shards: &[OwnedShard]) {
        self.publish_at(shards, self.clock.now());
    }

    /// Publishes a map that was confirmed at `built_at`.
    pub(crate) fn publish_at(&self, shards: &[OwnedShard], built_at: Monotonic) {
        let routed =
            shards.iter().map(|shard| RoutedShard { shard: shard.clone(), node: MemberId(1), address: NODE });
        let routes = Arc::new(Routes::new(routed.collect::<Vec<_>>()));
        self.maps.publish(Arc::new(ShardMap::new(Generation(1), built_at, 0, routes)));
    }

    /// Calls an operation as a client without a secret does.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> Told {
        self.call_body(operation, input.to_string()).await
    }

    /// Calls an operation with any body.
    pub(crate) async fn call_body(&self, operation: &str, body: impl Into<Bytes>) -> Told {
        self.send(request(operation).body(body.into()).unwrap()).await
    }

    /// Sends a whole request.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Told {
        let response = self.respond(request).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        };
        Told { status, body }
    }

    /// Sends a whole request; the answer is not read.
    pub(crate) async fn respond(&self, request: Request<Bytes>) -> Response<ResponseBody> {
        Arc::clone(&self.frontend).handle(request, NODE).await
    }

    /// The metrics as they are scraped.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// A request as an SDK sends it, signed with a key that nobody knows.
pub(crate) fn request(operation: &str) -> http::request::Builder {
    Request::post("/")
        .header("host", "127.0.0.1:4567")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .header("x-amz-date", "20201125T104400Z")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20201125/us-east-1/kinesis/aws4_request, SignedHeaders=host, \
             Signature=0",
        )
}
