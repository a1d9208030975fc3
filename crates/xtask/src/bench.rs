//! What Weir is as fast as: the service beside floors and beside what else there is, and its parts beside plain ways.
//!
//! Called by `cargo xtask bench`. The service's suite runs all subjects of a workload one after another, again and again, so
//! that each meets the same neighbours; ratios are taken within a round. Nothing here fails for being slow.

pub(crate) mod micro;
mod micro_table;
pub(crate) mod service;

mod machine;
mod subject;
