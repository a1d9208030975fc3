//! `GetShardIterator`: fixes a place in a shard and seals it.
//!
//! LATEST and AT_TIMESTAMP ask the node now, so that the iterator means the same whenever it is used.

use weir_wire::kinesis::{
    get_shard_iterator::{GetShardIteratorInput, GetShardIteratorReply},
    validate::null_member,
};

use super::{Call, SMALL_ANSWER_BYTES, shard_id::parse_shard, start::StartingPoint};
use crate::{
    answer::Answer,
    error::RequestError,
    iterator::iterator_of,
    lookup::selector,
    route::{route_shard, usable_map},
};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: GetShardIteratorInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let shard = parse_shard(&stream, input.shard_id.as_deref().ok_or_else(|| null_member("shardId"))?)?;
    let map = usable_map(call.maps, call.now())?;
    let shards = call.common.lookup.in_map(&map, &stream).await.map_err(|error| match error {
        RequestError::StreamNotFound(stream) => RequestError::ShardNotFound { stream, shard },
        other => other,
    })?;
    let routed = route_shard(call.admitted, shards, shard)?;
    let point = StartingPoint {
        kind: input.shard_iterator_type.as_deref().ok_or_else(|| null_member("shardIteratorType"))?,
        number: input.starting_sequence_number.as_deref(),
        timestamp: input.timestamp,
    };
    let record = point.record(call, &stream, &routed).await?;
    if input.dry_run == Some(true) {
        return Err(RequestError::DryRun);
    }
    let iterator = iterator_of(&stream, shards.id(), shard, record);
    let reply = GetShardIteratorReply { shard_iterator: iterator.seal(&call.config.sealer, call.wall()) };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}
