//! Reshards: what the operations that split and merge have in common.
//!
//! The control plane carries them out; here is only what is not its to say.

use weir_core::id::StreamRef;
use weir_wire::{
    control::{StreamChange, StreamDescription},
    kinesis::error::{ApiError, ErrorCode},
};

use super::{Call, change::change};
use crate::error::RequestError;

/// Asks for a reshard; gives back the stream as it begins. The shards of an on-demand stream are the service's own.
pub(super) async fn reshard(
    call: &Call<'_>,
    stream: StreamRef,
    asked: StreamChange,
) -> Result<Box<StreamDescription>, RequestError> {
    if call.common.lookup.describe(&stream).await?.on_demand {
        let text = format!(
            "Request is invalid. Stream {} under account {} is in On-Demand mode.",
            stream.name, stream.account
        );
        return Err(ApiError::new(ErrorCode::Validation, text).into());
    }
    change(call, stream, asked).await
}
