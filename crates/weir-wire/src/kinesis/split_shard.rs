//! `SplitShard`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, structure},
};

structure! {
    /// What `SplitShard` takes.
    SplitShardInput {
        /// The first key of the upper part.
        new_starting_hash_key: Text<'a> = "NewStartingHashKey", model::HASH_KEY, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The shard.
        shard_to_split: Text<'a> = "ShardToSplit", model::SHARD_ID, required;
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
