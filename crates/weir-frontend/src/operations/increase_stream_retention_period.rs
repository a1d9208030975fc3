//! `IncreaseStreamRetentionPeriod`: asks the control plane; the answer is empty.

use weir_wire::{
    control::StreamChange, kinesis::increase_stream_retention_period::IncreaseStreamRetentionPeriodInput,
};

use super::{Call, change::change};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: IncreaseStreamRetentionPeriodInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let hours = input.retention_period_hours.expect("it was validated to be there");
    change(call, stream, StreamChange::IncreaseRetention { hours }).await?;
    Ok(Answer::default())
}
