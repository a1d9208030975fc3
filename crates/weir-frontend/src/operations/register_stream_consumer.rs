//! `RegisterStreamConsumer`: asks the control plane for a new consumer.

use weir_core::id::ConsumerName;
use weir_wire::{
    control::{ConsumerCall, ControlReply},
    kinesis::{
        register_stream_consumer::{RegisterStreamConsumerInput, RegisterStreamConsumerReply},
        validate::null_member,
    },
};

use super::{Call, SMALL_ANSWER_BYTES};
use crate::{answer::Answer, consumer::consumer_facts, error::RequestError, lookup::StreamSelector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: RegisterStreamConsumerInput<'_> = call.input()?;
    let stream = call.stream(StreamSelector { name: None, arn: input.stream_arn.as_deref() })?;
    let name = input.consumer_name.as_deref().ok_or_else(|| null_member("consumerName"))?;
    let tags = input.tags.iter().flat_map(|tags| tags.iter());
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let register = ConsumerCall::Register { name: ConsumerName::new(name), tags };
    match call.common.lookup.consumers(&stream, register).await? {
        ControlReply::Consumer(consumer) => {
            let reply = RegisterStreamConsumerReply { consumer: consumer_facts(&stream, &consumer) };
            Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
        }
        _ => Err(RequestError::ControlNonsense),
    }
}
