//! `DeleteStream`: asks the control plane; the answer is empty.

use weir_wire::{
    control::{ControlError, ControlReply, ControlRequest},
    kinesis::delete_stream::DeleteStreamInput,
};

use super::Call;
use crate::{
    answer::Answer,
    error::{ConsumerError, RequestError},
    lookup::selector,
};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: DeleteStreamInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let with_consumers = input.enforce_consumer_deletion.unwrap_or(false);
    match call
        .common
        .lookup
        .ask(ControlRequest::DeleteStream { stream: stream.clone(), with_consumers })
        .await
    {
        Ok(ControlReply::Done | ControlReply::Stream(_)) => Ok(Answer::default()),
        Ok(_) => Err(RequestError::ControlNonsense),
        Err(ControlError::NotFound(_)) => Err(RequestError::StreamNotFound(stream)),
        Err(ControlError::HasConsumers) => Err(ConsumerError::StreamHas(stream).into()),
        Err(error) => Err(RequestError::Control(error)),
    }
}
