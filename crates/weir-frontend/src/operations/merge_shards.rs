//! `MergeShards`: asks the control plane; the answer is empty.

use weir_wire::{control::StreamChange, kinesis::merge_shards::MergeShardsInput};

use super::{Call, reshard::reshard, shard_id::parse_shard};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: MergeShardsInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let validated = "it was validated to be there";
    let shard = parse_shard(&stream, input.shard_to_merge.as_deref().expect(validated))?;
    let adjacent = parse_shard(&stream, input.adjacent_shard_to_merge.as_deref().expect(validated))?;
    reshard(call, stream, StreamChange::MergeShards { shard, adjacent }).await?;
    Ok(Answer::default())
}
