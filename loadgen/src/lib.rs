//! An open-loop load generator: Kinesis calls and service calls at a planned rate, timed from when they were meant to
//! start.
//!
//! `weir load` and the lab use it, against any Kinesis endpoint. It measures and must never mend: no retries, no
//! pause when the server is slow, and every start is accounted for.
#![forbid(unsafe_code)]

pub mod config;
pub mod run;

pub mod arrival;
pub mod draw;
pub mod targets;
pub mod workload;

pub mod engine;
pub mod meter;

mod answer_code;
pub mod kinesis;
pub mod service;

pub mod acks;
pub mod payload;
pub mod recorder;
pub mod report;
pub mod windows;
