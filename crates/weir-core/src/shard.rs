//! What a shard is, apart from its records: its range, its birth and who owns it.
//!
//! The control plane assigns it, a node owns it, a fragment carries it and the shard map is made of it.

use serde::{Deserialize, Serialize};

use crate::{
    hash_key::HashKeyRange,
    id::{AccountId, Epoch, ShardKey, StreamName},
};

/// One shard as its owner says it. Carries the stream's name, so that a front end can route by name from the shard
/// map alone, with no other source on the data path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedShard {
    /// Which shard.
    pub key: ShardKey,
    /// The account that the stream belongs to.
    pub account: AccountId,
    /// The stream's name in that account.
    pub stream_name: StreamName,
    /// The keys that land here.
    pub range: HashKeyRange,
    /// When the shard was created, milliseconds since 1970: part of every sequence number.
    pub created_ms: u64,
    /// The ownership epoch: rises when the shard moves to another node.
    pub epoch: Epoch,
}

impl OwnedShard {
    /// Is it the same shard, whoever owns it and under whichever epoch? Two clusters give the same key to different ones.
    pub fn is_same_shard(&self, other: &Self) -> bool {
        *self == Self { epoch: self.epoch, ..other.clone() }
    }
}
