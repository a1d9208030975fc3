//! What front ends must know of a stream to serve its records, beside its shards.
//!
//! Part of the control plane's protocol: carried to front ends with what all of them agree on. Only streams with a setting
//! other than a new stream's are in it.

use serde::{Deserialize, Serialize};
use weir_core::{
    id::{ConsumerName, StreamId, StreamRef},
    limits::RECORD_KIB,
    monitoring::ShardLevelMetrics,
};

/// How records come into a stream, as its owner has set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    /// KiB of one record's data and partition key, at most.
    pub record_kib_max: u32,
    /// Records are spread evenly over the shards, whatever their keys.
    pub spread: bool,
}

impl Default for Intake {
    fn default() -> Self {
        Self { record_kib_max: *RECORD_KIB.start(), spread: false }
    }
}

/// The settings of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSettings {
    /// The stream as the log knows it.
    pub id: StreamId,
    /// The stream as callers know it.
    pub stream: StreamRef,
    /// Since when its records are shown as encrypted, milliseconds since 1970; none: they are not.
    pub encrypted_since_ms: Option<u64>,
    /// How records come in.
    #[serde(default)]
    pub intake: Intake,
    /// The shard-level metrics that are enabled.
    pub metrics: ShardLevelMetrics,
    /// Its resource policy, a JSON document.
    pub policy: Option<String>,
    /// The policies of its consumers.
    #[serde(default)]
    pub consumers: Vec<ConsumerPolicy>,
}

/// The policy of one consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerPolicy {
    /// The consumer's name.
    pub name: ConsumerName,
    /// The second of its registration.
    pub created_secs: u64,
    /// The policy, a JSON document.
    pub policy: String,
}

impl StreamSettings {
    /// Is it as a new stream is?
    pub fn is_default(&self) -> bool {
        self.encrypted_since_ms.is_none()
            && self.metrics.is_empty()
            && self.policy.is_none()
            && self.consumers.is_empty()
            && self.intake == Intake::default()
    }
}
