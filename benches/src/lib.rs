//! What the benches share: how long they run, the records that they move, the shard map that they route by.
//!
//! Each bench is a flat file beside this folder. `cargo bench -p weir-benches` runs them at full size;
//! `cargo test --all-targets` runs each once in small, so that none can rot. Every bench checks what it measures
//! against a plain baseline or against what it put in: a wrong result ends it, however fast it came.
#![forbid(unsafe_code)]

pub mod cpu_time;
pub mod floor;
pub mod peer;
pub mod reader;
pub mod report;
pub mod run;

pub mod records;
pub mod shards;

pub use cpu_time::CpuTime;
pub use run::{BASELINE, Size};
