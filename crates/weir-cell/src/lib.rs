//! The back-end node: owns shards over one journal, answers front ends, and tells its homes what it owns.
//!
//! `weir node backend` and `weir serve` run it. It knows shards and batches; it must never learn stream names' rules,
//! Kinesis's JSON, or a front end's reasons.
//!
//! Threads of a `weir node backend` process: main (signals, admin), node (frames, assignments, homing), and those of
//! the journal; a constant.
#![forbid(unsafe_code)]

pub mod homing;
pub mod ownership;

pub mod metrics;
pub mod node;

mod acknowledgements;
mod assignments;
mod cluster;
mod foreign;
mod home_link;
mod local;
mod server;

pub mod run;

pub use cluster::ClusterError;
pub use foreign::ForeignError;
