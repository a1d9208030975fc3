//! Consumers of a stream: what the control plane is asked about them, and what it tells.
//!
//! Part of the control plane's protocol. A consumer belongs to one stream and goes with it; who reads on its behalf is the
//! front ends' business and not here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_core::id::ConsumerName;

/// A consumer's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsumerStatus {
    /// Cannot read yet.
    Creating,
    /// Can read.
    Active,
    /// Cannot read any more.
    Deleting,
}

impl ConsumerStatus {
    /// As Kinesis spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        }
    }
}

/// A consumer as the control plane has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerDescription {
    /// Its name, unique within its stream.
    pub name: ConsumerName,
    /// Its state.
    pub status: ConsumerStatus,
    /// When it was registered, milliseconds since 1970.
    pub created_ms: u64,
}

/// Which consumer of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConsumerKey {
    /// Its name.
    pub name: ConsumerName,
    /// The second of its registration, where an ARN tells it: of two of one name, one after the other, only that one.
    pub created_secs: Option<u64>,
}

/// A question about the consumers of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "consumer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ConsumerCall {
    /// A new one.
    Register {
        /// Its name.
        name: ConsumerName,
        /// Its first tags.
        tags: BTreeMap<String, String>,
    },
    /// One less.
    Deregister {
        /// Which.
        key: ConsumerKey,
    },
    /// What is it?
    Describe {
        /// Which.
        key: ConsumerKey,
    },
    /// All of them, in order of name.
    List {
        /// Only of the stream of this name that was created in this second.
        stream_created_secs: Option<u64>,
        /// Only names after this one.
        after: Option<ConsumerName>,
        /// At most so many.
        limit: u32,
    },
}
