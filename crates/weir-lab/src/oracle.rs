//! Judges a recorded series: signatures, N*, order and expectations, as pure functions.
//!
//! Called after a run and again whenever a stored result is read. It must never touch the fleet, a clock or a file,
//! and never know which arm is "supposed" to fail: what is expected of an arm is in its setup.

mod signature;

pub use signature::{Clause, Judgement, SignatureId, SignatureIdError, Verdict};
