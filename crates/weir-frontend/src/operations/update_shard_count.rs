//! `UpdateShardCount`: asks the control plane, which goes there by splits and merges.

use weir_wire::{
    control::StreamChange,
    kinesis::update_shard_count::{UpdateShardCountInput, UpdateShardCountReply},
};

use super::{Call, SMALL_ANSWER_BYTES, reshard::reshard};
use crate::{
    answer::Answer,
    error::RequestError,
    lookup::{selector, stream_arn},
};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: UpdateShardCountInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let target = input.target_shard_count.expect("it was validated to be there");
    let target = u32::try_from(target).expect("at least 1 and at most 32 bits");
    let stream_arn = stream_arn(&stream);
    let stream_name = stream.name.as_str().to_owned();
    let resharded = reshard(call, stream, StreamChange::UpdateShardCount { target }).await?;
    let open = resharded.shards.iter().filter(|shard| shard.is_open()).count();
    let current = u32::try_from(open).expect("shards of a stream are bounded");
    Ok(call.answer(&UpdateShardCountReply { stream_name, stream_arn, current, target }, SMALL_ANSWER_BYTES))
}
