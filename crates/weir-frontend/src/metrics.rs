//! What a front end tells about itself, by name: the request half.
//!
//! Names, units and labels are documented in `docs/METRICS.md`, and a test compares the two. Labels are bounded: an
//! operation and an error code, never a key, and a stream only where its owner has enabled enhanced monitoring.

mod requests;
mod shards;

pub(crate) use self::{
    requests::{RequestMetrics, SubscriptionGuard},
    shards::ShardMetrics,
};
