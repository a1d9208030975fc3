//! What can be changed of a stream: the settings that its owner's calls set, and its shards.
//!
//! Part of the control plane's protocol. A change says what the caller asked for, never what comes of it: that depends on
//! what the stream is at that moment, and the control plane alone knows.

use serde::{Deserialize, Serialize};
use weir_core::{hash_key::HashKey, id::ShardIndex, monitoring::ShardLevelMetrics};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StreamChange {
    /// Keep records for so long, which is not shorter than now.
    IncreaseRetention {
        /// As the caller said it; its bounds are the control plane's to judge.
        hours: i64,
    },
    /// Keep records for so long, which is not longer than now.
    DecreaseRetention {
        /// As above.
        hours: i64,
    },
    /// Take records of up to so many KiB.
    SetRecordSize {
        /// How many.
        kib: u32,
    },
    /// Change the capacity mode.
    SetMode {
        /// To on-demand?
        on_demand: bool,
        /// MiB a second that it is to take in at any moment, if that is said.
        warm_mibps: Option<u32>,
    },
    /// Be ready to take in so much.
    SetWarmThroughput {
        /// MiB a second.
        mibps: u32,
    },
    /// Spread records evenly, or go by their keys.
    SetSpread {
        /// Spread?
        on: bool,
    },
    /// Split a shard.
    SplitShard {
        /// Which.
        shard: ShardIndex,
        /// The first key of the upper part.
        at: HashKey,
    },
    /// Merge two shards.
    MergeShards {
        /// The lower.
        shard: ShardIndex,
        /// The one after it.
        adjacent: ShardIndex,
    },
    /// Split and merge until there are so many shards of uniform ranges.
    UpdateShardCount {
        /// How many.
        target: u32,
    },
    /// Say that records are encrypted with this key.
    StartEncryption {
        /// The key, as the caller named it.
        key: String,
    },
    /// Say that records are encrypted no more.
    StopEncryption {
        /// The key, as the caller named it.
        key: String,
    },
    /// Count these for each shard, too.
    EnableMonitoring {
        /// Some of the shard-level metrics.
        metrics: ShardLevelMetrics,
    },
    /// Count these no more.
    DisableMonitoring {
        /// As above.
        metrics: ShardLevelMetrics,
    },
}
