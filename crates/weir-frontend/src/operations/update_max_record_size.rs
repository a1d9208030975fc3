//! `UpdateMaxRecordSize`: asks the control plane; the answer is empty.

use weir_wire::{
    control::StreamChange,
    kinesis::{update_max_record_size::UpdateMaxRecordSizeInput, validate::null_member},
};

use super::{Call, change::change};
use crate::{answer::Answer, error::RequestError, lookup::StreamSelector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: UpdateMaxRecordSizeInput<'_> = call.input()?;
    let arn = input.stream_arn.as_deref().ok_or_else(|| null_member("streamARN"))?;
    let stream = call.stream(StreamSelector { name: None, arn: Some(arn) })?;
    let kib = input.max_record_size.expect("it was validated to be there");
    let kib = u32::try_from(kib).expect("it was validated to be at most 10,240");
    change(call, stream, StreamChange::SetRecordSize { kib }).await?;
    Ok(Answer::default())
}
