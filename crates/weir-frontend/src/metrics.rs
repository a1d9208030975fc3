//! What a front end tells about itself, by name: the request half.
//!
//! Names, units and labels are documented in `docs/METRICS.md`, and a test compares the two. Labels are bounded: an
//! operation and an error code, never a stream or a key.

mod requests;

pub(crate) use self::requests::RequestMetrics;
