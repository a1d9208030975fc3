//! AWS Signature Version 4: how a request proves which access key sent it.
//!
//! Clients and the load generator sign with [`Signer`]; front ends read what a request presents with [`Presented`] and
//! check it with [`Presented::check`]. Time comes in from outside, secrets never go out: no error, log or `Debug` of
//! this module may carry a secret key or a derived one.

mod body_hash;
mod canonical;
mod error;
mod key;
mod presented;
mod sign;
mod stamp;

pub use self::body_hash::BodyHash;
pub(crate) use self::body_hash::BodyHasher;
pub use self::error::SignatureError;
pub use self::key::{KeyCache, Scope, SigningKey};
pub use self::presented::Presented;
pub use self::sign::{Identity, SignedHeaders, Signer, ToSign};
pub use self::stamp::{Stamp, StampError};

/// The one algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Ends every credential scope.
pub const TERMINATOR: &str = "aws4_request";

/// How far a request's time may be from the server's, in seconds (AWS).
pub const SKEW_SECS_MAX: u64 = 300;

/// The service name in the scope of every Kinesis request.
pub const SERVICE: &str = "kinesis";
