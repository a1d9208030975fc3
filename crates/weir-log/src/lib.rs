//! The durable log of a node: frames in segments, segments in a journal, an index for each shard.
//!
//! A back-end node opens one [`Journal`] for all its shards. The layers, bottom first: [`disk`] is what the rest asks
//! of a file system; a *frame* is a checked unit of bytes; a *segment* is a file of frames laid out in advance; the
//! *journal* appends, syncs, recovers and trims; the *shard index* finds a record. It knows no socket and no runtime.
//!
//! Threads of an open journal: `weir-commit` (writes what comes), `weir-ahead` (writes while that one syncs) and `weir-layout`
//! (lays segments out ahead, uncaches and rewrites old ones, gives dropped ones back). Always three.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod error;
mod facade;
mod metrics;

pub mod disk;
mod frame;
mod segment;
mod snapshot;

mod shard;
mod shard_index;

mod journal;

pub mod fuzz;

pub use error::{
    AppendError, CloseShardError, DeleteShardError, OpenError, OpenShardError, ReadError, ShardDamaged,
    StorageError, WriteError,
};
pub use journal::{
    Append, AppendOutcome, At, DamageFound, DamageKind, Depth, Durability, Journal, JournalConfig, KeptFor,
    ReadBatch, RecoveryReport, RetainOutcome, RewriteOutcome, SegmentSurvey, ShardStatus, Survey, TornTail,
};
pub use metrics::JournalMetrics;
