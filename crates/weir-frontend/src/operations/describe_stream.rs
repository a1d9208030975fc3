//! `DescribeStream`: the stream and a page of its shards.

use weir_wire::kinesis::describe_stream::{DescribeStreamInput, DescribeStreamReply};

use super::{Call, SMALL_ANSWER_BYTES, view};
use crate::{answer::Answer, error::RequestError, lookup::selector};

/// Shards of one answer, unless fewer are asked for (AWS).
const SHARDS_MAX: usize = 100;
/// Bytes of one shard in an answer.
const SHARD_BYTES: usize = 320;

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: DescribeStreamInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let seen = view::look(call, &stream).await?;
    let most = input.limit.map_or(SHARDS_MAX, |limit| (limit as usize).min(SHARDS_MAX));
    let (shards, more) = view::page(seen.shards(), input.exclusive_start_shard_id.as_deref(), most);
    let bytes = SMALL_ANSWER_BYTES + shards.len() * SHARD_BYTES;
    call.large_answer(&DescribeStreamReply { stream: seen.facts, shards, more }, bytes)
}
