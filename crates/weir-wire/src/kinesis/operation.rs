//! The operations that are served, by the names that requests carry in `X-Amz-Target`.
//!
//! Read by the front end's dispatch, by metrics and by documents. A name that is not here is answered
//! `UnknownOperationException`; those of queues and channels are known and answered that they are not supported.

use super::shape::Fields;

/// What stands before the dot of `X-Amz-Target`.
pub const TARGET_PREFIX: &str = "Kinesis_20131202";

macro_rules! operations {
    ($($name:ident: $module:ident::$input:ident),+ $(,)?) => {
        /// One operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                $name,
            )+
        }

        impl Operation {
            /// All of them, by name.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// An input of its kind without any member, for whoever goes over all operations.
            pub fn empty_input<'a>(self) -> Box<dyn Fields<'a> + 'a> {
                match self {
                    $(Self::$name => Box::new(super::$module::$input::default()),)+
                }
            }
        }
    };
}

operations! {
    AddTagsToStream: add_tags_to_stream::AddTagsToStreamInput,
    CreateStream: create_stream::CreateStreamInput,
    DecreaseStreamRetentionPeriod: decrease_stream_retention_period::DecreaseStreamRetentionPeriodInput,
    DeleteResourcePolicy: delete_resource_policy::DeleteResourcePolicyInput,
    DeleteStream: delete_stream::DeleteStreamInput,
    DeregisterStreamConsumer: deregister_stream_consumer::DeregisterStreamConsumerInput,
    DescribeAccountSettings: describe_account_settings::DescribeAccountSettingsInput,
    DescribeLimits: describe_limits::DescribeLimitsInput,
    DescribeStream: describe_stream::DescribeStreamInput,
    DescribeStreamConsumer: describe_stream_consumer::DescribeStreamConsumerInput,
    DescribeStreamSummary: describe_stream_summary::DescribeStreamSummaryInput,
    DisableEnhancedMonitoring: disable_enhanced_monitoring::DisableEnhancedMonitoringInput,
    EnableEnhancedMonitoring: enable_enhanced_monitoring::EnableEnhancedMonitoringInput,
    GetRecords: get_records::GetRecordsInput,
    GetResourcePolicy: get_resource_policy::GetResourcePolicyInput,
    GetShardIterator: get_shard_iterator::GetShardIteratorInput,
    IncreaseStreamRetentionPeriod: increase_stream_retention_period::IncreaseStreamRetentionPeriodInput,
    ListShards: list_shards::ListShardsInput,
    ListStreamConsumers: list_stream_consumers::ListStreamConsumersInput,
    ListStreams: list_streams::ListStreamsInput,
    ListTagsForResource: list_tags_for_resource::ListTagsForResourceInput,
    ListTagsForStream: list_tags_for_stream::ListTagsForStreamInput,
    MergeShards: merge_shards::MergeShardsInput,
    PutRecord: put_record::PutRecordInput,
    PutRecords: put_records::PutRecordsInput,
    PutResourcePolicy: put_resource_policy::PutResourcePolicyInput,
    RegisterStreamConsumer: register_stream_consumer::RegisterStreamConsumerInput,
    RemoveTagsFromStream: remove_tags_from_stream::RemoveTagsFromStreamInput,
    SplitShard: split_shard::SplitShardInput,
    StartStreamEncryption: start_stream_encryption::StartStreamEncryptionInput,
    StopStreamEncryption: stop_stream_encryption::StopStreamEncryptionInput,
    SubscribeToShard: subscribe_to_shard::SubscribeToShardInput,
    TagResource: tag_resource::TagResourceInput,
    UntagResource: untag_resource::UntagResourceInput,
    UpdateAccountSettings: update_account_settings::UpdateAccountSettingsInput,
    UpdateMaxRecordSize: update_max_record_size::UpdateMaxRecordSizeInput,
    UpdateShardCount: update_shard_count::UpdateShardCountInput,
    UpdateStreamMode: update_stream_mode::UpdateStreamModeInput,
    UpdateStreamRecordDistributionStrategy:
        update_stream_record_distribution_strategy::UpdateStreamRecordDistributionStrategyInput,
    UpdateStreamWarmThroughput: update_stream_warm_throughput::UpdateStreamWarmThroughputInput,
}

/// The operations of queues and channels, which the API has and Weir does not.
pub const UNSUPPORTED: [&str; 17] = [
    "AcknowledgeDeadLetterQueueRecords",
    "AcknowledgeQueueRecords",
    "CreateChannel",
    "CreateQueue",
    "DeleteChannel",
    "DeleteQueue",
    "DescribeChannel",
    "DescribeQueue",
    "ListChannels",
    "ListQueues",
    "ReceiveDeadLetterQueueRecords",
    "ReceiveQueueRecords",
    "RestoreDeadLetterQueueRecords",
    "UpdateChannel",
    "UpdateDeadLetterQueueRecordsVisibility",
    "UpdateQueue",
    "UpdateQueueRecordsVisibility",
];

/// The operation of a whole `X-Amz-Target`, if it is one that is not supported.
pub fn unsupported(target: &str) -> Option<&'static str> {
    let (prefix, name) = target.split_once('.')?;
    UNSUPPORTED.into_iter().find(|unsupported| prefix == TARGET_PREFIX && *unsupported == name)
}

impl Operation {
    /// The operation of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.name() == name)
    }

    /// The operation of a whole `X-Amz-Target`.
    pub fn of_target(target: &str) -> Option<Self> {
        let (prefix, name) = target.split_once('.')?;
        if prefix == TARGET_PREFIX { Self::of_name(name) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_an_operation_of_this_version_of_the_api() {
        assert_eq!(Operation::of_target("Kinesis_20131202.PutRecords"), Some(Operation::PutRecords));
        for target in ["PutRecords", "Kinesis_20131202.", "Kinesis_20131202.putRecords", "X.PutRecords", ""] {
            assert_eq!(Operation::of_target(target), None, "{target}");
        }
        assert!(Operation::ALL.is_sorted_by_key(|operation| operation.name()));
        assert_eq!(unsupported("Kinesis_20131202.CreateQueue"), Some("CreateQueue"));
        assert_eq!((unsupported("CreateQueue"), unsupported("Kinesis_20131202.PutRecords")), (None, None));
    }
}
