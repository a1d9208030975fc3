//! What one consumer is told: where it listens, which stream it depends on, how its buffer behaves.
//!
//! Built by the command line and by tests, checked once by [`ConsumerConfig::check`], then passed down by parts. It
//! must never hold a default: whoever starts a consumer says what it is.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use weir_client::Endpoint;
use weir_core::id::{ServerName, TenantName};
use weir_sync::Overflow;
use weir_wire::sigv4::Identity;

pub use crate::{
    auth_cache::AuthCacheConfig,
    event_bus::{DeliveryOrder, EventBusConfig, OrderError, Rule, RuleError},
    metrics_buffer::{AlarmRule, AlarmRuleError, Comparison, MetricsBufferConfig},
};

/// Entries that one buffer may be told to hold. An entry is a few hundred bytes: a gibibyte at most.
pub const BUFFER_CAPACITY_MAX: usize = 1 << 20;
/// Worker threads of one consumer: each costs a thread of its envelope.
pub const WORKERS_MAX: usize = 64;

/// One consumer.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// Its name; stands in each of its records, so that consumers may share a stream.
    pub name: ServerName,
    /// Where it serves.
    pub service: SocketAddr,
    /// Where `/metrics`, `/health` and `/ready` are.
    pub admin: SocketAddr,
    /// Its data folder: the spill file and the checkpoints. None: a restart forgets what was read, nothing can spill.
    pub data: Option<PathBuf>,
    /// The stream that it depends on.
    pub stream: StreamConfig,
    /// The buffer in front of the stream.
    pub buffer: BufferConfig,
    /// Threads that serve; each handles one request at a time.
    pub workers: usize,
    /// What it is.
    pub kind: KindConfig,
}

/// The stream that a consumer depends on.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Where the stream's API is.
    pub endpoints: EndpointSource,
    /// The stream; it is somebody else's work to create it.
    pub name: String,
    /// Who calls.
    pub identity: Identity,
    /// The region in signatures.
    pub region: String,
    /// How long one attempt of one call may take.
    pub attempt_timeout: Duration,
    /// A shard without news is read again after this.
    pub read_pause: Duration,
}

/// Where endpoints come from.
#[derive(Debug, Clone)]
pub enum EndpointSource {
    /// These, for good.
    Fixed(Vec<Endpoint>),
    /// The control plane's list.
    Control {
        /// Where the control plane answers calls.
        address: SocketAddr,
        /// Whose endpoints; none: all.
        tenant: Option<TenantName>,
        /// The list is asked for again when it is older than this.
        refresh: Duration,
    },
}

/// The instrumented buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferConfig {
    /// Entries that it holds.
    pub capacity: usize,
    /// What a full buffer does.
    pub policy: BufferPolicy,
    /// Bytes of the spill file; a full file drops the newest.
    pub spill_bytes_max: u64,
    /// How long entries gather before they are sent: the longer, the fewer calls.
    pub flush_interval: Duration,
}

/// What a full buffer does with one more entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BufferPolicy {
    /// The thread that brought it waits for room: the bug of 2020.
    Block,
    /// It is lost.
    DropNewest,
    /// The oldest entry makes room and is lost.
    DropOldest,
    /// It goes into a file and is sent later.
    Spill,
}

/// Text that names no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no policy: write block, drop-newest, drop-oldest or spill")]
pub struct PolicyError(String);

impl BufferPolicy {
    /// As the queue knows it.
    pub(crate) fn overflow(self) -> Overflow {
        match self {
            Self::Block => Overflow::Block,
            Self::DropNewest => Overflow::DropNewest,
            Self::DropOldest => Overflow::DropOldest,
            Self::Spill => Overflow::Spill,
        }
    }
}

impl fmt::Display for BufferPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::DropNewest => "drop-newest",
            Self::DropOldest => "drop-oldest",
            Self::Spill => "spill",
        })
    }
}

impl FromStr for BufferPolicy {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        [Self::Block, Self::DropNewest, Self::DropOldest, Self::Spill]
            .into_iter()
            .find(|policy| policy.to_string() == text)
            .ok_or_else(|| PolicyError(text.to_owned()))
    }
}

/// What a consumer is, with what only that kind knows.
#[derive(Debug, Clone)]
pub enum KindConfig {
    /// Sign-in and temporary credentials.
    AuthCache(AuthCacheConfig),
    /// Metrics and alarms.
    MetricsBuffer(MetricsBufferConfig),
    /// Events, rules and targets.
    EventBus(EventBusConfig),
}

impl KindConfig {
    /// The name on the command line and in scenarios.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AuthCache(_) => "auth-cache",
            Self::MetricsBuffer(_) => "metrics-buffer",
            Self::EventBus(_) => "event-bus",
        }
    }
}

/// A configuration that cannot work, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {mend}")]
pub struct ConfigError {
    /// Which setting.
    pub what: &'static str,
    /// What it must be.
    pub mend: String,
}

pub(crate) fn rule(
    holds: bool,
    what: &'static str,
    mend: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { what, mend: mend() }) }
}

impl ConsumerConfig {
    /// Refuses what could not work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let buffer = &self.buffer;
        rule((1..=BUFFER_CAPACITY_MAX).contains(&buffer.capacity), "buffer", || {
            format!("write a capacity from 1 to {BUFFER_CAPACITY_MAX}")
        })?;
        rule((1..=WORKERS_MAX).contains(&self.workers), "workers", || {
            format!("write a number from 1 to {WORKERS_MAX}")
        })?;
        rule(buffer.policy != BufferPolicy::Spill || self.data.is_some(), "policy", || {
            "spill needs a data folder".to_owned()
        })?;
        rule(!self.stream.name.is_empty(), "stream", || "name the stream".to_owned())?;
        rule(!self.stream.attempt_timeout.is_zero(), "attempt timeout", || {
            "write a time above zero".to_owned()
        })?;
        rule(!self.stream.read_pause.is_zero(), "read pause", || "write a time above zero".to_owned())?;
        match &self.kind {
            KindConfig::AuthCache(auth) => auth.check(),
            KindConfig::MetricsBuffer(metrics) => metrics.check(),
            KindConfig::EventBus(bus) => bus.check(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_spelled_as_scenarios_spell_them() {
        for text in ["block", "drop-newest", "drop-oldest", "spill"] {
            assert_eq!(text.parse::<BufferPolicy>().unwrap().to_string(), text);
            assert_eq!(
                serde_json::to_string(&text.parse::<BufferPolicy>().unwrap()).unwrap(),
                format!("{text:?}")
            );
        }
        assert!("drop".parse::<BufferPolicy>().unwrap_err().to_string().contains("drop-oldest"));
    }
}
