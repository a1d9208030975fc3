//! `ListStreamConsumers`: a page of a stream's consumers, by name; a token carries the stream's creation and the place.

use weir_core::id::{ConsumerName, StreamRef};
use weir_wire::{
    codec::{DecodeError, Reader, Writer},
    control::{ConsumerCall, ControlReply},
    kinesis::{
        error::{ApiError, ErrorCode},
        list_stream_consumers::{ListStreamConsumersInput, ListStreamConsumersReply},
    },
};

use super::{Call, SMALL_ANSWER_BYTES};
use crate::{
    answer::Answer, consumer::consumer_facts, error::RequestError, lookup::StreamSelector, page_token,
    seal::SealKind,
};

/// Consumers of one answer, unless fewer are asked for (AWS).
const CONSUMERS_MAX: u32 = 100;
/// Bytes of one consumer in an answer.
const CONSUMER_BYTES: usize = 320;

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: ListStreamConsumersInput<'_> = call.input()?;
    let stream = call.stream(StreamSelector { name: None, arn: input.stream_arn.as_deref() })?;
    let (stream_created_secs, after) = match &input.next_token {
        Some(_) if input.stream_creation_timestamp.is_some() => {
            let text = "NextToken and StreamCreationTimestamp cannot be provided together.";
            return Err(ApiError::new(ErrorCode::InvalidArgument, text).into());
        }
        Some(token) => open_token(call, &stream, token)?,
        // SDKs send times with a fraction cut off. Before 1970 nothing was created.
        None => (
            input.stream_creation_timestamp.map(|time| u64::try_from(time.0).unwrap_or(u64::MAX) / 1_000),
            None,
        ),
    };
    let asked = input.max_results.map_or(CONSUMERS_MAX, |most| u32::try_from(most).unwrap_or(CONSUMERS_MAX));
    let list = ConsumerCall::List { stream_created_secs, after, limit: asked.min(CONSUMERS_MAX) };
    let ControlReply::Consumers { consumers, more } = call.common.lookup.consumers(&stream, list).await?
    else {
        return Err(RequestError::ControlNonsense);
    };
    let next_token = match consumers.last() {
        Some(last) if more => Some(seal_token(call, &stream, stream_created_secs, &last.name)),
        _ => None,
    };
    let bytes = SMALL_ANSWER_BYTES + consumers.len() * CONSUMER_BYTES;
    let consumers = consumers.iter().map(|consumer| consumer_facts(&stream, consumer)).collect();
    call.large_answer(&ListStreamConsumersReply { consumers, next_token }, bytes)
}

fn seal_token(
    call: &Call<'_>,
    stream: &StreamRef,
    stream_created_secs: Option<u64>,
    after: &ConsumerName,
) -> String {
    let mut place = Writer::new();
    place.stream_ref(stream).u64(stream_created_secs.unwrap_or(0)).text(after.as_str());
    let sealer = &call.config.sealer;
    page_token::seal(sealer, SealKind::ListStreamConsumers, call.caller(), call.wall(), &place.finish())
}

/// A token is its own stream's: with another's ARN it is none.
fn open_token(
    call: &Call<'_>,
    stream: &StreamRef,
    token: &str,
) -> Result<(Option<u64>, Option<ConsumerName>), RequestError> {
    let sealer = &call.config.sealer;
    let place = page_token::open(sealer, SealKind::ListStreamConsumers, call.caller(), call.wall(), token)?;
    let read = || -> Result<_, DecodeError> {
        let mut input = Reader::new(&place);
        let (of, created, after) = (input.stream_ref()?, input.u64("creation")?, input.text("consumer")?);
        input.finish()?;
        Ok((of, (created > 0).then_some(created), ConsumerName::new(after)))
    };
    match read() {
        Ok((of, created, after)) if of == *stream => Ok((created, Some(after))),
        Ok(_) | Err(_) => Err(RequestError::TokenInvalid),
    }
}
