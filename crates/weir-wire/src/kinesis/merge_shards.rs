//! `MergeShards`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, structure},
};

structure! {
    /// What `MergeShards` takes.
    MergeShardsInput {
        /// The lower shard.
        shard_to_merge: Text<'a> = "ShardToMerge", model::SHARD_ID, required;
        /// The one after it.
        adjacent_shard_to_merge: Text<'a> = "AdjacentShardToMerge", model::SHARD_ID, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
