//! The members by which inputs name a stream, a shard or a consumer, whatever the operation.
//!
//! Read by the front end before an operation runs, to know whose rate a call counts to and which fault is meant for it.
//! The operation's own description judges the input; what is wrong here is nobody's error.

use super::{
    model,
    shape::{Bound, Shape, Text, structure},
};

/// Any ARN.
const ARN: Shape = Shape::of(&[Bound::LengthMin(1), Bound::LengthMax(2_048)]);

structure! {
    /// What a call names.
    NamedInput {
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME;
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// The shard.
        shard_id: Text<'a> = "ShardId", model::SHARD_ID;
        /// A consumer's ARN, which begins with its stream's.
        consumer_arn: Text<'a> = "ConsumerARN", ARN;
        /// The ARN of a stream or a consumer.
        resource_arn: Text<'a> = "ResourceARN", ARN;
        /// Where reading goes on: sealed, it names a stream and a shard.
        shard_iterator: Text<'a> = "ShardIterator", model::SHARD_ITERATOR;
        /// The key of one record, which names a shard of its stream.
        partition_key: Text<'a> = "PartitionKey", model::PARTITION_KEY;
        /// What counts in its place.
        explicit_hash_key: Text<'a> = "ExplicitHashKey", model::HASH_KEY;
    }
}
