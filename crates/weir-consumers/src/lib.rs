//! Services that depend on the stream, each with one instrumented buffer: what spills over when the stream fails.
//!
//! `weir node consumer --kind auth-cache|metrics-buffer|event-bus` runs one of them; the lab starts those processes
//! and reads their `/metrics`. Coming, in this order: `config`, `buffer` (the instrumented queue and its spill
//! file), `metrics`, `auth_cache`, `metrics_buffer`, `event_bus`, `run`.
#![forbid(unsafe_code)]
