//! The lab: scenarios, envelopes, the out-of-band recorder, the judge and the report.
//!
//! Called by the one binary (`weir run`, `weir report`, `weir compare`, `weir limits`). It starts servers as processes
//! and watches them from outside; it must never share a process or a thread with what it measures.
#![forbid(unsafe_code)]

pub mod envelope;
pub mod limits;
pub mod scenario;

pub mod launcher;
pub mod recorder;
pub mod run;

pub mod series;

pub mod compare;
pub mod oracle;
pub mod report;
pub mod summary;
