//! `UpdateStreamRecordDistributionStrategy`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, structure},
};

structure! {
    /// What `UpdateStreamRecordDistributionStrategy` takes.
    UpdateStreamRecordDistributionStrategyInput {
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// `AUTO` or `USER_PARTITION_KEY`.
        record_distribution_strategy: Text<'a> = "RecordDistributionStrategy", model::RECORD_DISTRIBUTION_STRATEGY,
            required;
    }
}
