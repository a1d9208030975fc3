//! `GetShardIterator`: fixes a place in a shard and seals it.
//!
//! LATEST and AT_TIMESTAMP ask the node now, so that the iterator means the same whenever it is used.

use weir_core::{
    clock::WallMs,
    id::StreamRef,
    sequence::{RecordIndex, SequenceNumber},
};
use weir_wire::{
    cell::{CellReply, CellRequest, Position},
    kinesis::{
        error::{ApiError, ErrorCode},
        get_shard_iterator::{GetShardIteratorInput, GetShardIteratorReply},
        validate::null_member,
    },
};

use super::{Call, SMALL_ANSWER_BYTES, shard_id::parse_shard};
use crate::{
    answer::Answer,
    error::RequestError,
    forward::ForwardError,
    iterator::iterator_of,
    lookup::selector,
    route::{Routed, ShardPlace, route_shard, usable_map},
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
    let record = match start_of(&input, &stream, routed.get(), call.wall())? {
        Start::At(record) => record,
        Start::Ask(position) => ask(call, &routed, position).await?,
    };
    let iterator = iterator_of(&stream, shards.id(), shard, record);
    let reply = GetShardIteratorReply { shard_iterator: iterator.seal(&call.config.sealer, call.wall()) };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}

/// Where an iterator starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// At a record that the request itself tells.
    At(RecordIndex),
    /// Only the node can tell.
    Ask(Position),
}

async fn ask(
    call: &Call<'_>,
    routed: &Routed<ShardPlace>,
    at: Position,
) -> Result<RecordIndex, RequestError> {
    let ShardPlace { key, node, .. } = *routed.get();
    match call.forwarder.call(node, CellRequest::Position { key, at }).await? {
        CellReply::Position(position) => Ok(position.record),
        _ => Err(ForwardError::Nonsense { node }.into()),
    }
}

fn start_of(
    input: &GetShardIteratorInput<'_>,
    stream: &StreamRef,
    place: &ShardPlace,
    now: WallMs,
) -> Result<Start, RequestError> {
    let kind = input.shard_iterator_type.as_deref().ok_or_else(|| null_member("shardIteratorType"))?;
    let number = input.starting_sequence_number.as_deref();
    match (kind, number) {
        ("AT_SEQUENCE_NUMBER", Some(number)) => {
            let number = own_number(number, stream, place)?;
            Ok(Start::At(number.record().unwrap_or(0)))
        }
        ("AFTER_SEQUENCE_NUMBER", Some(number)) => {
            let number = own_number(number, stream, place)?;
            Ok(Start::At(number.record().map_or(0, |record| record.saturating_add(1))))
        }
        // Record 0 is where every shard begins: what was trimmed since is skipped when it is read.
        ("TRIM_HORIZON", None) => Ok(Start::At(0)),
        ("LATEST", None) => Ok(Start::Ask(Position::Latest)),
        ("AT_TIMESTAMP", None) => at_timestamp(input, now),
        (kind, number) => Err(wrong_number(kind, number.is_some())),
    }
}

fn at_timestamp(input: &GetShardIteratorInput<'_>, now: WallMs) -> Result<Start, RequestError> {
    let Some(time) = input.timestamp else {
        return Err(invalid(
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
             timestamp parameter."
                .to_owned(),
        ));
    };
    let millis = u64::try_from(time.0).unwrap_or(0); // before 1970 is before every record
    if millis > now.0 {
        return Err(invalid(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
             timestampInMillis: {millis}, currentTimestampInMillis: {}",
            now.0
        )));
    }
    Ok(Start::Ask(Position::AtTimestamp(WallMs(millis))))
}

fn wrong_number(kind: &str, given: bool) -> RequestError {
    let what = if given { "also a" } else { "no" };
    invalid(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
         TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {what} \
         StartingSequenceNumber."
    ))
}

/// A number that this shard gave out.
fn own_number(text: &str, stream: &StreamRef, place: &ShardPlace) -> Result<SequenceNumber, RequestError> {
    let shard = place.key.shard;
    let used = || {
        format!(
            "StartingSequenceNumber {text} used in GetShardIterator on shard {shard} in stream {} under account {} \
             is invalid",
            stream.name, stream.account
        )
    };
    let number: SequenceNumber = text.parse().map_err(|_| invalid(used() + "."))?;
    if number.shard != shard {
        return Err(invalid(format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {shard}",
            number.shard
        )));
    }
    if number.shard_created_secs != place.created_secs {
        return Err(invalid(used() + " because it did not come from this stream."));
    }
    Ok(number)
}

fn invalid(text: String) -> RequestError {
    ApiError::new(ErrorCode::InvalidArgument, text).into()
}
