//! The load generator against servers that the tests make: the engine alone, and whole runs.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what does not hold fails the test")]

mod engine;
mod run;
mod server;
mod tls;
