//! Clients that mean harm or are broken, against the real process: each hears the right error or is closed cleanly, the
//! server's memory stays bounded, and the other clients are served as before.
//!
//! One siege at a time: what the others feel is measured.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

#[path = "hostile/arena.rs"]
mod arena;
#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/http1.rs"]
mod http1;
#[path = "hostile/http2.rs"]
mod http2;
