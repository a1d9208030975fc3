//! Services that depend on the stream, each with one instrumented buffer: what spills over when the stream fails.
//!
//! `weir node consumer --kind auth-cache|metrics-buffer|event-bus` runs one of them; the lab starts those processes, the
//! load generator calls them, the recorder reads their `/metrics`. They know the stream's API and nothing behind it.
//!
//! Threads of one consumer, a constant of its configuration: the caller's (start, end, admin listener), `flusher` (buffer to
//! stream), W of `worker-0`, `worker-1` ... (one listener each on the shared port, one request at a time), and `reader`
//! (stream to store or targets) in the metrics buffer and the event bus. So W + 2 for an auth cache and W + 3 for the
//! others, beside what the process has of its own. Each has a current-thread runtime; nothing else is ever started.
//!
//! Data flows one way: a worker dresses what it was sent as a record (`outbox`) and pushes it into the `buffer`; the
//! flusher takes what has gathered, puts it into the stream and keeps it until it is there (`flush`); the reader takes
//! it out of the stream again.
#![forbid(unsafe_code)]

pub mod config;

mod buffer;
mod flush;
mod outbox;
mod record;
mod stream;

mod metrics;
mod service;

mod auth_cache;
mod event_bus;
mod metrics_buffer;

pub mod run;

pub use config::ConsumerConfig;
pub use run::run_consumer;
