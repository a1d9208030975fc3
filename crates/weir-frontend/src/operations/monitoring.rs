//! Enhanced monitoring: what `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring` have in common.

use weir_core::{id::StreamRef, monitoring::ShardLevelMetrics};
use weir_wire::{
    control::{ControlError, ControlReply, ControlRequest, StreamChange},
    kinesis::{enable_enhanced_monitoring::EnhancedMonitoringReply, shape::Texts},
};

use super::{Call, SMALL_ANSWER_BYTES};
use crate::{answer::Answer, error::RequestError, lookup::stream_arn};

/// The metrics of an input whose names were validated.
pub(super) fn named(names: Option<&Texts<'_>>) -> ShardLevelMetrics {
    let names = names.expect("it was validated to be there");
    ShardLevelMetrics::of_names(names.iter()).expect("the names were validated")
}

/// Asks for the change, and tells what was enabled before it and is after it.
pub(super) async fn change(
    call: &Call<'_>,
    stream: StreamRef,
    change: StreamChange,
) -> Result<Answer, RequestError> {
    match call.common.lookup.ask(ControlRequest::ChangeStream { stream: stream.clone(), change }).await {
        Ok(ControlReply::Monitoring { before, after }) => {
            let reply = EnhancedMonitoringReply {
                stream_arn: stream_arn(&stream),
                stream_name: stream.name.as_str().to_owned(),
                current: before,
                desired: after,
            };
            Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
        }
        Ok(_) => Err(RequestError::ControlNonsense),
        Err(ControlError::NotFound(_)) => Err(RequestError::StreamNotFound(stream)),
        Err(error) => Err(RequestError::Control(error)),
    }
}
