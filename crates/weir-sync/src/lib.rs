//! Concurrency primitives of Weir, each checked by loom; the bottom of the house.
//!
//! Where threads of Weir meet, they meet here: front end, node, fleet, consumers, load generator and lab; nothing is here
//! that none of them uses. Nothing here knows a socket, a clock, a record or a runtime, and nothing here starts a thread:
//! callers bring threads, time and data. The promises, the models and the deliberately broken variants are told in
//! `docs/CONCURRENCY.md`; `cargo xtask loom` checks them all.
#![forbid(unsafe_code)]

#[cfg(all(loom, test))]
mod commit_path;
mod facade;
mod waker_set;

pub mod bounded_queue;
pub mod byte_budget;
pub mod commit_gate;
pub mod completion;
pub mod mailbox;
pub mod shutdown;
pub mod snapshot;
pub mod token_bucket;
pub mod watermark;

pub use bounded_queue::{BoundedQueue, Overflow, PushOutcome};
pub use byte_budget::{ByteBudget, Permit};
pub use commit_gate::CommitGate;
pub use completion::{Completion, completion};
pub use mailbox::Mailbox;
pub use shutdown::Shutdown;
pub use snapshot::{Snapshot, SnapshotReader};
pub use token_bucket::TokenBucket;
pub use watermark::Watermark;
