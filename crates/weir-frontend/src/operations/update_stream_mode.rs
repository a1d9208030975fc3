//! `UpdateStreamMode`: asks the control plane; the answer is empty.

use weir_wire::{control::StreamChange, kinesis::update_stream_mode::UpdateStreamModeInput};

use super::{Call, change::change};
use crate::{answer::Answer, error::RequestError, lookup::StreamSelector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: UpdateStreamModeInput<'_> = call.input()?;
    let stream = call.stream(StreamSelector { name: None, arn: input.stream_arn.as_deref() })?;
    let details = input.stream_mode_details.expect("it was validated to be there");
    let on_demand = details.stream_mode.expect("it was validated to be there") == "ON_DEMAND";
    change(call, stream, StreamChange::SetMode { on_demand }).await?;
    Ok(Answer::default())
}
