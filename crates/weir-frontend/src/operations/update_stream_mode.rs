//! `UpdateStreamMode`: asks the control plane; the answer is empty.

use weir_wire::{
    control::StreamChange,
    kinesis::{
        error::{ApiError, ErrorCode},
        update_stream_mode::UpdateStreamModeInput,
    },
};

use super::{Call, change::change, update_stream_warm_throughput::mib_per_second};
use crate::{answer::Answer, error::RequestError, lookup::StreamSelector};

/// In the model's words; Kinesis's own are not known.
const WARM_PROVISIONED: &str =
    "WarmThroughputMiBps is only valid when the stream mode is being updated to ON_DEMAND.";

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: UpdateStreamModeInput<'_> = call.input()?;
    let stream = call.stream(StreamSelector { name: None, arn: input.stream_arn.as_deref() })?;
    let details = input.stream_mode_details.expect("it was validated to be there");
    let on_demand = details.stream_mode.expect("it was validated to be there") == "ON_DEMAND";
    if input.warm_throughput.is_some() && !on_demand {
        return Err(ApiError::new(ErrorCode::InvalidArgument, WARM_PROVISIONED).into());
    }
    let warm_mibps = input.warm_throughput.map(mib_per_second);
    change(call, stream, StreamChange::SetMode { on_demand, warm_mibps }).await?;
    Ok(Answer::default())
}
