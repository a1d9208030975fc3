//! `DeregisterStreamConsumer`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, structure},
};

structure! {
    /// What `DeregisterStreamConsumer` takes: the consumer's ARN, or its name and the stream's ARN, or all three.
    DeregisterStreamConsumerInput {
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// The consumer's name.
        consumer_name: Text<'a> = "ConsumerName", model::CONSUMER_NAME;
        /// The consumer's ARN.
        consumer_arn: Text<'a> = "ConsumerARN", model::CONSUMER_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
