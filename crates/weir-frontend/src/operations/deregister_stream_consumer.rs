//! `DeregisterStreamConsumer`: asks the control plane; the answer is empty. Subscriptions look for themselves whether their
//! consumer is still there.

use weir_wire::{
    control::{ConsumerCall, ControlReply},
    kinesis::deregister_stream_consumer::DeregisterStreamConsumerInput,
};

use super::Call;
use crate::{answer::Answer, consumer::consumer_selector, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: DeregisterStreamConsumerInput<'_> = call.input()?;
    let (stream, key) = call.consumer(consumer_selector!(input))?;
    match call.common.lookup.consumers(&stream, ConsumerCall::Deregister { key }).await? {
        ControlReply::Done => Ok(Answer::default()),
        _ => Err(RequestError::ControlNonsense),
    }
}
