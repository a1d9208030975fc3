//! `ListShards`: what it takes and tells.

use super::{
    describe_stream::ShardFacts,
    encode::{Encoder, Reply},
    model,
    shape::{EpochMs, Shape, Text, structure},
};

structure! {
    /// What `ListShards` takes.
    ListShardsInput {
        /// Only shards after this one.
        exclusive_start_shard_id: Text<'a> = "ExclusiveStartShardId", model::SHARD_ID;
        /// Shards at most.
        max_results: i64 = "MaxResults", model::PAGE_LIMIT;
        /// Where the last page ended.
        next_token: Text<'a> = "NextToken", model::NEXT_TOKEN;
        /// Tells two streams of one name apart.
        stream_creation_timestamp: EpochMs = "StreamCreationTimestamp", Shape::FREE;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME;
        /// Which shards.
        shard_filter: ShardFilter<'a> = "ShardFilter", Shape::FREE;
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

structure! {
    /// Which shards a list wants.
    ShardFilter {
        /// By what.
        kind: Text<'a> = "Type", model::SHARD_FILTER_TYPE, required;
        /// After this shard.
        shard_id: Text<'a> = "ShardId", model::SHARD_ID;
        /// At or from this time.
        timestamp: EpochMs = "Timestamp", Shape::FREE;
    }
}

/// What `ListShards` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListShardsReply {
    /// A page of shards.
    pub shards: Vec<ShardFacts>,
    /// Where the next page begins; absent on the last.
    pub next_token: Option<String>,
}

impl Reply for ListShardsReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("Shards");
        out.open_list();
        for shard in &self.shards {
            shard.encode(out);
        }
        out.close_list();
        if let Some(token) = &self.next_token {
            out.member("NextToken");
            out.text(token);
        }
        out.close_structure();
    }
}
