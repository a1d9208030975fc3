//! `DescribeStreamConsumer`: what it takes and tells.

use super::{
    encode::{Encoder, Reply},
    model,
    register_stream_consumer::ConsumerFacts,
    shape::{Text, structure},
};

structure! {
    /// What `DescribeStreamConsumer` takes: the consumer's ARN, or its name and the stream's ARN, or all three.
    DescribeStreamConsumerInput {
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

/// What `DescribeStreamConsumer` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeStreamConsumerReply {
    /// The consumer.
    pub consumer: ConsumerFacts,
    /// The ARN of its stream.
    pub stream_arn: String,
}

impl Reply for DescribeStreamConsumerReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("ConsumerDescription");
        out.open_structure();
        self.consumer.encode_members(out);
        out.member("StreamARN");
        out.text(&self.stream_arn);
        out.close_structure();
        out.close_structure();
    }
}
