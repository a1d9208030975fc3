//! kill -9 at any moment: what was acknowledged is there, once and in order, and a stream that was created is there.
//!
//! Producers and readers are real HTTP clients; the servers are real processes, one `weir serve` or a fleet of nodes and
//! front ends; the moments are drawn from a seed. What the clients saw is judged by `weir_tests::history`.

#[path = "crash/fleet.rs"]
mod fleet;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/pushed.rs"]
mod pushed;
#[path = "crash/serve.rs"]
mod serve;
