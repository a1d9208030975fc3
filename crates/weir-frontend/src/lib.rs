//! The front-end server: authenticates, throttles and routes requests, keeps a shard map, and talks to its peers.
//!
//! `weir node frontend` and `weir serve` run it. It shares nothing with a node but `weir-wire`, and it must never
//! keep state that a restart could lose.
#![forbid(unsafe_code)]

pub mod fleet;
pub mod shard_map;
