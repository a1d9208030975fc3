//! `DescribeStreamSummary`: the stream without its shards.

use weir_wire::kinesis::describe_stream_summary::{DescribeStreamSummaryInput, DescribeStreamSummaryReply};

use super::{Call, SMALL_ANSWER_BYTES, view};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: DescribeStreamSummaryInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let seen = view::look(call, &stream).await?;
    let open_shards = seen.open_count();
    let reply = DescribeStreamSummaryReply { stream: seen.facts, open_shards, consumers: seen.consumers };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}
