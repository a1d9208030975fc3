//! `CreateStream`: asks the control plane; the answer is empty.

use weir_core::{
    id::{StreamName, StreamRef},
    limits::ON_DEMAND_SHARDS,
};
use weir_wire::{
    control::{ControlError, ControlReply, ControlRequest, Intake, NewStream},
    kinesis::{
        create_stream::CreateStreamInput,
        error::{ApiError, ErrorCode},
        validate::null_member,
    },
};

use super::{Call, update_stream_warm_throughput::mib_per_second};
use crate::{answer::Answer, authenticate::Caller, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: CreateStreamInput<'_> = call.input()?;
    let name = input.stream_name.as_deref().ok_or_else(|| null_member("streamName"))?;
    let Caller { account, region, .. } = *call.caller();
    let stream = StreamRef { account, region, name: StreamName::new(name) };
    let mode = input.stream_mode_details.as_ref().and_then(|details| details.stream_mode.as_deref());
    let on_demand = mode == Some("ON_DEMAND");
    let shards = match (on_demand, input.shard_count) {
        (false, None) => return Err(null_member("shardCount").into()),
        (true, Some(_)) => {
            let text = "ShardCount must not be set for a stream in ON_DEMAND mode.";
            return Err(ApiError::new(ErrorCode::InvalidArgument, text).into());
        }
        (true, None) => ON_DEMAND_SHARDS,
        (false, Some(count)) => u32::try_from(count).expect("at least 1 and at most 32 bits"),
    };
    let tags = input.tags.iter().flat_map(|tags| tags.iter());
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let spread = input.record_distribution_strategy.as_deref() == Some("AUTO");
    let mut intake = Intake { spread, ..Intake::default() };
    if let Some(kib) = input.max_record_size {
        intake.record_kib_max = u32::try_from(kib).expect("it was validated to be at most 10,240");
    }
    let warm_mibps = input.warm_throughput.map(mib_per_second);
    let new = NewStream { stream: stream.clone(), shards, on_demand, warm_mibps, intake, tags };
    match call.common.lookup.ask(ControlRequest::CreateStream(new)).await {
        Ok(ControlReply::Stream(_) | ControlReply::Done) => Ok(Answer::default()),
        Ok(_) => Err(RequestError::ControlNonsense),
        Err(ControlError::AlreadyExists(_)) => Err(RequestError::StreamExists(stream)),
        Err(error) => Err(RequestError::Control(error)),
    }
}
