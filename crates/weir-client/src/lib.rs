//! A Kinesis client: signing, connections, retries by "may it have happened?", a producer and a consumer.
//!
//! The consumers' services and the load generator use it against any Kinesis endpoint. It speaks the API and nothing
//! else; it must never know what is behind the endpoint.
#![forbid(unsafe_code)]

pub mod calls;
pub mod data;
pub mod endpoint;
pub mod error;
pub mod retry;

pub mod endpoints;

pub mod stream;
pub mod trust;

pub mod client;
mod connections;

pub mod producer;

pub mod consumer;

pub use client::{ClientConfig, KinesisClient};
pub use data::Data;
pub use endpoint::{Endpoint, EndpointError};
pub use endpoints::Endpoints;
pub use error::CallError;
pub use stream::{ConnectError, Stream};
pub use trust::{Trust, TrustError};
