//! `GetShardIterator`: what it takes and tells.

use super::{
    encode::{Encoder, Reply},
    model,
    shape::{EpochMs, Shape, Text, structure},
};

structure! {
    /// What `GetShardIterator` takes.
    GetShardIteratorInput {
        /// The shard.
        shard_id: Text<'a> = "ShardId", model::SHARD_ID, required;
        /// Where to start.
        shard_iterator_type: Text<'a> = "ShardIteratorType", model::SHARD_ITERATOR_TYPE, required;
        /// At or after this record.
        starting_sequence_number: Text<'a> = "StartingSequenceNumber", model::SEQUENCE_NUMBER;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// At the first record of this time or later.
        timestamp: EpochMs = "Timestamp", Shape::FREE;
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// Only tells whether the call would succeed.
        dry_run: bool = "DryRun", Shape::FREE;
    }
}

/// What `GetShardIterator` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetShardIteratorReply {
    /// The iterator.
    pub shard_iterator: String,
}

impl Reply for GetShardIteratorReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("ShardIterator");
        out.text(&self.shard_iterator);
        out.close_structure();
    }
}
