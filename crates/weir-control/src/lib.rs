//! The control plane: who is in the fleet, which streams there are, who owns which shard, who is healthy.
//!
//! `weir node control` and `weir serve` run it; every server and the lab ask it through `weir_wire::control`. It is
//! never on the data path, and it must never decide anywhere but in [`machine`].
#![forbid(unsafe_code)]

pub mod commitment;
pub mod config;
pub mod health;
pub mod machine;
pub mod placement;
pub mod reshard;
pub mod state;

pub mod store;

pub mod embedded;
pub mod metrics;
pub mod on_demand;
mod probe;
pub mod run;
mod server;
pub mod transitions;
