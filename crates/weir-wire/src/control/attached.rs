//! What is attached to a stream or a consumer from outside: tags and a policy.
//!
//! Part of the control plane's protocol. Nothing on the path of records reads tags; policies reach front ends with their
//! shared configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use weir_core::id::StreamRef;

use super::consumer::ConsumerKey;

/// What things can be attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceRef {
    /// A stream.
    Stream(StreamRef),
    /// A consumer of a stream.
    Consumer {
        /// The stream.
        stream: StreamRef,
        /// The consumer.
        key: ConsumerKey,
    },
}

impl ResourceRef {
    /// The stream that it is or belongs to.
    pub fn stream(&self) -> &StreamRef {
        match self {
            Self::Stream(stream) | Self::Consumer { stream, .. } => stream,
        }
    }
}

/// What a resource has.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attached {
    /// Values by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The resource policy: a JSON document, as it was put.
    #[serde(default)]
    pub policy: Option<String>,
}

/// A change of what a resource has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachedChange {
    /// Add tags, or give old ones new values.
    AddTags(BTreeMap<String, String>),
    /// Take tags away; a key that there is not is passed over.
    RemoveTags(BTreeSet<String>),
    /// Set the policy, or take it away.
    Policy(Option<String>),
}
