//! A stream that is to be created, as the control plane is asked for it.
//!
//! Part of the control plane's protocol. What the caller left open has the value that Kinesis gives it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_core::id::StreamRef;

use super::Intake;

/// A stream to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStream {
    /// What it will be called.
    pub stream: StreamRef,
    /// How many shards it begins with.
    pub shards: u32,
    /// The on-demand capacity mode?
    pub on_demand: bool,
    /// MiB a second that it is to take in at any moment, if that is said.
    #[serde(default)]
    pub warm_mibps: Option<u32>,
    /// How records come in.
    #[serde(default)]
    pub intake: Intake,
    /// Its first tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl NewStream {
    /// A provisioned stream of so many shards, and of nothing else.
    pub fn provisioned(stream: StreamRef, shards: u32) -> Self {
        Self {
            stream,
            shards,
            on_demand: false,
            warm_mibps: None,
            intake: Intake::default(),
            tags: BTreeMap::new(),
        }
    }
}
