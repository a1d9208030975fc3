//! HTTP with bounds: the listener that every role serves on, a one-call client, and the admin endpoints.
//!
//! Front ends, the control plane, consumers and every admin listener use it. It knows nothing of Kinesis, and it must
//! never hold a body, a head or a connection without a bound.

pub mod admin;
pub mod client;
pub mod server;
