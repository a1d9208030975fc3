//! `StopStreamEncryption`: asks the control plane; the answer is empty.

use weir_wire::{
    control::StreamChange,
    kinesis::{
        error::{ApiError, ErrorCode},
        stop_stream_encryption::StopStreamEncryptionInput,
    },
};

use super::{Call, change::change};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: StopStreamEncryptionInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    if input.encryption_type.as_deref() != Some("KMS") {
        let text = "EncryptionType must be KMS.";
        return Err(ApiError::new(ErrorCode::InvalidArgument, text).into());
    }
    let key = input.key_id.expect("it was validated to be there").into_owned();
    change(call, stream, StreamChange::StopEncryption { key }).await?;
    Ok(Answer::default())
}
