//! `StartStreamEncryption`: asks the control plane; the answer is empty.

use weir_wire::{
    control::StreamChange,
    kinesis::{
        error::{ApiError, ErrorCode},
        start_stream_encryption::StartStreamEncryptionInput,
    },
};

use super::{Call, change::change};
use crate::{answer::Answer, error::RequestError, kms::check_key, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: StartStreamEncryptionInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    if input.encryption_type.as_deref() != Some("KMS") {
        let text = "EncryptionType must be KMS.";
        return Err(ApiError::new(ErrorCode::InvalidArgument, text).into());
    }
    let key = input.key_id.expect("it was validated to be there").into_owned();
    check_key(&key)?;
    change(call, stream, StreamChange::StartEncryption { key }).await?;
    Ok(Answer::default())
}
