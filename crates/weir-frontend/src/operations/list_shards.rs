//! `ListShards`: a page of a stream's shards; a token carries the stream and the place.
//!
//! No shard is ever closed yet, so that every filter but one by id lets all of them pass.

use weir_core::id::{ShardIndex, StreamRef};
use weir_wire::{
    codec::{DecodeError, Reader, Writer},
    kinesis::{
        error::{ApiError, ErrorCode},
        list_shards::{ListShardsInput, ListShardsReply, ShardFilter},
        validate::null_member,
    },
};

use super::{Call, SMALL_ANSWER_BYTES, view};
use crate::{answer::Answer, error::RequestError, lookup::selector, page_token, seal::SealKind};

/// Shards of one answer, unless fewer are asked for (AWS).
const SHARDS_MAX: usize = 1_000;
/// Bytes of one shard in an answer.
const SHARD_BYTES: usize = 320;

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: ListShardsInput<'_> = call.input()?;
    let (stream, after) = match &input.next_token {
        Some(token) => {
            refuse_beside_token(&input)?;
            let (stream, after) = open_token(call, token)?;
            (stream, Some(after))
        }
        None => {
            if input.stream_name.is_none() && input.stream_arn.is_none() {
                return Err(invalid("Either NextToken or StreamName should be provided."));
            }
            (call.stream(selector!(input))?, first_after(&input)?)
        }
    };
    let seen = view::look(call, &stream).await?;
    if input.stream_creation_timestamp.is_some_and(|time| !same_second(time.0, seen.facts.created.0)) {
        return Err(RequestError::StreamNotFound(stream));
    }
    if !seen.active {
        let status = seen.facts.status;
        let text = format!("Stream {} under account {} is {status}.", stream.name, stream.account);
        return Err(RequestError::StreamInUse(text));
    }
    let most = input.max_results.map_or(SHARDS_MAX, |limit| (limit as usize).min(SHARDS_MAX));
    let (shards, more) = view::page(seen.shards(), after.as_deref(), most);
    let next_token = match shards.last() {
        Some(last) if more => Some(seal_token(call, &stream, last.shard)),
        _ => None,
    };
    let bytes = SMALL_ANSWER_BYTES + shards.len() * SHARD_BYTES;
    call.large_answer(&ListShardsReply { shards, next_token }, bytes)
}

fn invalid(text: &str) -> RequestError {
    ApiError::new(ErrorCode::InvalidArgument, text).into()
}

/// A token says all that these could.
fn refuse_beside_token(input: &ListShardsInput<'_>) -> Result<(), RequestError> {
    let beside = [
        ("StreamName", input.stream_name.is_some()),
        ("StreamCreationTimestamp", input.stream_creation_timestamp.is_some()),
        ("ExclusiveStartShardId", input.exclusive_start_shard_id.is_some()),
    ];
    match beside.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(invalid(&format!("NextToken and {name} cannot be provided together."))),
        None => Ok(()),
    }
}

/// The id after which the first page begins.
fn first_after(input: &ListShardsInput<'_>) -> Result<Option<String>, RequestError> {
    let filtered = input.shard_filter.as_ref().map(filter_after).transpose()?.flatten();
    let exclusive = input.exclusive_start_shard_id.as_deref().map(str::to_owned);
    Ok(filtered.max(exclusive))
}

fn filter_after(filter: &ShardFilter<'_>) -> Result<Option<String>, RequestError> {
    match filter.kind.as_deref() {
        Some("AFTER_SHARD_ID") => match filter.shard_id.as_deref() {
            Some(id) => Ok(Some(id.to_owned())),
            None => Err(null_member("shardFilter.shardId").into()),
        },
        Some("AT_TIMESTAMP" | "FROM_TIMESTAMP") if filter.timestamp.is_none() => {
            Err(null_member("shardFilter.timestamp").into())
        }
        _ => Ok(None),
    }
}

/// SDKs send times with a fraction cut off.
fn same_second(asked_ms: i64, created_ms: u64) -> bool {
    u64::try_from(asked_ms).is_ok_and(|asked| asked / 1_000 == created_ms / 1_000)
}

fn seal_token(call: &Call<'_>, stream: &StreamRef, after: ShardIndex) -> String {
    let mut place = Writer::new();
    place.stream_ref(stream).u32(after.0);
    let sealer = &call.config.sealer;
    page_token::seal(sealer, SealKind::ListShards, call.caller(), call.wall(), &place.finish())
}

fn open_token(call: &Call<'_>, token: &str) -> Result<(StreamRef, String), RequestError> {
    let sealer = &call.config.sealer;
    let place = page_token::open(sealer, SealKind::ListShards, call.caller(), call.wall(), token)?;
    let read = || -> Result<_, DecodeError> {
        let mut input = Reader::new(&place);
        let (stream, after) = (input.stream_ref()?, ShardIndex(input.u32("shard")?));
        input.finish()?;
        Ok((stream, after.to_string()))
    };
    read().map_err(|_| RequestError::TokenInvalid)
}
