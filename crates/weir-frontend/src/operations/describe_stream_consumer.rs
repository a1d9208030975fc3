//! `DescribeStreamConsumer`: the consumer as the control plane has it.

use weir_wire::kinesis::describe_stream_consumer::{
    DescribeStreamConsumerInput, DescribeStreamConsumerReply,
};

use super::{Call, SMALL_ANSWER_BYTES};
use crate::{
    answer::Answer,
    consumer::{consumer_facts, consumer_selector},
    error::RequestError,
    lookup::stream_arn,
};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: DescribeStreamConsumerInput<'_> = call.input()?;
    let (stream, key) = call.consumer(consumer_selector!(input))?;
    let consumer = call.common.lookup.consumer(&stream, &key).await?;
    let reply = DescribeStreamConsumerReply {
        consumer: consumer_facts(&stream, &consumer),
        stream_arn: stream_arn(&stream),
    };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}
