//! `DescribeStreamSummary`: what it takes and tells.

use super::{
    describe_stream::StreamFacts,
    encode::{Encoder, Reply},
    model,
    shape::{Text, structure},
    update_stream_warm_throughput::WarmThroughput,
};

structure! {
    /// What `DescribeStreamSummary` takes.
    DescribeStreamSummaryInput {
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

/// What `DescribeStreamSummary` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeStreamSummaryReply {
    /// The stream.
    pub stream: StreamFacts,
    /// Shards that take records.
    pub open_shards: u32,
    /// Registered consumers.
    pub consumers: u32,
}

impl Reply for DescribeStreamSummaryReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("StreamDescriptionSummary");
        out.open_structure();
        self.stream.encode_members(out);
        out.member("OpenShardCount");
        out.integer(i64::from(self.open_shards));
        out.member("ConsumerCount");
        out.integer(i64::from(self.consumers));
        if let Some(target) = self.stream.warm_mibps {
            WarmThroughput { target, current: self.open_shards }.encode(out);
        }
        out.member("MaxRecordSizeInKiB");
        out.integer(i64::from(self.stream.record_kib_max));
        if let Some(distribution) = self.stream.distribution {
            out.member("RecordDistributionStrategy");
            out.text(distribution);
        }
        out.close_structure();
        out.close_structure();
    }
}
