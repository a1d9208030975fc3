//! `SplitShard`: asks the control plane; the answer is empty.

use weir_core::hash_key::HashKey;
use weir_wire::{control::StreamChange, kinesis::split_shard::SplitShardInput};

use super::{Call, reshard::reshard, shard_id::parse_shard};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: SplitShardInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let shard = parse_shard(&stream, input.shard_to_split.as_deref().expect("it was validated to be there"))?;
    let text = input.new_starting_hash_key.as_deref().expect("it was validated to be there");
    // The form allows numbers above the last key; they are above every shard's last key as well.
    let at = text.parse().unwrap_or(HashKey::MAX);
    reshard(call, stream, StreamChange::SplitShard { shard, at }).await?;
    Ok(Answer::default())
}
