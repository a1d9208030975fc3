//! `DecreaseStreamRetentionPeriod`: asks the control plane; the answer is empty.

use weir_wire::{
    control::StreamChange, kinesis::decrease_stream_retention_period::DecreaseStreamRetentionPeriodInput,
};

use super::{Call, change::change};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: DecreaseStreamRetentionPeriodInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let hours = input.retention_period_hours.expect("it was validated to be there");
    change(call, stream, StreamChange::DecreaseRetention { hours }).await?;
    Ok(Answer::default())
}
