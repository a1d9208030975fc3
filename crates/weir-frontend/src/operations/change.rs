//! A change of one stream at the control plane: what the operations that change something have in common.
//!
//! The control plane judges the change against what the stream is now, in one step, so that two callers at once cannot
//! both be right about the same old value.

use weir_core::id::StreamRef;
use weir_wire::control::{ControlError, ControlReply, ControlRequest, StreamChange, StreamDescription};

use super::Call;
use crate::error::RequestError;

/// Asks for the change; gives back the stream after it.
pub(super) async fn change(
    call: &Call<'_>,
    stream: StreamRef,
    change: StreamChange,
) -> Result<Box<StreamDescription>, RequestError> {
    match call.common.lookup.ask(ControlRequest::ChangeStream { stream: stream.clone(), change }).await {
        Ok(ControlReply::Stream(description)) => Ok(description),
        Ok(_) => Err(RequestError::ControlNonsense),
        Err(ControlError::NotFound(_)) => Err(RequestError::StreamNotFound(stream)),
        Err(ControlError::ShardNotFound(shard)) => {
            Err(RequestError::ShardUnreadable { stream, text: shard.to_string() })
        }
        Err(error) => Err(RequestError::Control(error)),
    }
}
