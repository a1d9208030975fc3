//! `UpdateStreamRecordDistributionStrategy`: asks the control plane; the answer is empty.

use weir_wire::{
    control::StreamChange,
    kinesis::update_stream_record_distribution_strategy::UpdateStreamRecordDistributionStrategyInput,
};

use super::{Call, change::change};
use crate::{answer::Answer, error::RequestError, lookup::StreamSelector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: UpdateStreamRecordDistributionStrategyInput<'_> = call.input()?;
    let stream = call.stream(StreamSelector { name: None, arn: input.stream_arn.as_deref() })?;
    let on = input.record_distribution_strategy.expect("it was validated to be there") == "AUTO";
    change(call, stream, StreamChange::SetSpread { on }).await?;
    Ok(Answer::default())
}
