//! A Kinesis client: signing, connections, retries by "may it have happened?", a producer and a consumer.
//!
//! The consumers' services and the load generator use it against any Kinesis endpoint. It speaks the API and nothing
//! else; it must never know what is behind the endpoint.
#![forbid(unsafe_code)]

pub mod endpoint;

pub use endpoint::{Endpoint, EndpointError};
