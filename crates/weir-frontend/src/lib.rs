//! The front-end server: authenticates, throttles and routes requests, keeps a shard map, and talks to its peers.
//!
//! `weir node frontend` and `weir serve` run it. It shares nothing with a node but `weir-wire`, and it must never
//! keep state that a restart could lose.
#![forbid(unsafe_code)]

mod answer;
mod authenticate;
mod call_target;
mod consumer;
mod cors;
mod operations;
mod page;
pub mod server;
pub mod subscription;
mod throttle;

pub mod forward;
mod iterator;
pub mod kms;
mod lookup;
mod page_token;
mod permit;
pub mod policy;
mod request_config;
mod respond;
mod route;
mod seal;

pub mod credentials;
pub mod error;
pub mod faults;
mod metrics;

#[cfg(test)]
mod fixture;

pub mod fleet;
mod mesh;
pub mod run;
pub mod shard_map;

pub mod fuzz;
