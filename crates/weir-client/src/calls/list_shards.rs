//! `ListShards`; also the shard as every description shows it.

use serde::{Deserialize, Serialize};
use weir_wire::kinesis::operation::Operation;

use super::Call;

/// Asks for a page of a stream's shards: the first one by the stream's name, the next by the token alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListShards {
    /// The stream; not together with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_name: Option<String>,
    /// Where the last page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
    /// Shards at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<u32>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListShardsAnswer {
    /// The shards, by id.
    pub shards: Vec<Shard>,
    /// Where the next page begins; absent on the last.
    pub next_token: Option<String>,
}

/// A shard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shard {
    /// Its id.
    pub shard_id: String,
    /// The shard that it was split or merged from.
    pub parent_shard_id: Option<String>,
    /// The other one of a merge.
    pub adjacent_parent_shard_id: Option<String>,
    /// The keys that land here.
    pub hash_key_range: HashKeyRange,
    /// Its records' numbers.
    pub sequence_number_range: SequenceNumberRange,
}

impl Shard {
    /// The shards that it was made of.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        let parents = [&self.parent_shard_id, &self.adjacent_parent_shard_id];
        parents.into_iter().filter_map(|parent| parent.as_deref())
    }
}

/// The keys of a shard, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HashKeyRange {
    /// The first, decimal.
    pub starting_hash_key: String,
    /// The last, decimal.
    pub ending_hash_key: String,
}

/// The numbers of a shard's records.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SequenceNumberRange {
    /// Before the first record.
    pub starting_sequence_number: String,
    /// After the last one; absent while the shard takes records.
    pub ending_sequence_number: Option<String>,
}

impl Call for ListShards {
    const OPERATION: Operation = Operation::ListShards;
    const WRITES: bool = false;
    type Answer = ListShardsAnswer;
}
