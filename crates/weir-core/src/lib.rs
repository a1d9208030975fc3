//! Nouns, limits, clocks and threads as values: what every other crate of Weir agrees on.
//!
//! Called by all of them. It knows no socket, no JSON and no async runtime, and it must never learn one: the simulator
//! and the real servers both stand on it. Only `durable.rs` names files, and only real servers call it.
#![forbid(unsafe_code)]

pub mod limits;
pub mod monitoring;

pub mod batch;
pub mod checksum;
pub mod effect;
pub mod hash_key;
pub mod id;
pub mod partition_key;
pub mod sequence;
pub mod shard;

pub mod calendar;
pub mod clock;
pub mod decimal;
pub mod durable;
pub mod entropy;
pub mod homes;
pub mod nearest;
pub mod rendezvous;
pub mod threads;
pub mod units;
