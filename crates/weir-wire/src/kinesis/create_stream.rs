//! `CreateStream`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, TextMap, structure},
};

structure! {
    /// What `CreateStream` takes.
    CreateStreamInput {
        /// How many shards. Only a stream whose mode is told may do without, and only if that mode is on-demand.
        shard_count: i64 = "ShardCount", model::SHARD_COUNT, without ["StreamModeDetails"];
        /// The new stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, required;
        /// The capacity mode.
        stream_mode_details: StreamModeDetails<'a> = "StreamModeDetails", super::shape::Shape::FREE;
        /// The stream's first tags.
        tags: TextMap<'a> = "Tags", model::TAG_MAP;
        /// MiB a second that an on-demand stream is to take in from its birth.
        warm_throughput: i64 = "WarmThroughputMiBps", model::WARM_THROUGHPUT;
        /// KiB of one record, at most.
        max_record_size: i64 = "MaxRecordSizeInKiB", model::MAX_RECORD_SIZE;
        /// `AUTO` or `USER_PARTITION_KEY`.
        record_distribution_strategy: Text<'a> = "RecordDistributionStrategy", model::RECORD_DISTRIBUTION_STRATEGY;
    }
}

structure! {
    /// The capacity mode of a stream.
    StreamModeDetails {
        /// `PROVISIONED` or `ON_DEMAND`.
        stream_mode: Text<'a> = "StreamMode", model::STREAM_MODE, required;
    }
}
