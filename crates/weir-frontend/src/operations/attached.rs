//! What is attached to a stream or a consumer: how the operations on tags and policies ask for it and change it.

use weir_wire::control::{Attached, AttachedChange, ControlError, ControlReply, ControlRequest, ResourceRef};

use super::Call;
use crate::error::RequestError;

/// What the resource has.
pub(super) async fn look(call: &Call<'_>, resource: ResourceRef) -> Result<Attached, RequestError> {
    match call.common.lookup.ask(ControlRequest::Attached { resource: resource.clone() }).await {
        Ok(ControlReply::Attached(attached)) => Ok(attached),
        Ok(_) => Err(RequestError::ControlNonsense),
        Err(error) => Err(told(error, resource)),
    }
}

/// Changes what the resource has.
pub(super) async fn change(
    call: &Call<'_>,
    resource: ResourceRef,
    change: AttachedChange,
) -> Result<(), RequestError> {
    match call.common.lookup.ask(ControlRequest::ChangeAttached { resource: resource.clone(), change }).await
    {
        Ok(ControlReply::Done) => Ok(()),
        Ok(_) => Err(RequestError::ControlNonsense),
        Err(error) => Err(told(error, resource)),
    }
}

fn told(error: ControlError, resource: ResourceRef) -> RequestError {
    match (error, resource) {
        (ControlError::NotFound(_), ResourceRef::Stream(stream)) => RequestError::StreamNotFound(stream),
        (error, _) => RequestError::Control(error),
    }
}
