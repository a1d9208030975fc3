//! `UpdateShardCount`: what it takes and tells.

use super::{
    encode::{Encoder, Reply},
    model,
    shape::{Text, structure},
};

structure! {
    /// What `UpdateShardCount` takes.
    UpdateShardCountInput {
        /// How many shards there are to be.
        target_shard_count: i64 = "TargetShardCount", model::SHARD_COUNT, required;
        /// How they are to divide the keys.
        scaling_type: Text<'a> = "ScalingType", model::SCALING_TYPE, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

/// What `UpdateShardCount` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateShardCountReply {
    /// The stream.
    pub stream_name: String,
    /// Its ARN.
    pub stream_arn: String,
    /// How many shards take records now.
    pub current: u32,
    /// How many there will be.
    pub target: u32,
}

impl Reply for UpdateShardCountReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("StreamName");
        out.text(&self.stream_name);
        out.member("CurrentShardCount");
        out.integer(i64::from(self.current));
        out.member("TargetShardCount");
        out.integer(i64::from(self.target));
        out.member("StreamARN");
        out.text(&self.stream_arn);
        out.close_structure();
    }
}
